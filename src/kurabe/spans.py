"""Text in normal form (NFKC, one dash, one tilde, straight quotes), with the way back to the original's characters.

Knows no facts: it makes full-width digits, half-width kana and typographic signs readable by plain patterns.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

from kurabe.schema import FactKind

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("‐‑‒–—―−﹣⁻", "-"),
        **dict.fromkeys("〜∼˜⁓∿", "~"),
        **dict.fromkeys("‘’‚ʼ′`´", "'"),
        **dict.fromkeys("“”„″", '"'),
    }
)
_FRACTIONS = {"½": ".5", "¼": ".25", "¾": ".75"}  # so that 1½ reads 1.5; NFKC alone would make it 11⁄2
_MARKS_PER_CHARACTER = 8  # a longer pile of combining marks is no text, and NFKC sorts such piles in quadratic time


class Span(NamedTuple):
    """A value that was read somewhere in a text: what a `Fact` will be made of."""

    kind: FactKind
    value: str
    start: int
    end: int


class Normal(NamedTuple):
    """A normalised text. `starts` and `ends` give each character's place in the original; None: nothing moved."""

    text: str
    starts: list[int] | None
    ends: list[int] | None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The original span of a non-empty span of `text`."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def normalise(text: str, *, fold: bool = False) -> Normal:
    """`text` in normal form; with `fold` also casefolded, for comparing names."""
    if text.isascii() and "`" not in text:
        return Normal(text.lower() if fold else text, None, None)
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at, length = 0, len(text)
    while at < length:
        end = at + 1
        while end < length and end - at <= _MARKS_PER_CHARACTER and _joins(text[end]):
            end += 1
        piece = _piece(text[at:end])
        if fold:
            piece = piece.casefold()
        pieces.append(piece)
        starts.extend([at] * len(piece))
        ends.extend([end] * len(piece))
        at = end
    return Normal("".join(pieces), starts, ends)


def folded(text: str) -> str:
    """Normal form, casefolded, white space collapsed: two names are the same when this is."""
    return " ".join(normalise(text, fold=True).text.split())


@lru_cache(maxsize=8192)
def _joins(character: str) -> bool:
    """Whether the character melts into the one before it: a combining mark, or a half-width voicing mark."""
    return character > "\u02ff" and (unicodedata.combining(character) != 0 or character in "ﾞﾟ")


@lru_cache(maxsize=8192)
def _piece(cluster: str) -> str:
    if cluster in _FRACTIONS:
        return _FRACTIONS[cluster]
    category = unicodedata.category(cluster[0])
    if category == "Cf":
        return ""  # zero-width characters and soft hyphens: nobody sees them inside a number
    if category == "No":
        return cluster  # ① and ² must not become digits: "①3日" is not 13 days
    return unicodedata.normalize("NFKC", cluster).translate(_SIGNS)
