"""What an answer does as a whole: declines, says yes or no; and the language that a text is in.

Knows no facts. English and Japanese only; a sentence that it does not know declines nothing.
"""

from __future__ import annotations

import re
from typing import Literal

from kurabe.patterns import Pattern
from kurabe.spans import normalise

_FLAGS = re.ASCII | re.IGNORECASE


# --- declining -------------------------------------------------------------------------------------------------

_INFORMATION = r"(?:information|info|details?|data|knowledge|records?|facts?|answers?|specifics)"
_SOURCE = r"(?:facts?|data|information|texts?|context|documents?|prompt|notes|knowledge|list)"
_ADVERBS = r"(?:(?:currently|still|simply|just|really|actually|even|yet|unfortunately|also) ){0,2}"
_TELL = (
    r"(?:find|answer|tell you|say|provide|give you|locate|determine|confirm|share|be of help|recall"
    r"|help (?:you )?with (?:that|this)|see (?:any|that|it))\b"
)
# A policy is no refusal ("We don't have a minimum order"), so "we" declines only where it speaks of information.
_DECLINES_EN = (
    rf"\bI {_ADVERBS}(?:do not|don't|did not|didn't) {_ADVERBS}(?:know\b|have (?!to\b|a minimum)|possess\b|recall\b"
    r"|find (?:any|that|it|this)\b|see (?:any|that|it|this)\b)",
    rf"\bI {_ADVERBS}(?:can not|cannot|can't|could not|couldn't|won't be able to|am unable to|am not able to) {_TELL}",
    rf"\bI(?:'m| am) {_ADVERBS}(?:unable|not able) to {_TELL}",
    rf"\bI(?:'m| am) {_ADVERBS}not (?:sure|certain|aware|familiar)\b",
    rf"\bI {_ADVERBS}(?:have no|lack) (?:(?:the|this|that|any) )?(?:idea|way of knowing|{_INFORMATION})\b",
    rf"\bwe {_ADVERBS}(?:do not|don't) {_ADVERBS}have (?:(?:any|that|this|the|enough|more) )?{_INFORMATION}\b",
    rf"\bwe have no {_INFORMATION} (?:on|about)\b",
    rf"\b(?:there is|there's) no (?:mention|{_INFORMATION})\b",
    rf"\bno {_INFORMATION} (?:(?:is|was|are) )?(?:given|available|provided|found|about|on|regarding)\b",
    rf"\b(?:that|this|the|such) {_INFORMATION} (?:is|are)(?:n't| not) {_ADVERBS}(?:available|known|there|given)\b",
    r"\b(?:is|are|was|were)(?:n't| not) (?:(?:mentioned|specified|stated|listed|given|provided|included|contained) )?"
    rf"(?:in|by) (?:the|my|these|this) (?:\w+ )?{_SOURCE}\b",
    rf"\b{_SOURCE} (?:do not|don't|does not|doesn't) (?:mention|specify|state|say|include|contain)\b",
)
_SUBJECT = r"(?:情報|データ|回答|答え|資料|記録|詳細|知識)"
_DECLINES_JA = (
    r"(?:わか|分か|判)り(?:ません|かねます)(?!でしたら|場合|とき|時|方)",
    r"存じ(?:ません|上げません|ておりません)|知りません|把握して(?:い|おり)ません",
    r"(?:お答え|回答|お伝え|ご?案内|お教え|答えること)(?:は|が)?(?:でき(?:ません|かねます|ない)|(?:いた|致)?しかねます)",
    rf"{_SUBJECT}[がはをも](?:一切|現在|まだ|特に)?"
    r"(?:あり|ござい|持って(?:い|おり)|持ち合わせて(?:い|おり)|見つかり|見つけられ|含まれて(?:い|おり))ません",
    rf"{_SUBJECT}[がはをも]?(?:ない|無い|持っていない|見つからない|不足して|含まれていない)",
    r"(?:記載|記述|言及)(?:[がはも]?(?:あり|ござい)ません|されて(?:い|おり)ません|[がは]?(?:ない|されていない))",
    r"書かれて(?:い|おり)ません|(?:見つかり|確認(?:が)?でき)ませんでした(?!ら)|(?<!ご)不明です",
)
_DECLINES = Pattern("|".join(_DECLINES_EN), _FLAGS)
_DECLINES_JAPANESE = Pattern("|".join(_DECLINES_JA))


def is_refusal(text: str) -> bool:
    """Whether the answer says that it does not have what was asked: "I don't have that information", わかりません.

    A policy is no refusal: "We don't have a minimum order", "There is no fee", 手数料はありません.
    """
    plain = normalise(text).text
    return bool(_DECLINES.search(plain) or (not plain.isascii() and _DECLINES_JAPANESE.search(plain)))


# --- yes and no ------------------------------------------------------------------------------------------------

YesNo = Literal["yes", "no"]

_SUBJECTS = r"(?:we|you|it|they|there|i|that|this|of course|absolutely|sure|please|all|not|never|sir|madam)"
_OPENING = Pattern(
    r"\W{0,8}(?:(?P<yes>yes|yep|yeah)|(?P<no>no(?!\. ?[0-9])|nope))(?=\s{0,2}(?:[,.!;:)*]|-(?![A-Za-z])|$|\n)"
    rf"|\s+{_SUBJECTS}\b)"
    r"|[\s「\"'*]{0,8}(?:(?P<hai>はい|ええ)|(?P<iie>いいえ|いえ))(?=[、。,.!:\s」*]|$)",
    _FLAGS,
)
_YES_IN_OTHER_WORDS = Pattern(
    r"\W{0,8}(?:certainly|sure|absolutely|of course|definitely|indeed|that's right|correct)\b|\s{0,8}(?:もちろん|勿論)"
    r"|\W{0,8}(?:there (?:is|are)|(?:we|you|they|it) (?:can|may|do|does))\b(?!'| not\b| no\b| only\b)",
    _FLAGS,
)
_NO_IN_OTHER_WORDS = Pattern(
    r"\W{0,8}(?:unfortunately|sorry|i'm sorry|i'm afraid|not at all|never)\b|\s{0,8}(?:申し訳|あいにく|残念)"
    r"|\W{0,8}there (?:is|are) no\b"
    # Pets are not allowed, you can't: in the first clause only.
    r"|[^.!?,;:\n]{1,60}? (?:(?:do|does|is|are)(?:n't| not)|can(?:not|'t| not)|may not)\b",
    _FLAGS,
)
_JAPANESE_VERB = Pattern(  # it stands last, in the first sentence
    r"[^。!\n]{0,80}?(?:(?P<no>ません|できない|ではない|不可)|(?P<yes>できます|可能です|ございます|あります|大丈夫です|対応して))"
)


def opening(text: str) -> tuple[YesNo, int, int] | None:
    """The yes or no that a normalised text begins with, and its span."""
    match = _OPENING.match(text)
    name = match.lastgroup if match else None
    if not match or not name:
        return None
    return "yes" if name in ("yes", "hai") else "no", match.start(name), match.end(name)


def leaning(text: str) -> tuple[YesNo, int, int] | None:
    """Like `opening`, and where no such word stands there, what the first words amount to: Certainly, Unfortunately,
    We don't, できます, できません. Only a row that expects a yes or no asks for this."""
    said = opening(text)
    if said:
        return said
    no, yes = _NO_IN_OTHER_WORDS.match(text), _YES_IN_OTHER_WORDS.match(text)
    if no:
        return "no", no.start(), no.end()
    if yes:
        return "yes", yes.start(), yes.end()
    verb = None if text.isascii() else _JAPANESE_VERB.match(text)
    if not verb:
        return None
    return "no" if verb["no"] else "yes", verb.start(verb.lastgroup or 0), verb.end(verb.lastgroup or 0)


# --- language --------------------------------------------------------------------------------------------------

_JAPANESE = Pattern(r"[\u3041-\u30ff\u3400-\u9fff\uff66-\uff9d]")
_LATIN_WORD = Pattern(r"[A-Za-z]+")


def language_of(text: str) -> str:
    """ "ja" where Japanese characters outnumber Latin words, else "en"."""
    japanese = len(_JAPANESE.findall(text))
    return "ja" if japanese and japanese >= len(_LATIN_WORD.findall(text)) else "en"
