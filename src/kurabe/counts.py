"""Things counted at a number: items, countries, people, measures, any English plural and the common Japanese counters.

Knows no money and no time. Numbers that name something (room 12, step 3, the 2nd floor) count nothing.
"""

from __future__ import annotations

import re

from kurabe.numerals import Numeral, Reading
from kurabe.patterns import Pattern

_FLAGS = re.ASCII | re.IGNORECASE

# Words that mean one and the same thing counted. Two counts with units from this table differ when the units do;
# a noun that is not in it may stand for any other (12 galleries, 12 rooms): the number is what is checked.
_GROUPS = {
    "item": "item product piece unit article", "country": "country nation", "person": "person people",
    "year_old": "", "time": "time", "page": "page", "point": "point",
    "kg": "kg kilo kilogram", "g": "g gram", "mg": "mg milligram", "lb": "lb", "oz": "oz ounce",
    "km": "km kilometer kilometre", "m": "m meter metre", "cm": "cm centimeter centimetre", "mm": "mm",
    "mile": "mile", "ft": "ft foot feet", "inch": "inch", "l": "l liter litre", "ml": "ml",
    "gb": "gb gigabyte", "mb": "mb megabyte", "tb": "tb", "mbps": "mbps", "gbps": "gbps", "fps": "fps", "rpm": "rpm",
    "degree": "°c °f ° degree", "kcal": "kcal", "w": "watt", "v": "volt", "mah": "mah", "kwh": "kwh",
}  # fmt: skip
_GROUP_OF = {word: group for group, words in _GROUPS.items() for word in words.split()}
TABLE = frozenset(_GROUPS)
_ONE_LETTER = frozenset(["g", "m", "l"])  # a unit only at once and in small letters: 5G, 5M and "5 good m" are none


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Nouns that may follow a number written as a word ("two guests"), beside the table's; with digits any plural may.
_COMMON = _words(
    "order parcel package box bag ticket guest visitor adult child seat room location store branch shop size colour "
    "color copy sample session lesson visit tablet capsule dose photo document form gallery exhibit floor table model "
    "attempt language plan device user account employee team member student class course night set pair bottle card "
    "meal bike bicycle book"
)
_NOT_COUNTED = _words(
    "steps ways reasons tips things rules parts facts questions costs takes gets includes has is was does means starts "
    "ends opens closes comes goes gives allows ships arrives expires applies covers offers needs requires runs lasts "
    "stays works contains adds makes leaves lets as its this thus plus yes us versus always sometimes less across "
    "pays saves receives perhaps besides towards afterwards ones ms hours days weeks months years minutes seconds"
)
_FUNCTION_WORDS = _words(
    "a an the of in on at to for and or with by per from is are was were be been has have had does do did will would "
    "can could may might must shall should not no if when where while as than then that this these those it its we you "
    "they he she i our your their his her my me us them but so because each every all any until before after within "
    "also only just about please"
)
_IRREGULAR = _words("people children men women feet")
_AGE = Pattern(r"[ -]years?[ _-]olds?\b|[ ]years? of age\b|[ ](?:or|and)[ ](?:older|younger)\b|\s?[歳才](?!月)", _FLAGS)
# Children under 6, ages 7-12, the minimum age is 16: where no unit follows.
_AGE_BEFORE = Pattern(
    r"(?:\b(?:aged?|ages|age[ ](?:of|is|limit is))"
    r"|\b(?:children|kids|adults|seniors|youths|anyone|everyone|those)[ ](?:under|over|below|above|up to|from|between)"
    r"|\b(?:people|visitors|guests|pupils|students)[ ](?:under|over|below|above)):?[ ]$",
    _FLAGS,
)
# Groups of six or more, a party of 8: people and things that come together are counted without their noun.
_GROUP_BEFORE = Pattern(
    r"\b(?:groups?|part(?:y|ies)|teams?|families|classes|packs?|box(?:es)?|sets?|bundles?) of "
    r"(?:about |around |at least |more than |over |up to |between )?$",
    _FLAGS,
)
_UNIT_AFTER = Pattern(r"[ ]?(?:-|to)[ ]?[0-9]{1,3}[ ](?:years?|months?|weeks?)", _FLAGS)  # that is a length of time
_WORD = r"([A-Za-z°]+(?:-[A-Za-z]+)?)"
_NOUNS = Pattern(
    rf"(?:\+|\s(?:or more|and more|plus|or above))?(?P<gap>[ -]?){_WORD}(?:[ -]{_WORD})?(?:[ ]{_WORD})?", _FLAGS
)

_PLAIN_COUNTERS = (
    "枚 冊 箱 袋 セット 件 拠点 色 席 文字 桁 杯 泊 棟 頭 匹 羽 粒 錠 束 巻 試合 館 曲 話 校 缶 "
    "階建て コース クラス フロア レーン"
)
# Counters and what may not follow them, for they are also parts of words: 3本 but not 3本店, 3点 but not 3点検.
_COUNTERS = {
    "item": "個(?![人別室性数月])|点(?![検数滴灯])|品目|品(?![質番名切])|つ",
    "country": "[かヶカヵケ箇]国(?!語)|国(?![際内外民籍産家立語])",
    "person": "名様|名(?![前称古義刺])|人様|人(?![気間数材件口形物目工])",
    "time": "回(?![線答収復])", "page": "ページ|頁", "point": "ポイント|pt(?![a-z])", "degree": "度(?![目合数])",
    "kg": "キログラム|キロ(?!メートル)", "km": "キロメートル", "mg": "ミリグラム", "g": "グラム",
    "cm": "センチメートル|センチ", "mm": "ミリメートル", "ml": "ミリリットル", "l": "リットル", "m": "メートル",
    "本": "本(?![社店日館人当体来部格州])", "台": "台(?![風所数湾])", "着": "着(?![払荷用信替物日])",
    "足": "足(?![りをす])",
    "店舗": "店舗|店(?!長)", "種類": "種類|種(?![別々])", "部": "部(?![屋分門品署])", "口": "口(?![座コ])",
    "通": "通(?![常知話販貨信路訳帳りう])", "室": "室(?![内温])|部屋", "組": "組(?![みま合])", "両": "両(?![方親側替])",
    "か所": "[かヶカヵケ箇]所", "言語": "[かヶカヵケ箇]?国語(?![辞科])|言語",
    "食": "食(?![品事堂費料器用後前パ])", "便": "便(?![利器箋り所])", "社": "社(?![員長会内団宅])",
    **{word: word for word in _PLAIN_COUNTERS.split()},
}  # fmt: skip
_COUNTER_NAMES = tuple(_COUNTERS)
_COUNTER = Pattern(r"\s?(?:" + "|".join(f"({pattern})" for pattern in _COUNTERS.values()) + ")")
_GOODS = Pattern("商品|製品|アイテム")  # at once: "1 商品を選ぶ" is a list
# 1人200円, 1回50分, 1点につき: a rate, whose 1 nobody has to repeat; but 1泊2日 and 1泊2食.
_PER_ONE = Pattern(r"につき|あたり|当たり|当り|ごと|毎|[のは]?(?:最大|最長)?[0-9一二三四五六七八九十](?![日食])")
_COUNTED_BY_ONE = _words("枚 冊 台 箱 袋 泊 杯 組 セット")  # 一人, 一つ, 一度, 一部 are words more often than counts


def read_count(text: str, numeral: Numeral) -> Reading | None:
    """What this number counts, None where it counts nothing."""
    age = _AGE.match(text, numeral.end)
    if age:
        return Reading("count", "year_old", numeral.start, age.end())
    goods = _GOODS.match(text, numeral.end)
    if goods:
        return Reading("count", "item", numeral.start, goods.end())
    counter = _COUNTER.match(text, numeral.end)
    if counter:
        name = _COUNTER_NAMES[(counter.lastindex or 1) - 1]
        if text[numeral.start : numeral.end] == "一" and name not in _COUNTED_BY_ONE:
            return None
        if numeral.value == 1 and _PER_ONE.match(text, counter.end()):
            return None
        return Reading("count", name, numeral.start, counter.end())
    if _labelled(text, numeral) or (numeral.form == "words" and numeral.value == 1):
        return None  # "one order" is hardly ever a count; `seek` finds it where a count of 1 is expected
    return _read_english(text, numeral) or _read_age(text, numeral) or _read_group(text, numeral)


def _read_age(text: str, numeral: Numeral) -> Reading | None:
    before = _AGE_BEFORE.search(text[max(0, numeral.start - 40) : numeral.start])
    if not before or numeral.value > 120 or _UNIT_AFTER.match(text, numeral.end):
        return None
    return Reading("count", "year_old", numeral.start, numeral.end, prefix=True)


def _read_group(text: str, numeral: Numeral) -> Reading | None:
    before = _GROUP_BEFORE.search(text[max(0, numeral.start - 24) : numeral.start])
    if not before or numeral.value != int(numeral.value) or text[numeral.end : numeral.end + 1].isalpha():
        return None
    return Reading("count", "", numeral.start, numeral.end, prefix=True)


def _read_english(text: str, numeral: Numeral) -> Reading | None:
    """The first noun of "3 items", "3 free samples", "20 small business customers"."""
    match = _NOUNS.match(text, numeral.end)
    if not match:
        return None
    for place, word in enumerate(match.groups()[1:]):
        if word is None or word.lower() in _FUNCTION_WORDS or word.lower() in _NOT_COUNTED:
            return None
        unit = _unit(word.lower(), words=numeral.form == "words")
        if unit in _ONE_LETTER and len(word) == 1 and (place or not word.islower()):
            return None
        if unit and (place < 2 or unit in TABLE):
            return Reading("count", unit, numeral.start, match.end(place + 2))
        if not match["gap"]:
            return None  # 4K video
    return None


def _unit(word: str, *, words: bool) -> str | None:
    """The unit that an English noun stands for; None where it is no plural and in no table."""
    single = word if word in _GROUP_OF else _singular(word)
    if single in _GROUP_OF:
        return _GROUP_OF[single]
    if single in _COMMON:
        return single
    plural = word in _IRREGULAR or (word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3)
    return single if plural and not words else None


def _singular(word: str) -> str:
    if word == "children":
        return "child"
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


# --- numbers that count nothing --------------------------------------------------------------------------------

_ORDINAL_AFTER = Pattern(
    r"(?:st|nd|rd|th)\b|番|号|位|階(?!建て)|級|丁目|条|章|(?:[\u4e00-\u9fff]{1,3}|つ|[かヶカ][月国])目(?![安的標次録])",
    _FLAGS,
)
_SET_PHRASE = Pattern(
    r"24[ -]?hours? (?:a|per|each|every) day|24 hours[,/]? 7 days|(?:7|seven) days (?:a|per|each|every) week"
    r"|24時間(?:対応|受付|受け付け|営業|年中|サポート|利用|体制|いつでも|使え|開い|ご(?!と)|お電話|お問|[・、,]?\s?365)|365日"
    r"|十分(?![以間前後程ほく])|[一1][日年]中|一時(?!間)",
    _FLAGS,
)
_LABEL_BEFORE = Pattern(
    r"\b(?:option|step|plan|level|room|gate|floor|section|page|chapter|type|class|phase|stage|zone|figure|table|no\.?"
    r"|number|version|article|suite|apartment|unit|building|hall|window|counter|line|track|platform|terminal|aisle"
    r"|route|bus|year|grade|tier|desk|priority|windows|ios|android|iphone)\s$|#$",
    _FLAGS,
)
_LIST_MARK = Pattern(r"[.):]\s|[.)](?=[^0-9\s])")
_LINE_START = Pattern(r"(?:^|[\n.!?。])[ \t(*#-]*$")


def is_no_amount(text: str, numeral: Numeral) -> bool:
    """Whether the number is an ordinal (the 2nd, 3番, 第3回) or part of a set phrase (24 hours a day, 十分)."""
    ordinal = (
        _ORDINAL_AFTER.match(text, numeral.end) or text[max(0, numeral.start - 2) : numeral.start].rstrip()[-1:] == "第"
    )
    return bool(ordinal or _SET_PHRASE.match(text, numeral.start))


def is_label(text: str, numeral: Numeral) -> bool:
    """Whether the number names something (room 12, step 3, the 2nd, "1." in a list) instead of telling how many."""
    before = text[max(0, numeral.start - 8) : numeral.start]
    in_list = _LIST_MARK.match(text, numeral.end) and _LINE_START.search(before)
    return bool(in_list) or _labelled(text, numeral) or is_no_amount(text, numeral)


def _labelled(text: str, numeral: Numeral) -> bool:
    return _LABEL_BEFORE.search(text[max(0, numeral.start - 12) : numeral.start]) is not None
