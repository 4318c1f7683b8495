"""How long each study took, of its own record: minutes, how loaded the machine was, and whether all of it is there.

Knows no study: it reads the lines that all results files have in common.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from kurabe.storage import read_journal

MOST = 40.0  # minutes that one study may take on two cores
MOST_TOGETHER = 240.0


class Took(NamedTuple):
    """What one study's record says."""

    name: str
    lines: int  # trials, runs or cells that are stored
    minutes: float | None  # None: nothing is stored
    processor: float | None  # minutes of processor time, where they were recorded
    load: float | None  # the system's load average at the end


def took(name: str, path: Path) -> Took:
    """Of finished sessions what they took from start to end; where a session was cut off, or keeps no such line, what
    each trial took by itself. A simulation's cells are counted in processor time, which is all that they record."""
    rows = [dict(row) for row in read_journal(path).rows] if path.exists() else []
    ends = [row for row in rows if row.get("kind") == "end"]
    starts = [row for row in rows if row.get("kind") == "session"]
    done = [row for row in rows if row.get("kind") not in ("session", "end")]
    every = ends if ends and len(ends) == len(starts) else done
    seconds = sum(
        row.get("seconds", 0.0) + row.get("train_seconds", 0.0) + row.get("answer_seconds", 0.0) for row in every
    )
    used = [row["processor"] for row in ends if row.get("processor") is not None]
    cells = [row["seconds"] for row in done if row.get("kind") == "cell"]
    return Took(
        name=name, lines=len(done), minutes=seconds / 60 if done else None,
        processor=sum(used or cells) / 60 if used or cells else None,
        load=max((row["load"] for row in ends if row.get("load") is not None), default=None),
    )  # fmt: skip


def table(found: Iterable[Took]) -> str:
    """The studies line by line, their sum last, and which of them took longer than one may."""
    found = list(found)
    lines = [f"{'study':<18}{'stored':>8}{'minutes':>9}{'processor':>11}{'load':>7}"]
    for one in found:
        lines.append(
            f"{one.name:<18}{one.lines:>8}{_number(one.minutes):>9}{_number(one.processor):>11}{_number(one.load):>7}"
        )
    total = sum(one.minutes or 0.0 for one in found)
    lines.append(f"{'together':<18}{sum(one.lines for one in found):>8}{_number(total):>9}")
    slow = [one.name for one in found if (one.minutes or 0.0) > MOST]
    if slow:
        lines.append(
            f"Longer than {MOST:.0f} minutes: {', '.join(slow)}. A load above the cores' number says why it may be."
        )
    if total > MOST_TOGETHER:
        lines.append(f"Together longer than {MOST_TOGETHER:.0f} minutes.")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
