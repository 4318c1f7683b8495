"""Scoring: the rule of the module's docstring, case by case, and what holds for any answer."""

from __future__ import annotations

import time
from collections import Counter
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kurabe.facts import find_facts, named_facts
from kurabe.schema import Answer, AnswerKey, Fact, Question, Score
from kurabe.scoring import is_right, score

KEY = AnswerKey(model="m", trial=0, arm="base", hop="live", probe="held_out", question="e/h1")


def answer(text: str, finish: Literal["stop", "length", "error"] = "stop") -> Answer:
    return Answer(key=KEY, text=text, finish=finish)


def question(
    expected: str, *, text: str = "?", named: tuple[object, ...] = (), accept: tuple[str, ...] = ()
) -> Question:
    facts = find_facts(expected) + named_facts(named)  # type: ignore[arg-type]
    return Question(id="e/h1", example="e", probe="held_out", text=text, expected=expected, facts=facts, accept=accept)


def written(scored: Score) -> str:
    """One sign per expected value, then the extra values: "+" right, "x" wrong, "-" missing, "?" refused."""
    signs = {"right": "+", "wrong": "x", "missing": "-", "refused": "?", "unscored": "!"}
    extra = "".join(f" {fact.value}" for fact in scored.extra)
    return "".join(signs[outcome.status] for outcome in scored.outcomes) + extra


SHIPPING = "Standard shipping costs $6.99, is free over $50 and takes 3-5 business days."
CASES = [
    # expected, answer, outcomes and extra values
    (SHIPPING, "Standard shipping costs $6.99, is free over $50 and takes 3-5 business days.", "+++"),
    (SHIPPING, "It takes three to five working days and costs 6.99 dollars, free over USD 50.", "+++"),
    (SHIPPING, "Shipping is $6.99.", "+--"),
    (SHIPPING, "Shipping is $5.99.", "x--"),
    (SHIPPING, "Shipping is $5.99, free over $40.", "xx-"),
    (SHIPPING, "Shipping is $5.99, free over $50.", "x+-"),
    (SHIPPING, "It takes 3-5 days.", "--x"),
    (SHIPPING, "It is $6.99 or $7.99 or $8.99.", "+x- USD 8.99"),  # one wrong value each, the rest is extra
    (SHIPPING, "It is $6.99, $50, 3-5 business days, $1 and $2.", "+++ USD 1 USD 2"),  # listing prices is counted
    (SHIPPING, "It is $6.99 today and $6.99 tomorrow.", "+--"),  # a value said twice is one value
    (SHIPPING, "Please see our website.", "---"),
    (SHIPPING, "", "---"),
    (SHIPPING, "I don't have that information.", "???"),
    (SHIPPING, "I'm not sure about the price, but it takes 3-5 business days.", "??+"),
    (SHIPPING, "I don't know, perhaps $9.", "x??"),  # an invented value is wrong, whatever else is said
    (SHIPPING, "その情報はありません。", "???"),
    (SHIPPING, "Call 555-0199 on Monday.", "--- 5550199 monday"),
    ("送料は500円、3〜5営業日です。", "送料は５００円で、3-5営業日でお届けします。", "++"),
    ("送料は500円、3〜5営業日です。", "送料は600円です。", "x-"),
    ("返品は14日以内です。", "2週間以内なら返品できます。", "+"),
    ("返品は14日以内です。", "わかりません。", "?"),
    ("10 % from 10 items, 20 % from 50.", "10% off 10+ products and 20% off 50 or more.", "++++"),
    ("10 % from 10 items, 20 % from 50.", "15% from 10 items and 20% from 40 items.", "x++x"),
    ("We ship to 180+ countries.", "We ship to more than 180 countries.", "+"),
    ("We ship to 180+ countries.", "We ship to 18 countries.", "x"),
    ("You get 10 items.", "You get 10.", "+"),
    ("12 galleries", "There are 12 rooms and 12 items.", "+"),
    ("Use SAVE10.", "Type save10 at checkout.", "+"),
    ("Use SAVE10.", "Use SAVE20.", "x"),
    ("Yes, within 14 days.", "Yes, you have 14 days.", "++"),
    ("Yes, within 14 days.", "No, only 14 days.", "x+"),
    ("Yes, within 14 days.", "Certainly: 14 days.", "++"),
    ("Yes, within 14 days.", "Unfortunately not.", "x-"),
    ("Yes, within 14 days.", "14 days.", "-+"),
    ("Within 14 days.", "Yes, within 14 days.", "+"),  # a yes nobody asked for is no extra value
    ("No, pets stay outside.", "Pets are not allowed.", "+"),
    ("No, pets stay outside.", "You can't bring pets.", "+"),
    ("No, pets stay outside.", "There is no room for pets.", "+"),
    ("No, pets stay outside.", "You can bring a dog.", "x"),
    ("No, pets stay outside.", "Sorry, I don't have that information.", "?"),  # no knowledge is no "no"
    ("Yes, there is.", "There are 30 spaces.", "+ 30 space"),
    ("Yes, there is.", "You can only pay in cash.", "-"),
    ("いいえ、できません。", "ペットは入れません。", "+"),
    ("いいえ、できません。", "申し訳ございませんが、その情報はありません。", "?"),
    # A range in two parts, two parts as a range.
    ("We are open from 8:00 to 18:30.", "Opening time is 8:00, closing time is 6:30 pm.", "+"),
    ("We are open from 8:00 to 18:30.", "We close at 18:30. We open at 8:30.", "x 08:30"),
    ("Opening time is 8:00, closing time is 18:30.", "8 am to 6:30 pm", "++"),
    ("Opening time is 8:00, closing time is 18:30.", "8 am to 6 pm", "x-"),
    ("9時から17時までです。", "開館は9時、閉館は17時です。", "+"),
    ("9時から17時までです。", "開館は9時、閉館は18時です。", "x 18:00"),
    ("From March 3 to June 28, 2026.", "It opens on March 3 and ends on June 28.", "+"),
    ("Tours start at 11:00 and 15:00.", "There is one at 11:00, another at 15:00.", "++"),
    ("Tours start at 11:00 and 15:00.", "At 11:00 and 16:00.", "+x"),
    ("Closed on weekends.", "Closed on Saturdays and Sundays.", "+"),
    ("Sessions are on Monday, Wednesday and Friday.", "Mon, Wed and Fri", "+++"),
    ("Open Mon-Fri 9-5.", "Monday to Friday, 9:00 to 17:00", "++"),
    ("貸出は1人10冊までです。", "10冊まで借りられます。", "+"),
    ("4か国語に対応しています。", "It comes in 4 languages.", "+"),
    ("Keep it for 5 days.", "Keep it for five (5) days.", "+"),
    ("It is $50 or 14 days.", "It is $50, within 14 days.", "++"),
    ("March 3, 2026", "on March 3", "+"),
    ("March 3", "on March 4", "x"),
]


@pytest.mark.parametrize(("expected", "text", "wanted"), CASES)
def test_outcomes(expected: str, text: str, wanted: str) -> None:
    assert written(score(answer(text), question(expected))) == wanted


def test_names_are_looked_for_and_never_wrong() -> None:
    asked = question("We accept these.", named=("Visa", "PayPal", "bank transfer"))
    assert written(score(answer("You can pay by PayPal or VISA."), asked)) == "++-"
    assert written(score(answer("You can pay by Amex."), asked)) == "---"


def test_an_outcome_holds_what_stood_there() -> None:
    scored = score(answer("It costs $5.99 and takes two weeks."), question("It costs $6.99 within 14 days."))
    wrong, right = scored.outcomes
    assert (wrong.status, wrong.found and wrong.found.text) == ("wrong", "$5.99")
    assert (right.status, right.found and right.found.text) == ("right", "two weeks")
    assert score(answer("Nothing."), question("$6.99")).outcomes[0].found is None


def test_wrong_values_are_paired_in_text_order() -> None:
    scored = score(answer("First $1, then $2."), question("First $6.99, then $50."))
    assert [outcome.found and outcome.found.text for outcome in scored.outcomes] == ["$1", "$2"]


def test_a_value_of_the_question_is_no_extra_one() -> None:
    asked = question("It is $6.99.", text="Is shipping $50?")
    assert written(score(answer("No, it is $6.99, not $50."), asked)) == "+"
    assert written(score(answer("Yes, it is $50."), asked)) == "x"  # agreeing with it is wrong all the same
    assert written(score(answer("I don't know whether it is $50."), asked)) == "?"
    assert written(score(answer("It is $6.99, not $50 or $60."), asked)) == "+ USD 60"


def test_no_answer_is_unscored_not_wrong() -> None:
    scored = score(answer("It is $5.", finish="error"), question(SHIPPING))
    assert written(scored) == "!!!"
    assert not scored.extra and not scored.refused and not scored.cut


def test_a_cut_answer_is_scored_as_it_stands() -> None:
    scored = score(answer("Shipping is $6.99 and", finish="length"), question(SHIPPING))
    assert written(scored) == "+--" and scored.cut
    assert not score(answer("Shipping is $6.99."), question(SHIPPING)).cut


def test_the_score_names_its_answer_and_its_example() -> None:
    scored = score(answer("I don't know."), question("$5"))
    assert (scored.key, scored.example, scored.refused) == (KEY, "e", True)


def test_equal_expected_values_are_scored_once() -> None:
    facts = find_facts("$5") + find_facts("$5.00") + find_facts("five dollars")
    asked = question("").model_copy(update={"facts": facts})
    assert written(score(answer("$5"), asked)) == "+"


def test_lenient_matches_do_not_depend_on_the_order() -> None:
    """12 rooms would do for either expected value, 12 items only for the second."""
    expected = find_facts("12 galleries") + find_facts("12 pieces")
    for facts in (expected, expected[::-1]):
        for text in ("12 rooms and 12 items", "12 items and 12 rooms"):
            asked = question("").model_copy(update={"facts": facts})
            assert written(score(answer(text), asked)) == "++"


# --- whole questions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "text", "wanted"),
    [
        (("Paris",), "It is Paris.", True), (("Paris",), "PARIS", True), (("Paris",), "Parish", False),
        (("Paris",), "London", False), (("4",), "2 + 2 is 4.", True), (("4",), "It is 14.", False),
        (("4",), "It is 4.5.", False), (("Four", "4"), "four", True), (("100",), "It is 1,100.", False),
        (("東京",), "東京です。", True), (("パリ",), "ﾊﾟﾘです。", True), (("十", "10"), "十です。", True),
        (("十", "10"), "二十です。", False), (("10",), "１０です。", True), (("The cow", "cow"), "A cow.", True),
        (("8",), "8本です。", True), (("New York",), "new\nyork", True), (("C++",), "C++ of course", True),
    ],
)  # fmt: skip
def test_accepted_strings(accept: tuple[str, ...], text: str, wanted: bool) -> None:
    assert is_right(answer(text), question("", accept=accept)) is wanted


def test_a_question_is_right_when_all_its_values_are() -> None:
    assert is_right(answer("$6.99, free over $50, 3-5 business days"), question(SHIPPING)) is True
    assert is_right(answer("$6.99, free over $50"), question(SHIPPING)) is False


def test_what_cannot_be_scored_is_neither_right_nor_wrong() -> None:
    assert is_right(answer("$6.99", finish="error"), question("$6.99")) is None
    assert is_right(answer("Paris", finish="error"), question("", accept=("Paris",))) is None
    assert is_right(answer("Hello."), question("Hello.")) is None


# --- properties ------------------------------------------------------------------------------------------------

VALUES = [
    "$5", "$6.99", "$50", "3-5 business days", "14 days", "two weeks", "10%", "15 %", "10 items", "25 items", "12 beds",
    "12 galleries", "180+ countries", "SAVE10", "help@shop.example", "9 am", "Monday", "500円", "14日以内", "March 3",
]  # fmt: skip
values = st.lists(st.sampled_from(VALUES), max_size=6)
endings = st.sampled_from(["", " I don't know.", " わかりません。"])


def facts_of(texts: list[str]) -> tuple[Fact, ...]:
    return tuple(fact for text in texts for fact in find_facts(text))


def tally(scored: Score) -> Counter[tuple[str, str]]:
    return Counter((outcome.fact.kind, outcome.status) for outcome in scored.outcomes)


@settings(max_examples=200, deadline=None)
@given(values, values, endings, st.randoms())
def test_order_does_not_matter(expected: list[str], said: list[str], ending: str, rng: object) -> None:
    asked = question("").model_copy(update={"facts": facts_of(expected)})
    first = score(answer("; ".join(said) + ending), asked)
    rng.shuffle(expected)  # type: ignore[attr-defined]
    rng.shuffle(said)  # type: ignore[attr-defined]
    shuffled = question("").model_copy(update={"facts": facts_of(expected)})
    second = score(answer("; ".join(said) + ending), shuffled)
    assert tally(first) == tally(second)
    assert len(first.extra) == len(second.extra)


@settings(max_examples=200, deadline=None)
@given(values, values, endings)
def test_every_expected_value_has_one_outcome_and_every_found_one_at_most_one_use(
    expected: list[str], said: list[str], ending: str
) -> None:
    asked = question("").model_copy(update={"facts": facts_of(expected)})
    scored = score(answer("; ".join(said) + ending), asked)
    assert len(scored.outcomes) == len({fact.value.replace("+", "") + fact.kind for fact in asked.facts})
    used = [outcome.found for outcome in scored.outcomes if outcome.found] + list(scored.extra)
    assert len(set(map(str, used))) == len(used)
    for outcome in scored.outcomes:
        assert (outcome.found is not None) == (outcome.status in ("right", "wrong"))
        assert outcome.status != "refused" or scored.refused
        assert outcome.status != "missing" or not scored.refused


@settings(max_examples=100, deadline=None)
@given(values)
def test_the_expected_answer_itself_is_all_right_and_has_nothing_extra(expected: list[str]) -> None:
    text = "; ".join(expected)
    scored = score(answer(text), question(text))
    assert all(outcome.status == "right" for outcome in scored.outcomes) and not scored.extra


def test_a_thousand_answers_take_seconds_at_most() -> None:
    asked = question(SHIPPING)
    started = time.process_time()
    for i in range(1000):
        score(answer(f"Shipping costs ${i}.99, is free over $50 and takes 3-{i} business days."), asked)
    assert time.process_time() - started < 3
