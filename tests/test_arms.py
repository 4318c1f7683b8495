"""Every arm says what the design says it says, and nothing that was held out."""

from __future__ import annotations

from collections import Counter

import pytest

from kurabe.arms import ARMS, Material, samples, write_prompt
from kurabe.prompts import INSTRUCTION, NEUTRAL
from kurabe.schema import Example, Question, Wording
from kurabe.settings import ARM_NAMES


def example(number: int, *, trained: int = 3, held_out: int = 2) -> Example:
    texts = [Wording(text=f"trained {number}.{n}?", role="trained") for n in range(trained)]
    texts += [Wording(text=f"check {number}?", role="check")]
    texts += [Wording(text=f"held out {number}.{n}?", role="held_out") for n in range(held_out)]
    return Example(id=f"e{number}", answer=f"It costs ${number}.", facts=(), wordings=tuple(texts))


EXAMPLES = tuple(example(n) for n in (1, 2, 3))
MATERIAL = Material(EXAMPLES, write_prompt(EXAMPLES, "en"), "en")
QUESTION = Question(id="e2/h1", example="e2", probe="held_out", text="held out 2.0?", expected="It costs $2.")


def said(arm: str, question: Question = QUESTION, material: Material = MATERIAL) -> tuple[str, str]:
    system, user = ARMS[arm].prepare(material)(question)
    assert (system.role, user.role) == ("system", "user")
    return system.content, user.content


def test_the_arms_are_those_of_the_settings() -> None:
    assert set(ARMS) == set(ARM_NAMES)


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
