"""Wordings from a model: asked for in two styles, read from whatever list comes, refused where rules see a reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kurabe import dataset, splits, suggestions
from kurabe.facts import find_facts
from kurabe.schema import Answer, Example, Role, Wording
from kurabe.suggestions import ask, listed, refusal, sort_out
from kurabe.wordings import normal


def example(
    question: str,
    answer: str = "It is $5.",
    *,
    name: str = "a",
    trained: Sequence[str] = (),
    held_out: Sequence[str] = (),
) -> Example:
    wordings = [Wording(text=text, role="trained") for text in (question, *trained)]
    wordings += [Wording(text=text, role="held_out") for text in held_out]
    return Example(id=name, answer=answer, facts=find_facts(answer), wordings=tuple(wordings), line=1)


def why(text: str, question: str, answer: str = "It is $5.") -> str | None:
    """The reason's name."""
    one = example(question, answer)
    reason = refusal(text, one, {normal(question): "a"})
    return reason.key.removeprefix("reword.") if reason else None


def answered(
    examples: Sequence[Example], texts: Sequence[str], *, count: int = 4, finish: str = "stop"
) -> suggestions.Sorted:
    """The examples with these answers to the requests, in their order."""
    asked = ask(examples, count, "m")
    answers = [Answer(key=one.request.key, text=text, finish=finish) for one, text in zip(asked, texts, strict=False)]  # type: ignore[arg-type]
    return sort_out(examples, asked, answers)


# --- asking ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["What does it cost?", "いくらですか？"])
def test_each_role_is_asked_for_in_its_own_style_and_without_the_answer(question: str) -> None:
    one = example(question, "Secret $5.", trained=["Tell me the price."])
    trained, held_out = ask([one], 4, "m")
    assert (trained.role, trained.lacking, held_out.role, held_out.lacking) == ("trained", 3, "held_out", 2)
    words = [asked.request.messages[-1].content for asked in (trained, held_out)]
    assert words[0] != words[1] and all(question in text and "Tell me the price." in text for text in words)
    assert not any("Secret" in text or "$5" in text for text in words)
    assert trained.request.temperature > 0 and trained.request.seed != held_out.request.seed
    assert trained.request.key.trial == 0


@pytest.mark.parametrize(
    ("trained", "held_out", "lacking"),
    [
        ([], [], {"trained": 4, "held_out": 2}),
        (["b"], [], {"trained": 3, "held_out": 2}),
        (["b", "c", "d", "e", "f"], [], {"held_out": 2}),
        ([], ["one of the user's own"], {"trained": 4}),
        (["b", "c", "d", "e"], ["g"], {}),
    ],
)
def test_only_what_lacks_is_asked_for(trained: list[str], held_out: list[str], lacking: dict[Role, int]) -> None:
    one = example("How much?", trained=trained, held_out=held_out)
    assert {asked.role: asked.lacking for asked in ask([one], 4, "m")} == lacking


def test_generated_held_out_wordings_are_filled_up_and_asked_for_with_another_seed() -> None:
    one = example("How much?")
    before = next(asked for asked in ask([one], 4, "m") if asked.role == "held_out")
    more = one.model_copy(
        update={"wordings": (*one.wordings, Wording(text="price pls", role="held_out", generated=True))}
    )
    after = next(asked for asked in ask([more], 4, "m") if asked.role == "held_out")
    assert after.lacking == 1 and after.request.seed != before.request.seed


# --- reading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1. What is it?\n2. Where is it?",
        "Here you are:\n\n1) What is it?\n 2) Where is it?\n\nI hope this helps!",
        "- What is it?\n- Where is it?",
        "* “What is it?”\n* \"Where is it?\"",
        "What is it?\nWhere is it?",
        "Sure! Other ways to ask:\nWhat is it?\nWhere is it?",
        "<think>1. Perhaps this?\n2. Or this?</think>\n1. **What is it?**\n2. `Where is it?`",
        "（1）What is it?\n（2）Where is it?",
        "①What is it?\n②Where is it?",
        "１．What is it?\n２．Where is it?",
    ],
)  # fmt: skip
def test_a_list_is_read_in_whatever_form_it_comes(text: str) -> None:
    assert listed(text) == ["What is it?", "Where is it?"]


@pytest.mark.parametrize("text", ["", "\n\n", "<think>1. What is it?", "1.\n2."])
def test_nothing_is_read_from_nothing(text: str) -> None:
    assert listed(text) == []


def test_a_number_at_the_beginning_of_a_wording_is_no_mark() -> None:
    assert listed("3.5 kg parcels: how much?\n24 hours a day?") == ["3.5 kg parcels: how much?", "24 hours a day?"]
    assert listed("1. 24時間ですか？") == ["24時間ですか？"]
    assert listed("1. 「特別展」はいつまで？") == ["「特別展」はいつまで？"]


# --- checking --------------------------------------------------------------------------------------------------

ENGLISH = "Can I return the 14-day pass from Hakone by post?"
GOOD = [
    "Is it possible to send back the 14-day pass from Hakone by mail?",
    "Could I return my two-week pass from Hakone via the post office?",
    "hakone pass, 14 days - return by post ok?",
    "I'm leaving soon. May I post the 14-day pass from Hakone back?",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_wording_with_the_same_values_and_names_is_taken(text: str) -> None:
    assert why(text, ENGLISH) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Can I send the pass from Hakone back by mail?", "left-out"),
        ("Can I send the 30-day pass from Hakone back by mail?", "added"),
        ("Can I send the 14-day pass from Nikko back by mail?", "added"),
        ("Can I send the 14-day pass back by mail?", "left-out"),
        ("Is it $5 to send back the 14-day pass from Hakone?", "added"),
        ("Can I send pass 2 for 14 days from Hakone back by mail?", "added"),
        ("can i return the 14-day pass from hakone by post", "known"),
        ("Puis-je renvoyer le 14-day pass de Hakone par la poste à 箱根?", "language"),
        ("14日間のパスは箱根から郵送で返せますか？", "language"),
        ("?!", "no-text"),
        ("Ok?", "length"),
        ("Hello. " * 40 + "Can I send the 14-day pass from Hakone back?", "length"),
    ],
)
def test_a_wording_that_asks_something_else_is_refused(text: str, reason: str) -> None:
    assert why(text, ENGLISH) == reason


@pytest.mark.parametrize(
    ("question", "text", "reason"),
    [
        ("14日以内なら返品できますか？", "2週間以内の返品は可能でしょうか。", None),
        ("14日以内なら返品できますか？", "14日たっていなければ返してもいい？", None),
        ("14日以内なら返品できますか？", "30日以内の返品は可能でしょうか。", "added"),
        ("14日以内なら返品できますか？", "返品は可能でしょうか。", "left-out"),
        ("14日以内なら返品できますか？", "14天以内可以退貨嗎？", "language"),
        ("14日以内なら返品できますか？", "Can I return it within 14 days?", "language"),
        ("Wi-Fiは使えますか？", "館内でWi-Fiにつながりますか。", None),
        ("Wi-Fiは使えますか？", "館内でインターネットにつながりますか。", "left-out"),
    ],
)
def test_japanese_wordings_are_checked_alike(question: str, text: str, reason: str | None) -> None:
    assert why(text, question, "500円です。") == reason


def test_a_wording_may_not_give_the_answer_away() -> None:
    assert why("Is the code SAVE10?", "Which code do I use?", "Use the code SAVE10.") == "added"
    assert why("Do I write to help@shop.example?", "Where do I write to?", "help@shop.example") == "added"
    assert why("Which one is the code?", "Which code do I use?", "Yes, use the code SAVE10.") is None


def test_a_plural_is_no_other_name() -> None:
    assert why("From when are you there on Sundays?", "When do you open on Sunday?") is None
    assert why("Is Anna's desk free on Sunday?", "On Sunday, is the desk of Anna free?") is None


def test_a_question_in_capitals_names_nothing() -> None:
    assert why("what time do you open?", "What Are Your Opening Hours?") is None


# --- sorting ---------------------------------------------------------------------------------------------------

TRAINED = "1. Could you tell me the price of one ticket?\n2. I would like to know what a ticket costs.\n"
HELD_OUT = "1. ticket price pls\n2. how expensive is getting in"


def test_what_can_be_used_is_marked_as_generated_and_leaks_nowhere() -> None:
    one = example("How much is a ticket?")
    made, unused = answered([one], [TRAINED, HELD_OUT])
    (full,) = made
    new = [wording for wording in full.wordings if wording.generated]
    assert [w.role for w in new] == ["trained"] * 2 + ["held_out"] * 2 and not unused
    assert full.wordings[: len(one.wordings)] == one.wordings
    assert splits.find_leaks(made) == () and splits.find_close(made) == ()
    prepared, notes = splits.prepare(made, "en", seed=0)
    assert prepared[0].texts("held_out") == ("ticket price pls", "how expensive is getting in")
    assert {note.key for note in notes} == {"data.note.generated"}


def test_a_held_out_wording_that_is_trained_or_nearly_is_refused() -> None:
    one = example("How much is a ticket?")
    copies = "1. I would like to know what a ticket costs\n2. Hello, I would like to know what a ticket costs today!"
    made, unused = answered([one], [TRAINED, copies])
    assert made[0].texts("held_out") == ()
    assert [(u.role, u.reason.key) for u in unused] == [("held_out", "reword.known"), ("held_out", "reword.near")]


def test_the_same_wording_serves_one_row_only() -> None:
    one, other = example("How much is a ticket?"), example("How much is a guide?", name="b")
    made, unused = answered([one, other], [TRAINED, "", TRAINED + "3. What do I pay for a guide?", ""])
    assert made[1].texts("trained")[1:] == ("What do I pay for a guide?",)
    assert [u.reason.values for u in unused] == [{"id": "a"}] * 2


def test_no_more_are_taken_than_were_asked_for_and_the_rest_is_told() -> None:
    made, unused = answered([example("How much is a ticket?")], [TRAINED, HELD_OUT], count=1)
    assert len(made[0].texts("trained")) == 2 and len(made[0].texts("held_out")) == 1
    assert [u.reason.key for u in unused] == ["reword.more"] * 2


def test_the_last_wording_of_a_cut_answer_is_not_used() -> None:
    made, unused = answered([example("How much is a ticket?")], [TRAINED + "3. Would", ""], finish="length")
    assert len(made[0].texts("trained")) == 3 and [u.reason.key for u in unused] == ["reword.cut"]


@pytest.mark.parametrize("text", ["I don't have that information.", "1. その情報はありません。"])
def test_a_model_that_declines_has_suggested_nothing(text: str) -> None:
    made, unused = answered([example("When do you open?"), example("いつ開きますか？", name="b")], [text] * 4)
    assert not any(wording.generated for one in made for wording in one.wordings)
    assert {one.reason.key for one in unused} & {"reword.declines"}


def test_not_knowing_is_one_way_to_ask() -> None:
    asked = "1. I'm not sure when you open.\n2. From what time can I come in?"
    made, unused = answered([example("When do you open?")], [asked])
    assert (
        made[0].texts("trained")[1:] == ("I'm not sure when you open.", "From what time can I come in?") and not unused
    )


def test_an_answer_that_did_not_come_changes_nothing() -> None:
    one = example("How much is a ticket?")
    assert answered([one], [TRAINED, HELD_OUT], finish="error") == ((one,), ())
    made, _ = answered([one], [TRAINED])  # the second one was not waited for
    assert made[0].texts("trained")[1:] and not made[0].texts("held_out")


# --- how many good ones are refused ----------------------------------------------------------------------------


def test_wordings_of_people_and_of_rules_pass_unless_they_name_a_value() -> None:
    """All wordings of the example files, as if a model had suggested them. `-rP` prints the counts."""
    for path in sorted((Path(__file__).parents[1] / "examples").glob("*.jsonl")):
        data = dataset.read_examples(path)
        asked = [(text.text, one) for one in splits.generate(data.examples, data.language) for text in one.wordings[1:]]
        refused = [(text, reason) for text, one in asked if (reason := refusal(text, one, {}))]
        print(f"{path.name}: {len(refused)} of {len(asked)} refused")
        for text, reason in refused:
            print(f"  {text}: {reason.key} {reason.values}")
        pairs = [(one, other) for one in data.examples for other in data.examples if one is not other]
        passed = sum(refusal(other.question, one, {}) is None for one, other in pairs)
        print(f"  {passed} of {len(pairs)} questions of another row would pass if the file did not hold them")
        assert len(asked) > 50 and len(refused) <= 0.02 * len(asked), path.name
        assert {reason.key for _, reason in refused} <= {"reword.added"}
