"""Random values for the facts of invented shops: money, durations, codes, names, places, in English and Japanese.

It knows nothing about topics, questions or models; the same random generator always gives the same values.
"""

# ruff: noqa: E501 - lists of words read best as running text

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from kurabe.shop_frames import phrases, words

_SYLLABLES = words(
    "bal bren cor dal dor el fen gar hal il jor kel lor mar mel nor or pel quin ral sel tan tor ul van vel wen yor "
    "zan zor bri cla dre flo gri kru pli sto tri vin mon lun rit sab tes pon mir nak dov lem fru gas hob"
)
_ENDINGS = words("a o en in ix um el ar ow is an et ia us ey ock ern ade")
FIRST_NAMES = words(
    "Nora Felix Ines Omar Greta Hugo Priya Ivan Lena Marcus Ada Bruno Clara Dmitri Elsa Farid Hana Jonas Kira Leon Mina "
    "Nils Olga Pablo Rosa Samir Tessa Ugo Vera Wanda Yusuf Zoe"
)
FAMILY_NAMES = words(
    "Whitfield Okafor Lindgren Marsh Petrov Adler Castellan Duarte Engstrom Fairley Grover Hollis Ivers Jansen Kowal Lund "
    "Moreau Nakata Oduya Pell Quinlan Ridley Sato Tamsin Ullman Varga Weiss Yates Zeller Brandt"
)
JA_FAMILY = words("佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 松本 井上 木村 林 清水 森 池田 橋本")
MONTHS = words("January February March April May June July August September October November December")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
JA_DAYS = [day + "曜日" for day in "月火水木金土日"]
_STREETS = words("Harbor Maple River Station Castle Garden Mill Park Bridge Cedar Church Hill Lake Market North Queen")
_PLACE_KINDS = words("Street Road Lane Square Avenue")
_PAYMENTS = phrases(
    "Visa|Mastercard|PayPal|American Express|bank transfer|cash|Apple Pay|Google Pay|invoice|debit card|gift card|Klarna"
)
_JA_PAYMENTS = phrases(
    "クレジットカード|銀行振込|現金|代金引換|コンビニ払い|電子マネー|請求書|デビットカード|QRコード決済"
)
_SIZES = phrases("XS|S|M|L|XL|XXL|36|38|40|42|44")
_COLOURS = phrases("red|blue|green|black|white|grey|yellow|brown|pink|orange|purple|navy")
_THINGS = phrases(
    "an ID card|your passport|a photo|a towel|sports shoes|your insurance card|a pen|a water bottle|your membership card|"
    "the receipt|your booking number|warm clothes|a list of your medicines|a bank card|proof of address"
)
_JA_THINGS = phrases("身分証|保険証|写真|タオル|運動靴|筆記用具|飲み物|会員証|領収書|予約番号|お薬手帳|印鑑|上着")
_JA_PLACES = phrases("本館|東館|西館|南館|別館|中央棟|新館")
_WORDS = words("one two three four five six seven eight nine ten")


def invented_word(rng: Random) -> str:
    """A word that exists in no dictionary: a reader can only find it in the prompt."""
    middle = rng.choice(_SYLLABLES) if rng.random() < 0.4 else ""
    return rng.choice(_SYLLABLES) + middle + rng.choice(_ENDINGS)


def currency(rng: Random) -> str:
    """The way a shop writes money; most use dollars because most example files do."""
    return rng.choices(["$", "€", "£", "EUR", "dollars", "CHF"], [70, 10, 8, 4, 5, 3])[0]


def _money(amount: float, unit: str) -> str:
    digits = f"{amount:,.2f}" if amount != int(amount) else f"{int(amount):,}"
    return f"{unit}{digits}" if unit in "$€£" else f"{digits} {unit}"


def _price(rng: Random, unit: str) -> str:
    cents = rng.choice([0.99, 0.95, 0.5, 0.0, 0.0, 0.25, 0.49, 0.9, rng.randrange(100) / 100])
    return _money(rng.choice([rng.randint(1, 9), rng.randint(2, 40), rng.randint(5, 99)]) + cents, unit)


def _large(rng: Random, unit: str) -> str:
    return _money(rng.choice([5 * rng.randint(4, 60), 10 * rng.randint(3, 90), rng.randint(21, 999)]), unit)


def _span(rng: Random) -> tuple[int, int]:
    low = rng.choice([1, 2, 3, 4, 5, 7, 8, 10, 12, 14, 15, rng.randint(1, 30)])
    return low, low + rng.choice([1, 1, 2, 2, 3, 4, 5, 7])


def _email(rng: Random, host: str) -> str:
    user = rng.choice(["help", "info", "support", "care", "service", "desk", "hello", "returns", invented_word(rng)])
    return f"{user}@{host}"


def _url(rng: Random, host: str) -> str:
    page = rng.choice(["help", "track", "returns", "book", "orders", "info", "join", "account", invented_word(rng)])
    return f"{host}/{page}"


def _code(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(rng.randint(2, 4)))
    number = str(rng.randint(10, 9999))
    return rng.choice([f"{letters}-{number}", f"{letters}{number}", f"{invented_word(rng).upper()}{number[:2]}"])


def _phone_en(rng: Random) -> str:
    last = f"{rng.randint(0, 9999):04d}"
    area, middle = rng.randint(201, 989), rng.randint(200, 999)
    return rng.choice(
        [
            f"555-{last}",
            f"({area}) 555-{last}",
            f"1-800-555-{last}",
            f"{area}-{middle}-{last}",
            f"+44 20 {last} {middle}",
        ]
    )


def _clock(rng: Random) -> str:
    hour, minute = rng.randint(1, 12), rng.choice(["00", "15", "30", "45"])
    half = rng.choice(["a.m.", "p.m."])
    return rng.choice([f"{hour} {half}", f"{hour}:{minute} {half}", f"{rng.randint(6, 22)}:{minute}"])


def _hours(rng: Random) -> str:
    start, end = rng.randint(6, 11), rng.randint(2, 10)
    minute = rng.choice([":00", ":30", ""])
    if rng.random() < 0.3:
        return f"{start:02d}:{rng.choice(['00', '30'])} to {end + 12}:{rng.choice(['00', '30'])}"
    return f"{start}{minute} a.m. to {end} p.m."


def _duration(rng: Random) -> str:
    unit = rng.choice(["days", "days", "days", "hours", "hours", "weeks", "business days", "months"])
    top = {"days": 90, "hours": 72, "weeks": 12, "business days": 20, "months": 11}[unit]
    number = rng.randint(2, top)
    if number <= 10 and rng.random() < 0.12:
        return f"{_WORDS[number - 1]} {unit}"
    return f"1 {unit[:-1]}" if rng.random() < 0.07 else f"{number} {unit}"


def _person(rng: Random) -> str:
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(FAMILY_NAMES)}"


def _place(rng: Random) -> str:
    return rng.choice(
        [
            f"{rng.randint(1, 299)} {rng.choice(_STREETS)} {rng.choice(_PLACE_KINDS)}",
            f"Room {rng.randint(2, 499)}",
            f"desk {rng.randint(2, 60)}",
            f"Gate {rng.choice('ABCDEFG')}{rng.randint(1, 40)}",
            f"the {rng.choice(['north', 'south', 'east', 'west'])} wing, floor {rng.randint(1, 12)}",
            f"{rng.choice(_STREETS)} Hall",
        ]
    )


def _date(rng: Random) -> str:
    day, month = rng.randint(1, 28), rng.choice(MONTHS)
    return rng.choice([f"{month} {day}", f"{day} {month}", f"{month} {day}, {rng.randint(2024, 2031)}"])


def _several(rng: Random, options: Sequence[str], joiner: str, last: str) -> str:
    chosen = rng.sample(options, rng.randint(2, 4))
    return joiner.join(chosen[:-1]) + last + chosen[-1]


def _day_range(rng: Random) -> str:
    start = rng.randint(0, 3)
    return rng.choice([f"{DAYS[start]} to {DAYS[rng.randint(start + 2, 6)]}", "every day", "on weekdays"])


def _english(rng: Random, unit: str, host: str) -> dict[str, Callable[[], str]]:
    def span(names: list[str]) -> str:
        low, high = _span(rng)
        return f"{low}{rng.choice(['-', '-', '-', ' to '])}{high} {rng.choice(names)}"

    return {
        "money": lambda: _price(rng, unit),
        "big": lambda: _large(rng, unit),
        "range": lambda: span(["business days", "business days", "days", "weeks", "working days", "hours"]),
        "dur": lambda: _duration(rng),
        "long": lambda: rng.choice([f"{rng.randint(2, 25)} years", f"{rng.randint(6, 60)} months"]),
        "mins": lambda: f"{rng.choice([5, 10, 15, 20, 30, 40, 45, 50, 60, 75, 90, rng.randint(3, 120)])} minutes",
        "pct": lambda: f"{rng.choice([5, 10, 15, 20, 25, 30, rng.randint(2, 60)])}{rng.choice(['%', '%', '%', ' %'])}",
        "n": lambda: str(rng.choice([rng.randint(2, 30), rng.randint(3, 250)])),
        "phone": lambda: _phone_en(rng),
        "email": lambda: _email(rng, host),
        "url": lambda: _url(rng, host),
        "code": lambda: _code(rng),
        "date": lambda: _date(rng),
        "time": lambda: _clock(rng),
        "hours": lambda: _hours(rng),
        "day": lambda: rng.choice(DAYS),
        "daysr": lambda: _day_range(rng),
        "name": lambda: _person(rng),
        "place": lambda: _place(rng),
        "pay": lambda: _several(rng, _PAYMENTS, ", ", " and "),
        "sizes": lambda: _several(rng, _SIZES, ", ", " and "),
        "colours": lambda: _several(rng, _COLOURS, ", ", " and "),
        "things": lambda: _several(rng, _THINGS, ", ", " and "),
        "thing": lambda: rng.choice(_THINGS),
        "yn": lambda: rng.choice(["Yes", "Yes", "No"]),
    }


def _japanese(rng: Random, host: str) -> dict[str, Callable[[], str]]:
    def span(names: list[str]) -> str:
        low, high = _span(rng)
        return f"{low}{rng.choice(['〜', '〜', '～', '-'])}{high}{rng.choice(names)}"

    def yen(low: int, high: int, step: int) -> str:
        amount = step * rng.randint(low, high)
        return rng.choice([f"{amount:,}円", f"{amount:,}円", f"{amount}円", f"¥{amount:,}"])

    def clock() -> str:
        hour = rng.randint(7, 21)
        return rng.choice([f"{hour}時", f"{hour}時30分", f"{hour}:{rng.choice(['00', '15', '30'])}"])

    def date() -> str:
        return f"{rng.randint(1, 12)}月{rng.randint(1, 28)}日"

    return {
        "money": lambda: yen(2, 60, rng.choice([10, 50, 100])),
        "big": lambda: yen(2, 50, rng.choice([500, 1000])),
        "range": lambda: span(["営業日", "営業日", "日", "週間", "時間"]),
        "dur": lambda: f"{rng.randint(2, 60)}{rng.choice(['日', '日', '時間', '週間', 'か月'])}",
        "long": lambda: f"{rng.randint(2, 15)}{rng.choice(['年', '年', 'か月'])}",
        "mins": lambda: f"{rng.choice([5, 10, 15, 20, 30, 40, 45, 60, 90, rng.randint(3, 120)])}分",
        "pct": lambda: f"{rng.choice([5, 10, 15, 20, 25, 30, rng.randint(2, 60)])}%",
        "n": lambda: str(rng.choice([rng.randint(2, 30), rng.randint(3, 250)])),
        "phone": lambda: (
            f"0{rng.choice(['3', '6', '120', '570', '45'])}-{rng.randint(100, 9999)}-{rng.randint(0, 9999):04d}"
        ),
        "email": lambda: _email(rng, host),
        "url": lambda: _url(rng, host),
        "code": lambda: _code(rng),
        "date": date,
        "time": clock,
        "hours": lambda: f"{rng.randint(6, 11)}時から{rng.randint(15, 22)}時",
        "day": lambda: rng.choice(JA_DAYS),
        "daysr": lambda: rng.choice(
            [f"{rng.choice(JA_DAYS[:3])}から{rng.choice(JA_DAYS[4:])}", "平日", "毎日", "土日以外"]
        ),
        "name": lambda: rng.choice(JA_FAMILY) + rng.choice(["さん", "先生", ""]),
        "place": lambda: rng.choice(
            [
                f"{rng.choice(_JA_PLACES)}{rng.randint(1, 12)}階",
                f"{rng.randint(2, 60)}番窓口",
                f"{rng.randint(101, 940)}号室",
                f"中央町{rng.randint(1, 9)}-{rng.randint(1, 40)}",
            ]
        ),
        "pay": lambda: _several(rng, _JA_PAYMENTS, "、", "、"),
        "things": lambda: _several(rng, _JA_THINGS, "、", "と"),
        "yn": lambda: rng.choice(["はい", "はい", "いいえ"]),
    }


def makers(rng: Random, language: str, host: str) -> dict[str, Callable[[], str]]:
    """One function per kind of slot; money keeps one currency per shop."""
    return _japanese(rng, host) if language == "ja" else _english(rng, currency(rng), host)
