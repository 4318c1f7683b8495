"""What a number is a number of: money, a percentage, a length of time, or a count; one number at a time.

Knows no ranges and no enumerations (`quantities.py` does), and no unit by name: each kind has its own file.
"""

from __future__ import annotations

import re
from decimal import Decimal

from kurabe.counts import is_no_amount, read_count
from kurabe.durations import read_duration
from kurabe.money import read_money
from kurabe.numerals import KANJI_NUMBER, Numeral, Reading, kanji_value
from kurabe.patterns import Pattern

_PERCENT = Pattern(
    r"[ -]?(?:%|percent(?:age points?)?(?![a-z])|per cent(?![a-z])|pct(?![a-z])|パーセント)", re.ASCII | re.IGNORECASE
)
_TENTHS = Pattern(rf"\s?割(?:([1-9]|{KANJI_NUMBER})分)?(?!り当|[合愛増烹るれっ])")  # 1割5分 is 15 %


def read(text: str, numeral: Numeral) -> Reading | None:
    """The unit at this number; None where there is none, or where the number is an ordinal or part of a set phrase."""
    if is_no_amount(text, numeral):
        return None
    shared = read_money(text, numeral) or _read_percentage(text, numeral)
    if shared or numeral.form == "comma":  # 6,99 is a number only as money and per cent
        return shared
    return read_duration(text, numeral) or read_count(text, numeral)


def _read_percentage(text: str, numeral: Numeral) -> Reading | None:
    percent = _PERCENT.match(text, numeral.end)
    if percent:
        return Reading("percentage", "", numeral.start, percent.end())
    tenths = _TENTHS.match(text, numeral.end)
    if not tenths:
        return None
    hundredths = tenths.group(1) or "0"
    plus = int(hundredths) if hundredths.isdigit() else kanji_value(hundredths) or 0
    return Reading("percentage", "", numeral.start, tenths.end(), Decimal(10), Decimal(plus))
