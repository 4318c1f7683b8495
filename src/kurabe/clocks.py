"""Times of day, alone or as ranges, in English and Japanese; values are 24-hour clock times ("09:00-17:00").

Knows no lengths of time: "17時30分" is a time, "30分" is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from kurabe.numerals import kanji_value
from kurabe.patterns import Pattern
from kurabe.spans import Span

_FLAGS = re.ASCII | re.IGNORECASE
_NOON = 12 * 60
_HALF_OF_DAY = "午前|午後|am|pm|朝|昼|夕方|夜|深夜|早朝"
_AFTERNOON = frozenset(["午後", "pm", "夕方", "夜", "昼", "afternoon", "evening", "night"])
_MORNING = frozenset(["午前", "am", "朝", "深夜", "早朝", "morning"])
_NUMBER = "[一二三四五六七八九十]{1,3}"
_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]

_TIME = Pattern(
    r"(?<![0-9$€£])(?<![0-9][.:/])(?:"
    r"(?P<hour>1[0-2]|0?[1-9])(?:[:.](?P<minute>[0-5][0-9]))?\s?(?P<letter>[ap])(?:\.\s?m\.?|m)(?![A-Za-z])"
    rf"|(?:(?:(?P<half>{_HALF_OF_DAY})\s?)?(?P<hour24>[01]?[0-9]|2[0-4]):(?P<minute24>[0-5][0-9])(?::[0-5][0-9])?(?![0-9:])"
    rf"|(?P<oclock>1[0-2]|[1-9]|\b(?:{'|'.join(_WORDS)})) o'clock)"
    r"(?: (?:in the |at )(?P<part>morning|afternoon|evening|night)\b)?)"
    r"|\b(?:12 )?(?P<word>noon|midday|midnight)\b|(?P<word_ja>正午)"
    rf"|(?:(?P<half_ja>{_HALF_OF_DAY})\s?)?(?P<hour_ja>(?<![0-9])(?<![0-9][:.])(?:[01]?[0-9]|2[0-4])|{_NUMBER})時"
    rf"(?![間期点代給刻差々限折計])(?:\s?(?P<minute_ja>[0-5]?[0-9]|{_NUMBER})分(?!間|の[0-9一二三四五六七八九十])|(?P<thirty_ja>半))?",
    _FLAGS,
)
_TO = Pattern(
    r"\.?[ \t]?(?:-|~|ー|to|until|till|til|through|から|より)[ \t]?(?:翌日?の?)?"
    # "opens at 9 am and closes at 5 pm", "9時に開店し、18時に閉店"
    r"|,?[ ](?:(?:and|until|to)[ ])?(?:(?:we|it|they)[ ])?(?:closes?|closing|until|ends?)(?:[ ]at)?[ ]"
    r"|に?(?:から)?、?\s?(?:開店|開館|開院|開始|オープン|始ま)[^。0-9]{0,12}",
    _FLAGS,
)
_AND = Pattern(r"[ ]and[ ]", _FLAGS)
_BETWEEN = Pattern(r"\bbetween[ ]$", _FLAGS)
_BARE_START = Pattern(
    r"(?<![0-9:.,/$€£])(1[0-9]|2[0-3]|0?[0-9])(?:[:.]([0-5][0-9]))?[ \t]?(?:-|~|ー|to|until|till|から)[ \t]?$", _FLAGS
)
# Mon-Fri 9-5, open from 9 to 17: hours without any sign of a time, where the words before leave no doubt.
_BARE_RANGE = Pattern(
    r"\b(?:(?:[a-z]{3,6}day|mon|tue|wed|thu|fri|sat|sun|weekday|weekend)s?[.:,]?|open(?: daily)?|hours(?::| are))[ ]"
    r"(?:from[ ])?(?P<range>(?P<first>[0-9]{1,2})[ ]?(?:-|to|until|till)[ ]?(?P<last>[0-9]{1,2}))"
    r"(?![^\s.,;)]|[.,][0-9])",
    _FLAGS,
)
_SENTENCE_ENDS = Pattern(r"\s*$|\s+[A-Z]", re.ASCII)
_LONGEST_GAP = 30


class Clock(NamedTuple):
    """One time of day, in minutes after midnight."""

    minutes: int
    start: int
    end: int
    said: bool = False  # morning or afternoon was said in words
    shares: str = ""  # "half" (9-5 pm) or "hour" (10〜19時): the unit that a bare hour before it shares


def find_times(text: str) -> Iterator[Span]:
    """Times of day of a normalised text; two that a dash, "to" or "closes at" joins are one range."""
    previous: Clock | None = None
    for clock in _clocks(text):
        if previous and clock.start - previous.end <= _LONGEST_GAP and _joined(text, previous, clock):
            yield _range(previous, clock)
            previous = None
            continue
        if previous:
            yield _alone(previous)
        bare = _bare_start(text, clock)
        if bare:
            yield _range(bare, clock, bare=True)
        previous = None if bare else clock
    if previous:
        yield _alone(previous)
    for match in _BARE_RANGE.finditer(text):
        start, end = int(match["first"]), int(match["last"])
        if 7 <= start <= 24 and end <= 24 and start != end:  # "open 2-5" may be either half of the day
            yield _range(*(Clock(hour * 60, *match.span("range")) for hour in (start, end)))


def _joined(text: str, first: Clock, last: Clock) -> bool:
    """Whether two times are the ends of one range; "at 11:00 and 15:00" are two."""
    if _AND.fullmatch(text, first.end, last.start):
        return _BETWEEN.search(text[max(0, first.start - 8) : first.start]) is not None
    return _TO.fullmatch(text, first.end, last.start) is not None


def _clocks(text: str) -> Iterator[Clock]:
    for match in _TIME.finditer(text):
        minutes = _minutes(match)
        if minutes is not None:
            end = match.end()
            if text[end - 1] == "." and _SENTENCE_ENDS.match(text, end):
                end -= 1
            said = any(match[name] for name in ("letter", "half", "part", "half_ja", "word", "word_ja"))
            shares = "half" if match["letter"] else "hour" if match["hour_ja"] else ""
            yield Clock(minutes, match.start(), end, said, shares)


def _minutes(match: re.Match[str]) -> int | None:
    """Minutes after midnight; None where the words only look like a time."""
    if match["word"] or match["word_ja"]:
        return 0 if (match["word"] or "").lower() == "midnight" else _NOON
    half = f"{match['letter']}m" if match["letter"] else match["half"] or match["part"] or match["half_ja"] or ""
    if match["hour_ja"] == "一" and not half:
        return None  # 一時 is "for a while"
    hour = _number(match["hour"] or match["hour24"] or match["oclock"] or match["hour_ja"])
    minute = 30 if match["thirty_ja"] else _number(match["minute"] or match["minute24"] or match["minute_ja"] or "0")
    if hour is None or minute is None or hour > 24 or minute > 59:
        return None
    half = half.lower()
    small_hours = hour < 5 and half in ("夜", "night")
    if half in _AFTERNOON and hour < 12 and not small_hours and not (half == "昼" and hour > 9):
        hour += 12
    elif half in _MORNING and hour == 12:
        hour = 0
    return hour % 24 * 60 + minute


def _number(run: str) -> int | None:
    if run.isdigit():
        return int(run)
    return _WORDS.index(run.lower()) + 1 if run.isascii() else kanji_value(run)


def _bare_start(text: str, clock: Clock) -> Clock | None:
    """The 9 of "9-5 pm", the 10 of 10〜19時."""
    match = _BARE_START.search(text[max(0, clock.start - 12) : clock.start]) if clock.shares else None
    if not match:
        return None
    return Clock(
        int(match.group(1)) * 60 + int(match.group(2) or 0), clock.start - match.end() + match.start(1), clock.start
    )


def _range(first: Clock, last: Clock, *, bare: bool = False) -> Span:
    """Where only one end says morning or afternoon, or none does: 9-5 pm and 9:00-5:00 are 9:00 to 17:00, 2-5 pm is
    14:00 to 17:00, and 22:00-6:00 stays a night."""
    start, end = first.minutes, last.minutes
    if last.said and not first.said and start < _NOON <= end:
        if last.shares == "half" and start + _NOON < end and (bare or start < 7 * 60):
            start += _NOON
    elif not last.said and 0 < end <= start < end + _NOON < 2 * _NOON and (first.said or start < 13 * 60):
        end += _NOON
    return Span("time", f"{_written(start)}-{_written(end)}", first.start, last.end)


def _alone(clock: Clock) -> Span:
    return Span("time", _written(clock.minutes), clock.start, clock.end)


def _written(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
