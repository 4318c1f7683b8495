"""Find the checkable values in a text, name them in one canonical form, tell whether two are the same.

Knows no examples and no scores. English and Japanese; the patterns live in `quantities.py` (numbers with units),
`dates.py`, `addresses.py` (phones, e-mails, URLs, codes) and `stance.py` (yes/no, refusals).

Canonical values, by kind. N is a plain decimal ("6.99", "50"); a range is N-N.

    money       "USD 6.99", "JPY 500-1000"      ISO currency, amount in its main unit ("99 cents" is USD 0.99);
                                                a bare $ is USD, a bare ¥ is JPY; "free" is no value
    duration    "14 day", "3-5 business_day"    the largest of day, hour, minute, second that keeps it whole (two weeks
                "1 day", "90 minute", "1 year"  = 14 day, 24 hours = 1 day, 90 minutes), or of year, month; a month is not
                                                30 days, and business days are not days
    percentage  "10", "10-20"                   2割5分 is 25, 半額 is 50
    count       "10 item", "180+ country"       "+" where more is said (180+, over 180, 10 or more, 10個以上)
    phone       "8005550199", "0312345678"      digits as dialled at home, "x12" for an extension
    email       "help@shop.example"             lower case
    url         "shop.example/track"            without scheme, "www." and a last slash; host in lower case
    date        "2026-03-03", "--03-03",        ISO 8601; what is not said is left out; a range is A/B; days of the week
                "2026-03", "monday-friday"      by their names
    time        "09:00", "09:00-17:00"          24 hours
    code        "SAVE10", "ORD-1234-A"          capitals
    name        "nora whitfield"                NFKC, casefolded; only what a row names explicitly
    yes_no      "yes", "no"                     where the answer begins with it, or the row names it

Not values: bare "free", 24/7 and "24 hours a day, 7 days a week", versions, ordinals, list numbers, steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from kurabe.addresses import find_addresses
from kurabe.dates import find_dates, find_times
from kurabe.errors import DataError
from kurabe.quantities import find_quantities
from kurabe.schema import Fact, FactKind
from kurabe.spans import Normal, Span, folded, normalise
from kurabe.stance import is_refusal, language_of, leaning, opening
from kurabe.units import TABLE

__all__ = ["distinct", "find_facts", "is_refusal", "language_of", "named_facts", "same", "seek"]

KINDS: tuple[str, ...] = get_args(FactKind)


def find_facts(text: str) -> tuple[Fact, ...]:
    """Every distinct value in `text`, in the order of their first places. Spans point into `text` as it is.

    Of overlapping readings the longest wins. Names are not found here: only a row can say what is one (`seek`).
    """
    normal = normalise(text)
    return distinct(_facts(text, normal, _spans(normal.text)))


def distinct(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """The facts without those whose kind and value came before; "180 countries" and "180+ countries" are one."""
    seen: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        value = fact.value.replace("+", "", 1) if fact.kind == "count" else fact.value
        seen.setdefault((fact.kind, value), fact)
    return tuple(seen.values())


def same(expected: Fact, found: Fact) -> bool:
    """Whether two facts are one value: equal canonical values, and what people leave out does not matter.

    That is: the "+" of a count; the noun of a count that is in no table of units ("12 galleries", "12 rooms", but not
    "10 items", "10 countries"); the year of a date where one of the two has none.
    """
    if expected.kind != found.kind:
        return False
    if expected.value == found.value:
        return True
    if expected.kind == "count":
        return _same_count(expected.value, found.value)
    if expected.kind == "date":
        return _same_date(expected.value, found.value)
    return False


def named_facts(values: Sequence[str | Mapping[str, Any]]) -> tuple[Fact, ...]:
    """What a row names explicitly: strings, or {"kind", "value"}. A string that holds no findable value is a name.

    Raises `DataError` for an unknown kind and for a value that is none of its kind.
    """
    facts: list[Fact] = []
    for value in values:
        if isinstance(value, str):
            facts.extend(_named_string(value))
        elif isinstance(value, Mapping):
            facts.append(_named_kind(value))
        else:
            raise DataError(f"A fact must be a string or an object with kind and value, not {type(value).__name__}.")
    return distinct([fact.model_copy(update={"start": -1, "end": -1}) for fact in facts])


def seek(fact: Fact, text: str) -> Fact | None:
    """An expected value that `find_facts` does not find blindly, looked for in an answer: names, codes in any case, a
    yes or no in other words, a count without its noun. None where it is not there."""
    if fact.kind in ("name", "code"):
        return _seek_words(fact, text)
    normal = normalise(text)
    if fact.kind == "yes_no":
        said = leaning(normal.text)
        return None if not said else next(_facts(text, normal, [Span("yes_no", *said)]))
    if fact.kind == "count":
        number = fact.value.split(" ")[0].rstrip("+")
        bare = (span for span in find_quantities(normal.text)[1] if span.value == number)
        return next(_facts(text, normal, bare), None)
    return None


# --- finding ---------------------------------------------------------------------------------------------------

_HALF = re.compile(
    r"\b(?:half(?: of)? an? (?P<unit>hour|day|year)|(?P<quarter>(?:a )?quarter of an hour)|(?P<price>half[ -](?:price|off)))\b"
    r"|(?P<more>\ban? (?P<base>hour|day|week|month|year) and a half)\b"
    r"|\b(?:within|in|for|takes?|about|after|than|up to|at least|at most|under|over|only|lasts?|approximately|roughly|around"
    r"|need|needs|allow|is|next|last|every|to)\s(?P<one>an?\s(?P<single>hour|day|week|month|year|fortnight|business day|working day))(?![A-Za-z-])"
    r"|(?P<hangaku>半額)|(?P<hantoshi>半年間?)(?!度)|(?P<hannichi>半日)",
    re.ASCII | re.IGNORECASE,
)
_HALVES = {"hour": "30 minute", "day": "12 hour", "year": "6 month"}
_MORE_HALVES = {"hour": "90 minute", "day": "36 hour", "week": "252 hour", "month": "1.5 month", "year": "18 month"}
_ONES = {
    "hour": "1 hour", "day": "1 day", "week": "7 day", "month": "1 month", "year": "1 year", "fortnight": "14 day",
    "business day": "1 business_day", "working day": "1 business_day",
}  # fmt: skip


def _spans(text: str) -> list[Span]:
    """All readings of a normalised text, overlaps resolved, in order."""
    readings = [*find_addresses(text), *find_dates(text), *find_times(text), *_halves(text), *find_quantities(text)[0]]
    taken = bytearray(len(text))
    chosen: list[Span] = []
    for span in sorted(readings, key=lambda s: (s.start - s.end, s.start)):  # the sort is stable: order breaks ties
        if not any(taken[span.start : span.end]):
            taken[span.start : span.end] = b"\1" * (span.end - span.start)
            chosen.append(span)
    said = opening(text)
    if said:
        chosen.append(Span("yes_no", *said))
    return sorted(chosen, key=lambda s: s.start)


def _facts(text: str, normal: Normal, spans: Iterable[Span]) -> Iterator[Fact]:
    for span in spans:
        start, end = normal.original(span.start, span.end)
        yield Fact(kind=span.kind, value=span.value, text=text[start:end], start=start, end=end)


def _halves(text: str) -> Iterator[Span]:
    """Lengths without a number: half an hour, within a week, an hour and a half, 半日; and half price."""
    for match in _HALF.finditer(text):
        get = match.groupdict()
        if get["price"] or get["hangaku"]:
            yield Span("percentage", "50", *match.span())
        elif get["one"]:
            yield Span("duration", _ONES[get["single"].lower()], *match.span("one"))
        elif get["more"]:
            yield Span("duration", _MORE_HALVES[get["base"].lower()], *match.span("more"))
        elif get["quarter"]:
            yield Span("duration", "15 minute", *match.span())
        else:
            unit = (get["unit"] or ("year" if get["hantoshi"] else "day")).lower()
            yield Span("duration", _HALVES[unit], *match.span())


# --- comparing -------------------------------------------------------------------------------------------------


def _same_count(one: str, other: str) -> bool:
    (number1, _, unit1), (number2, _, unit2) = one.partition(" "), other.partition(" ")
    if number1.rstrip("+") != number2.rstrip("+"):
        return False
    return unit1 == unit2 or unit1 not in TABLE or unit2 not in TABLE


def _same_date(one: str, other: str) -> bool:
    parts, others = one.split("/"), other.split("/")
    return len(parts) == len(others) and all(map(_same_day, parts, others))


def _same_day(one: str, other: str) -> bool:
    if one == other:
        return True
    short, full = sorted((one, other), key=lambda day: not day.startswith("--"))
    return short.startswith("--") and full[4:5] == "-" and full[:4].isdigit() and "-" + full[4:] == short


# --- what a row names ------------------------------------------------------------------------------------------


def _named_string(value: str) -> tuple[Fact, ...]:
    found = find_facts(value)
    if found:
        return found
    if not folded(value):
        raise DataError("A named fact is empty.", fix="Write the value, or leave the field out.")
    return (Fact(kind="name", value=folded(value), text=value),)


_BARE = {"percentage": re.compile(r"[0-9]+(\.[0-9]+)?(-[0-9]+(\.[0-9]+)?)?"), "count": re.compile(r"[0-9]+\+?")}


def _named_kind(value: Mapping[str, Any]) -> Fact:
    kind, text = value.get("kind"), value.get("value")
    if kind not in KINDS or set(value) - {"kind", "value"}:
        raise DataError(f"There is no fact kind {kind!r}." if kind not in KINDS else "A fact has a kind and a value only.",
                        fix="Known kinds: " + ", ".join(KINDS) + ".")  # fmt: skip
    if not isinstance(text, str | int | float) or isinstance(text, bool) and kind != "yes_no" or not folded(str(text)):
        raise DataError(f"The value of a {kind} fact is missing.", fix='Write {"kind": ..., "value": ...}.')
    text = ("yes" if text else "no") if isinstance(text, bool) else str(text)
    if kind == "name":
        return Fact(kind="name", value=folded(text), text=text)
    if kind == "code":
        return Fact(kind="code", value=_code(text), text=text)
    if kind in _BARE and _BARE[kind].fullmatch(folded(text)):
        return Fact(kind=kind, value=folded(text), text=text)
    found: tuple[Fact, ...]
    if kind == "yes_no":
        said = opening(normalise(text).text)
        found = (Fact(kind="yes_no", value=said[0], text=text),) if said else ()
    else:
        normal = normalise(text)
        found = tuple(fact for fact in _facts(text, normal, _spans(normal.text)) if fact.kind == kind)
        if not found and kind == "date":
            found = tuple(
                Fact(kind=kind, value=folded(text), text=text) for _ in [0] if _CANONICAL_DATE.fullmatch(folded(text))
            )
    if len(found) != 1:
        raise DataError(f"{text!r} is not one {kind}.", fix="Write one value as it stands in an answer.")
    return found[0].model_copy(update={"text": text})


_ONE_DATE = r"(?:[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?|--[0-9]{2}(?:-[0-9]{2})?|---[0-9]{2}|[a-z]+day(?:-[a-z]+day)?)"
_CANONICAL_DATE = re.compile(rf"{_ONE_DATE}(?:/{_ONE_DATE})?")


# --- seeking ---------------------------------------------------------------------------------------------------

_CJK = re.compile(r"[\u3041-\u30ff\u3400-\u9fff]")


def _code(text: str) -> str:
    return normalise(text).text.strip().upper()


def _seek_words(fact: Fact, text: str) -> Fact | None:
    """Whole words, white space and case aside; in Japanese, which has no words to see, any place."""
    normal = normalise(text, fold=True)
    wanted = folded(fact.value)
    if _CJK.search(wanted):
        pattern = r"\s*".join(re.escape(c) for c in wanted if not c.isspace())
    else:
        stem = wanted[:-1] if fact.kind == "name" and re.search(r"[^s]s$", wanted) and len(wanted) > 3 else wanted
        plural = "(?:e?s)?" if fact.kind == "name" and stem[-1:].isalpha() else ""
        pattern = r"(?<![a-z0-9_])" + r"\s+".join(map(re.escape, stem.split())) + plural + r"(?![a-z0-9_])"
    match = re.search(pattern, normal.text)
    if not match:
        return None
    return next(_facts(text, normal, [Span(fact.kind, fact.value, *match.span())]))
