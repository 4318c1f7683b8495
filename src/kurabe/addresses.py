"""Things one types or dials: e-mail addresses, URLs, phone numbers and codes.

Knows no amounts. Every pattern is bounded, so that hostile text costs linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kurabe.money import CODES
from kurabe.patterns import Pattern
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
_EMAIL = Pattern(
    rf"(?<![a-z0-9._%+-])[a-z0-9_][a-z0-9._%+-]{{0,63}}@(?:{_LABEL}\.){{1,8}}[a-z]{{2,24}}(?![a-z0-9-])", _FLAGS
)
# Top-level names that people give without a scheme. Those that are English words count only with "www." or a path:
# "order.It" is a missing space.
_TOP = (
    "com|net|org|info|biz|edu|gov|int|io|dev|app|shop|store|online|site|blog|cloud|tech|museum|clinic|health|care|cafe"
    "|example|test|local|tokyo|osaka|ai|co|jp|uk|de|fr|eu|ca|au|nz|cn|kr|tw|nl|ch|se|dk|fi|pl|es|pt|br|mx|sg|hk|tv|ly|gg"
)
_TOP_WORDS = "is|it|at|in|so|to|be|me|my|no|us|am|as|by|do|la|id|ie"
_HOST = rf"(?:{_LABEL}\.){{1,8}}"
_PATH = r"(?::[0-9]{2,5})?(?:[/?#][a-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*)?"
_URL = Pattern(
    rf"(?<![a-z0-9@._/-])(?:(?P<scheme>https?://)(?:{_LABEL}\.){{0,8}}{_LABEL}{_PATH}"
    rf"|www\.{_HOST}[a-z]{{2,24}}(?![a-z0-9@-]){_PATH}"
    rf"|{_HOST}(?:{_TOP})(?![a-z0-9@-]|\.[a-z0-9]){_PATH}"
    rf"|{_HOST}(?:{_TOP_WORDS})(?=/[a-z0-9]){_PATH})",
    _FLAGS,
)


def _emails(text: str) -> Iterator[Span]:
    for match in _EMAIL.finditer(text) if "@" in text else ():
        yield Span("email", match.group().lower(), match.start(), match.end())


def _urls(text: str) -> Iterator[Span]:
    for match in _URL.finditer(text):
        address = _trim(match.group())
        host, slash, path = address[len(match["scheme"] or "") :].partition("/")
        value = (host.lower().removeprefix("www.") + slash + path).rstrip("/")
        yield Span("url", value, match.start(), match.start() + len(address))


def _trim(address: str) -> str:
    """Without the punctuation of the sentence around it; a closing bracket stays if it was opened inside."""
    closed = address.count(")") - address.count("(")
    end = len(address)
    while end and (address[end - 1] in ".,:;!?'\"]*_~" or (address[end - 1] == ")" and closed > 0)):
        end -= 1
        closed -= address[end] == ")"
    return address[:end]


# --- phones ----------------------------------------------------------------------------------------------------

_GAP = r"[ .-]?"
_PHONE = Pattern(
    # +1 800 555 0199; +81-3-1234-5678, +44 (0)20 7946 0958
    rf"(?<![0-9a-z+])(?P<number>\+1{_GAP}\(?[2-9][0-9]{{2}}\)?{_GAP}[0-9]{{3}}{_GAP}[0-9]{{4}}"
    rf"|\+[2-9][0-9]{{0,2}}{_GAP}(?:\(0\){_GAP})?\(?[0-9]{{1,4}}\)?(?:{_GAP}[0-9]{{2,4}}){{1,4}}"
    # (800) 555-0199, 800-555-0199, 1-800-555-0199, 800.555.0199
    rf"|(?:1{_GAP})?(?:\([2-9][0-9]{{2}}\)[ -]?|[2-9][0-9]{{2}}[ .-])[0-9]{{3}}[ .-][0-9]{{4}}"
    # 03-1234-5678, 0120-123-456; 03(1234)5678; 09012345678; 1-800-FLOWERS
    r"|0[0-9]{1,4}-[0-9]{1,4}-[0-9]{3,4}|0[0-9]{1,4}\([0-9]{1,4}\)[0-9]{3,4}|0[0-9]{9,10}"
    # 0800 555 019, 020 7946 0958
    r"|0(?=(?:[ ]?[0-9]){8,10}(?![ ]?[0-9]))[0-9]{1,4}(?:[ ][0-9]{2,6}){1,4}"
    r"|1-8[0-9]{2}-(?=[a-z0-9]{0,7}[a-z])[a-z0-9]{5,8})"
    r"(?![0-9]|(?!x[0-9]|ext)[a-z]|-[0-9])(?:,?\s?(?:ext\.?|extension|x|内線)\s?(?P<extension>[0-9]{1,5}))?",
    _FLAGS,
)
# Seven digits are a phone number where the words before say so, and with the exchange of invented numbers, 555.
_SHORT = Pattern(
    r"(?:(?:call|phone|dial|ring|tel|telephone|hotline|line|number|fax|text|at|on|電話|電話番号|番号|内線)"
    r"(?: us)?(?: at| on| is| no)?[.:は]?\s{0,2}(?P<called>[2-9][0-9]{2}[ .-][0-9]{4})"
    r"|(?<![0-9a-z〒.,-])(?P<invented>555-[0-9]{4}))(?![0-9a-z]|[ .-][0-9])",
    _FLAGS,
)
# Countries that put a 0 before the area code at home: +81 3 ... and 03 ... are one number.
_TRUNK_ZERO = ("353", "358", "886", "31", "32", "33", "41", "43", "44", "46", "49", "61", "64", "81", "82", "86", "91")
_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")


def _phones(text: str) -> Iterator[Span]:
    for match in _PHONE.finditer(text):
        number, extension = dialled(match["number"]), match["extension"]
        yield Span("phone", f"{number}x{extension}" if extension else number, match.start(), match.end())
    for match in _SHORT.finditer(text):
        group = "called" if match["called"] else "invented"
        yield Span("phone", dialled(match[group]), *match.span(group))


def dialled(number: str) -> str:
    """The digits as dialled at home: without +1, with the trunk zero of +81 and its like."""
    digits = re.sub(r"[^0-9]", "", number.replace("(0)", "").upper().translate(_KEYPAD))
    if number.startswith("+"):
        country = next((c for c in _TRUNK_ZERO if digits.startswith(c)), None)
        if country:
            return "0" + digits.removeprefix(country).removeprefix("0")
        if not digits.startswith("1"):
            return "+" + digits
    return digits[1:] if len(digits) == 11 and digits.startswith("1") else digits


# --- codes -----------------------------------------------------------------------------------------------------

_CODE = Pattern(
    r"(?<![A-Za-z0-9_@./-])(?=[0-9_-]{0,24}[A-Z])[A-Z0-9]{1,24}(?:[-_][A-Z0-9]{1,24}){0,6}"
    r"(?![A-Za-z0-9_@/]|-[A-Za-z0-9]|\.[A-Za-z0-9])",
    re.ASCII,
)
_IBAN = Pattern(
    r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ ][A-Z0-9]{4}){2,7}(?:[ ][A-Z0-9]{1,3})?(?![A-Za-z0-9])", re.ASCII
)
_NAMED_CODE = Pattern(
    r"(?:\b[Cc]odes?|\b[Cc]oupon|\b[Vv]oucher|[コこ]ード|クーポン|合言葉)(?: is| was|:|は|で|、)?\s?[\"'「『(]?"
    r"([A-Z][A-Z0-9]{2,23})(?![A-Za-z0-9_-])",
    re.ASCII,
)
_NO_CODE = Pattern(
    r"COVID-19|UTF-?(?:8|16|32)|ISO-[0-9]+|MP[34]|H26[45]|SHA-?(?:1|256|512)|RS232|1-8[0-9]{2}-[A-Z0-9]+"
    r"|[0-9]+(?:[KMGT]B|[KM]G|M?L|[CMK]M|[KMG]?HZ|KWH|MAH|AM|PM|HRS?|MIN|YEN)"
    rf"|(?:{'|'.join(CODES)})-?[0-9]+|[0-9]+(?:{'|'.join(CODES)})"
)


def _codes(text: str) -> Iterator[Span]:
    """Capitals with at least two digits: SAVE10, ORD-1234-A; and capitals that a word before calls a code."""
    for match in _CODE.finditer(text):
        code = match.group()
        letters, digits = sum(map(str.isalpha, code)), sum(map(str.isdigit, code))
        if (
            digits >= 2
            and len(code) >= 4
            and (letters >= 2 or (code[0].isalpha() and "-" in code))
            and not _NO_CODE.fullmatch(code)
        ):
            yield Span("code", code, match.start(), match.end())
    for match in _IBAN.finditer(text):
        yield Span("code", match.group().replace(" ", ""), match.start(), match.end())
    for match in _NAMED_CODE.finditer(text):
        yield Span("code", match.group(1), match.start(1), match.end(1))
