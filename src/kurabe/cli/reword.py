"""`kurabe reword`: a data file with trained and held-out wordings made by rules, for review.

Knows no rule. What it writes is a data file again: correct a line, and give the file to `kurabe run`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen
    from kurabe.dataset import Dataset


def command(
    screen: "Screen",
    file: Annotated[Path, typer.Argument(help="cli.file")],
    out: Annotated[Path | None, typer.Option(help="cli.reword.out")] = None,
    encoding: Annotated[str | None, typer.Option(help="settings.encoding")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="settings.skip_bad")] = False,
) -> None:
    from kurabe.cli.output import write_new
    from kurabe.cli.screen import in_unicode
    from kurabe.dataset import read_examples

    data = read_examples(file, encoding=encoding, skip_bad=skip_bad)
    rows = list(reworded(data))
    escaped = out is None and not in_unicode()
    text = "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows)
    if out is not None:
        write_new(out, text)
    if screen.json:
        screen.data({"version": 1, "rows": rows})
    elif out is None:
        screen.write(text)
    without = [row["id"] for row in rows if not row["held_out"]]
    screen.say(screen.t("cli.reword.made", rows=len(rows)))
    if without:
        screen.say(screen.t("cli.reword.without", count=len(without), ids=", ".join(without[:10])), style="yellow")


def reworded(data: "Dataset") -> Iterator[dict[str, Any]]:
    """Each example as a row of a data file: what a run would ask, a role that the file fills already left as it is."""
    from kurabe.splits import generate

    for example in generate(data.examples, data.language):
        yield {
            "id": example.id,
            "question": example.question,
            "answer": example.answer,
            "wordings": list(example.texts("trained")[1:]),
            "held_out": list(example.texts("held_out")),
            # What a row named itself is not found by the rules again.
            "facts": [{"kind": fact.kind, "value": fact.text} for fact in example.facts if fact.start < 0],
        }
