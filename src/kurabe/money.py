"""Currencies at a number: signs and codes before it, signs, codes and names after it, in English and Japanese.

Knows no exchange rates: "$" alone is USD, "¥" alone is JPY, and two currencies are never the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from kurabe.numerals import Numeral, Reading
from kurabe.patterns import Pattern

_FLAGS = re.ASCII | re.IGNORECASE
_SIGNS = {
    "US$": "USD", "CA$": "CAD", "C$": "CAD", "AU$": "AUD", "A$": "AUD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD",
    "R$": "BRL", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₩": "KRW", "₹": "INR", "฿": "THB", "Rs.": "INR",
    "Rs": "INR",
}  # fmt: skip
_CODE_LIST = "USD EUR GBP JPY CHF CAD AUD NZD CNY HKD SGD KRW TWD INR SEK NOK DKK PLN CZK HUF BRL MXN ZAR THB ILS TRY"
CODES = tuple(_CODE_LIST.split())
_ENGLISH = {
    "us dollar": "USD", "canadian dollar": "CAD", "australian dollar": "AUD", "dollar": "USD", "buck": "USD",
    "euro": "EUR", "pounds sterling": "GBP", "pound": "GBP", "yen": "JPY", "swiss franc": "CHF", "franc": "CHF",
    "rupee": "INR", "yuan": "CNY", "won": "KRW",
}  # fmt: skip
_JAPANESE = {
    "円": "JPY", "米ドル": "USD", "ドル": "USD", "ユーロ": "EUR", "ポンド": "GBP", "元": "CNY", "ウォン": "KRW",
    "スイスフラン": "CHF", "フラン": "CHF",
}  # fmt: skip
_HUNDREDTHS = {"cent": "USD", "¢": "USD", "セント": "USD", "pence": "GBP", "euro cent": "EUR"}
_SCALES = {"k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9}  # $5k, $1.2M


def _one_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_BEFORE = Pattern(rf"(?<![A-Za-z])({_one_of([*_SIGNS, *CODES])})\s?$", re.ASCII)
_SCALE = Pattern(r"\s?(k|m|mn|bn|b)(?![A-Za-z0-9])", _FLAGS)
_AFTER = Pattern(
    rf"[ -]?(?:(?P<code>{_one_of(CODES)})(?![A-Za-z])|(?P<english>{_one_of(_ENGLISH)})s?(?![A-Za-z])"
    rf"|(?P<japanese>{_one_of(_JAPANESE)})(?![安高形周盤気祖]|本位|建て))|[ ]?(?P<sign>[$€£¥₩₹])",
    _FLAGS,
)
_HUNDREDTHS_AFTER = Pattern(rf"[ -]?({_one_of(_HUNDREDTHS)})s?(?![A-Za-z])", _FLAGS)
_THOUSANDS_BY_DOT = Pattern(r"[0-9]{1,3}\.[0-9]{3}")


def read_money(text: str, numeral: Numeral) -> Reading | None:
    """The amount that this number is, None where no currency stands at it."""
    start, end, factor = numeral.start, numeral.end, Decimal(1)
    before = _BEFORE.search(text[max(0, start - 5) : start])
    currency = ""
    if before:
        sign = before.group(1)
        currency, start = _SIGNS.get(sign, sign), start - len(before.group())
        scale = _SCALE.match(text, end)
        if scale:
            factor, end = Decimal(_SCALES[scale.group(1).lower()]), scale.end()
    after = _AFTER.match(text, end)
    named = _currency(after) if after else ""
    if after and (not before or named == currency or (after["code"] and before.group(1) == "$")):  # "$50 CAD"
        currency, end = named, after.end()
    if not currency:
        small = _HUNDREDTHS_AFTER.match(text, end)
        if not small:
            return None
        return Reading("money", _HUNDREDTHS[small.group(1).lower()], start, small.end(), Decimal("0.01"))
    if currency == "EUR" and _THOUSANDS_BY_DOT.fullmatch(text, numeral.start, numeral.end):
        factor *= 1000  # 1.299 €: money has no third decimal
    return Reading("money", currency, start, end, factor, prefix=before is not None)


def _currency(after: re.Match[str]) -> str:
    if after["code"]:
        return after["code"].upper()
    if after["english"]:
        return _ENGLISH[after["english"].lower()]
    return _JAPANESE[after["japanese"]] if after["japanese"] else _SIGNS[after["sign"]]
