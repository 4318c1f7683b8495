"""Dates and days of the week, alone or as ranges, in English and Japanese.

Knows no lengths of time: "3日" without a month is one of those. Values follow ISO 8601, with dashes for what is left
out (`--03-03` is a date without a year, `---15` a day of each month); days of the week go by their English names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kurabe.numerals import kanji_value
from kurabe.patterns import Pattern
from kurabe.spans import Span

_FLAGS = re.ASCII | re.IGNORECASE


def find_dates(text: str) -> Iterator[Span]:
    """Dates and weekdays of a normalised text; readings may overlap, the longest is the best."""
    yield from _in_digits(text)
    yield from _in_english(text)
    yield from _weekdays(text)
    if not text.isascii():
        yield from _in_japanese(text)
        yield from _japanese_weekdays(text)


def _date(year: int | None, month: int | None, day: int | None) -> str | None:
    """ISO 8601 with dashes for what is left out; None where there is no such day."""
    if (month is not None and not 1 <= month <= 12) or (day is not None and not 1 <= day <= 31):
        return None
    if month is None:
        return None if year is None else f"{year:04d}"
    head = "-" if year is None else f"{year:04d}"
    return f"{head}-{month:02d}" if day is None else f"{head}-{month:02d}-{day:02d}"


def _span(match: re.Match[str], start: str | None, end: str | None = None, group: int = 0) -> Iterator[Span]:
    if start:
        value = f"{start}/{end}" if end and end != start else start
        yield Span("date", value, match.start(group), match.end() - match.group().endswith("."))


# --- digits ----------------------------------------------------------------------------------------------------

_YEAR = r"((?:1[89]|20|21)[0-9]{2})(?![0-9])"
_ISO = Pattern(rf"(?<![0-9/.-]){_YEAR}([-/.])(1[0-2]|0?[1-9])\2(3[01]|[12][0-9]|0?[1-9])(?![0-9]|[-/][0-9])", re.ASCII)
_YEAR_LAST = Pattern(rf"(?<![0-9/.-])([0-9]{{1,2}})([/.])([0-9]{{1,2}})\2{_YEAR}", re.ASCII)


def _in_digits(text: str) -> Iterator[Span]:
    for match in _ISO.finditer(text):
        yield from _span(match, _date(int(match.group(1)), int(match.group(3)), int(match.group(4))))
    for match in _YEAR_LAST.finditer(text):
        first, sign, second, year = int(match.group(1)), match.group(2), int(match.group(3)), int(match.group(4))
        # 3/4/2026 is read the American way, 3.4.2026 the European one; 25/12/2026 can only be one thing.
        month, day = (second, first) if sign == "." or first > 12 else (first, second)
        yield from _span(match, _date(year, month, day))


# --- English ---------------------------------------------------------------------------------------------------

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# "May", "March" and "Mar" only with a capital: they are words, too.
_MONTH = (
    r"([Jj]an(?:uary)?|[Ff]eb(?:ruary)?|Mar(?:ch)?|[Aa]pr(?:il)?|May|[Jj]une?|[Jj]uly?|[Aa]ug(?:ust)?|[Ss]ept?(?:ember)?"
    r"|[Oo]ct(?:ober)?|[Nn]ov(?:ember)?|[Dd]ec(?:ember)?)\b\.?"
)
_DAY = r"(3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th)?(?![0-9A-Za-z:]|[.,][0-9])"
_TO = r"[ ]?(?:-|~|to|through|until|till)[ ]?"
_MONTH_DAY = Pattern(rf"\b{_MONTH} (?:the )?{_DAY}(?:{_TO}(?:{_MONTH} )?{_DAY})?(?:,? {_YEAR})?", re.ASCII)
_DAY_MONTH = Pattern(
    rf"(?<![0-9A-Za-z.,:$-]){_DAY}(?:{_TO}{_DAY})? (?:of )?{_MONTH}(?:{_TO}{_DAY} (?:of )?{_MONTH})?(?:,? {_YEAR})?",
    re.ASCII,
)
_MONTH_YEAR = Pattern(rf"\b{_MONTH},? (?:of )?{_YEAR}", re.ASCII)
_MONTH_ALONE = Pattern(
    r"\b(?:[Ii]n|[Ff]rom|[Ss]ince|[Uu]ntil|[Tt]ill|[Bb]y|[Dd]uring|[Ee]very|[Ee]ach|[Bb]etween) "
    rf"{_MONTH}(?:(?:{_TO}| and ){_MONTH})?(?! [0-9])",
    re.ASCII,
)
# A year alone after a preposition, unless something is counted by it (in 2000 stores).
_YEAR_ALONE = Pattern(
    rf"\b(?:in|since|from|until|till|by|before|after|during|of|year) {_YEAR}"
    r"(?![-/.,][0-9]|s\b|\s?[%$€£]|\s(?!(?:and|to|by|we|our|it|the|with|for|at|as)\b)[a-z])",
    _FLAGS,
)
_EACH_MONTH = Pattern(
    r"\b(?:the )?(3[01]|[12][0-9]|[1-9])(?:st|nd|rd|th) (?:day )?of (?:each|every|the) month\b", _FLAGS
)


def _month(name: str | None) -> int | None:
    return _MONTHS.index(name[:3].lower()) + 1 if name else None


def _in_english(text: str) -> Iterator[Span]:
    for match in _MONTH_DAY.finditer(text):
        month, day, month2, day2, year = match.groups()
        end = _date(_number(year), _month(month2 or month), _number(day2)) if day2 else None
        yield from _span(match, _date(_number(year), _month(month), _number(day)), end)
    for match in _DAY_MONTH.finditer(text):
        day, day2, month, day3, month3, year = match.groups()
        last = day3 or day2
        end = _date(_number(year), _month(month3 or month), _number(last)) if last else None
        yield from _span(match, _date(_number(year), _month(month), _number(day)), end)
    for match in _MONTH_YEAR.finditer(text):
        yield from _span(match, _date(int(match.group(2)), _month(match.group(1)), None))
    for match in _MONTH_ALONE.finditer(text):
        first, second = match.groups()
        end = _date(None, _month(second), None) if second else None
        yield from _span(match, _date(None, _month(first), None), end, group=1)
    for match in _YEAR_ALONE.finditer(text):
        yield from _span(match, match.group(1), group=1)
    for match in _EACH_MONTH.finditer(text):
        yield from _span(match, f"---{int(match.group(1)):02d}")


# --- Japanese --------------------------------------------------------------------------------------------------

_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867}
_N = r"([0-9]{1,4}|元|[〇一二三四五六七八九十]{1,4})"
_TO_JA = r"[ \t]?(?:から|より|-|~|ー)[ \t]?"
_YEAR_JA = rf"(?:({'|'.join(_ERAS)})\s?)?(?<![0-9]){_N}年\s?(?:\([^)]{{1,8}}\)\s?)?"
_IN_BRACKETS = r"(?:\s?\([日月火水木金土](?:曜日?)?(?:・?祝)?\))?"
_NO_LENGTH = r"(?!間|以内|以上|程度|ほど|後|前)"
_DATE_JA = Pattern(
    rf"(?:{_YEAR_JA})?(?<![0-9]){_N}月\s?{_N}日{_IN_BRACKETS}"
    rf"(?:{_TO_JA}(?:{_YEAR_JA})?(?:(?<![0-9]){_N}月\s?)?{_N}日{_NO_LENGTH})?"
)
_MONTH_JA = Pattern(
    rf"(?:{_YEAR_JA})?(?<![0-9〇一二三四五六七八九十]){_N}月(?![間額\s]?[0-9一二三四五六七八九十]*日)(?:[上中下]旬|末)?"
    rf"(?:{_TO_JA}{_N}月(?![0-9一二三四五六七八九十]))?"
)
_YEAR_ALONE_JA = Pattern(
    rf"(?:({'|'.join(_ERAS)})\s?{_N}|(?<![0-9])((?:1[89]|20|21)[0-9]{{2}}|[一二][〇一二三四五六七八九]{{3}}))年"
    r"(?![間度目生代]|以内|以上)"
)
_EACH_MONTH_JA = Pattern(rf"(?:毎月|今月|来月|先月|翌々?月|前月|当月)の?\s?{_N}日{_NO_LENGTH}")
_DAY_JA = Pattern(rf"{_N}日{_NO_LENGTH}")
_MORE_DAYS_JA = Pattern(rf"(?:[・、と]\s?{_N}日{_NO_LENGTH}){{1,6}}")  # 毎月10日・20日・30日


def _number(run: str | None) -> int | None:
    if not run:
        return None
    return 1 if run == "元" else int(run) if run.isdigit() else kanji_value(run)


def _year(era: str | None, run: str | None) -> int | None:
    number = _number(run)
    return number + _ERAS[era] if era and number is not None else number


def _in_japanese(text: str) -> Iterator[Span]:
    for match in _DATE_JA.finditer(text):
        era, year, month, day, era2, year2, month2, day2 = match.groups()
        first = _year(era, year)
        end = _date(_year(era2, year2) or first, _number(month2 or month), _number(day2)) if day2 else None
        yield from _span(match, _date(first, _number(month), _number(day)), end)
    for match in _MONTH_JA.finditer(text):
        era, year, month, month2 = match.groups()
        first = _year(era, year)
        end = _date(first, _number(month2), None) if month2 else None
        yield from _span(match, _date(first, _number(month), None) if _number(month) else None, end)
    for match in _YEAR_ALONE_JA.finditer(text):
        yield from _span(match, _date(_year(match.group(1), match.group(2) or match.group(3)), None, None))
    for match in _EACH_MONTH_JA.finditer(text):
        more = _MORE_DAYS_JA.match(text, match.end())
        for day in (match, *(_DAY_JA.finditer(text, *more.span()) if more else ())):
            number = _number(day.group(1))
            yield from _span(day, f"---{number:02d}" if number and number <= 31 else None)


# --- days of the week ------------------------------------------------------------------------------------------

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FULL_DAY = rf"({'|'.join(_DAYS)})s?"
_SHORT_DAY = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:s|rs?)?"
_WEEKDAY = Pattern(rf"\b{_FULL_DAY}(?:{_TO}{_FULL_DAY})?\b", _FLAGS)
_SHORT_RANGE = Pattern(rf"\b{_SHORT_DAY}\.?{_TO}{_SHORT_DAY}\b", re.ASCII)
_SHORT_ALONE = Pattern(r"\b(?:(Mon|Tue|Wed|Thu|Fri)(?:s|rs?)?(?! [A-Z])|(Sat|Sun)(?=[.:,]? [0-9]))\b", re.ASCII)
_WEEK_PART = Pattern(r"\b(?:(weekdays?)|weekends?|sat(?:urday)?s? (?:and|or|&) (?:on )?sun(?:day)?s?)\b", _FLAGS)
_DAYS_JA = "月火水木金土日"
_WEEKDAY_JA = Pattern(rf"([{_DAYS_JA}])曜日?")
_DAY_RANGE_JA = Pattern(
    rf"(?<![\u4e00-\u9fffかヶカヵケ0-9])([{_DAYS_JA}])(?:曜日?)?{_TO_JA}([{_DAYS_JA}])(?:曜日?)?(?![間本時々])"
)
_DAY_LIST_JA = Pattern(
    rf"(?:(?<![\u4e00-\u9fff])|(?<=毎週))[{_DAYS_JA}](?:・[{_DAYS_JA}]){{1,6}}(?:(?=曜)|(?![\u4e00-\u9fff]))"
)
_WEEK_PART_JA = Pattern(r"(?:(?<!翌)(平日)|週末|土(?:曜日?)?[・、と]?日(?:曜日?)?(?![本々]))(?:祝日?)?")


def _weekdays(text: str) -> Iterator[Span]:
    for match in _WEEKDAY.finditer(text):
        first, last = match.group(1).lower(), match.group(2)
        yield Span("date", f"{first}-{last.lower()}" if last else first, *match.span())
    for match in _SHORT_RANGE.finditer(text):
        first, last = (next(day for day in _DAYS if day.startswith(name.lower())) for name in match.groups())
        yield Span("date", f"{first}-{last}", *match.span())
    for match in _SHORT_ALONE.finditer(text):
        name = (match.group(1) or match.group(2)).lower()
        yield Span("date", next(day for day in _DAYS if day.startswith(name)), *match.span())
    for match in _WEEK_PART.finditer(text):
        yield Span("date", _week_part(match), *match.span())


def _japanese_weekdays(text: str) -> Iterator[Span]:
    for match in _WEEKDAY_JA.finditer(text):
        yield Span("date", _DAYS[_DAYS_JA.index(match.group(1))], *match.span())
    for match in _DAY_LIST_JA.finditer(text):
        for at in range(*match.span(), 2):
            yield Span("date", _DAYS[_DAYS_JA.index(text[at])], at, at + 1)
    for match in _DAY_RANGE_JA.finditer(text):
        first, last = (_DAYS[_DAYS_JA.index(name)] for name in match.groups())
        yield Span("date", f"{first}-{last}", *match.span())
    for match in _WEEK_PART_JA.finditer(text):
        yield Span("date", _week_part(match), *match.span())


def _week_part(match: re.Match[str]) -> str:
    return "monday-friday" if match.group(1) else "saturday-sunday"
