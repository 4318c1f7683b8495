"""Dates, days of the week and times of day, alone or as ranges, in English and Japanese.

Knows no durations: "3日" without a month is one of those. Values follow ISO 8601 (`--03-03` is a date without a year).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from kurabe.numerals import kanji_value
from kurabe.spans import Span

_FLAGS = re.ASCII | re.IGNORECASE


def find_dates(text: str) -> Iterator[Span]:
    """Dates and weekdays of a normalised text; readings may overlap, the longest is the best."""
    yield from _numeric_dates(text)
    yield from _english_dates(text)
    if not text.isascii():
        yield from _japanese_dates(text)
    yield from _weekdays(text)


def find_times(text: str) -> Iterator[Span]:
    """Times of day of a normalised text; two that a dash or "to" joins are one range."""
    clocks = list(_clocks(text))
    at = 0
    while at < len(clocks):
        first = clocks[at]
        following = clocks[at + 1] if at + 1 < len(clocks) else None
        if following and following.start - first.end <= 48 and _UNTIL.fullmatch(text, first.end, following.start):
            start, end = _range_of(first, following)
            yield Span("time", f"{_clock(start)}-{_clock(end)}", first.start, following.end)
            at += 2
            continue
        bare = _BARE_START.search(text[max(0, first.start - 12) : first.start]) if first.shares else None
        if bare:
            hour, minute = int(bare.group(1)), int(bare.group(2) or 0)
            begin = first.start - (bare.end() - bare.start(1))
            start, end = _range_of(Clock(hour * 60 + minute, begin, first.start, said=False), first, bare=True)
            yield Span("time", f"{_clock(start)}-{_clock(end)}", begin, first.end)
        else:
            yield Span("time", _clock(first.minutes), first.start, first.end)
        at += 1


# --- dates -----------------------------------------------------------------------------------------------------

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
# "may", "march" and "mar" only with a capital: they are words, too.
_MONTH = (
    r"([Jj]an(?:uary)?|[Ff]eb(?:ruary)?|Mar(?:ch)?|[Aa]pr(?:il)?|May|[Jj]une?|[Jj]uly?|[Aa]ug(?:ust)?|[Ss]ept?(?:ember)?"
    r"|[Oo]ct(?:ober)?|[Nn]ov(?:ember)?|[Dd]ec(?:ember)?)\b\.?"
)
_DAY = r"(3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th)?(?![0-9A-Za-z:]|[.,][0-9])"
_YEAR = r"((?:1[89]|20|21)[0-9]{2})(?![0-9])"
_TO = r"[ \t]?(?:-|~|to|through|until|till|から|より)[ \t]?"
_ISO = re.compile(
    rf"(?<![0-9/.-]){_YEAR}([-/.])(1[0-2]|0?[1-9])\2(3[01]|[12][0-9]|0?[1-9])(?![0-9]|[-/][0-9])", re.ASCII
)
_SLASHES = re.compile(rf"(?<![0-9/.-])([0-9]{{1,2}})([/.])([0-9]{{1,2}})\2{_YEAR}", re.ASCII)
_MONTH_DAY = re.compile(rf"\b{_MONTH} (?:the )?{_DAY}(?:{_TO}(?:{_MONTH} )?{_DAY})?(?:,? {_YEAR})?", re.ASCII)
_DAY_MONTH = re.compile(
    rf"(?<![0-9A-Za-z.,:$-]){_DAY}(?:{_TO}{_DAY})? (?:of )?{_MONTH}(?:{_TO}{_DAY} (?:of )?{_MONTH})?(?:,? {_YEAR})?",
    re.ASCII,
)
_MONTH_YEAR = re.compile(rf"\b{_MONTH},? (?:of )?{_YEAR}", re.ASCII)
_MONTH_ALONE = re.compile(
    rf"\b(?:[Ii]n|[Ff]rom|[Ss]ince|[Uu]ntil|[Tt]ill|[Bb]y|[Dd]uring|[Ee]very|[Ee]ach|[Bb]etween) {_MONTH}(?:{_TO}{_MONTH}| and {_MONTH})?"
    rf"(?! [0-9])",
    re.ASCII,
)
_YEAR_ALONE = re.compile(
    rf"\b(?:in|since|from|until|till|by|before|after|during|of|year) {_YEAR}(?![-/.,][0-9]|s\b|\s?[a-z%$€£])", _FLAGS
)
_YEAR_LATER = re.compile(
    rf"\b(?:in|since|from|until|till|by|before|after|during|of|year) {_YEAR}(?= (?:and|to|by|we|our|it|the|with|for|at|as)\b)",
    _FLAGS,
)
_DAY_OF_MONTH = re.compile(
    r"\b(?:the )?(3[01]|[12][0-9]|[1-9])(?:st|nd|rd|th) (?:day )?of (?:each|every|the) month\b", _FLAGS
)

_N = r"([0-9]{1,4}|元|[〇一二三四五六七八九十]{1,4})"
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867}
_ERA_YEAR = rf"(?:({'|'.join(_ERAS)})\s?)?(?<![0-9]){_N}年\s?(?:\([^)]{{1,8}}\)\s?)?"
_JA_DAY = rf"(?:{_ERA_YEAR})?(?<![0-9]){_N}月\s?{_N}日(?:\s?\([日月火水木金土](?:曜日?)?(?:・?祝)?\))?"
_NOT_A_LENGTH = r"(?!間|以内|以上|程度|ほど|後|前)"
_JA_DATE = re.compile(
    rf"{_JA_DAY}(?:[ \t]?(?:から|より|-|~|ー)[ \t]?(?:{_ERA_YEAR})?(?:(?<![0-9]){_N}月\s?)?{_N}日{_NOT_A_LENGTH})?"
)
_JA_MONTH = re.compile(
    rf"(?:{_ERA_YEAR})?(?<![0-9〇一二三四五六七八九十]){_N}月(?![間額\s]?[0-9一二三四五六七八九十]*日)(?:上旬|中旬|下旬|末)?"
    rf"(?:[ \t]?(?:から|より|-|~|ー)[ \t]?{_N}月(?![0-9一二三四五六七八九十]))?"
)
_JA_YEAR = re.compile(
    rf"(?:({'|'.join(_ERAS)})\s?{_N}|(?<![0-9])((?:1[89]|20|21)[0-9]{{2}}|[一二][〇一二三四五六七八九]{{3}}))年(?![間度目生代]|以内|以上)"
)
_JA_MONTHLY = re.compile(rf"(?:毎月|今月|来月|翌月|当月)の?\s?{_N}日{_NOT_A_LENGTH}")


def _date(year: int | None, month: int | None, day: int | None) -> str | None:
    """ISO 8601, with dashes for what is left out; None where there is no such day."""
    if month is not None and not 1 <= month <= 12 or day is not None and not 1 <= day <= 31:
        return None
    if month is None:
        return None if year is None else f"{year:04d}"
    head = "-" if year is None else f"{year:04d}"
    return f"{head}-{month:02d}" if day is None else f"{head}-{month:02d}-{day:02d}"


def _span(match: re.Match[str], start: str | None, end: str | None = None) -> Iterator[Span]:
    stop = match.end() - (match.group().endswith("."))
    if start:
        yield Span("date", f"{start}/{end}" if end and end != start else start, match.start(), stop)


def _month(name: str | None) -> int | None:
    return _MONTHS.index(name[:3].lower()) + 1 if name else None


def _number(run: str | None) -> int | None:
    if not run:
        return None
    return 1 if run == "元" else int(run) if run.isdigit() else kanji_value(run)


def _numeric_dates(text: str) -> Iterator[Span]:
    for match in _ISO.finditer(text):
        yield from _span(match, _date(int(match.group(1)), int(match.group(3)), int(match.group(4))))
    for match in _SLASHES.finditer(text):
        first, sign, second, year = int(match.group(1)), match.group(2), int(match.group(3)), int(match.group(4))
        # 3/4/2026 is read the American way, 3.4.2026 the European one; 25/12/2026 can only be one thing.
        month, day = (second, first) if sign == "." or first > 12 else (first, second)
        yield from _span(match, _date(year, month, day))


def _english_dates(text: str) -> Iterator[Span]:
    for match in _MONTH_DAY.finditer(text):
        month, day, month2, day2, year = match.groups()
        number = _number(year)
        end = _date(number, _month(month2) or _month(month), _number(day2)) if day2 else None
        yield from _span(match, _date(number, _month(month), _number(day)), end)
    for match in _DAY_MONTH.finditer(text):
        day, day2, month, day3, month3, year = match.groups()
        number = _number(year)
        end = None
        if day3:
            end = _date(number, _month(month3), _number(day3))
        elif day2:
            end = _date(number, _month(month), _number(day2))
        yield from _span(match, _date(number, _month(month), _number(day)), end)
    for match in _MONTH_YEAR.finditer(text):
        yield from _span(match, _date(int(match.group(2)), _month(match.group(1)), None))
    for match in _MONTH_ALONE.finditer(text):
        first, last = _month(match.group(1)), _month(match.group(2) or match.group(3))
        start, end = _date(None, first, None), _date(None, last, None) if last else None
        yield Span(
            "date", f"{start}/{end}" if end else str(start), match.start(1), match.end() - match.group().endswith(".")
        )
    for pattern in (_YEAR_ALONE, _YEAR_LATER):
        for match in pattern.finditer(text):
            yield Span("date", match.group(1), match.start(1), match.end(1))
    for match in _DAY_OF_MONTH.finditer(text):
        yield Span("date", f"---{int(match.group(1)):02d}", match.start(), match.end())


def _year(era: str | None, run: str | None) -> int | None:
    number = _number(run)
    return None if number is None else number + _ERAS[era] if era else number


def _japanese_dates(text: str) -> Iterator[Span]:
    for match in _JA_DATE.finditer(text):
        era, year, month, day, era2, year2, month2, day2 = match.groups()
        number = _year(era, year)
        end = None
        if day2:
            end = _date(_year(era2, year2) or number, _number(month2) or _number(month), _number(day2))
        yield from _span(match, _date(number, _number(month), _number(day)), end)
    for match in _JA_MONTH.finditer(text):
        era, year, month, month2 = match.groups()
        number = _year(era, year)
        end = _date(number, _number(month2), None) if month2 else None
        yield from _span(match, _date(number, _number(month), None) if _number(month) else None, end)
    for match in _JA_YEAR.finditer(text):
        yield from _span(match, _date(_year(match.group(1), match.group(2) or match.group(3)), None, None))
    for match in _JA_MONTHLY.finditer(text):
        day_number = _number(match.group(1))
        if day_number and day_number <= 31:
            yield Span("date", f"---{day_number:02d}", match.start(), match.end())


# --- days of the week ------------------------------------------------------------------------------------------

_DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_JA_DAYS = "月火水木金土日"
_FULL_DAY = r"(monday|tuesday|wednesday|thursday|friday|saturday|sunday)s?"
_SHORT_DAY = r"(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)"
_DAY_RANGE = re.compile(rf"\b{_FULL_DAY}(?:[ \t]?(?:-|~|to|through|thru|until)[ \t]?{_FULL_DAY})?\b", _FLAGS)
_SHORT_RANGE = re.compile(rf"\b{_SHORT_DAY}\.?[ \t]?(?:-|~|to|through)[ \t]?{_SHORT_DAY}\b", re.ASCII)
_DAY_GROUPS = re.compile(r"\b(weekdays?|weekends?)\b", _FLAGS)
_JA_DAY_RANGE = re.compile(
    r"([月火水木金土日])(?:曜日?)?[ \t]?(?:から|-|~|ー)[ \t]?([月火水木金土日])(?:曜日?)?(?![間本時々])"
)
_JA_WEEKDAY = re.compile(r"([月火水木金土日])曜日?")
_JA_DAY_GROUPS = re.compile(r"(平日|週末|土日)(?:祝日?)?")


def _weekdays(text: str) -> Iterator[Span]:
    for match in _DAY_RANGE.finditer(text):
        first, last = match.group(1).lower(), match.group(2)
        yield Span("date", f"{first}-{last.lower()}" if last else first, match.start(), match.end())
    for match in _SHORT_RANGE.finditer(text):
        first, last = (next(d for d in _DAYS if d.startswith(g[:3].lower())) for g in match.groups())
        yield Span("date", f"{first}-{last}", match.start(), match.end())
    for match in _DAY_GROUPS.finditer(text):
        week = match.group().lower().startswith("weekd")
        yield Span("date", "monday-friday" if week else "saturday-sunday", match.start(), match.end())
    if text.isascii():
        return
    for match in _JA_DAY_RANGE.finditer(text):
        first, last = (_DAYS[_JA_DAYS.index(g)] for g in match.groups())
        yield Span("date", f"{first}-{last}", match.start(), match.end())
    for match in _JA_WEEKDAY.finditer(text):
        yield Span("date", _DAYS[_JA_DAYS.index(match.group(1))], match.start(), match.end())
    for match in _JA_DAY_GROUPS.finditer(text):
        week = match.group(1) == "平日"
        yield Span("date", "monday-friday" if week else "saturday-sunday", match.start(), match.end())


# --- times of day ----------------------------------------------------------------------------------------------


class Clock(NamedTuple):
    """One time of day, in minutes after midnight."""

    minutes: int
    start: int
    end: int
    said: bool  # morning or afternoon was said in words
    shares: str = ""  # "half" (9-5 pm) or "hour" (10〜19時): the unit that a bare hour before it shares


_TIME = re.compile(
    r"(?<![0-9$€£])(?<![0-9][.:/])(?:"
    r"(?P<h12>1[0-2]|0?[1-9])(?:[:.](?P<m12>[0-5][0-9]))?\s?(?P<half>[ap])(?:\.\s?m\.?|m)(?![A-Za-z])"
    r"|(?:(?P<prefix>午前|午後|am|pm|朝|昼|夕方|夜|深夜|早朝)\s?)?(?P<h24>[01]?[0-9]|2[0-4]):(?P<m24>[0-5][0-9])(?::[0-5][0-9])?(?![0-9:])"
    r"|(?P<oclock>1[0-2]|[1-9]) o'clock"
    r")"
    r"|\b(?:12 )?(?P<word>noon|midday|midnight)\b|(?P<jaword>正午)"
    r"|(?:(?P<japrefix>午前|午後|am|pm|朝|昼|夕方|夜|深夜|早朝)\s?)?(?P<jahour>(?<![0-9])(?<![0-9][:.])(?:[01]?[0-9]|2[0-4])|[一二三四五六七八九十]{1,3})時"
    r"(?![間期点代給刻差々限折計])(?:\s?(?P<jaminute>[0-5]?[0-9]|[一二三四五十]{1,3})分(?![の間])|(?P<jahalf>半))?",
    _FLAGS,
)
_UNTIL = re.compile(
    r"\.?[ \t]?(?:-|~|ー|to|until|till|til|through|から|より|and)[ \t]?"
    r"|に?(?:から)?、?\s?(?:開店|開館|開院|開始|オープン|始ま)[^。0-9]{0,12}"
    r"|,?\s?(?:(?:and|until|to)\s)?(?:we |it |they )?(?:clos(?:es?|ing)|until|ends?)(?: at)?\s",
    _FLAGS,
)
_BARE_START = re.compile(
    r"(?<![0-9:.,/$€£])(1[0-9]|2[0-3]|0?[0-9])(?:[:.]([0-5][0-9]))?[ \t]?(?:-|~|ー|to|until|till|から)[ \t]?$", _FLAGS
)
_SENTENCE_ENDS = re.compile(r"\s*$|\s+[A-Z]", re.ASCII)
_AFTERNOON = {"午後", "pm", "夕方", "夜", "昼"}
_MORNING = {"午前", "am", "朝", "深夜", "早朝"}


def _clocks(text: str) -> Iterator[Clock]:
    for match in _TIME.finditer(text):
        get = match.groupdict()
        if get["word"] or get["jaword"]:
            yield Clock(0 if (get["word"] or "").lower() == "midnight" else 720, *match.span(), True)
            continue
        prefix = (get["prefix"] or get["japrefix"] or "").lower()
        if get["h12"]:
            hour, minute, prefix = int(get["h12"]), int(get["m12"] or 0), "pm" if get["half"] in "pP" else "am"
        elif get["h24"]:
            hour, minute = int(get["h24"]), int(get["m24"])
        elif get["oclock"]:
            hour, minute = int(get["oclock"]), 0
        else:
            run = get["jahour"]
            if run == "一" and not prefix:
                continue  # 一時 is "for a while"
            hour = int(run) if run.isdigit() else kanji_value(run) or 0
            minute = 30 if get["jahalf"] else _number(get["jaminute"]) or 0
        if hour > 24 or minute > 59:
            continue
        if prefix in _AFTERNOON and hour < 12 and not (prefix == "昼" and hour > 9):
            hour += 12
        elif prefix in _MORNING and hour == 12:
            hour = 0
        start, end = match.span()
        start += len(match.group()) - len(match.group().lstrip())
        if text[end - 1] == "." and _SENTENCE_ENDS.match(text, end):
            end -= 1
        shares = "half" if get["h12"] else "hour" if get["jahour"] else ""
        yield Clock(hour % 24 * 60 + minute, start, end, bool(prefix), shares)


def _range_of(first: Clock, last: Clock, *, bare: bool = False) -> tuple[int, int]:
    """Where only one end says morning or afternoon, or none does: 9-5 pm and 9:00-5:00 are 9:00 to 17:00, 2-5 pm is
    14:00 to 17:00, and 22:00-6:00 stays a night."""
    start, end = first.minutes, last.minutes
    if last.said and not first.said and start < 720 <= end:
        if last.shares == "half" and start + 720 < end and (bare or start < 420):
            start += 720
    elif not last.said and end <= start and end < 720 and (first.said or start < 780) and end + 720 > start:
        end += 720
    return start, end


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
