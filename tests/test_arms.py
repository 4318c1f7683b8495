"""Every arm says what the design says it says, and nothing that was held out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe.arms import ARMS, INDEXED, Material, can_shuffle, samples, shuffle, write_prompt
from kurabe.prompts import INSTRUCTION, NEUTRAL
from kurabe.schema import Example, Passage, Question, Wording
from kurabe.settings import ARM_NAMES, RunSettings


def example(number: int, *, trained: int = 3, held_out: int = 2) -> Example:
    texts = [Wording(text=f"trained {number}.{n}?", role="trained") for n in range(trained)]
    texts += [Wording(text=f"check {number}?", role="check")]
    texts += [Wording(text=f"held out {number}.{n}?", role="held_out") for n in range(held_out)]
    return Example(id=f"e{number}", answer=f"It costs ${number}.", facts=(), wordings=tuple(texts))


EXAMPLES = tuple(example(n) for n in (1, 2, 3))
MATERIAL = Material(EXAMPLES, write_prompt(EXAMPLES, "en"), "en")
QUESTION = Question(id="e2/h1", example="e2", probe="held_out", text="held out 2.0?", expected="It costs $2.")


def said(arm: str, question: Question = QUESTION, material: Material = MATERIAL) -> tuple[str, str]:
    """What is said before the question, and the question."""
    system, *turns, user = ARMS[arm].prepare(material)(question)
    assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    assert (system.role, user.role) == ("system", "user")
    return "\n".join(message.content for message in (system, *turns)), user.content


def test_the_arms_are_those_of_the_settings() -> None:
    assert tuple(ARMS) == ARM_NAMES
    assert set(ARM_NAMES) - set(RunSettings().arms) == {"shuffled"}, "it trains once more, so it is asked for"


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_asks_the_question_as_it_is(arm: str) -> None:
    assert said(arm)[1] == QUESTION.text


def test_the_plain_arms_share_the_training_message() -> None:
    (first, *_) = samples(EXAMPLES, "en", None)
    assert said("base")[0] == said("lora")[0] == first.messages[0].content == NEUTRAL["en"]


def test_the_prompt_holds_every_rows_own_question_and_answer() -> None:
    assert said("prompt") == said("lora+prompt")
    assert said("prompt")[0] == (
        f"{NEUTRAL['en']}\n{INSTRUCTION['en']}\n\nQ: trained 1.0?\nA: It costs $1.\n\n"
        "Q: trained 2.0?\nA: It costs $2.\n\nQ: trained 3.0?\nA: It costs $3."
    )


def test_the_ceiling_holds_the_one_right_row() -> None:
    system = said("ceiling")[0]
    assert system == write_prompt([EXAMPLES[1]], "en")
    assert "$2" in system and "$1" not in system and "$3" not in system


@pytest.mark.parametrize("arm", ARMS)
def test_nothing_that_was_kept_out_of_training_is_said_before_the_question(arm: str) -> None:
    system = said(arm)[0]
    assert "held out" not in system and "check" not in system


def test_a_question_with_its_own_system_message_keeps_it() -> None:
    reading = Question(id="r", example="r", probe="reading", text="?", expected="", system="Another shop.")
    assert said("base", reading)[0] == said("lora", reading)[0] == "Another shop."


def test_the_users_own_prompt_is_taken_as_it_is() -> None:
    material = MATERIAL._replace(prompt="Mine {not a place} %s")
    assert said("prompt", material=material)[0] == "Mine {not a place} %s"
    assert "Mine" not in said("ceiling", material=material)[0]


def test_japanese_prompts_are_japanese() -> None:
    text = write_prompt(EXAMPLES[:1], "ja")
    assert text == f"{NEUTRAL['ja']}\n{INSTRUCTION['ja']}\n\n質問: trained 1.0?\n回答: It costs $1."


# --- rows and passages that are searched for ---------------------------------------------------------------------

SHOP = tuple(
    Example(
        id=name, answer=answer, facts=(),
        wordings=(Wording(text=question, role="trained"), Wording(text=other, role="trained")),
    )
    for name, question, other, answer in (
        ("tea", "What does tea cost?", "Price of a cup of tea?", "Tea costs $2."),
        ("parking", "Where can I park?", "Is there a garage?", "Behind the house."),
        ("dogs", "May my dog come in?", "Are pets welcome?", "Yes, on a lead."),
    )
)  # fmt: skip
RIDE = Question(
    id="q", example="parking", probe="held_out", text="Is there a garage where I can park my dog?", expected=""
)


def shop(**changes: object) -> Material:
    return Material(SHOP, write_prompt(SHOP, "en"), "en")._replace(**changes)  # type: ignore[arg-type]


def test_rag_holds_the_nearest_rows_in_the_layout_of_the_prompt_the_best_first() -> None:
    assert said("rag", RIDE, shop(nearest=2))[0] == write_prompt([SHOP[1], SHOP[2]], "en")
    assert said("rag", RIDE, shop(nearest=1))[0] == write_prompt([SHOP[1]], "en")
    assert said("rag", RIDE, shop()) == said("lora+rag", RIDE, shop())


def test_few_shot_shows_the_nearest_rows_as_turns_the_nearest_one_last() -> None:
    said = ARMS["few-shot"].prepare(shop(nearest=2))(RIDE)
    expected = [NEUTRAL["en"], SHOP[2].question, SHOP[2].answer, SHOP[1].question, SHOP[1].answer, RIDE.text]
    assert [message.content for message in said] == expected


def test_a_row_is_found_by_any_of_its_trained_wordings_and_by_its_answer() -> None:
    for text in ("Price of a cup, please", "the house"):
        question = RIDE.model_copy(update={"text": text})
        assert said("rag", question, shop(nearest=1))[0] in (write_prompt([row], "en") for row in SHOP)
    assert "on a lead" in said("rag", RIDE.model_copy(update={"text": "pets?"}), shop(nearest=1))[0]


@pytest.mark.parametrize("arm", INDEXED)
def test_a_question_that_shares_no_word_with_any_row_is_shown_none(arm: str) -> None:
    before = said(arm, RIDE.model_copy(update={"text": "¿Cuándo?"}), shop())[0]
    assert not any(row.answer in before for row in SHOP)


def test_documents_take_the_place_of_the_rows_in_rag_alone() -> None:
    passages = (Passage(source="a.md", text="Parking\nA garage costs $9."), Passage(source="a.md", text="Tea: $3."))
    material = shop(passages=passages)
    before = said("rag", RIDE, material)[0]
    assert before.endswith("Parking\nA garage costs $9.") and before.startswith(f"{NEUTRAL['en']}\n{INSTRUCTION['en']}")
    assert "Behind the house." in said("few-shot", RIDE, material)[0]


# --- training rows ---------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(0, 3))
def test_shuffled_answers_are_all_given_and_nobody_keeps_the_own_one(answers: list[int], seed: int) -> None:
    rows = [example(n).model_copy(update={"answer": f"${answer}"}) for n, answer in enumerate(answers)]
    dealt = shuffle(rows, seed)
    assert [row.model_copy(update={"answer": ""}) for row in dealt] == [
        row.model_copy(update={"answer": ""}) for row in rows
    ]
    assert Counter(row.answer for row in dealt) == Counter(row.answer for row in rows)
    kept = sum(one.answer == other.answer for one, other in zip(rows, dealt, strict=True))
    most = max(Counter(answers).values())
    assert kept <= max(0, 2 * most - len(rows)), "only where there are not enough others"
    assert dealt == shuffle(rows, seed)
    assert can_shuffle(rows) == (len(set(answers)) > 1)


def test_another_seed_shuffles_otherwise() -> None:
    rows = [example(n) for n in range(12)]
    assert len({tuple(row.answer for row in shuffle(rows, seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize(("wordings", "expected"), [(None, 9), (1, 3), (2, 6), (99, 9)])
def test_samples_are_trained_wordings_only(wordings: int | None, expected: int) -> None:
    rows = samples(EXAMPLES, "en", wordings)
    assert len(rows) == expected
    assert all(row.messages[1].content.startswith("trained") for row in rows)
    assert [m.role for m in rows[0].messages] == ["system", "user", "assistant"]
    assert {row.example: row.messages[2].content for row in rows} == {e.id: e.answer for e in EXAMPLES}


def test_every_example_is_trained_as_often_as_any_other() -> None:
    """What the rules could not reword has one wording; it must not be seen a tenth as often as the others."""
    uneven = (example(1, trained=1), example(2, trained=7), example(3, trained=3))
    rows = samples(uneven, "en", None)
    assert Counter(row.example for row in rows) == {"e1": 7, "e2": 7, "e3": 7}
    asked = Counter(row.messages[1].content for row in rows if row.example == "e3")
    assert set(asked) == set(uneven[2].texts("trained")) and max(asked.values()) - min(asked.values()) <= 1
    assert Counter(row.example for row in samples(uneven, "en", 1)) == {"e1": 1, "e2": 1, "e3": 1}
    assert samples((), "en", None) == ()
