"""Lengths of time at a number: seconds to years, business days and hours, in English and Japanese.

Knows no dates: "3月3日" is not three days. Lengths of different families are never the same: 30 days are not a month,
and 5 business days are not 5 days.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from kurabe.numerals import Numeral, Reading
from kurabe.patterns import Pattern

_FLAGS = re.ASCII | re.IGNORECASE


class _Unit(NamedTuple):
    family: str
    size: int  # in the family's smallest unit


_UNITS = {
    "second": _Unit("clock", 1), "minute": _Unit("clock", 60), "hour": _Unit("clock", 3600),
    "day": _Unit("clock", 86400), "week": _Unit("clock", 604800), "fortnight": _Unit("clock", 1209600),
    "month": _Unit("calendar", 1), "year": _Unit("calendar", 12),
    "business_day": _Unit("business_day", 1), "business_hour": _Unit("business_hour", 1),
}  # fmt: skip
# The units in which a length of each family may be written; the largest that keeps it whole is taken.
_WRITTEN_IN = {
    "clock": ("day", "hour", "minute", "second"), "calendar": ("year", "month"),
    "business_day": ("business_day",), "business_hour": ("business_hour",),
}  # fmt: skip
_FALLING = {("year", "month"), ("week", "day"), ("day", "hour"), ("hour", "minute"), ("minute", "second")}
_SHORT = {"sec": "second", "min": "minute", "hr": "hour", "h": "hour", "wk": "week", "yr": "year"}

_ENGLISH = Pattern(
    r"[ -]{0,2}(?:(?:calendar|full|whole|consecutive|more|additional|extra|straight|further|short)[ -])?"
    r"(?:(?:business|working|work)[ _-]?(?P<business>day|hour)s?|(?P<weekday>weekday)s?"
    r"|(?P<plain>second|minute|hour|day|week|fortnight|month|year|sec|min|hr|h|wk|yr)s?)"
    r"(?:\(s\))?(?:(?<=min)\.|(?<=hr)\.|(?<=sec)\.)?(?![A-Za-z]|[ _-]olds?\b| of age)",
    _FLAGS,
)
_JAPANESE = Pattern(
    r"\s?(?:(?P<business_day>営業日|稼働日|平日)|(?P<business_hour>営業時間)|(?P<hour>時間)(?![目帯外割給])"
    r"|(?P<minute>分)間?(?![目野割類析担別解岐け配量]|の[1-9一二三四五六七八九十])|(?P<second>秒)間?"
    r"|(?P<day>日)間?(?![目付曜本程常時用記光帰替々])|(?P<week>週)間?(?![目末明])"
    r"|(?P<month>[かヶカヵケ箇個]月)間?(?!目)|(?P<year>年)間?(?![目生度代号齢輩金末始賀下上配]))(?P<half>半)?"
)
_RATE = Pattern(
    r"につき|あたり|当たり|当り|ごと|毎|最大|に?[0-9一二三四五六七八九十]{1,3}回|[0-9][0-9,百千万]*円|(?<=日)[0-9]"
)
_WEEKDAYS_BEFORE = Pattern(r"(?:営業日|平日)(?:で|の)?\s?$")


def read_duration(text: str, numeral: Numeral) -> Reading | None:
    """The length of time that this number is, None where no unit of time stands at it."""
    english = _ENGLISH.match(text, numeral.end)
    if not english:
        return _read_japanese(text, numeral)
    if english["plain"]:
        name = english["plain"].lower()
        name = _SHORT.get(name, name)
    else:
        name = f"business_{(english['business'] or 'day').lower()}"
    return Reading("duration", name, numeral.start, english.end())


def _read_japanese(text: str, numeral: Numeral) -> Reading | None:
    start = numeral.start
    match = _JAPANESE.match(text, numeral.end)
    if not match:
        return None
    name = next(name for name, group in match.groupdict().items() if group)
    if name == "year" and numeral.value >= 1800:
        return None  # 2026年 is a date
    if numeral.value == 1 and _RATE.match(text, match.end()):
        return None  # 1日3回, 1日2時間まで, 1時間ごとに300円: per day, per hour
    if name == "day":
        if text[start - 1 : start] == "月":
            return None  # a date, or part of what only looks like one
        weekdays = _WEEKDAYS_BEFORE.search(text[max(0, start - 6) : start])
        if weekdays:
            name, start = "business_day", start - len(weekdays.group())
    return Reading("duration", name, start, match.end(), plus=Decimal("0.5") if match["half"] else Decimal(0))


def one_family(unit: str, other: str) -> bool:
    """Whether lengths in the two units can be compared."""
    return _UNITS[unit].family == _UNITS[other].family


def falling(unit: str, other: str) -> bool:
    """Whether the second unit continues the first one: 1 hour 30 minutes."""
    return (unit, other) in _FALLING


def in_one_unit(low: Decimal, unit: str, high: Decimal, other: str) -> tuple[Decimal, Decimal, str]:
    """Two lengths of one family in the smaller of their units."""
    small = min(unit, other, key=lambda name: _UNITS[name].size)
    size = _UNITS[small].size
    return low * _UNITS[unit].size / size, high * _UNITS[other].size / size, small


def in_largest_unit(low: Decimal, high: Decimal, unit: str) -> tuple[Decimal, Decimal, str]:
    """The two ends of a length in the largest unit that keeps both whole: 14 day for two weeks, 90 minute."""
    family, size = _UNITS[unit]
    low, high = low * size, high * size
    names = _WRITTEN_IN[family]
    name = next((n for n in names if low % _UNITS[n].size == 0 and high % _UNITS[n].size == 0), names[-1])
    return low / _UNITS[name].size, high / _UNITS[name].size, name
