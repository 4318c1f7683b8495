"""`kurabe chat`: talk to a GGUF file, by itself or as a Modelfile describes it. Nothing is stored.

Knows no format: the file is read, checked and run elsewhere.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen
    from kurabe.export.dialogue import Dialogue, Setup
    from kurabe.schema import Answer


def command(
    screen: "Screen",
    model: Annotated[str | None, typer.Argument(help="cli.chat.model")] = None,
    question: Annotated[str | None, typer.Argument(help="cli.chat.question")] = None,
    modelfile: Annotated[Path | None, typer.Option("--modelfile", "-f", help="cli.chat.modelfile")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="cli.chat.max_tokens")] = None,
) -> None:
    from kurabe.errors import MissingError
    from kurabe.export.dialogue import Dialogue
    from kurabe.llamacpp import GGUFBackend

    setup, asked = _setup(model, question, modelfile)
    if max_tokens is not None:
        setup = setup._replace(longest=max_tokens)
    if setup.ignored:
        screen.say(screen.t("cli.chat.ignored", names=", ".join(setup.ignored)), style="yellow")
    answers = []
    with GGUFBackend(setup.file, stop=setup.stop, options=setup.options, lora=setup.adapter) as backend:
        dialogue = Dialogue(backend, setup)
        for line in [asked] if asked is not None else _lines(screen, dialogue):
            answers.append((line, dialogue.ask(line)))
            if not screen.json:
                _show(screen, answers[-1][1])
    if screen.json:
        screen.data([{"asked": line, **answer.model_dump(mode="json")} for line, answer in answers])
    failed = [answer for _, answer in answers if answer.finish == "error"]
    if failed and not screen.json:
        raise MissingError(
            f"No answer came to {len(failed)} of {len(answers)} questions.",
            where=str(setup.file),
            why=failed[0].error,
            fix="Ask a shorter question, or try the file in llama.cpp itself.",
        )
    if failed:
        raise typer.Exit(MissingError.exit_code)


def _setup(model: str | None, question: str | None, modelfile: Path | None) -> "tuple[Setup, str | None]":
    """What is spoken to, and the question where one was given."""
    from kurabe.errors import SettingsError
    from kurabe.export.dialogue import Setup, from_modelfile

    if modelfile is not None and question is not None:
        raise SettingsError("A GGUF file and a Modelfile were given.", fix="Give one of the two.")
    if modelfile is None and model is None:
        raise SettingsError("There is nobody to talk to.", fix="kurabe chat MODEL.gguf, or kurabe chat -f Modelfile")
    asked = question if modelfile is None else model
    if asked is not None and not asked.strip():
        raise SettingsError("The question is empty.", fix="kurabe chat MODEL.gguf QUESTION")
    return (from_modelfile(modelfile) if modelfile is not None else Setup(Path(model or ""))), asked


def _lines(screen: "Screen", dialogue: "Dialogue") -> Iterator[str]:
    """Questions from stdin, one per line. To a person an empty line is the end; in a file it is none."""
    import sys

    info = dialogue.backend.info
    person = sys.stdin.isatty()
    if person:
        words = {"name": info.name, "family": info.family, "parameters": f"{info.parameters:,}", "dtype": info.dtype}
        screen.say(screen.t("cli.chat.ready", **words))
    for line in sys.stdin:
        if line.strip():
            yield line.strip()
        elif person:
            return


def _show(screen: "Screen", answer: "Answer") -> None:
    from kurabe.cli.screen import plain

    if answer.finish == "error":
        screen.err.print(plain(answer.error), style="bold red")
        return
    screen.show(plain(answer.text))
    if answer.finish == "length":
        screen.say(screen.t("cli.chat.cut", tokens=answer.new_tokens), style="yellow")
