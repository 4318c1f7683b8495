"""Things one types or dials: e-mail addresses, URLs, phone numbers and codes.

Knows no amounts. Every pattern is bounded, so that hostile text costs linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kurabe.spans import Span

_FLAGS = re.ASCII | re.IGNORECASE


def find_addresses(text: str) -> Iterator[Span]:
    """E-mails, URLs, phones and codes of a normalised text; readings may overlap, the longest is the best."""
    yield from _emails(text)
    yield from _urls(text)
    yield from _phones(text)
    yield from _codes(text)


# --- e-mails and URLs ------------------------------------------------------------------------------------------

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(
    rf"(?<![a-z0-9._%+-])[a-z0-9_][a-z0-9._%+-]{{0,63}}@(?:{_LABEL}\.){{1,8}}[a-z]{{2,24}}(?![a-z0-9-])", _FLAGS
)
# Top-level names that people give without a scheme. Those that are English words count only with "www." or a path:
# "order.It" is a missing space.
_TOP = (
    "com|net|org|info|biz|edu|gov|int|io|dev|app|shop|store|online|site|blog|cloud|tech|museum|clinic|health|care|cafe"
    "|example|test|local|tokyo|osaka|ai|co|jp|uk|de|fr|eu|ca|au|nz|cn|kr|tw|nl|ch|se|dk|fi|pl|es|pt|br|mx|sg|hk|tv|ly|gg|cc"
)
_TOP_WORDS = "is|it|at|in|so|to|be|me|my|no|us|am|as|by|do|la|id|ie"
_PATH = r"(?::[0-9]{2,5})?(?:[/?#][a-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*)?"
_URL = re.compile(
    rf"(?<![a-z0-9@._/-])(?:https?://(?:{_LABEL}\.){{0,8}}{_LABEL}{_PATH}"
    rf"|www\.(?:{_LABEL}\.){{1,8}}[a-z]{{2,24}}(?![a-z0-9@-]){_PATH}"
    rf"|(?:{_LABEL}\.){{1,8}}(?:{_TOP})(?![a-z0-9@-]|\.[a-z0-9]){_PATH}"
    rf"|(?:{_LABEL}\.){{1,8}}(?:{_TOP_WORDS})(?=/[a-z0-9]){_PATH})",
    _FLAGS,
)


def _emails(text: str) -> Iterator[Span]:
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield Span("email", match.group().lower(), match.start(), match.end())


def _urls(text: str) -> Iterator[Span]:
    for match in _URL.finditer(text):
        address = _trim(match.group())
        bare = re.sub(r"^https?://", "", address, flags=re.IGNORECASE)
        host, slash, path = bare.partition("/")
        value = (host.lower().removeprefix("www.") + slash + path).rstrip("/")
        yield Span("url", value, match.start(), match.start() + len(address))


def _trim(address: str) -> str:
    """Without the punctuation of the sentence around it; a closing bracket stays if it was opened inside."""
    opened = address.count("(") - address.count(")")
    while address and (address[-1] in ".,:;!?'\"]*_~" or (address[-1] == ")" and opened < 0)):
        opened += address[-1] == ")"
        address = address[:-1]
    return address


# --- phones ----------------------------------------------------------------------------------------------------

_GAP = r"[ .-]?"
_PHONE = re.compile(
    # +1 800 555 0199, +81-3-1234-5678, +44 (0)20 7946 0958
    rf"(?<![0-9a-z+])(?:\+1{_GAP}\(?[2-9][0-9]{{2}}\)?{_GAP}[0-9]{{3}}{_GAP}[0-9]{{4}}"
    rf"|\+[2-9][0-9]{{0,2}}{_GAP}(?:\(0\){_GAP})?\(?[0-9]{{1,4}}\)?(?:{_GAP}[0-9]{{2,4}}){{1,4}}"
    # (800) 555-0199, 800-555-0199, 1-800-555-0199, 800.555.0199
    rf"|(?:1{_GAP})?(?:\([2-9][0-9]{{2}}\)[ -]?|[2-9][0-9]{{2}}[ .-])[0-9]{{3}}[ .-][0-9]{{4}}"
    # 03-1234-5678, 0120-123-456, 03(1234)5678, 09012345678
    r"|0[0-9]{1,4}-[0-9]{1,4}-[0-9]{3,4}|0[0-9]{1,4}\([0-9]{1,4}\)[0-9]{3,4}|0[0-9]{9,10}"
    # 1-800-FLOWERS
    r"|1-8[0-9]{2}-(?=[A-Z0-9]*[A-Z])[A-Z0-9]{5,8})"
    r"(?![0-9]|[a-z](?!xt)|-[0-9])(?:,?\s?(?:ext\.?|extension|内線)\s?([0-9]{1,5}))?",
    _FLAGS,
)
_SHORT = re.compile(
    r"(?:call|phone|dial|ring|tel|telephone|hotline|line|number|fax|text|at|on|電話|TEL|電話番号|番号|内線)"
    r"(?: us)?(?: at| on| is| no)?[.:は]?\s{0,2}([2-9][0-9]{2}[ .-][0-9]{4})(?![0-9]|[ .-][0-9])",
    _FLAGS,
)
_SEVEN = re.compile(r"(?<![0-9a-z〒.,-])(555-[0-9]{4})(?![0-9a-z]|-[0-9])", _FLAGS)  # the exchange of invented numbers
# Countries that put a 0 before the area code at home: +81 3 ... and 03 ... are one number.
_TRUNK_ZERO = ("81", "44", "49", "33", "61", "82", "31", "41", "46", "32", "43", "86", "64", "91", "353", "358", "886")


def _phones(text: str) -> Iterator[Span]:
    for match in _PHONE.finditer(text):
        extension = match.group(1)
        number = text[match.start() : match.start(1)] if extension else match.group()
        yield Span("phone", _dialled(number) + (f"x{extension}" if extension else ""), match.start(), match.end())
    for pattern in (_SHORT, _SEVEN):
        for match in pattern.finditer(text):
            yield Span("phone", _dialled(match.group(1)), match.start(1), match.end(1))


_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")


def _dialled(number: str) -> str:
    """The digits as dialled at home: without +1, with the trunk zero of +81 and its like."""
    number = re.split(r"ext|内線", number, flags=re.IGNORECASE)[0].replace("(0)", "")
    digits = re.sub(r"[^0-9]", "", number.upper().translate(_KEYPAD))
    if number.lstrip().startswith("+"):
        country = next((c for c in _TRUNK_ZERO if digits.startswith(c)), None)
        if country:
            return "0" + digits[len(country) :].removeprefix("0")
        if not digits.startswith("1"):
            return "+" + digits
    return digits[1:] if len(digits) == 11 and digits.startswith("1") else digits


# --- codes -----------------------------------------------------------------------------------------------------

_CODE = re.compile(
    r"(?<![A-Za-z0-9_@./-])[A-Z0-9]{1,24}(?:[-_][A-Z0-9]{1,24}){0,6}(?![A-Za-z0-9_@/]|-[A-Za-z0-9]|\.[A-Za-z0-9])",
    re.ASCII,
)
_NAMED_CODE = re.compile(
    r"(?:\b[Cc]odes?|\b[Cc]oupon|\b[Vv]oucher|[コこ]ード|クーポン|合言葉)(?: is| was|:|は|で|、)?\s?[\"'「『(]?([A-Z][A-Z0-9]{2,23})(?![A-Za-z0-9_-])",
    re.ASCII,
)
_NO_CODE = frozenset("COVID-19 UTF-8 UTF-16 UTF8 ISO-8601 MP3 MP4 H264 SHA-256 SHA256 SHIFT-JIS RS232".split())
_UNIT_AFTER = re.compile(
    r"[0-9]+(?:GB|MB|TB|KB|KG|MG|ML|CM|MM|KM|HZ|KHZ|MHZ|GHZ|KWH|MAH|AM|PM|HRS?|MIN|USD|EUR|GBP|JPY|YEN)"
)
_MONEY_CODE = re.compile(r"(?:USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|CNY|SEK|NOK|DKK|INR|KRW)-?[0-9]+")


def _codes(text: str) -> Iterator[Span]:
    for match in _CODE.finditer(text):
        code = match.group()
        letters, digits = sum(map(str.isalpha, code)), sum(map(str.isdigit, code))
        if letters < 1 or digits < 2 or len(code) < 4 or code in _NO_CODE:
            continue
        if letters < 2 and "-" not in code:
            continue
        if _UNIT_AFTER.fullmatch(code) or _MONEY_CODE.fullmatch(code) or re.fullmatch(r"1-8\d\d-[A-Z0-9]+", code):
            continue
        yield Span("code", code, match.start(), match.end())
    for match in _NAMED_CODE.finditer(text):
        yield Span("code", match.group(1), match.start(1), match.end(1))
