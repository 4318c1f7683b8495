"""What reaches a terminal: the two streams, text made inert, signs, errors.

Knows no run and no model. stdout is data, stderr is talk.
"""

from __future__ import annotations

import codecs
import json as json_module
import re
import sys
from typing import IO, Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from kurabe.cli.lines import Words
from kurabe.errors import DataError, UserError
from kurabe.schema import SCHEMA_VERSION, Record
from kurabe.texts import Texts

# Control characters of both sets, line and paragraph separators, and every mark that turns the reading direction.
_ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# What a stream without these characters shows instead.
_PLAIN = {
    "✓": "+", "✗": "x", "∅": "0", "–": "-", "—": "-", "−": "-", "…": "...", "→": "->", "×": "x", "≥": ">=", "≤": "<=",
    "·": "-", "•": "*", "’": "'", "‘": "'", "“": '"', "”": '"', "±": "+-", "�": "?", "​": "",
    "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "█": "#",
}  # fmt: skip
PROBLEMS_SHOWN = 20
LABEL = 14  # width of the labels before a line of talk
NARROWEST = 20  # characters; some terminals without a size say 0 or 1


def plain(text: str) -> str:
    """Text from data or a model with nothing left in it that a terminal would obey; each such character shows as �."""
    return _ACTIVE.sub("�", text.replace("\r\n", "\n").replace("\t", " "))


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c, c.encode("ascii", "backslashreplace").decode("ascii")) for c in wrong), error.end


codecs.register_error("kurabe.plainer", _plainer)


class Screen:
    """One command's streams and language. `quiet` leaves the data and the errors, `json` makes the data JSON."""

    def __init__(self, t: Texts, *, json: bool = False, quiet: bool = False) -> None:
        self.t, self.json, self.quiet = t, json, quiet
        self.out = _console(sys.stdout)
        self.err = _console(sys.stderr)

    def say(self, text: str | Text = "", style: str = "") -> None:
        """A line of talk."""
        if not self.quiet:
            self.err.print(Words(text, style))

    def say_beside(self, label: str, words: str) -> None:
        """Talk with a label before it; the words stay to the right of the label."""
        if not self.quiet:
            self.err.print(hanging(Text(widened(label), style="cyan"), words))

    def show(self, piece: RenderableType = "", style: str = "") -> None:
        """A piece of the answer, for a reader."""
        self.out.print(Words(piece, style) if isinstance(piece, (str, Text)) else piece)

    def show_beside(self, label: str, words: str) -> None:
        """A piece of the answer with a label before it."""
        self.out.print(hanging(Text(widened(label), style="cyan"), words))

    def show_to_copy(self, label: str, words: str) -> None:
        """A path or a command with a label before it, in one line whatever its length."""
        self.out.print(Text.assemble((widened(label) + "  ", "cyan"), words), soft_wrap=True)

    def data(self, value: Record | dict[str, Any] | list[Any]) -> None:
        """The answer as one JSON document."""
        if isinstance(value, Record):
            value = value.model_dump(mode="json")
        self.write(json_module.dumps(value, ensure_ascii=not in_unicode(), indent=2, allow_nan=False) + "\n")

    def write(self, text: str) -> None:
        """A whole document on stdout, as it is."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def error(self, error: UserError) -> None:
        """What, where, why and what mends it; with --json the same on stdout, for the program that asked."""
        t = self.t
        self.err.print(Text(f"{t(f'cli.error.{type(error).__name__}')}: {plain(error.what)}", style="bold red"))
        for name, sentence in error.lines()[1:]:
            # Never folded: a path or a command is there to be copied.
            self.err.print(Text.assemble((f"  {t(f'cli.error.{name}')}  ", "bold"), plain(sentence)), soft_wrap=True)
        problems = error.problems if isinstance(error, DataError) else ()
        for problem in problems[:PROBLEMS_SHOWN]:
            self.err.print(Text("  " + plain(problem)))
        if len(problems) > PROBLEMS_SHOWN:
            self.err.print(Text("  " + t("cli.error.more", count=len(problems) - PROBLEMS_SHOWN)))
        if self.json:
            parts = dict(error.lines()) | {"problems": list(problems)}
            self.data({"version": SCHEMA_VERSION, "error": parts, "exit_code": error.exit_code})


def hanging(label: Text, body: str | Text) -> Table:
    """A label and a body whose further lines stay to the right of it."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_row(label, Words(body))
    return grid


def widened(label: str, width: int = LABEL) -> str:
    """A label on the width of all labels; Japanese characters take two cells."""
    return label + " " * (width - cell_len(label))


def _console(stream: IO[str]) -> Console:
    """A console that never fails on a character that its stream does not have, and never reads text as markup."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="kurabe.plainer")
    console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if console.width < NARROWEST:
        console.width = 80
    return console


def in_unicode() -> bool:
    """Whether stdout takes every character. In any other encoding JSON has to escape what is not ASCII: a character
    that is replaced on the way would be another value, or no JSON."""
    return (getattr(sys.stdout, "encoding", None) or "ascii").lower().startswith("utf")
