"""Facts: tables of cases in both languages, and properties that hold for any text.

The tables are text files in `tests/data`, so that a new case is one line.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kurabe.errors import DataError
from kurabe.facts import KINDS, distinct, find_facts, is_refusal, language_of, named_facts, same, seek
from kurabe.schema import Fact

DATA = Path(__file__).parent / "data"


def lines(name: str) -> list[str]:
    text = (DATA / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def cases(name: str) -> list[tuple[str, str]]:
    return [(text, wanted) for text, _, wanted in (line.rpartition(" => ") for line in lines(name))]


def written(facts: tuple[Fact, ...]) -> str:
    return "; ".join(f"{fact.kind} {fact.value}" for fact in facts) or "-"


def only(text: str) -> Fact:
    (fact,) = find_facts(text)
    return fact


# --- tables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["facts_en.txt", "facts_ja.txt"])
def test_each_case_of_the_table_is_found_and_nothing_else(name: str) -> None:
    wrong = [f"{t!r}: {w!r}, not {g!r}" for t, w in cases(name) if (g := written(find_facts(t))) != w]
    assert not wrong, "\n".join(wrong)


def test_the_tables_hold_hundreds_of_cases_of_every_kind_that_is_found_blindly() -> None:
    for name in ("facts_en.txt", "facts_ja.txt"):
        table = cases(name)
        assert len(table) > 200
        assert {part.split()[0] for _, wanted in table for part in wanted.split("; ") if wanted != "-"} == (
            set(KINDS) - {"name"}
        )
        assert sum(wanted == "-" for _, wanted in table) > 30  # a finder that finds everywhere must fail


def blocks() -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for line in (DATA / "same_values.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            rows = found.setdefault(line[3:], [])
        elif line and not line.startswith("#"):
            rows.append(line.split(" = "))
    return found


@pytest.mark.parametrize("block", blocks())
def test_ways_to_write_one_value_are_the_same_and_different_values_are_not(block: str) -> None:
    rows = [[only(way) for way in ways] for ways in blocks()[block]]
    for row in rows:
        for one, other in combinations(row, 2):
            assert same(one, other) and same(other, one), (one, other)
    for row, other_row in combinations(rows, 2):
        assert not any(same(one, other) or same(other, one) for one in row for other in other_row), (row, other_row)


def test_refusals_are_told_from_policies() -> None:
    wrong = [line for line in lines("refusals.txt") if is_refusal(line[2:]) != (line[0] == "+")]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How much is shipping?", "en"), ("送料はいくらですか？", "ja"), ("", "en"), ("$6.99", "en"),
        ("SAVE10を入力してください", "ja"), ("https://shop.example/track をご覧ください", "ja"),
        ("Kurabe (比べ) means to hold things side by side.", "en"), ("ﾊﾝｶｸ", "ja"), ("PayPalは使えますか", "ja"),
    ],
)  # fmt: skip
def test_language(text: str, language: str) -> None:
    assert language_of(text) == language


# --- same ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("12 galleries", "12 rooms", True),  # any noun may stand for any other
        ("12 galleries", "12 items", True),
        ("10 items", "10 countries", False),  # but not where both are known units
        ("20 kg", "20 cm", False),
        ("10 items", "11 items", False),
        ("10 items", "10 %", False),
        ("180+ countries", "180 countries", True),
        ("groups of 10 or more", "10 guests", True),
        ("March 3, 2026", "March 3", True),
        ("March 3", "2026年3月3日", True),
        ("March 3, 2026", "March 3, 2027", False),
        ("March 3, 2026", "in March 2026", False),
        ("March 3-5, 2026", "March 3-5", True),
        ("March 3-5", "March 3", False),
        ("in 2026", "in 2027", False),
        ("3-5 business days", "3-5 days", False),
        ("3-5 business days", "3 business days", False),
        ("30 days", "1 month", False),
        ("$50", "€50", False),
        ("$50", "¥50", False),
        ("A$50", "$50", False),
        ("10%", "10-20%", False),
        ("9 am", "9 pm", False),
        ("9 am", "9 am to 5 pm", False),
        ("SAVE10", "SAVE20", False),
        ("shop.example/a", "shop.example/b", False),
    ],
)
def test_same_forgives_what_people_leave_out_and_no_more(one: str, other: str, wanted: bool) -> None:
    assert same(only(one), only(other)) is wanted
    assert same(only(other), only(one)) is wanted


# --- what a row names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("Visa", "name visa"),
        ("  Nora  Whitfield ", "name nora whitfield"),
        ("Ｖｉｓａ", "name visa"),
        ("佐藤 花子", "name 佐藤 花子"),
        ("$6.99", "money USD 6.99"),
        ("two weeks", "duration 14 day"),
        ("14日以内", "duration 14 day"),
        ("SAVE10", "code SAVE10"),
        ("Yes", "yes_no yes"),
        ({"kind": "money", "value": "$6.99"}, "money USD 6.99"),
        ({"kind": "money", "value": "USD 6.99"}, "money USD 6.99"),
        ({"kind": "percentage", "value": "10"}, "percentage 10"),
        ({"kind": "percentage", "value": 10}, "percentage 10"),
        ({"kind": "percentage", "value": "10-20"}, "percentage 10-20"),
        ({"kind": "count", "value": "10"}, "count 10"),
        ({"kind": "count", "value": "180+ country"}, "count 180+ country"),
        ({"kind": "duration", "value": "3-5 business_day"}, "duration 3-5 business_day"),
        ({"kind": "phone", "value": "119"}, "phone 119"),
        ({"kind": "phone", "value": "423-0199"}, "phone 4230199"),
        ({"kind": "code", "value": "welcome"}, "code WELCOME"),
        ({"kind": "name", "value": "24/7"}, "name 24/7"),
        ({"kind": "name", "value": "$5 Menu"}, "name $5 menu"),
        ({"kind": "yes_no", "value": "no"}, "yes_no no"),
        ({"kind": "yes_no", "value": True}, "yes_no yes"),
        ({"kind": "date", "value": "--03-03"}, "date --03-03"),
        ({"kind": "date", "value": "monday-friday"}, "date monday-friday"),
        ({"kind": "time", "value": "09:00-17:00"}, "time 09:00-17:00"),
        ({"kind": "url", "value": "localhost/help"}, "url localhost/help"),
    ],
)
def test_named_facts(named: str | dict[str, object], wanted: str) -> None:
    (fact,) = named_facts([named])
    assert f"{fact.kind} {fact.value}" == wanted
    assert (fact.start, fact.end) == (-1, -1)


def test_named_facts_keep_their_order_and_come_once() -> None:
    facts = named_facts(["Visa", "PayPal", "visa", {"kind": "name", "value": "VISA"}])
    assert [fact.value for fact in facts] == ["visa", "paypal"]


@pytest.mark.parametrize(
    "named",
    [
        "", "   ", 5, None, ["Visa"], {"kind": "price", "value": "$5"}, {"kind": "money"},
        {"kind": "money", "value": ""}, {"kind": "money", "value": "free"}, {"kind": "money", "value": "$5 and $6"},
        {"kind": "duration", "value": "soon"}, {"kind": "count", "value": True}, {"kind": "name", "value": None},
        {"kind": "phone", "value": "call us"},
    ],
)  # fmt: skip
def test_a_fact_that_is_none_is_refused(named: object) -> None:
    with pytest.raises(DataError):
        named_facts([named])  # type: ignore[list-item]


def test_the_error_names_the_kinds_there_are() -> None:
    with pytest.raises(DataError) as caught:
        named_facts([{"kind": "price", "value": "$5"}])
    assert "'price'" in caught.value.what and "money" in caught.value.fix


@pytest.mark.parametrize("name", ["facts_en.txt", "facts_ja.txt"])
def test_a_canonical_value_names_itself(name: str) -> None:
    """A row may copy `kind` and `value` from what kurabe showed."""
    for text, _ in cases(name):
        for fact in find_facts(text):
            (named,) = named_facts([{"kind": fact.kind, "value": fact.value}])
            assert (named.kind, named.value) == (fact.kind, fact.value)


# --- seeking ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "answer", "found"),
    [
        ("Visa", "We take VISA and cash.", "VISA"),
        ("Visa", "We take visas.", "visas"),
        ("Visa", "Visalia is a town.", None),
        ("Visa", "We take PayPal.", None),
        ("gift cards", "You can pay by gift card.", "gift card"),
        ("gift card", "Gift  cards are fine.", "Gift  cards"),
        ("the north door", "Use the box at our north door.", "north door"),
        ("Nora Whitfield", "Ask nora\nwhitfield.", "nora\nwhitfield"),
        ("Nora Whitfield", "Ask Nora.", None),
        ("Nora Whitfield's", "Nora Whitfield’s desk", "Nora Whitfield’s"),
        ("Straße 5a", "in der STRASSE 5a", "STRASSE 5a"),
        ("佐藤花子", "担当は佐藤 花子です。", "佐藤 花子"),
        ("クレジットカード", "ｸﾚｼﾞｯﾄｶｰﾄﾞが使えます", "ｸﾚｼﾞｯﾄｶｰﾄﾞ"),
        ("PayPal", "ＰａｙＰａｌが使えます", "ＰａｙＰａｌ"),
        ("SAVE10", "type save10 there", "save10"),
        ("SAVE10", "type SAVE100 there", None),
        ({"kind": "phone", "value": "119"}, "Dial 119 now.", "119"),
        ({"kind": "phone", "value": "119"}, "Dial 1190 now.", None),
        ({"kind": "phone", "value": "423-0199"}, "It is 423 0199.", "423 0199"),
        ("10 items", "15 % if you take 10.", "10"),
        ("1 item", "One item per customer.", "One"),
        ("10 items", "10. Pack the box.", None),
        ("10 items", "See room 10.", None),
        ("10 items", "on March 10", None),
        ("10 items", "the 10th time", None),
        ("10 items", "10 days", None),
        ("$6.99", "Shipping is 6.99 per order.", "6.99"),
        ("$6.99", "Shipping is 6.98 per order.", None),
        ("$7", "Shipping is 7 per order.", None),  # a bare small number can be anything
        ("14 days", "within 14", None),
        ("Yes", "Certainly, we do.", "Certainly"),
        ("はい", "もちろんできます。", "もちろん"),
        ("はい", "土曜日も配達できます。", "できます"),
    ],
)
def test_expected_values_are_looked_for(named: str | dict[str, str], answer: str, found: str | None) -> None:
    (fact,) = named_facts([named])
    sought = seek(fact, answer)
    assert (sought.text if sought else None) == found
    if sought:
        assert same(fact, sought) and answer[sought.start : sought.end] == sought.text


@pytest.mark.parametrize(
    "answer", ["Unfortunately, we don't.", "We do not ship abroad.", "申し訳ございません。", "予約はできません。"]
)
def test_the_opposite_of_a_yes_is_seen_in_other_words(answer: str) -> None:
    (yes,) = named_facts(["Yes"])
    sought = seek(yes, answer)
    assert sought and sought.value == "no"


# --- properties ------------------------------------------------------------------------------------------------

PIECES = [text for name in ("facts_en.txt", "facts_ja.txt") for text, _ in cases(name)]
ODD = [
    "①",
    "½",
    "㌦",
    "\u200b",
    "e\u0301",
    "ﾊﾞ",
    "〒",
    "…",
    "，",
    "．",
    "％",
    "￥",
    "～",
    "–",
    "\n- ",
    "\t",
    "１",
    "万",
    "$",
    "%",
]
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(ODD), st.text(max_size=12)), max_size=5).map(
    " ".join
)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_spans_point_into_the_text_as_it_is(text: str) -> None:
    end = 0
    for fact in find_facts(text):
        assert text[fact.start : fact.end] == fact.text != ""
        assert fact.kind in KINDS and fact.value
        if fact.kind != "yes_no":
            assert fact.start >= end  # in order, without overlaps
            end = fact.end


@settings(max_examples=100, deadline=None)
@given(texts)
def test_each_value_comes_once_and_finding_is_repeatable(text: str) -> None:
    facts = find_facts(text)
    assert distinct(facts) == facts == find_facts(text)


WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PIECES))
def test_full_width_letters_and_digits_change_no_value(text: str) -> None:
    assert written(find_facts(text.translate(WIDE))) == written(find_facts(text))


amounts = st.decimals("0.01", 99_999, places=2)


@settings(max_examples=100, deadline=None)
@given(amounts)
def test_an_amount_is_one_value_however_it_is_written(amount: object) -> None:
    ways = [
        f"${amount}",
        f"${amount:,}",
        f"{amount} dollars",
        f"USD {amount}",
        f"It costs {amount:,} USD.",
        f"{amount}ドル",
    ]
    assert len({only(way).value for way in ways}) == 1


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9_999_999))
def test_yen_in_digits_and_in_kanji_are_one_value(amount: int) -> None:
    ways = [f"{amount}円", f"{amount:,}円", f"¥{amount:,}", f"{kanji(amount)}円", f"{amount} yen"]
    assert {only(way).value for way in ways} == {f"JPY {amount}"}


def kanji(number: int) -> str:
    if number >= 10_000:
        rest = number % 10_000
        return kanji(number // 10_000) + "万" + (kanji(rest) if rest else "")
    digits = "〇一二三四五六七八九"
    out = ""
    for unit, sign in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            out += ("" if digit == 1 and sign else digits[digit]) + sign
    return out


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9_999))
def test_number_words_are_numbers(number: int) -> None:
    assert only(f"{words(number)} dollars").value == f"USD {number}"


def words(number: int) -> str:
    units = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    small = ["", *units.split(), "eighteen", "nineteen"]
    tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    if number < 20:
        return small[number]
    if number < 100:
        return tens[number // 10] + (f"-{small[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = words(number % 100) if number % 100 else ""
        return f"{small[number // 100]} hundred" + (f" and {rest}" if rest else "")
    rest = words(number % 1000) if number % 1000 else ""
    return f"{words(number // 1000)} thousand" + (f" {rest}" if rest else "")


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.sampled_from(["-", "–", " - ", " to ", "〜", "～", "から"]))
def test_a_range_of_days_is_one_value(low: int, more: int, to: str) -> None:
    high = low + more
    assert only(f"{low}{to}{high}営業日").value == f"{low}-{high} business_day"
    if to != "から":
        assert only(f"{low}{to}{high} business days").value == f"{low}-{high} business_day"


# --- hostile text ----------------------------------------------------------------------------------------------

HOSTILE = [
    "1.", "a.", "a-", "A-", "A1-", "$", "a@", "a@a.", "http://a.", "0120-", "一", "十", "１", "〜", "ﾞ",
    "e\u0301", "\u0301", "(", "and a half ", "half an ", "I don't ", "情報", "not in the ", "\n", " ", "%", "円",
]  # fmt: skip


def seconds(text: str) -> float:
    """Of this process alone, so that a loaded machine fails no test."""
    started = time.process_time()
    find_facts(text)
    is_refusal(text)
    language_of(text)
    return time.process_time() - started


@pytest.mark.parametrize("piece", ["1", "a", "1,1,1,"])
def test_200_kilobytes_of_nothing_take_less_than_a_second(piece: str) -> None:
    seconds("$6.99")  # the patterns are compiled at their first use
    assert seconds((piece * 200_000)[:200_000]) < 1


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_costs_linear_time(piece: str) -> None:
    """A linear pattern takes a tenth of a second on 40,000 characters, a quadratic one many seconds."""
    assert seconds((piece * 40_000)[:40_000]) < 1.5


def test_dense_numbers_cost_linear_time() -> None:
    text = "from 10 items, 3-5 days, $6.99, 1万円、3月3日 "
    small, large = min(seconds(text * 100) for _ in range(3)), seconds(text * 1000)
    assert large < 40 * small  # 10 in theory, 100 were it quadratic


def test_a_thousand_answers_take_a_second_or_so() -> None:
    answers = [text for text in PIECES if len(text) > 25]
    started = time.process_time()
    for i in range(1000):
        find_facts(answers[i % len(answers)])
    assert time.process_time() - started < 3


def test_importing_compiles_nothing_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, kurabe.facts, kurabe.patterns, gc\n"
        "compiled = [p for p in gc.get_objects() if isinstance(p, kurabe.patterns.Pattern) and 'compiled' in vars(p)]\n"
        "print(len(compiled), [m for m in ('torch', 'transformers', 'scipy', 'numpy', 'yaml') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert out.stdout.strip() == "0 []"


def test_every_kind_is_described_in_the_docstring() -> None:
    import kurabe.facts

    described = set(re.findall(r"^    ([a-z_]+) {2,}", kurabe.facts.__doc__ or "", re.MULTILINE))
    assert described == set(KINDS)
