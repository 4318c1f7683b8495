"""Numbers with units: money, durations, percentages and counts, alone or as ranges, in English and Japanese.

Knows no dates, phones or codes, and not which of two overlapping readings wins (`facts.py` decides that).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from kurabe import units
from kurabe.numerals import Numeral, find_numerals, plain
from kurabe.schema import FactKind
from kurabe.spans import Span

_FLAGS = re.ASCII | re.IGNORECASE
_RANGE = re.compile(r"[ \t]{0,2}(?:-|~|ー|to|up to|through|or|から|より|ないし|か)[ \t]{0,2}", _FLAGS)
_AND = re.compile(r" and ", re.IGNORECASE)
_OR = re.compile(r" or ", re.IGNORECASE)
_LIST_END = re.compile(r",? (?:and|or) |、?(?:または|と|か)|、|・|\s?[x×]\s?", re.IGNORECASE)  # 10, 25 or 50 items
_LIST_COMMA = re.compile(r", |、|・|\s?[x×]\s?")
_BETWEEN = re.compile(r"\bbetween\s(?:about |around )?$", _FLAGS)
_MORE_BEFORE = re.compile(r"(?:(?<!no )(?<!not )more than|over|at least|minimum of|no fewer than|upwards of)\s$", _FLAGS)
_MORE_AFTER = re.compile(r"\+|\s?(?:以上|超)|\s(?:or more|and more|or above|and up|and above|plus)\b", _FLAGS)
_THEN = re.compile(r"(?:[ ]|, | and |, and )?", _FLAGS)  # between the parts of "1 hour and 30 minutes"

# "15 % from 25": the number leans on a noun that an earlier or later one carries.
_LEANS_AFTER = re.compile(
    r"\b(?:from|for|over|above|than|of|at|under|below|to|least|with|buy|order)\s(?:orders of |quantities of )?$", _FLAGS
)
_LEANS_BEFORE = re.compile(
    r"\+|\s?(?:以上|から|未満|以下|まで)|\s(?:or more|and more|and up|or above|and above)\b", _FLAGS
)
_ENDS = re.compile(r"\+?\s?(?:$|[,.;:!?)、。；：（(|*]|-|and\b|or\b|以上|から|未満|以下|まで)", _FLAGS)
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)|[。！？]")
_OR_MORE = re.compile(r"\+(?!\s?[0-9])|\s?(?:以上|超)|\s(?:or more|and more|and up|or above|and above|or over|and over)\b", _FLAGS)
_LEAN_REACH = 160  # characters between a leaning number and the noun that it leans on


class Quantity(NamedTuple):
    """One number, or a range of two, with the unit that stands at it."""

    kind: FactKind
    unit: str
    low: Decimal
    high: Decimal
    start: int
    end: int
    more: bool = False  # "180+", "10 or more"


def find_quantities(text: str) -> tuple[list[Span], list[Span]]:
    """Quantities of a normalised text, and beside them its bare numbers (kind "count", no unit), both in order."""
    numerals = find_numerals(text)
    if not numerals:
        return [], []
    read = [units.read(text, numeral) for numeral in numerals]
    joined, used = _join_ranges(text, numerals, read)
    joined += [_single(n, r) for i, (n, r) in enumerate(zip(numerals, read, strict=True)) if r and i not in used]
    joined += _shared(text, numerals, read, used)
    joined.sort(key=lambda q: q.start)
    joined = [_with_more(text, q) if q.kind == "count" else q for q in _join_parts(text, joined)]
    named = {q.start for q in joined}
    bare = [n for i, n in enumerate(numerals) if read[i] is None and i not in used and n.start not in named]
    joined += _leaning(text, bare, joined)
    named = {q.start for q in joined}
    rest = [Span("count", plain(n.value), n.start, n.end) for n in bare if n.start not in named]
    return [Span(q.kind, _canonical(q), q.start, q.end) for q in joined], rest


def _single(numeral: Numeral, reading: units.Reading) -> Quantity:
    value = numeral.value * reading.factor + reading.plus
    return Quantity(reading.kind, reading.unit, value, value, reading.start, reading.end)


# --- ranges and compounds --------------------------------------------------------------------------------------


def _join_ranges(
    text: str, numerals: Sequence[Numeral], read: Sequence[units.Reading | None]
) -> tuple[list[Quantity], set[int]]:
    """From right to left, so that in "$6.99 - 7-14 days" the 7 goes to the 14. Each number is used once."""
    found: list[Quantity] = []
    used: set[int] = set()
    for left in range(len(numerals) - 2, -1, -1):
        right = left + 1
        if right in used:
            continue
        quantity = _range(text, numerals[left], numerals[right], read[left], read[right])
        if quantity:
            found.append(quantity)
            used |= {left, right}
    return found, used


def _range(
    text: str, left: Numeral, right: Numeral, a: units.Reading | None, b: units.Reading | None
) -> Quantity | None:
    start, end = a.start if a else left.start, b.end if b else right.end
    gap_start, gap_end = a.end if a else left.end, b.start if b else right.start
    if gap_end - gap_start > 12 or not (a or b):
        return None
    gap = text[gap_start:gap_end]
    if not _RANGE.fullmatch(gap):
        if not (_AND.fullmatch(gap) and _BETWEEN.search(text[max(0, start - 24) : start])):
            return None
    if a and b:
        if a.kind != b.kind or not units.alike(a.kind, a.unit, b.unit):
            return None
    elif b and b.prefix or a and not a.prefix:
        return None  # "5-$10" and "5 days-10": the other one has no unit of its own and cannot borrow this one
    if "から" in gap and text.startswith("に", end):
        return None  # 1,000円から1,200円に: a change, not a range
    first, last = a or b, b or a
    assert first and last
    low, high = left.value * first.factor, right.value * last.factor + last.plus
    if a and b and a.unit != b.unit:
        low, high, name = units.common(low, a.unit, high, b.unit)
    else:
        name = last.unit
        if a is None and left.form == "digits" and right.form == "kanji" and right.value >= 1000 > left.value:
            low = left.value * _kanji_scale(right.value)  # 5〜8万円, 1〜2億円
    if low >= high or (_OR.fullmatch(gap) and high - low != 1):
        return None
    return Quantity(last.kind, name, low, high, start, end)


def _kanji_scale(value: Decimal) -> Decimal:
    for scale in (Decimal(10**8), Decimal(10**4), Decimal(1000)):
        if value >= scale:
            return scale
    return Decimal(1)


def _join_parts(text: str, quantities: list[Quantity]) -> list[Quantity]:
    """1 hour 30 minutes, 1時間30分, 6 dollars and 99 cents: parts of falling units make one value."""
    joined: list[Quantity] = []
    for quantity in quantities:
        last = joined[-1] if joined else None
        if last and quantity.start - last.end <= 6 and _THEN.fullmatch(text[last.end : quantity.start]):
            whole = _sum(last, quantity)
            if whole:
                joined[-1] = whole
                continue
        joined.append(quantity)
    return joined


def _sum(first: Quantity, second: Quantity) -> Quantity | None:
    if first.kind != second.kind or first.low != first.high or second.low != second.high:
        return None
    if first.kind == "duration" and (first.unit, second.unit) in units.COMPOUND:
        value, rest, unit = units.common(first.low, first.unit, second.low, second.unit)
        value += rest
    elif first.kind == "money" and first.unit == second.unit and second.low < 1 <= first.low == int(first.low):
        value, unit = first.low + second.low, first.unit
    else:
        return None
    return first._replace(low=value, high=value, unit=unit, end=second.end)


def _shared(
    text: str, numerals: Sequence[Numeral], read: Sequence[units.Reading | None], used: set[int]
) -> Iterator[Quantity]:
    """In "10, 15 and 20 percent" the last one's unit is everybody's."""
    unit: units.Reading | None = None  # what the number to the right is a number of
    joint = _LIST_END
    for i in range(len(numerals) - 1, -1, -1):
        numeral, here = numerals[i], read[i]
        if here or i in used:
            unit, joint = (here if here and not here.prefix and i not in used else None), _LIST_END
        elif unit and joint.fullmatch(text, numeral.end, numerals[i + 1].start) and _may_share(text, numeral, unit):
            joint = _LIST_COMMA
            yield _single(numeral, unit._replace(start=numeral.start, end=numeral.end, plus=Decimal(0)))
        else:
            unit = None


def _may_share(text: str, numeral: Numeral, unit: units.Reading) -> bool:
    """Not in "20 % from 50 and 25 % from 100": there the 50 leans on a count."""
    return unit.kind == "count" or not _LEANS_AFTER.search(text[max(0, numeral.start - 32) : numeral.start])


# --- counts ----------------------------------------------------------------------------------------------------


def _with_more(text: str, quantity: Quantity) -> Quantity:
    """Marks "180+", "more than 180", "10 or more"; the words around the count do not belong to its span."""
    inside = text[quantity.start : quantity.end]
    more = (
        "+" in inside
        or " or more" in inside.lower()
        or bool(_MORE_AFTER.match(text, quantity.end))
        or bool(_MORE_BEFORE.search(text[max(0, quantity.start - 20) : quantity.start]))
    )
    return quantity._replace(more=more)


def _leaning(text: str, bare: Sequence[Numeral], quantities: Sequence[Quantity]) -> Iterator[Quantity]:
    """Bare numbers that are counts all the same: in an enumeration ("10 % from 10 items, 15 % from 25" gives 25 items
    as well), and where a least number is said ("groups of 10 or more")."""
    counts = [q for q in quantities if q.kind == "count"]
    position = 0
    for numeral in bare:
        while position < len(counts) and counts[position].start < numeral.start:
            position += 1
        if numeral.form not in ("digits", "kanji") or numeral.value != int(numeral.value):
            continue
        leans = _LEANS_AFTER.search(text[max(0, numeral.start - 32) : numeral.start])
        if not (leans and _ENDS.match(text, numeral.end)) and not _LEANS_BEFORE.match(text, numeral.end):
            continue
        for count in (*counts[max(0, position - 1) : position], *counts[position : position + 1]):
            left, right = min(count.end, numeral.end), max(count.start, numeral.start)
            if right - left <= _LEAN_REACH and not _SENTENCE_END.search(text, left, right):
                value = numeral.value
                yield _with_more(text, Quantity("count", count.unit, value, value, numeral.start, numeral.end))
                break
        else:
            if _OR_MORE.match(text, numeral.end):
                yield Quantity("count", "", numeral.value, numeral.value, numeral.start, numeral.end, more=True)


# --- canonical values ------------------------------------------------------------------------------------------


def _canonical(quantity: Quantity) -> str:
    low, high, unit = quantity.low, quantity.high, quantity.unit
    if quantity.kind == "duration":
        low, high, unit = units.duration(low, high, unit)
    number = plain(low) if low == high else f"{plain(low)}-{plain(high)}"
    if quantity.kind == "money":
        return f"{unit} {number}"
    if quantity.kind == "percentage":
        return number
    return f"{number}{'+' if quantity.more else ''} {unit}".rstrip()
