"""Units that stand at a number: currencies, lengths of time, per cent, things counted, in English and Japanese.

Knows one number at a time; ranges and enumerations are `quantities.py`'s.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from kurabe.numerals import KANJI_NUMBER, Numeral, kanji_value
from kurabe.schema import FactKind

_FLAGS = re.ASCII | re.IGNORECASE


class Reading(NamedTuple):
    """What a number is a number of. The value is number x factor + plus, in `unit`; the span covers the unit."""

    kind: FactKind
    unit: str
    start: int
    end: int
    factor: Decimal = Decimal(1)
    plus: Decimal = Decimal(0)
    prefix: bool = False  # the unit stands before the number


def read(text: str, numeral: Numeral) -> Reading | None:
    """The unit at this number, None where there is none, or where the number is an ordinal, a label or a set phrase."""
    if _ORDINAL_AFTER.match(text, numeral.end) or _ORDINAL_BEFORE.search(
        text[max(0, numeral.start - 2) : numeral.start]
    ):
        return None
    if _SET_PHRASE.match(text, numeral.start):
        return None
    money = _money(text, numeral)
    if money:
        return money
    percentage = _percentage(text, numeral)
    if percentage or numeral.form == "comma":
        return percentage
    return _duration(text, numeral) or _count(text, numeral)


_ORDINAL_AFTER = re.compile(
    r"(?:st|nd|rd|th)\b|番|号|位|階|級|丁目|条|章|(?:[\u4e00-\u9fff]{1,3}|つ|[かヶカ]月|[かヶカ]国)目(?![安的標次録])",
    _FLAGS,
)
_ORDINAL_BEFORE = re.compile(r"第\s?$")
_SET_PHRASE = re.compile(
    r"24[ -]?hours? (?:a|per|each|every) day|24 hours[,/]? 7 days|(?:7|seven) days (?:a|per|each|every) week"
    r"|24時間(?:対応|受付|受け付け|営業|年中|サポート|利用|体制|[・、,]?\s?365)|365日"
    r"|十分(?![以間前後程ほく])|一日中|一年中|1日中|1年中|一時(?!間)",
    _FLAGS,
)

# --- money -----------------------------------------------------------------------------------------------------

_SYMBOLS = {
    "US$": "USD", "CA$": "CAD", "C$": "CAD", "AU$": "AUD", "A$": "AUD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD",
    "R$": "BRL", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₩": "KRW", "₹": "INR", "฿": "THB", "Rs.": "INR", "Rs": "INR",
}  # fmt: skip
_CODES = (
    "USD EUR GBP JPY CHF CAD AUD NZD CNY HKD SGD KRW TWD INR SEK NOK DKK PLN CZK HUF BRL MXN ZAR THB ILS TRY AED IDR PHP"
).split()
_NAMES = {
    "us dollar": "USD", "canadian dollar": "CAD", "australian dollar": "AUD", "dollar": "USD", "buck": "USD",
    "euro": "EUR", "pound": "GBP", "pounds sterling": "GBP", "yen": "JPY", "swiss franc": "CHF", "franc": "CHF",
    "rupee": "INR", "yuan": "CNY", "won": "KRW",
    "円": "JPY", "米ドル": "USD", "ドル": "USD", "ユーロ": "EUR", "ポンド": "GBP", "元": "CNY", "ウォン": "KRW",
    "スイスフラン": "CHF", "フラン": "CHF",
}  # fmt: skip
_SMALL = {"cent": "USD", "¢": "USD", "セント": "USD", "pence": "GBP", "euro cent": "EUR"}


def _alternatives(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_MONEY_BEFORE = re.compile(rf"(?<![A-Za-z])({_alternatives([*_SYMBOLS, *_CODES])})\s?$", re.ASCII)
_MONEY_SCALE = re.compile(r"\s?(k|m|mn|bn|b)(?![A-Za-z0-9])", _FLAGS)
_MONEY_AFTER = re.compile(
    rf"[ -]?(?:({_alternatives(_CODES)})(?![A-Za-z])"
    rf"|({_alternatives([n for n in _NAMES if n.isascii()])})s?(?![A-Za-z])"
    rf"|({_alternatives([n for n in _NAMES if not n.isascii()])})(?!安|高|形|周|盤|気|祖|本位|建て)"
    r")|[ ]?([$€£¥₩₹])",
    _FLAGS,
)
_SMALL_AFTER = re.compile(rf"[ -]?({_alternatives(list(_SMALL))})(?:s)?(?![A-Za-z])", _FLAGS)
_SCALES = {"k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9}


def _money(text: str, numeral: Numeral) -> Reading | None:
    start, end, factor = numeral.start, numeral.end, Decimal(1)
    before = _MONEY_BEFORE.search(text[max(0, start - 5) : start])
    currency = ""
    if before:
        currency = _SYMBOLS.get(before.group(1), before.group(1))
        start -= len(before.group())
        scale = _MONEY_SCALE.match(text, end)
        if scale:
            factor, end = Decimal(_SCALES[scale.group(1).lower()]), scale.end()
    after = _MONEY_AFTER.match(text, end)
    if after:
        code, english, japanese, sign = after.groups()
        named = (
            code.upper()
            if code
            else _NAMES[english.lower()]
            if english
            else _NAMES[japanese]
            if japanese
            else _SYMBOLS[sign]
        )
        if not currency or (code and before and before.group(1) == "$"):  # "$50 CAD"
            currency, end = named, after.end()
        elif named == currency:
            end = after.end()
    elif not currency:
        small = _SMALL_AFTER.match(text, end)
        if not small:
            return None
        return Reading("money", _SMALL[small.group(1).lower()], start, small.end(), Decimal("0.01"))
    if currency == "EUR" and re.fullmatch(r"[0-9]{1,3}\.[0-9]{3}", text[numeral.start : numeral.end]):
        factor *= 1000  # 1.299 €: money has no third decimal
    return Reading("money", currency, start, end, factor, prefix=before is not None)


# --- percentages -----------------------------------------------------------------------------------------------

_PERCENT = re.compile(r"[ -]?(?:%|percent(?:age points?)?(?![a-z])|per cent(?![a-z])|pct(?![a-z])|パーセント)", _FLAGS)
_WARI = re.compile(rf"\s?割(?:([1-9]|{KANJI_NUMBER})分)?(?!り当|合|愛|増|烹)")


def _percentage(text: str, numeral: Numeral) -> Reading | None:
    percent = _PERCENT.match(text, numeral.end)
    if percent:
        return Reading("percentage", "", numeral.start, percent.end())
    tenths = _WARI.match(text, numeral.end)
    if tenths:
        bu = tenths.group(1)
        plus = Decimal(0) if not bu else Decimal(kanji_value(bu) or 0) if not bu.isdigit() else Decimal(bu)
        return Reading("percentage", "", numeral.start, tenths.end(), Decimal(10), plus)
    return None


# --- durations -------------------------------------------------------------------------------------------------

# unit -> (family, how many of the family's smallest unit). Values of different families are never the same:
# 30 days are not a month, and 5 business days are not 5 days.
_FAMILIES = {
    "second": ("clock", 1), "minute": ("clock", 60), "hour": ("clock", 3600), "day": ("clock", 86400),
    "week": ("clock", 604800), "fortnight": ("clock", 1209600),
    "month": ("calendar", 1), "year": ("calendar", 12),
    "business_day": ("business_day", 1), "business_hour": ("business_hour", 1),
}  # fmt: skip
_SHOWN = {
    "clock": ("day", "hour", "minute", "second"), "calendar": ("year", "month"),
    "business_day": ("business_day",), "business_hour": ("business_hour",),
}  # fmt: skip
COMPOUND = {
    ("year", "month"), ("week", "day"), ("day", "hour"), ("hour", "minute"), ("minute", "second"),
}  # fmt: skip
_SHORT = {"sec": "second", "min": "minute", "hr": "hour", "h": "hour", "wk": "week", "yr": "year"}

_TIME_EN = re.compile(
    r"[ -]{0,2}(?:(?:calendar|full|whole|consecutive|more|additional|extra|straight|further|short)[ -])?"
    r"(?:(business|working|work|week)[ _-]?(days?|hours?)|"
    r"(second|minute|hour|day|week|fortnight|month|year|sec|min|hr|h|wk|yr)s?)(?:\(s\))?\.?(?![A-Za-z]|[ -]olds?\b| of age)",
    _FLAGS,
)
_TIME_JA = re.compile(
    r"\s?(?:(営業日|稼働日|平日)|(営業時間)|(時間)(?!目|帯|外|割|給)|(分)(?!の[1-9一二三四五六七八九十]|目|野|割|類|析|担|別|解|岐|け|配|量)間?"
    r"|(秒)間?|(日)(?!目|付|曜|本|程|常|時|用|記|光|帰|替|々)間?|(週)間?(?!目|末|明)"
    r"|([かヶカヵケ箇個]月)間?(?!目)|(年)間?(?!目|生|度|代|号|齢|輩|金|末|始|賀|下|上|配))(半)?"
)
_RATE_AFTER = re.compile(r"につき|あたり|当たり|当り|ごと|毎|最大|(?:に|あたり)?[0-9一二三四五六七八九十]{1,3}回|[0-9][0-9,]*円")  # 1日3回, 1時間ごとに
_JA_NAMES = ("business_day", "business_hour", "hour", "minute", "second", "day", "week", "month", "year")
_WEEKDAYS_BEFORE = re.compile(r"(?:営業日|平日)(?:で|の)?\s?$")


def _duration(text: str, numeral: Numeral) -> Reading | None:
    start, end = numeral.start, numeral.end
    match = _TIME_EN.match(text, end)
    if match:
        business, length, single = match.groups()
        if business:
            if business.lower() == "week" and not length.lower().startswith("day"):
                return None
            name = "business_" + length.lower().rstrip("s")
        else:
            name = _SHORT.get(single.lower(), single.lower())
        stop = match.end()
        if text[stop - 1] == "." and single not in ("min", "hr", "sec"):
            stop -= 1
        return Reading("duration", name, start, stop)
    match = _TIME_JA.match(text, end)
    if not match:
        return None
    if match.group(6) and text[start - 1 : start] == "月":
        return None  # a date, or part of what only looks like one
    if numeral.value == 1 and _RATE_AFTER.match(text, match.end()):
        return None
    which = next(i for i, group in enumerate(match.groups()[:-1]) if group)
    name = _JA_NAMES[which]
    weekdays = _WEEKDAYS_BEFORE.search(text[max(0, start - 6) : start]) if name == "day" else None
    if weekdays:
        name, start = "business_day", start - len(weekdays.group())
    if name == "year" and numeral.value >= 1800:
        return None  # 2026年 is a date
    half = Decimal("0.5") if match.group(len(match.groups())) else Decimal(0)
    return Reading("duration", name, start, match.end(), plus=half)


def alike(kind: FactKind, one: str, other: str) -> bool:
    """Whether two units can stand at the two ends of one range."""
    if kind == "duration":
        return _FAMILIES[one][0] == _FAMILIES[other][0]
    return one == other


def common(low: Decimal, one: str, high: Decimal, other: str) -> tuple[Decimal, Decimal, str]:
    """Two lengths of one family in the smaller of their units."""
    family, a = _FAMILIES[one]
    b = _FAMILIES[other][1]
    small = one if a <= b else other
    scale = min(a, b)
    assert family == _FAMILIES[other][0]
    return low * a / scale, high * b / scale, small


def duration(low: Decimal, high: Decimal, unit: str) -> tuple[Decimal, Decimal, str]:
    """A length in the largest of day, hour, minute, second (or year, month) that keeps both ends whole."""
    family, scale = _FAMILIES[unit]
    low, high = low * scale, high * scale
    for name in _SHOWN[family]:
        size = _FAMILIES[name][1]
        if low % size == 0 and high % size == 0:
            return low / size, high / size, name
    return low, high, _SHOWN[family][-1]


# --- counts ----------------------------------------------------------------------------------------------------

# Words that mean one and the same thing counted. Two counts with units from this table differ when the units do;
# a noun that is not in it may stand for any other (12 galleries, 12 rooms): the number is what is checked.
_GROUPS = {
    "item": "item product piece unit article",
    "country": "country nation",
    "person": "person people",
    "year_old": "",
    "time": "time",
    "page": "page",
    "point": "point",
    "kg": "kg kilo kilogram", "g": "g gram", "mg": "mg milligram", "lb": "lb", "oz": "oz ounce",
    "km": "km kilometer kilometre", "m": "meter metre", "cm": "cm centimeter centimetre", "mm": "mm",
    "mile": "mile", "ft": "ft foot feet", "inch": "inch",
    "l": "l liter litre", "ml": "ml", "gb": "gb gigabyte", "mb": "mb megabyte", "tb": "tb",
    "degree": "°c °f degree °", "mbps": "mbps", "gbps": "gbps", "fps": "fps", "rpm": "rpm", "kcal": "kcal", "w": "watt", "v": "volt", "mah": "mah", "kwh": "kwh",
}  # fmt: skip
_GROUP_OF = {word: group for group, words in _GROUPS.items() for word in words.split()}
TABLE = frozenset(_GROUPS)
_IRREGULAR = {"people", "children", "men", "women", "feet"}
# Nouns that may follow a number written as a word, beside those of the table.
_COMMON = frozenset(
    "order parcel package box bag ticket guest visitor adult child seat room location store branch shop size colour "
    "color copy sample session lesson visit tablet capsule dose photo document form gallery exhibit floor table attempt "
    "language model plan device user account employee team member student class course year-old night set pair bottle "
    "card meal bike bicycle book".split()
)
_NOT_COUNTED = frozenset(
    "steps ways reasons tips things rules parts facts questions costs takes gets includes has is was does means starts "
    "ends opens closes comes goes gives allows ships arrives expires applies covers offers needs requires runs lasts "
    "stays works contains adds makes leaves lets as its this thus plus yes us versus always sometimes less across "
    "perhaps besides towards afterwards hours days weeks months years minutes seconds".split()
)
_FUNCTION_WORDS = frozenset(
    "a an the of in on at to for and or with by per from is are was were be been has have had does do did will would "
    "can could may might must shall should not no if when where while as than then that this these those it its we you "
    "they he she i our your their his her my me us them but so because each every all any until before after within "
    "also only just about please".split()
)
_LABEL_BEFORE = re.compile(
    r"\b(?:option|step|plan|level|room|gate|floor|section|page|chapter|type|class|phase|stage|zone|figure|table|no\.?"
    r"|number|version|article|suite|apartment|unit|building|hall|window|counter|line|track|platform|terminal|aisle"
    r"|route|bus|tier|desk|priority|windows|ios|android|iphone)\s$",
    _FLAGS,
)
_AGE = re.compile(r"(?:[ -]years?[ -]olds?\b| years? of age\b|\s?[歳才](?!月))", _FLAGS)
_ONE_WORD = r"([A-Za-z°]+(?:-[A-Za-z]+)?)"
_NOUNS = re.compile(
    rf"(?:\+|\s(?:or more|and more|plus|or above))?([ -]?){_ONE_WORD}(?:[ -]{_ONE_WORD})?(?:[ ]{_ONE_WORD})?", _FLAGS
)
_COUNTERS = {
    "item": "個(?![人別室性数]|月)|点(?![検数滴灯])|品目|品(?![質番名切])|つ",
    "country": "[かヶカヵケ箇]国|国(?![際内外民籍産家立])",
    "person": "名様|名(?![前称古義刺])|人様|人(?![気間数材件口形物目工])",
    "time": "回(?![線答収復])",
    "page": "ページ|頁",
    "point": "ポイント|pt(?![a-z])",
    "kg": "キログラム|キロ(?!メートル)", "km": "キロメートル", "mg": "ミリグラム", "g": "グラム",
    "cm": "センチメートル|センチ", "mm": "ミリメートル", "ml": "ミリリットル", "l": "リットル", "m": "メートル",
    "degree": "度(?![目合数])",
    "本": "本(?![社店日館人当体来部格州])", "枚": "枚", "冊": "冊", "台": "台(?![風所数湾])", "箱": "箱", "袋": "袋",
    "着": "着(?![払荷用信替物日])", "足": "足(?![りを])", "セット": "セット", "件": "件", "店舗": "店舗|店(?!長)",
    "拠点": "拠点", "種類": "種類|種(?![別々])", "色": "色", "部": "部(?![屋分門品署])", "通": "通(?![常知話販貨信路訳帳りう])",
    "口": "口(?![座コ])", "席": "席", "室": "室(?![内温])|部屋", "文字": "文字", "桁": "桁", "杯": "杯", "泊": "泊",
    "組": "組(?![みま合])", "棟": "棟", "頭": "頭", "匹": "匹", "羽": "羽", "粒": "粒", "錠": "錠", "束": "束",
    "巻": "巻", "試合": "試合", "館": "館", "か所": "[かヶカヵケ箇]所", "両": "両(?![方親側替])", "曲": "曲", "話": "話",
}  # fmt: skip
_COUNTER_NAMES = list(_COUNTERS)
_GOODS = re.compile("商品|製品|アイテム")
_COUNTER = re.compile(r"\s?(?:" + "|".join(f"({pattern})" for pattern in _COUNTERS.values()) + ")")
_ONE_KANJI = frozenset("一")
_ONE_KEEPS = frozenset("枚")


def _count(text: str, numeral: Numeral) -> Reading | None:
    start, end = numeral.start, numeral.end
    age = _AGE.match(text, end)
    if age:
        return Reading("count", "year_old", start, age.end())
    goods = _GOODS.match(text, end)  # at once: "1 商品を選ぶ" is a list
    if goods:
        return Reading("count", "item", start, goods.end())
    counter = _COUNTER.match(text, end)
    if counter:
        index = next(i for i, group in enumerate(counter.groups()) if group)
        name = _COUNTER_NAMES[index]
        if text[start:end] in _ONE_KANJI and name not in _ONE_KEEPS:
            return None  # 一人, 一つ, 一度, 一点 are words more often than counts
        return Reading("count", name, start, counter.end())
    if _LABEL_BEFORE.search(text[max(0, start - 12) : start]):
        return None
    return _english_count(text, numeral)


def _english_count(text: str, numeral: Numeral) -> Reading | None:
    match = _NOUNS.match(text, numeral.end)
    if not match:
        return None
    tight = match.group(1) != " "
    for index in (2, 3, 4):  # "3 items", "3 free samples", "20 small business customers"
        word = match.group(index)
        if word is None:
            return None
        lower = word.lower()
        if lower in _FUNCTION_WORDS or lower in _NOT_COUNTED:
            return None
        unit = _unit(lower, words=numeral.form == "words")
        if word in ("G", "M") or (unit in ("l", "g", "m") and index > 2):
            return None  # 5G, 5M
        if unit and (index < 4 or unit in TABLE):
            return Reading("count", unit, numeral.start, match.end(index))
        if tight and index == 2 and match.group(1) == "":
            return None
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
