"""Numbers with units as they stand in sentences: alone, as ranges, in parts, in lists that share a unit.

Knows no dates, phones or codes, and not which of two overlapping readings wins (`facts.py` decides that).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from kurabe import durations
from kurabe.counts import is_label
from kurabe.numerals import Numeral, Reading, find_numerals, plain
from kurabe.patterns import Pattern
from kurabe.schema import FactKind
from kurabe.spans import Span
from kurabe.units import read

_FLAGS = re.ASCII | re.IGNORECASE


class Quantity(NamedTuple):
    """One number, or a range of two, with its unit."""

    kind: FactKind
    unit: str
    low: Decimal
    high: Decimal
    start: int
    end: int


class Quantities(NamedTuple):
    """What `find_quantities` found, in order of place; `bare` are numbers that no unit belongs to."""

    spans: list[Span]
    bare: list[Numeral]


class _Number(NamedTuple):
    """A number with the unit that stands at it, if one does."""

    numeral: Numeral
    unit: Reading | None

    @property
    def start(self) -> int:
        return self.unit.start if self.unit else self.numeral.start

    @property
    def end(self) -> int:
        return self.unit.end if self.unit else self.numeral.end


def find_quantities(text: str) -> Quantities:
    """Money, percentages, durations and counts of a normalised text."""
    numbers = [_Number(numeral, read(text, numeral)) for numeral in find_numerals(text)]
    found, used = _ranges(text, numbers)
    for i, number in enumerate(numbers):
        if number.unit and i not in used:
            found[i] = _quantity(number.numeral, number.unit)
    found |= _sharing(text, numbers, used)
    bare = [number.numeral for i, number in enumerate(numbers) if i not in used and i not in found]
    quantities = _join_parts(text, sorted(found.values(), key=lambda q: q.start))
    leaning = list(_leaning(text, bare, [q for q in quantities if q.kind == "count"]))
    taken = {q.start for q in leaning}
    spans = [_span(text, q) for q in (*quantities, *leaning)]
    return Quantities(
        sorted(spans, key=lambda span: span.start), [n for n in bare if n.start not in taken and not is_label(text, n)]
    )


def _quantity(numeral: Numeral, unit: Reading) -> Quantity:
    value = numeral.value * unit.factor + unit.plus
    return Quantity(unit.kind, unit.unit, value, value, unit.start, unit.end)


# --- ranges ----------------------------------------------------------------------------------------------------

_TO = Pattern(r"[ \t]{0,2}(?:-|~|ー|to|up to|through|or|から|より|ないし|か)[ \t]{0,2}", _FLAGS)
_OR = Pattern(r"[ ]or[ ]|か", _FLAGS)
_AND = Pattern(r"[ ]and[ ]", _FLAGS)
_BETWEEN = Pattern(r"\bbetween\s(?:about |around )?$", _FLAGS)
_LONGEST_GAP = 12  # characters between the two ends


def _ranges(text: str, numbers: Sequence[_Number]) -> tuple[dict[int, Quantity], set[int]]:
    """Ranges by their left number, and the numbers in them. From right to left, so that in "$6.99 - 7-14 days" the 7
    goes to the 14; each number is used once."""
    found: dict[int, Quantity] = {}
    used: set[int] = set()
    for left in range(len(numbers) - 2, -1, -1):
        quantity = None if left + 1 in used else _range(text, numbers[left], numbers[left + 1])
        if quantity:
            found[left] = quantity
            used |= {left, left + 1}
    return found, used


def _range(text: str, left: _Number, right: _Number) -> Quantity | None:
    gap = text[left.end : right.start] if right.start - left.end <= _LONGEST_GAP else ""
    first, last = left.unit or right.unit, right.unit or left.unit
    if not gap or not first or not last or not _joins(text, gap, left, right):
        return None
    if first.kind != last.kind or not (first.unit == last.unit or _one_family(first, last)):
        return None
    low, high, name = left.numeral.value * first.factor, right.numeral.value * last.factor + last.plus, last.unit
    if first.unit != last.unit:
        low, high, name = durations.in_one_unit(low, first.unit, high, last.unit)
    elif not left.unit and left.numeral.form == "digits" and right.numeral.form == "kanji":
        low *= _scale_written_once(low, high)
    if low >= high or (_OR.fullmatch(gap) and (high - low != 1 or last.kind == "money")):
        return None  # "3 or 4 days" is a range, "10 or 25 items" and "$6 or $7" are two values
    return Quantity(last.kind, name, low, high, left.start, right.end)


def _joins(text: str, gap: str, left: _Number, right: _Number) -> bool:
    if not _TO.fullmatch(gap):
        between = _AND.fullmatch(gap) and _BETWEEN.search(text[max(0, left.start - 24) : left.start])
        if not between:
            return False
    if (not left.unit and right.unit and right.unit.prefix) or (not right.unit and left.unit and not left.unit.prefix):
        return False  # "5-$10" and "5 days-10": the bare one cannot borrow a unit that stands on its far side
    return not ("から" in gap and text.startswith("に", right.end))  # 1,000円から1,200円に: a change


def _one_family(first: Reading, last: Reading) -> bool:
    return first.kind == "duration" and durations.one_family(first.unit, last.unit)


def _scale_written_once(low: Decimal, high: Decimal) -> Decimal:
    """5〜8万円 is 50,000 to 80,000 yen: the 万 of the second number counts for both."""
    return next((Decimal(scale) for scale in (10**8, 10**4, 10**3) if low < 1000 and scale <= high), Decimal(1))


# --- parts and lists -------------------------------------------------------------------------------------------

_THEN = Pattern(r"(?:[ ]|, | and |, and )?", _FLAGS)
_LIST_END = Pattern(r",? (?:and|or) |、?(?:または|と|か)|、|・|\s?[x×]\s?", _FLAGS)
_LIST_COMMA = Pattern(r", |、|・|\s?[x×]\s?", _FLAGS)


def _join_parts(text: str, quantities: list[Quantity]) -> list[Quantity]:
    """1 hour 30 minutes, 1時間30分, 6 dollars and 99 cents: parts of falling units make one value."""
    joined: list[Quantity] = []
    for quantity in quantities:
        whole = None
        if joined and quantity.start - joined[-1].end <= len(", and "):
            whole = _sum(joined[-1], quantity) if _THEN.fullmatch(text, joined[-1].end, quantity.start) else None
        if whole:
            joined[-1] = whole
        else:
            joined.append(quantity)
    return joined


def _sum(first: Quantity, second: Quantity) -> Quantity | None:
    if first.kind != second.kind or first.low != first.high or second.low != second.high:
        return None
    if first.kind == "duration" and durations.falling(first.unit, second.unit):
        value, rest, unit = durations.in_one_unit(first.low, first.unit, second.low, second.unit)
        value += rest
    elif first.kind == "money" and first.unit == second.unit and second.low < 1 <= first.low == int(first.low):
        value, unit = first.low + second.low, first.unit
    else:
        return None
    return first._replace(low=value, high=value, unit=unit, end=second.end)


def _sharing(text: str, numbers: Sequence[_Number], used: set[int]) -> dict[int, Quantity]:
    """Bare numbers in a list whose last one carries the unit: "10, 15 and 20 percent"."""
    found: dict[int, Quantity] = {}
    unit: Reading | None = None  # of the number to the right
    joint = _LIST_END
    for i in range(len(numbers) - 1, -1, -1):
        numeral, own = numbers[i]
        if own or i in used:
            unit, joint = (own if own and not own.prefix and i not in used else None), _LIST_END
        elif unit and joint.fullmatch(text, numeral.end, numbers[i + 1].start) and _may_share(text, numeral, unit):
            found[i] = _quantity(numeral, unit._replace(start=numeral.start, end=numeral.end, plus=Decimal(0)))
            joint = _LIST_COMMA
        else:
            unit = None
    return found


def _may_share(text: str, numeral: Numeral, unit: Reading) -> bool:
    """Not in "20 % from 50 and 25 % from 100": there the 50 leans on a count."""
    return unit.kind == "count" or not _leans(text, numeral)


# --- counts that lean on others --------------------------------------------------------------------------------

_LEANS_AFTER = Pattern(
    r"\b(?:from|for|over|above|than|of|at|under|below|to|least|with|buy|order)\s(?:orders of |quantities of )?$", _FLAGS
)
_LEANS_BEFORE = Pattern(
    r"\+|\s?(?:以上|から|未満|以下|まで)|\s(?:or more|and more|and up|or above|and above)\b", _FLAGS
)
_ENDS = Pattern(r"\+?\s?(?:$|[,.;:!?)、。；：（(|*]|-(?![0-9])|and\b|or\b|以上|から|未満|以下|まで)", _FLAGS)
_OR_MORE = Pattern(
    r"\+(?!\s?[0-9])|\s?(?:以上|超)|\s(?:or more|and more|and up|or above|and above|or over|and over)\b", _FLAGS
)
_SENTENCE_END = Pattern(r"[.!?](?:\s|$)|[。！？]")
_REACH = 160  # characters between a leaning number and the noun that it leans on


def _leaning(text: str, bare: Sequence[Numeral], counts: Sequence[Quantity]) -> Iterator[Quantity]:
    """Bare numbers that are counts all the same: in an enumeration ("10 % from 10 items, 15 % from 25" gives 25 items
    as well), and where a least number is said ("groups of 10 or more")."""
    following = 0
    for numeral in bare:
        while following < len(counts) and counts[following].start < numeral.start:
            following += 1
        if numeral.form == "words" or numeral.value != int(numeral.value) or is_label(text, numeral):
            continue
        near = counts[max(0, following - 1) : following + 1]
        noun = next((count for count in near if _in_reach(text, count, numeral)), None)
        leans = (_leans(text, numeral) and _ENDS.match(text, numeral.end)) or _LEANS_BEFORE.match(text, numeral.end)
        if (noun and leans) or _OR_MORE.match(text, numeral.end):
            unit = noun.unit if noun else ""
            yield Quantity("count", unit, numeral.value, numeral.value, numeral.start, numeral.end)


def _leans(text: str, numeral: Numeral) -> bool:
    return _LEANS_AFTER.search(text[max(0, numeral.start - 32) : numeral.start]) is not None


def _in_reach(text: str, count: Quantity, numeral: Numeral) -> bool:
    """Whether a count stands in the same sentence and near."""
    left, right = min(count.end, numeral.end), max(count.start, numeral.start)
    return right - left <= _REACH and not _SENTENCE_END.search(text, left, right)


# --- canonical values ------------------------------------------------------------------------------------------

_MORE_BEFORE = Pattern(r"(?:(?<!no )(?<!not )more than|over|at least|minimum of|no fewer than|upwards of)\s$", _FLAGS)
_MORE_AFTER = Pattern(
    r"\+|\s?(?:以上|超)|\s(?:or more|and more|or above|or larger|or bigger|and up|and above|plus)\b", _FLAGS
)
_MORE_INSIDE = Pattern(r"\+| or more | (?:or|and) older", _FLAGS)


def _span(text: str, quantity: Quantity) -> Span:
    """The quantity in its canonical form; the words that say "or more" do not belong to its span."""
    kind, unit, low, high, start, end = quantity
    if kind == "duration":
        low, high, unit = durations.in_largest_unit(low, high, unit)
    number = plain(low) if low == high else f"{plain(low)}-{plain(high)}"
    if kind == "money":
        return Span(kind, f"{unit} {number}", start, end)
    if kind == "count" and _says_more(text, start, end):
        number += "+"
    return Span(kind, f"{number} {unit}".rstrip(), start, end)


def _says_more(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 20) : start]
    return bool(_MORE_BEFORE.search(before) or _MORE_AFTER.match(text, end) or _MORE_INSIDE.search(text, start, end))
