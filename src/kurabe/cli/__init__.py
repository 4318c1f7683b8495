"""The command line: one file per command, each of them parse, call, print.

Knows no command's work. A command's file imports what its work needs when it runs, so that `kurabe --help` is quick.
"""

from __future__ import annotations

import errno
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from kurabe import __version__
from kurabe.texts import Texts, pick_language

COMMANDS = (
    "demo", "run", "curve", "check", "audit", "reword", "resume", "report", "ask", "ship", "chat", "workshop", "models",
    "tune-recipe", "doctor", "clean",
)  # fmt: skip
HELP = {"help_option_names": ["-h", "--help"]}
# The options that every command has. Help texts are keys of the catalogue, here and in the commands' files.
SHARED = {
    "json": (bool, typer.Option("--json", help="cli.options.json"), False),
    "quiet": (bool, typer.Option("--quiet", "-q", help="cli.options.quiet"), False),
    "lang": (Literal["en", "ja"] | None, typer.Option("--lang", help="cli.options.lang"), None),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `kurabe` script: runs one command and exits with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = partial(application(Texts(screen_language(arguments))), args=arguments, prog_name="kurabe")
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:  # torchrun
        from kurabe.shards import in_step

        in_step(command)
    else:
        command()


def screen_language(arguments: Sequence[str]) -> str:
    """`--lang`, else the environment's language. Help texts need it before the arguments are parsed."""
    wanted = None
    for here, following in pairwise([*arguments, ""]):
        if here == "--lang":
            wanted = following
        elif here.startswith("--lang="):
            wanted = here.removeprefix("--lang=")
    language = pick_language(wanted)
    try:
        "比べ".encode(sys.stderr.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "en"  # a terminal without Japanese characters would show escapes only
    return language


def application(t: Texts) -> typer.Typer:
    """The whole command line, with its help in one language."""

    class Commands(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(COMMANDS)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            # By their names: a mistyped one is told the nearest of these.
            self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)
            return super().resolve_command(ctx, args)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return load(cmd_name, t) if cmd_name in COMMANDS else None

    def version(value: bool) -> None:
        if value:
            sys.stdout.write(f"kurabe {__version__}\n")
            raise typer.Exit

    def root(
        version: bool = typer.Option(
            False, "--version", help=t("cli.options.version"), callback=version, is_eager=True
        ),
        lang: Literal["en", "ja"] | None = typer.Option(None, "--lang", help=t("cli.options.lang")),
    ) -> None: ...

    app = typer.Typer(
        cls=Commands, add_completion=False, no_args_is_help=True, rich_markup_mode=None,
        pretty_exceptions_enable=False, context_settings=HELP,
    )  # fmt: skip
    app.callback(help=t("app.tagline"), epilog=t("cli.epilog"))(root)
    return app


def load(name: str, t: Texts) -> Any:
    """The command of that name, from the file of that name, with its help texts looked up in the catalogue."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    function = import_module(f"kurabe.cli.{name.replace('-', '_')}").command
    single.command(name, help=t(f"cli.{name}.help"), context_settings=HELP)(on_screen(function, t))
    command = typer.main.get_command(single)
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = t(parameter.help)  # type: ignore[attr-defined]
    return command


def on_screen(function: Callable[..., None], t: Texts) -> Callable[..., None]:
    """`function` with the shared options instead of its first parameter, a `Screen`.

    Users' errors are printed here, once, and become exit codes. Bugs keep their traceback.
    """

    def call(**values: Any) -> None:
        from kurabe.cli.screen import Screen
        from kurabe.errors import MissingError, UserError

        screen = Screen(t, **{name: values.pop(name) for name in ("json", "quiet")})
        values.pop("lang")  # `main` has read it
        try:
            function(screen, **values)
        except UserError as error:
            screen.error(error)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # What is stored says so itself; this is stdout, on its way to a file. The rest of it is not tried again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            screen.json = False
            screen.error(MissingError("The disk is full.", where=error.filename or "stdout", fix="Free some space."))
            raise typer.Exit(MissingError.exit_code) from None

    _, *own = inspect.signature(function).parameters.values()
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
        for name, (kind, option, default) in SHARED.items()
    ]
    parameters = [*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *shared]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call
