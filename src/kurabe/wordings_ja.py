"""What a Japanese question asks, read from its ending: a topic, a thing to do, a situation, a clause.

It knows no frames and no facts. A question that it can't read surely is left alone: silence is better than bad grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Shape(NamedTuple):
    """One reading of a question: the name of a set of frames and what fills their places."""

    name: str
    slots: dict[str, str]


_ASKING = r"(?:何|いくら|いくつ|いつ|どこ|だれ|誰|どなた|どれ|どの|どちら|どんな|どう|なぜ|おいくら)"
# What is asked of a topic, as a noun: 何時から何時まで, どのくらい, どんなもの.
_ASKED = rf"{_ASKING}(?:[一-鿿ァ-ヶー0-9%％]|から|まで|くらい|ぐらい|ごろ|もの|こと|いう|{_ASKING})*"
# Endings that all mean "how should I do it?".
_GOOD = r"(?:よい|いい|良い)"
_HOW = rf"(?:どうすれば|どうしたら|どのようにすれば){_GOOD}(?:です|でしょう)か"
_TELL = (
    r"(?:教えて(?:ください|下さい|いただけますか|もらえますか|ほしいです|くださいませんか)?"
    r"|お?聞かせてください|知りたい(?:です|のですが)?)"
)
_WISH = r"(?:です|のですが|んですが|んですけど)"
# Adjectives in -i that questions end with; other words in -i may be nouns (支払い, 違い).
_ADJECTIVE = (
    rf"(?:高い|安い|早い|速い|遅い|近い|遠い|広い|長い|短い|大きい|小さい|多い|少ない|難しい|新しい|古い"
    rf"|ない|たい|{_GOOD})"
)
_NOUN_END = re.compile(r"(?:[一-鿿々ァ-ヶー%％]|まで|から|くらい|ぐらい|だめ|だけ|など|もの|こと|ところ)$")
_VERB_END = "うくぐすつぬぶむる"
# Stems in the i-row of verbs that still take る; 人はいます and 開いています have the same い.
_ICHIDAN = re.compile(
    r"(?:でき|出来|起き|借り|降り|足り|過ぎ|すぎ|生き|落ち|閉じ|感じ|信じ|浴び|伸び|用い|[てではがもに人名匹]い|見|着|煮|似|居|来)$"
)
_HONORIFIC = re.compile(r"(?:いらっしゃい|なさい|おっしゃい|くださ?い|下さい)$")
_GODAN = str.maketrans("きぎしちにびみりい", "くぐすつぬぶむるう")
_E_ROW = "えけげせぜてでねへべぺめれ"
# Stems in し that are 話す, 返す ... and not a compound with する (電話する, 返品する).
_SU = re.compile(
    r"(?<![一-鿿])(?:話|返|渡|直|押|探|残|示|写|移|貸|出|回|通|試|足|戻|消|壊|外|離|致)し$|(?:過ご|起こ|いた|り出|ち出|し出|り消)し$"
)


def shapes(question: str) -> Iterator[Shape]:
    """The readings of the question, the most special one first; none where no ending fits."""
    text = _plain(question)
    if text is None:
        return
    for pattern, read in _READERS:
        match = pattern.fullmatch(text)
        if match:
            shape = read(match)
            if shape:
                yield shape
                return


def _plain(question: str) -> str | None:
    """One sentence without its mark; None where there is more than that."""
    text = re.sub(r"\s+", "", question).rstrip("?？。!！．.")
    text = re.sub(r"^(?:すみません|こんにちは|はじめまして|失礼します)[、。!！]?", "", text)
    return text if text and not re.search(r"[?？。!！「」『』:：]", text) and len(text) <= 60 else None


def dictionary_form(stem: str) -> str:
    """返品し -> 返品する, 使え -> 使える, 行き -> 行く; "" where the stem is not a verb's."""
    if stem.endswith("ござい"):
        return stem[:-3] + "ある"
    if _HONORIFIC.search(stem):
        return stem[:-1] + "る"
    if _ICHIDAN.search(stem) or (stem and stem[-1] in _E_ROW):
        return stem + "る"
    if stem.endswith("てき"):
        return stem[:-1] + "くる"
    if stem.endswith("し") and not _SU.search(stem):
        return stem[:-1] + "する"
    return stem[:-1] + stem[-1].translate(_GODAN) if stem and stem[-1] in "きぎしちにびみりい" else ""


def _is_topic(x: str) -> bool:
    """Whether `x` is surely one noun phrase."""
    return bool(x) and not re.search(
        r"[をがは、]|[てでとにへも]$|(?:ます|です|ました|たい|ので|から|まで|には|では)$", x
    )


def _topic(match: re.Match[str]) -> Shape | None:
    return Shape("topic", {"x": match["x"]}) if _is_topic(match["x"]) else None


def _asked(match: re.Match[str]) -> Shape | None:
    """送料はいくらですか: the topic and what is asked of it."""
    return Shape("asked", {"x": match["x"], "i": match["i"]}) if _is_topic(match["x"]) else None


def _how(match: re.Match[str]) -> Shape | None:
    """返品するには / 返品は / 壊れていたら どうすればよいですか."""
    before = match["before"]
    action = re.fullmatch(rf"(?P<v>.*[{_VERB_END}])(?:に|のに)は、?", before)
    if action:
        return Shape("how_to", {"v": action["v"]})
    if re.search(r"(?:たら|だら|なら|場合は|場合には|ときは|時は|際は)、?$", before):
        return Shape("situation", {"s": before})
    noun = re.fullmatch(r"(?P<x>.+?)(?:は|には|について)、?", before)
    return Shape("how_about", {"x": noun["x"]}) if noun and _is_topic(noun["x"]) else None


def _method(match: re.Match[str]) -> Shape | None:
    """返品する方法を教えてください / 返品の方法を教えてください."""
    if match["x"].endswith("の"):
        x = match["x"][:-1]
        return Shape("how_about", {"x": x}) if _is_topic(x) else None
    return Shape("how_to", {"v": match["x"]}) if match["x"][-1] in _VERB_END else None


def _how_can(match: re.Match[str]) -> Shape | None:
    """どうすれば返品できますか: できる becomes する."""
    return Shape("how_to", {"v": match["v"] + "する"}) if match["v"][-1] not in "をがはもに" else None


def _wish(match: re.Match[str]) -> Shape | None:
    """返品したいです: a thing to do, unless it is knowing or asking."""
    stem = match["stem"]
    if re.search(r"、|ます|です|ました|(?:知り|聞き|伺い|尋ね)$", stem):
        return None
    plain = dictionary_form(stem)
    return Shape("want", {"v": plain}) if plain else None


def _situation(match: re.Match[str]) -> Shape:
    return Shape("situation", {"s": match["s"]})


def _verb(match: re.Match[str]) -> Shape | None:
    """何時に開きますか -> 何時に開く; a request (…もらえますか) is a question too."""
    plain = dictionary_form(match["stem"])
    return _clause(plain, plain) if plain else None


def _predicate(match: re.Match[str]) -> Shape | None:
    """予約は必要ですか -> 予約は必要; an adjective in -i needs no な."""
    said = match["said"]
    if said.endswith("何"):
        return None  # 何か would be "something"
    if re.search(rf"{_ADJECTIVE}$", said):
        return _clause(said, said)
    # 駅から何分か is a question; いつか, いくらか would be "some time", "some".
    whole = re.search(r"[はがも]", said) or (re.search(_ASKING, said) and not re.search(rf"{_ASKING}$", said))
    return _clause(said, said + "な") if _NOUN_END.search(said) and whole else None


def _clause(asked: str, said: str) -> Shape:
    """With a question word a clause ends in か, without one in かどうか; 誰でも and いつでも ask nothing."""
    ending = "か" if re.search(rf"{_ASKING}(?!でも)", asked) else "かどうか"
    return Shape("clause", {"c": asked + ending, "p": said})


_READERS = tuple(
    (re.compile(pattern), read)
    for pattern, read in (
        (rf"(?P<before>.+?){_HOW}", _how),
        (r"(?:どうすれば|どうしたら|どのようにすれば)、?(?P<v>.+)できます(?:か|でしょうか)", _how_can),
        (r"(?P<s>.+(?:たら|だら|場合は|場合には|ときは|際は)、?)どうしますか", _situation),
        (r"(?P<s>.+(?:場合|とき))は", lambda m: Shape("situation", {"s": m["s"] + "は"})),
        (rf"(?P<x>.+?)(?:方法|手順|やり方|仕方)(?:を|について|は){_TELL}?", _method),
        (rf"(?P<x>.+?)(?:について|に関して|のことを|を|が)、?{_TELL}", _topic),
        (rf"(?P<stem>.+?)たい{_WISH}", _wish),
        (rf"(?P<x>.+?)(?:は|って)、?(?P<i>{_ASKED})(?:です|でしょう)か", _asked),
        (r"(?P<x>.+?)は", _topic),
        (r"(?P<stem>.+?)ます(?:か|でしょうか)", _verb),
        (r"(?P<said>.+?)(?:です|でしょう)か", _predicate),
    )
)
