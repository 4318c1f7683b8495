"""`kurabe curve`: how recall grows with examples, wordings, epochs, rank or rate, and where LoRA reaches the prompt.

Knows no step of the work: a curve is a run with further trials, and takes the flags of `kurabe run`.
"""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kurabe.cli import run

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen

GATE = ("gate", "fail_under")  # they ask for one verdict's exit code


def command(
    screen: "Screen",
    file: Annotated[Path, typer.Argument(help="cli.file")],
    over: Annotated[str | None, typer.Option(help="cli.curve.over")] = None,
    seeds: Annotated[int | None, typer.Option(help="settings.seeds")] = None,
    **of_run: Any,
) -> None:
    from kurabe.cli.measure import finish
    from kurabe.settings import load_settings

    path, dry_run = of_run.pop("settings"), of_run.pop("dry_run")
    settings = load_settings(path, flags={"over": over, "seeds": seeds, **of_run})
    if not settings.over:
        settings = settings.model_copy(update={"over": ("wordings",)})
    done = run.carry_out(screen, file, settings, dry_run)
    if done:
        finish(screen, *done)


def _with_flags_of_run() -> inspect.Signature:
    """This command's own parameters, then those of `run` that it shares."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    names = {*GATE, *(p.name for p in own)}
    return inspect.Signature(
        [*own, *(p for n, p in inspect.signature(run.command).parameters.items() if n not in names)]
    )


command.__signature__ = _with_flags_of_run()  # type: ignore[attr-defined]
