"""Line breaks for text in any of our languages: between words, and between Japanese characters.

Knows no screen. Rich breaks at spaces only, which tears Japanese sentences into ragged lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

# Between two wide characters a line may end; closing marks and small kana begin no line, opening marks end none. A
# number and its per cent sign stay together.
_WIDE = "\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff10-\uff19\uff21-\uff5a"
_CLOSE = "、。，．・：；？！）」』】〕〉》ー〜％％ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_OPEN = "（「『【〔〈《"
_WORD = rf"[^\s{_WIDE}{_OPEN}{_CLOSE}]"
_UNIT = re.compile(rf"\n|[^\S\n]+|[{_OPEN}]*(?:(?![{_CLOSE}])[{_WIDE}]|{_WORD}+(?: %{_WORD}*)?)?[{_CLOSE}]*")


class Words:
    """A text that is broken to the width it is given."""

    def __init__(self, text: str | Text, style: str = "") -> None:
        self.text = text if isinstance(text, Text) else Text(text, style=style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in broken(self.text, options.max_width):
            line.no_wrap, line.overflow = True, "ignore"
            yield line

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        lines = self.text.plain.split("\n")
        longest = max(map(cell_len, lines))
        unit = max((cell_len(unit) for line in lines for unit in _units(line)), default=1)
        return Measurement(min(unit, options.max_width), min(longest, options.max_width))


def broken(text: Text, width: int) -> list[Text]:
    """The text in lines of at most `width` cells, blanks at their ends dropped."""
    breaks = list(_breaks(text.plain, max(2, width)))
    lines = list(text.divide(breaks)) if breaks else [text.copy()]
    for line in lines:
        line.rstrip()
    return lines


def _breaks(text: str, width: int) -> Iterator[int]:
    """Where a new line begins."""
    at = used = 0
    for unit in _units(text):
        size = cell_len(unit)
        if unit == "\n":
            used = 0
            yield at + 1
        elif unit.isspace():
            used += size
        else:
            if used and used + size > width:
                yield at
                used = 0
            for position in _pieces(unit, width):  # longer than a whole line: an address, say
                yield at + position
                used, size = 0, cell_len(unit[position:])
            used += size
        at += len(unit)


def _units(text: str) -> Iterable[str]:
    return (match.group() for match in _UNIT.finditer(text) if match.group())


def _pieces(unit: str, width: int) -> Iterator[int]:
    used = 0
    for position, character in enumerate(unit):
        size = cell_len(character)
        if used + size > width:
            yield position
            used = 0
        used += size
