"""The talk track: plain Markdown that a presenter edits, read into steps.

Knows no run and no page. The grammar is told at the top of `script.en.md`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple, NoReturn

from kurabe.errors import DataError, MissingError

# What the pages can show, in the order of the show.
STEPS = ("checklist", "recipe", "train", "compare", "counted", "audit", "prompt", "retention", "ship", "verdict",
         "costs", "questions", "summary", "cleanup")  # fmt: skip
_HEADING = re.compile(r"##\s+([a-z]+)\s*[:：]\s*(.+?)\s*[(（]\s*([\d.]+)\s*(?:min|分)\s*[)）]\s*")


class Command(NamedTuple):
    """A line to type. `rows` is "example" or "own" where it goes with only one kind of rows, else ""."""

    line: str
    rows: str = ""


class Step(NamedTuple):
    """One step of the talk. `lead` is for the room; `track` and `notes` are for the presenter only."""

    id: str
    title: str
    minutes: float
    lead: str
    track: tuple[str, ...]  # paragraphs
    notes: tuple[str, ...]
    commands: tuple[Command, ...]

    def filled(self, words: Mapping[str, str], *, own: bool) -> Step:
        """The step with `{name}` replaced by these words, and the commands that go with rows of one's own, or with the
        ten of `examples/`. Other braces stay: a command may have some."""

        def fill(text: str) -> str:
            return re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)

        other = "example" if own else "own"
        kept = tuple(command._replace(line=fill(command.line)) for command in self.commands if command.rows != other)
        return self._replace(
            title=fill(self.title), lead=fill(self.lead), track=tuple(map(fill, self.track)),
            notes=tuple(map(fill, self.notes)), commands=kept,
        )  # fmt: skip


class Script(NamedTuple):
    """A talk track in one language."""

    title: str
    steps: tuple[Step, ...]

    @property
    def minutes(self) -> float:
        return sum(step.minutes for step in self.steps)


def load(language: str, folder: Path | None = None) -> Script:
    """`script.<language>.md` in `folder`, else the one that comes with kurabe. Raises MissingError and DataError."""
    name = f"script.{language}.md"
    if folder is None:
        return parse(resources.files("kurabe.workshop").joinpath(name).read_text(encoding="utf-8"), name)
    try:
        return parse((folder / name).read_text(encoding="utf-8-sig"), str(folder / name))
    except (OSError, UnicodeDecodeError) as error:
        raise MissingError(
            "The talk track cannot be read.", where=str(folder / name), why=str(error),
            fix="Copy script.en.md and script.ja.md of kurabe's workshop folder there, then edit them.",
        ) from None  # fmt: skip


def parse(text: str, where: str) -> Script:
    """The steps of a talk track. Raises DataError with the line of a heading that is not understood, of a step that the
    pages do not know, and of one that stands twice."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("## ")]
    title = next((line[2:].strip() for line in lines if line.startswith("# ")), "")
    steps: list[Step] = []
    if not starts:
        raise DataError("The talk track has no step.", where=where, fix="Write a line `## verdict: Title (1 min)`.")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        found = _HEADING.fullmatch(lines[start])
        if found is None:
            _refuse(where, start, "A step begins with `## id: title (minutes min)`.")
        name, heading, minutes = found.groups()
        if name not in STEPS:
            _refuse(where, start, f"There is no step {name!r}; there are {', '.join(STEPS)}.")
        if name in (step.id for step in steps):
            _refuse(where, start, f"The step {name!r} stands twice.")
        steps.append(_step((name, heading, float(minutes)), lines[start + 1 : end], where, start + 1))
    return Script(title, tuple(steps))


def _step(heading: tuple[str, str, float], lines: list[str], where: str, start: int) -> Step:
    lead: list[str] = []
    track: list[list[str]] = [[]]
    notes: list[str] = []
    commands: list[Command] = []
    fenced, rows = False, ""
    for n, line in enumerate(lines):
        words = line.strip()
        if words.startswith("```"):
            fenced, rows = not fenced, words.partition(" ")[2].strip()
            if rows not in ("", "example", "own"):
                _refuse(where, start + n, "After `sh` a block says `example`, `own` or nothing.")
        elif fenced:
            commands += [Command(words, rows)] if words else []
        elif words.startswith(">"):
            lead.append(words[1:].strip())
        elif words.startswith("- "):
            notes.append(words[2:])
        elif words and notes and line.startswith("  "):
            notes[-1] = joined([notes[-1], words])
        elif words:
            track[-1].append(words)
        else:
            track.append([])
    return Step(*heading, " ".join(lead), tuple(map(joined, filter(None, track))), tuple(notes),
                tuple(commands))  # fmt: skip


def joined(lines: list[str]) -> str:
    """Lines as one paragraph; Japanese has no blank where a line ends."""
    text = lines[0]
    for line in lines[1:]:
        text += line if ord(text[-1]) > 0x2E80 or ord(line[0]) > 0x2E80 else f" {line}"
    return text


def _refuse(where: str, line: int, why: str) -> NoReturn:
    raise DataError("The talk track is not understood.", where=f"{where}:{line + 1}", why=why, fix="Correct that line.")
