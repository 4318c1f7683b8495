"""Numbers as people write them: 1,299.50, 1.299,50, 3万5千, 十四, twenty-five, ninety-nine hundred, 2.5 million.

Knows no units: it finds where a number stands in a normalised text and what it is worth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, NamedTuple

from kurabe.patterns import Pattern
from kurabe.schema import FactKind

LONGEST = 24  # characters; a longer run of digits is no number that anybody means

_KANJI_DIGITS = {c: n for n, c in enumerate("〇一二三四五六七八九")} | {"零": 0, "壱": 1, "弐": 2, "参": 3}
_KANJI_SMALL = {"十": 10, "拾": 10, "百": 100, "千": 1000}
_KANJI_LARGE = {"万": 10**4, "萬": 10**4, "億": 10**8, "兆": 10**12}
_KANJI = "".join([*_KANJI_DIGITS, *_KANJI_SMALL, *_KANJI_LARGE])
KANJI_NUMBER = f"[{_KANJI}]"

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: n for n, word in enumerate(_UNITS.split())} | {w: 10 * n for n, w in enumerate(_TENS.split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12}

# Not inside a word (iPhone15, but USD6.99 is money), a version (1.2.3), a clock time (9:00) or a fraction (24/7).
_DIGITS = Pattern(
    r"(?:(?<![0-9A-Za-z_])|(?<=(?<![A-Za-z])[A-Z]{3})|(?<=(?<![A-Za-z])R[sS]))(?<![0-9][.,:/])(?:"
    r"(?P<comma>[0-9]{1,3}(?:\.[0-9]{3}){1,6},[0-9]{1,2}|[0-9]+,[0-9]{1,2})"  # 1.299,50 and 6,99
    r"|[0-9]{1,3}(?:,[0-9]{3}){1,8}(?:\.[0-9]+)?"  # 1,299.50
    r"|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?![0-9]|[.,:/][0-9])"
)
_JAPANESE = Pattern(rf"(?:[0-9][0-9,]*(?:\.[0-9]+)?)?{KANJI_NUMBER}(?:[0-9{_KANJI}]|,(?=[0-9]{{3}}))*")
_DIGIT = rf"([0-9][0-9,]*(?:\.[0-9]+)?|[{''.join(_KANJI_DIGITS)}])?"
_SMALL = Pattern(rf"(?:{_DIGIT}(千))?(?:{_DIGIT}(百))?(?:{_DIGIT}([十拾]))?{_DIGIT}")
_LARGE = Pattern(f"([{''.join(_KANJI_LARGE)}])")
_ENGLISH = Pattern(
    r"(?<![A-Za-z0-9_])(?:(?:an?[ ])(?=hundred|thousand|million|billion|dozen)|("
    + "|".join([*_WORDS, *_SCALES])
    + r")(?![A-Za-z_]))",
    re.IGNORECASE,
)
_JOINT = Pattern(r"[ \t]|-| and ", re.IGNORECASE)
_SCALE_AFTER = Pattern(r"[ ](hundred|thousand|million|billion|dozen)(?![A-Za-z])", re.IGNORECASE)
_SAID_TWICE = Pattern(r"\s?\([0-9][0-9,]{0,12}\)")  # five (5) days
_HALF_AFTER = Pattern(r" and a half(?![A-Za-z])", re.IGNORECASE)


class Numeral(NamedTuple):
    """One number. `comma`: it was read with a decimal comma, or could be; only money and percentages use that form."""

    value: Decimal
    start: int
    end: int
    form: Literal["digits", "comma", "kanji", "words"]


class Reading(NamedTuple):
    """What a number is a number of. The value is number x factor + plus, in `unit`; the span covers the unit."""

    kind: FactKind
    unit: str
    start: int
    end: int
    factor: Decimal = Decimal(1)
    plus: Decimal = Decimal(0)
    prefix: bool = False  # the unit stands before the number


def find_numerals(text: str) -> list[Numeral]:
    """All numbers of a normalised text in order, without overlaps."""
    found = [*_japanese(text), *_english(text)]
    taken = {at for numeral in found for at in range(numeral.start, numeral.end)}
    found += [n for n in _digits(text) if n.start not in taken and n.end - 1 not in taken]
    return _said_once(text, sorted((_with_half(text, n) for n in found), key=lambda n: n.start))


def kanji_value(run: str) -> int | None:
    """十四 -> 14, 二〇二六 -> 2026, 1万2千 -> 12000; None where the run is no number (万一, 二三)."""
    value = _japanese_value(run)
    return None if value is None or value != int(value) else int(value)


def plain(value: Decimal) -> str:
    """The shortest decimal form: 6.90 -> "6.9", 50.00 -> "50"."""
    return format(value.normalize(), "f")


# --- digits ----------------------------------------------------------------------------------------------------


def _digits(text: str) -> Iterator[Numeral]:
    for match in _DIGITS.finditer(text):
        start, end = match.span()
        if end - start > LONGEST:
            continue
        run = match.group()
        if match["comma"]:
            yield Numeral(Decimal(run.replace(".", "").replace(",", ".")), start, end, "comma")
            continue
        value = Decimal(run.replace(",", ""))
        scale = _SCALE_AFTER.match(text, end)
        if scale:
            value, end = value * _SCALES[scale.group(1).lower()], scale.end()
        yield Numeral(value, start, end, "digits")


# --- Japanese --------------------------------------------------------------------------------------------------


def _japanese(text: str) -> Iterator[Numeral]:
    if text.isascii():
        return
    for match in _JAPANESE.finditer(text):
        start, end = match.span()
        run = match.group()
        if end - start > LONGEST:
            continue
        value = _japanese_value(run)
        while value is None and len(run) > 1:  # of 二三日 or 3千一千 what begins as a number
            run = run[:-1]
            value = _japanese_value(run)
        if value is not None and not run.isascii():
            yield Numeral(value, start, start + len(run), "kanji")


def _japanese_value(run: str) -> Decimal | None:
    """Sections below 10,000, each with its 万, 億 or 兆; these must fall."""
    total, last = Decimal(0), 10**16
    sections = _LARGE.compiled.split(run)
    for section, large in zip(sections[::2], [*sections[1::2], ""], strict=True):
        value = _section(section)
        scale = _KANJI_LARGE.get(large, 1)
        if value is None or scale >= last or (large and not section):
            return None
        total, last = total + value * scale, scale
    return total


def _section(run: str) -> Decimal | None:
    """A number below 10,000: 十四, 3千, 二〇二六, 1,299.5; none is 0."""
    digits = [_KANJI_DIGITS[c] for c in run if c in _KANJI_DIGITS]
    if len(run) > 1 and len(digits) == len(run):  # 二三日 is "two or three days"
        return Decimal("".join(map(str, digits))) if len(run) > 2 or 0 in digits else None
    match = _SMALL.fullmatch(run)
    if not match:
        return None
    total = Decimal(0)
    for digit, unit in zip(match.groups()[::2], [*match.groups()[1::2], None], strict=True):
        if digit or unit:
            value = Decimal(_KANJI_DIGITS[digit] if digit in _KANJI_DIGITS else digit.replace(",", "") if digit else 1)
            total += value * _KANJI_SMALL.get(unit or "", 1)
    return total


# --- English ---------------------------------------------------------------------------------------------------


def _english(text: str) -> Iterator[Numeral]:
    """Number words, joined as far as they make one number: "three four" are two, "ninety-nine hundred" is one."""
    tokens: list[str] = []
    start = end = -1
    for match in _ENGLISH.finditer(text):
        word = match.group().strip().lower()
        gap = text[end : match.start()] if tokens else ""
        if tokens and (gap == "" or _JOINT.fullmatch(gap)):
            joined = [*tokens, word]
            linked = gap.strip().lower() == "and"
            if _english_value(joined) is not None and (not linked or tokens[-1] in _SCALES):
                tokens, end = joined, match.end()
                continue
        if tokens:
            yield from _emit(tokens, start, end)
        tokens, start, end = [word], match.start(), match.end()
        if word in ("a", "an"):  # the scale follows at once
            tokens = ["a"]
    if tokens:
        yield from _emit(tokens, start, end)


def _emit(tokens: list[str], start: int, end: int) -> Iterator[Numeral]:
    value = _english_value(tokens)
    if value is not None and tokens != ["a"]:
        yield Numeral(Decimal(value), start, end, "words")


def _english_value(tokens: list[str]) -> int | None:
    """The number, or None where these words in a row are not one."""
    total = section = 0
    free = 100  # what may still be added to the section: below 100 after a hundred, below 10 after twenty
    scale_left = 10**12
    for token in tokens:
        if token == "a":
            if total or section:
                return None
            section, free = 1, 0
        elif token in ("hundred", "dozen"):
            if not 0 < section < 100:
                return None
            section, free = section * _SCALES[token], 100 if token == "hundred" else 0
        elif token in _SCALES:
            if not section or _SCALES[token] >= scale_left:
                return None
            scale_left = _SCALES[token]
            total, section, free = total + section * scale_left, 0, 100
        else:
            value = _WORDS[token]
            if value >= free or (value == 0 and len(tokens) > 1):
                return None
            section += value
            free = 10 if value >= 20 else 0
    return total + section


def _said_once(text: str, numerals: list[Numeral]) -> list[Numeral]:
    """The numbers in words together with the same numbers in digits behind them, as contracts have it."""
    kept: list[Numeral] = []
    for numeral in numerals:
        said = kept[-1] if kept and kept[-1].form == "words" and kept[-1].value == numeral.value else None
        again = _SAID_TWICE.match(text, said.end) if said else None
        if said and again and again.end() == numeral.end + 1:
            kept[-1] = said._replace(end=again.end())
        else:
            kept.append(numeral)
    return kept


def _with_half(text: str, numeral: Numeral) -> Numeral:
    half = _HALF_AFTER.match(text, numeral.end)
    return numeral._replace(value=numeral.value + Decimal("0.5"), end=half.end()) if half else numeral
