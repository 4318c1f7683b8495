"""Values said without a number: half an hour, within a week, an hour and a half, half price, twice, 半日, 半額.

Knows no digits. "Once a week" and "three times a day" are no lengths of time: an article makes one only after a word
that asks for a length (within a week, takes an hour).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kurabe.patterns import Pattern
from kurabe.spans import Span

_PATTERN = Pattern(
    r"\b(?:half(?: of)? an? (?P<half>hour|day|year)|(?P<quarter>(?:a )?quarter of an hour))\b"
    r"|\ban? (?P<and_half>hour|day|week|month|year) and a half\b"
    r"|\b(?:within|in|for|takes?|about|after|than|up to|at least|at most|under|over|only|lasts?|approximately|roughly"
    r"|around|needs?|allow|is|next|last|every|to)\s"
    r"(?P<one>an?\s(?P<unit>hour|day|week|month|year|fortnight|business day|working day))(?![A-Za-z-])"
    r"|(?P<price>\bhalf[ -](?:price|off)\b|半額)|(?P<twice>\btwice\b)(?! (?:as|the|that|this)\b)"
    r"|(?P<half_year>半年間?)(?!度)|(?P<half_day>半日)",
    re.ASCII | re.IGNORECASE,
)
_HALF = {"hour": "30 minute", "day": "12 hour", "year": "6 month"}
_ONE = {
    "hour": "1 hour", "day": "1 day", "week": "7 day", "month": "1 month", "year": "1 year", "fortnight": "14 day",
    "business day": "1 business_day", "working day": "1 business_day",
}  # fmt: skip
_AND_HALF = {"hour": "90 minute", "day": "36 hour", "week": "252 hour", "month": "1.5 month", "year": "18 month"}


def find_halves(text: str) -> Iterator[Span]:
    """Durations, percentages and counts of a normalised text that are said in words alone, and are no number words."""
    for match in _PATTERN.finditer(text):
        if match["price"]:
            yield Span("percentage", "50", *match.span())
        elif match["twice"]:
            yield Span("count", "2 time", *match.span())
        elif match["one"]:
            yield Span("duration", _ONE[match["unit"].lower()], *match.span("one"))
        else:
            yield Span("duration", _length(match), *match.span())


def _length(match: re.Match[str]) -> str:
    if match["and_half"]:
        return _AND_HALF[match["and_half"].lower()]
    if match["quarter"]:
        return "15 minute"
    return _HALF["year" if match["half_year"] else "day" if match["half_day"] else match["half"].lower()]
