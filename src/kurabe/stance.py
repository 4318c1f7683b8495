"""What an answer does as a whole: declines, says yes or no; and the language that a text is in.

Knows no facts. English and Japanese only; a sentence that it does not know declines nothing.
"""

from __future__ import annotations

import re
from typing import Literal

from kurabe.spans import normalise

_FLAGS = re.ASCII | re.IGNORECASE
_ABOUT = r"(?:information|info|details?|data|knowledge|records?|facts?|answers?|specifics)"
_REFUSALS_EN = re.compile(
    r"\bI(?:'m| am)? ?(?:so |very |really )?(?:sorry|afraid)?,? ?(?:but )?(?:that )?(?:I )?(?:currently |still |simply |just |really )?(?:"
    r"(?:do not|don't|did not|didn't) (?:currently |yet |actually |really |even )?(?:have(?! to\b| a minimum)|know\b|see (?:any|that|it)\b|find\b|recall\b|possess)"
    r"|(?:can not|cannot|can't|could not|couldn't|won't|will not|am not able to|'m not able to|not able to|unable to|am unable to)"
    r" (?:be able to )?(?:find|answer|tell you|say|provide|give you|locate|determine|confirm|help (?:you )?with (?:that|this)|see (?:any|that|it)|share)"
    r"|have no (?:idea|way of knowing|" + _ABOUT + r")"
    r"|(?:am |'m )?not (?:sure|certain|aware|familiar)\b"
    r"|lack (?:the |this |that |any )?" + _ABOUT + r")"
    rf"|\bwe (?:do not|don't) (?:currently )?have (?:any |that |this |the |enough |more )?{_ABOUT}\b"
    rf"|\bwe have no {_ABOUT} (?:on|about)\b"
    rf"|\b(?:there is|there's) no (?:mention|{_ABOUT})\b"
    rf"|\bno {_ABOUT} (?:is |was |are )?(?:given|available|provided|found|about|on|regarding)\b"
    rf"|\b(?:that|this|the|such|requested|your) (?:requested )?(?:{_ABOUT}|question)?\s?(?:is|are|was|were)(?:n't| not) (?:currently )?"
    r"(?:available to me|known to me|(?:mentioned|specified|provided|included|stated|listed|given|covered|contained|available|there|found|part)"
    r" (?:of|in|by) (?:the|my|these|this|our|what) ?(?:\w+ )?(?:facts?|data|information|texts?|context|documents?|prompt|notes|knowledge|I))"
    rf"|\b(?:that|this|the|such) {_ABOUT} (?:is|are)(?:n't| not) (?:currently )?available\b"
    r"|\b(?:is|are)(?:n't| not) (?:mentioned|specified|stated|listed|given|provided|included) (?:in|by) (?:the|my|these|this) "
    r"(?:\w+ )?(?:facts?|data|information|texts?|context|documents?|prompt|notes)\b"
    r"|\bdo(?:es)?(?:n't| not) (?:mention|specify|state|say anything)\b",
    _FLAGS,
)
_SUBJECT_JA = r"(?:情報|データ|回答|答え|資料|記録|詳細|知識)"
_REFUSALS_JA = re.compile(
    r"(?:わか|分か|判)り(?:ません|かねます)(?!でしたら|場合|とき|時|方)|存じ(?:ません|上げません|ておりません)|知りません"
    r"|(?:お答え|回答|お伝え|ご案内|お教え|ご回答|答えることが)(?:は|が)?(?:でき(?:ません|かねます|ない)|いたしかねます|しかねます|致しかねます)"
    rf"|{_SUBJECT_JA}(?:が|は|を|も)(?:一切|現在|まだ|特に)?(?:あり|ござい|持って(?:い|おり)|持ち合わせて(?:い|おり)|見つかり|見つけられ|含まれて(?:い|おり))ません"
    rf"|{_SUBJECT_JA}(?:が|は|を|も)?(?:ない|ございませんでした|無い|持っていない|見つからない|不足して|含まれていない)"
    r"|(?:記載|記述|言及)(?:が|は|も)?(?:あり|ござい|されて(?:い|おり))ません|書かれて(?:い|おり)ません|(?:記載|記述)(?:が|は)?(?:ない|されていない)"
    r"|(?:手元|こちら|資料|データ)(?:に|には|では)[^。]{0,12}(?:ありません|ございません|わかりません|見つかりません)"
    r"|(?<!ご)不明です|確認(?:が)?できませんでした|見つかりませんでした|把握して(?:い|おり)ません"
)


def is_refusal(text: str) -> bool:
    """Whether the answer says that it does not have what was asked: "I don't have that information", わかりません.

    A policy is no refusal: "We don't have a minimum order", "There is no fee", 手数料はありません.
    """
    plain = normalise(text).text
    return bool(_REFUSALS_EN.search(plain) or (not plain.isascii() and _REFUSALS_JA.search(plain)))


_WE = r"(?:we|you|it|they|there|i|that|this|of course|absolutely|sure|please|all|not|never|sir|madam)"
_OPENING = re.compile(
    rf"\W*(?:(?P<yes>yes|yep|yeah)|(?P<no>no(?!\. ?[0-9])|nope))(?=\s*(?:[,.!;:)*-]|$|\n)|\s+{_WE}\b)"
    r"|\s*[「\"'*]*(?:(?P<hai>はい|ええ)|(?P<iie>いいえ|いえ))(?=[、。,.!！:\s」*]|$)",
    _FLAGS,
)
_YES_AT_START = re.compile(
    r"\W*(?:certainly|sure|absolutely|of course|definitely|indeed|that's right|correct)\b|\s*(?:もちろん|勿論)", _FLAGS
)
_NO_AT_START = re.compile(
    r"\W*(?:unfortunately|sorry|i'm sorry|i'm afraid|not at all|never)\b|\s*(?:申し訳|あいにく|残念)"
    r"|\W*(?:we|you|it|they|that|this)(?: \w+)? (?:do not|don't|does not|doesn't|cannot|can't|can not|is not|isn't|are not|aren't|may not)\b",
    _FLAGS,
)
_FIRST_SENTENCE = 80  # characters in which the Japanese verb, which stands last, must come
_JA_VERB = re.compile(
    r"[^。！!\n]{0,%d}?(?:(?P<no>ません|できない|ではない|不可)|(?P<yes>できます|可能です|ございます|あります|大丈夫です|対応して(?:い|おり)ます))"
    % _FIRST_SENTENCE
)

YesNo = Literal["yes", "no"]


def opening(text: str) -> tuple[YesNo, int, int] | None:
    """The yes or no that a normalised text begins with, and its span."""
    match = _OPENING.match(text)
    if not match:
        return None
    name = match.lastgroup
    assert name
    return "yes" if name in ("yes", "hai") else "no", match.start(name), match.end(name)


def leaning(text: str) -> tuple[YesNo, int, int] | None:
    """Like `opening`, and where no such word stands there, what the first words amount to: Certainly, Unfortunately,
    We don't, できます, できません. Only a row that expects a yes or no asks for this."""
    said = opening(text)
    if said:
        return said
    match = _NO_AT_START.match(text)
    if match:
        return "no", match.start(), match.end()
    match = _YES_AT_START.match(text)
    if match:
        return "yes", match.start(), match.end()
    match = None if text.isascii() else _JA_VERB.match(text)
    if match and match.lastgroup:
        return "no" if match.lastgroup == "no" else "yes", match.start(match.lastgroup), match.end(match.lastgroup)
    return None


_JAPANESE = re.compile(r"[\u3041-\u30ff\u3400-\u9fff\uff66-\uff9d]")
_LATIN_WORD = re.compile(r"[A-Za-z]+")


def language_of(text: str) -> str:
    """ "ja" where Japanese characters outnumber Latin words, else "en"."""
    japanese = len(_JAPANESE.findall(text))
    return "ja" if japanese and japanese >= len(_LATIN_WORD.findall(text)) else "en"
