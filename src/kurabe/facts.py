"""Find the checkable values in a text, name them in one canonical form, tell whether two are the same.

Knows no examples and no scores. English and Japanese; the patterns live in `quantities.py` (numbers with units),
`dates.py`, `addresses.py` (phones, e-mails, URLs, codes) and `stance.py` (yes/no, refusals).

Canonical values, by kind. N is a plain decimal ("6.99", "50"); a range is N-N.

    money       "USD 6.99", "JPY 500-1000"      ISO currency, amount in its main unit ("99 cents" is USD 0.99);
                                                a bare $ is USD, a bare ¥ is JPY; "free" is no value
    duration    "14 day", "3-5 business_day"    the largest of day, hour, minute, second that keeps it whole (two weeks
                "1 day", "90 minute", "1 year"  are 14 day, 24 hours 1 day), or of year, month; a month is not 30 days,
                                                and business days are not days
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

from kurabe.addresses import dialled, find_addresses
from kurabe.clocks import find_times
from kurabe.counts import TABLE
from kurabe.dates import find_dates
from kurabe.errors import DataError
from kurabe.halves import find_halves
from kurabe.numerals import plain
from kurabe.patterns import Pattern
from kurabe.quantities import find_quantities
from kurabe.schema import Fact, FactKind
from kurabe.spans import Normal, Span, folded, normalise
from kurabe.stance import is_refusal, language_of, leaning, opening

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
            raise DataError(
                f"A fact must be a string or an object with kind and value, not {type(value).__name__}.",
                fix='Write "Visa", or {"kind": "money", "value": "$5"}.',
            )
    return distinct([fact.model_copy(update={"start": -1, "end": -1}) for fact in facts])


def seek(fact: Fact, text: str) -> Fact | None:
    """An expected value that `find_facts` may not find blindly, looked for in an answer: names, codes in any case,
    phone numbers of any length, a yes or no in other words, a count without its noun, an amount with cents without its
    currency. None where it is not there; for yes_no the fact that is returned may say the opposite."""
    if fact.kind in ("name", "code", "url"):
        return _seek_pattern(fact, text, _words_pattern(fact))
    if fact.kind == "phone":
        return _seek_pattern(fact, text, r"(?<![0-9])" + r"[ .()-]{0,2}".join(fact.value) + r"(?![0-9])")
    normal = normalise(text)
    if fact.kind == "yes_no":
        said = leaning(normal.text)
        return next(_facts(text, normal, [Span("yes_no", *said)])) if said else None
    return _seek_number(fact, text, normal)


# --- finding ---------------------------------------------------------------------------------------------------


def _spans(text: str) -> list[Span]:
    """All readings of a normalised text, overlaps resolved, in order."""
    readings = [
        *find_addresses(text),
        *find_dates(text),
        *find_times(text),
        *find_halves(text),
        *find_quantities(text).spans,
    ]
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
    short, full = sorted((one, other), key=lambda day: not day.startswith("--"))
    return one == other or (short.startswith("--") and full[:4].isdigit() and "-" + full[4:] == short)


# --- what a row names ------------------------------------------------------------------------------------------


def _named_string(value: str) -> tuple[Fact, ...]:
    found = find_facts(value)
    if found:
        return found
    if not folded(value):
        raise DataError("A named fact is empty.", fix="Write the value, or leave the field out.")
    return (Fact(kind="name", value=folded(value), text=value),)


def _named_kind(given: Mapping[str, Any]) -> Fact:
    kind, value = given.get("kind"), given.get("value")
    if kind not in KINDS:
        raise DataError(f"There is no fact kind {kind!r}.", fix="Known kinds: " + ", ".join(KINDS) + ".")
    if isinstance(value, bool) and kind == "yes_no":
        value = "yes" if value else "no"
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not folded(str(value)):
        raise DataError(f"The value of a {kind} fact is missing.", fix=f'Write {{"kind": "{kind}", "value": ...}}.')
    text = str(value)
    canonical = _CANONICAL[kind].fullmatch(folded(text)) if kind in _CANONICAL else None
    found = [span.value for span in _spans(normalise(text).text) if span.kind == kind]
    found = [folded(text)] if canonical else found or _verbatim(kind, text)
    if len(found) != 1:
        raise DataError(f"{text!r} is not one {kind}.", fix="Write one value as it stands in an answer.")
    return Fact(kind=kind, value=found[0], text=text)


# Canonical values that no text would hold, but a row may name.
_DECIMAL = r"[0-9]+(?:\.[0-9]+)?"
_ONE_DATE = r"(?:[0-9]{4}(?:-[0-9]{2}){0,2}|--[0-9]{2}(?:-[0-9]{2})?|---[0-9]{2}|[a-z]{3,6}day(?:-[a-z]{3,6}day)?)"
_CANONICAL = {
    "percentage": Pattern(rf"{_DECIMAL}(?:-{_DECIMAL})?"),
    "count": Pattern(rf"{_DECIMAL}(?:-{_DECIMAL})?\+?(?: (?:{'|'.join(TABLE)}))?"),
    "date": Pattern(rf"{_ONE_DATE}(?:/{_ONE_DATE})?"),
}
_COUNT_OF_ANYTHING = Pattern(rf"{_DECIMAL}(?:-{_DECIMAL})?\+? [^\s0-9]+")
_NUMBER_TO_DIAL = Pattern(r"(\+?[0-9][0-9 .()-]{1,24})(x[0-9]{1,5})?")


def _verbatim(kind: str, text: str) -> list[str]:
    """The value of a kind that may look like anything."""
    if kind in ("name", "url") or (kind == "count" and _COUNT_OF_ANYTHING.fullmatch(folded(text))):
        return [folded(text)]
    if kind == "code":
        return [folded(text).upper()]
    number = _NUMBER_TO_DIAL.fullmatch(folded(text)) if kind == "phone" else None
    return [dialled(number.group(1)) + (number.group(2) or "")] if number else []


# --- seeking ---------------------------------------------------------------------------------------------------

_CJK = Pattern(r"[\u3041-\u30ff\u3400-\u9fff]")
_PLURAL = Pattern(r".{2,}[^s]s$")


def _words_pattern(fact: Fact) -> str:
    """Whole words, white space aside; in Japanese, which shows no words, any place. A name may lack its article and
    stand in the plural."""
    wanted = folded(fact.value).removeprefix("the ")
    if _CJK.search(wanted):
        return r"\s?".join(re.escape(c) for c in wanted if not c.isspace())
    plural = ""
    if fact.kind == "name" and wanted[-1:].isalpha():
        wanted, plural = wanted[:-1] if _PLURAL.match(wanted) else wanted, "(?:e?s)?"
    return r"(?<![a-z0-9_])" + r"\s{1,3}".join(map(re.escape, wanted.split())) + plural + r"(?![a-z0-9_])"


def _seek_pattern(fact: Fact, text: str, pattern: str) -> Fact | None:
    normal = normalise(text, fold=True)
    match = re.search(pattern, normal.text)
    return next(_facts(text, normal, [Span(fact.kind, fact.value, *match.span())])) if match else None


def _seek_number(fact: Fact, text: str, normal: Normal) -> Fact | None:
    """A number that stands without its unit and belongs to nothing else: a count's, and an amount's with cents."""
    number = fact.value.split(" ")[0].rstrip("+") if fact.kind == "count" else fact.value.split(" ")[-1]
    if fact.kind not in ("count", "money") or (fact.kind == "money" and "." not in number):
        return None
    taken = _spans(normal.text)
    for numeral in find_quantities(normal.text).bare:
        free = all(span.end <= numeral.start or numeral.end <= span.start for span in taken)
        if free and plain(numeral.value) == number:
            return next(_facts(text, normal, [Span(fact.kind, fact.value, numeral.start, numeral.end)]))
    return None
