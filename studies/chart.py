"""Recall of all cells as a chart of plain text: it shows in any terminal, any editor, any diff.

Knows no trial. Labels are ASCII, so that the columns stand under each other in every font, Japanese ones included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kurabe.schema import Estimate

WIDTH = 50  # characters from 0 to 100 %


class Bar(NamedTuple):
    """One line: its labels, recall on held-out wordings with its interval, and, if it is drawn, on trained wordings."""

    labels: tuple[str, ...]
    held_out: Estimate
    trained: Estimate | None = None


def chart(head: Sequence[str], bars: Sequence[Bar]) -> str:
    """`o` held-out, `x` trained, `*` where both fall together, `-` the interval of `o`."""
    widths = [max(map(len, column)) for column in zip(head, *(bar.labels for bar in bars), strict=True)]
    scale = "0 %".ljust(WIDTH // 2 - 1) + "50 %".ljust(WIDTH // 2 - 3) + "100 %"
    lines = [f"{_labels(head, widths)}  {scale}"]
    lines += [f"{_labels(bar.labels, widths)} |{_drawn(bar)}|" for bar in bars]
    return "\n".join(lines)


def _labels(labels: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(label.ljust(width) for label, width in zip(labels, widths, strict=True))


def _drawn(bar: Bar) -> str:
    line = [" "] * (WIDTH + 1)
    low, high = bar.held_out.low, bar.held_out.high
    if low is not None and high is not None:
        for place in range(_place(low), _place(high) + 1):
            line[place] = "-"
    held_out = _place(bar.held_out.value or 0.0)
    line[held_out] = "o"
    if bar.trained is not None:
        trained = _place(bar.trained.value or 0.0)
        line[trained] = "*" if held_out == trained else "x"
    return "".join(line)


def _place(share: float) -> int:
    return round(share * WIDTH)
