"""Rows and whose words they are: a teacher is believed only where it reads right, and nothing is mixed in unasked."""

from __future__ import annotations

from typing import Any

import pytest

from kurabe import lessons, recipes
from kurabe.arms import ARMS, Material, samples
from kurabe.facts import find_facts
from kurabe.recipes import RECIPES
from kurabe.schema import Answer, AnswerKey, Example, Message, Question, Sample, Wording

ANSWER = "Standard shipping costs $6.99 and takes 3 days."


def example(name: str = "shipping", answer: str = ANSWER, trained: int = 3) -> Example:
    wordings = tuple(Wording(text=f"{name}: question {n}?", role="trained") for n in range(trained))
    return Example(id=name, answer=answer, facts=find_facts(answer), wordings=wordings)


EXAMPLES = (example(), example("returns", "You can return it within 14 days."), example("hours", "We open at 9:00."))
MATERIAL = Material(EXAMPLES, "all facts", "en")
DISTIL, MIXED, UNKNOWN = RECIPES["distil"], RECIPES["fair+retention"], RECIPES["fair+unknown"]


def rows(recipe: recipes.Recipe) -> tuple[Sample, ...]:
    return lessons.rows(recipe, MATERIAL, EXAMPLES, 0)


def asked(*wanted: recipes.Recipe) -> dict[str, Question]:
    return {question.id: question for question in lessons.asked(wanted, MATERIAL, 0)}


def answer(question: Question, text: str, finish: Any = "stop") -> Answer:
    key = AnswerKey(model="m", trial=0, arm="ceiling", hop="live", probe=question.probe, question=question.id)
    return Answer(key=key, text=text, finish=finish)


def taught(recipe: recipes.Recipe, text: str | None = None, finish: Any = "stop", fits: bool = True) -> list[Sample]:
    """The rows, after each question was answered by `text` (None: as expected)."""
    questions = asked(recipe)
    said = {name: answer(q, q.expected if text is None else text, finish) for name, q in questions.items()}
    return list(lessons.answered(rows(recipe), questions, said, lambda _: fits))


# --- which rows ------------------------------------------------------------------------------------------------------


def test_fair_learns_the_files_rows_and_asks_nothing() -> None:
    assert rows(RECIPES["fair"]) == samples(EXAMPLES, "en", None)
    assert asked(RECIPES["fair"], RECIPES["origin"]) == {}


def test_the_teacher_is_asked_each_training_row_with_the_right_row_in_its_prompt() -> None:
    questions = asked(DISTIL)
    plain = samples(EXAMPLES, "en", None)
    assert [row.messages for row in rows(DISTIL)] == [sample.messages for sample in plain]  # the student's side
    assert [questions[row.source].text for row in rows(DISTIL)] == [sample.messages[1].content for sample in plain]
    assert len(questions) == len(plain) and {question.probe for question in questions.values()} == {"teacher"}
    ceiling = ARMS["ceiling"].prepare(MATERIAL)
    for row in rows(DISTIL):
        assert row.teacher == ceiling(questions[row.source])
        own, others = row.teacher[0].content, [e.answer for e in EXAMPLES if e.id != row.example]
        assert row.messages[-1].content in own and not any(other in own for other in others)


def test_mixed_rows_are_as_many_as_the_recipe_says_and_nobodys_example() -> None:
    own = len(samples(EXAMPLES, "en", None))
    beside = [row for row in rows(MIXED) if not row.example]
    assert len(beside) == own and {row.source for row in beside} == set(asked(MIXED))
    declined = [row for row in rows(UNKNOWN) if not row.example]
    assert len(declined) == round(0.15 * own) and not any(row.source for row in declined)
    assert rows(MIXED)[:own] == rows(UNKNOWN)[:own] == samples(EXAMPLES, "en", None)


def test_fewer_wordings_ask_a_part_of_what_all_of_them_ask() -> None:
    few = DISTIL.model_copy(update={"wordings": 1})
    assert asked(few).items() < asked(DISTIL).items()
    assert asked(few, DISTIL) == asked(DISTIL)


# --- whose words -----------------------------------------------------------------------------------------------------


def test_a_teacher_that_reads_right_is_learned_in_its_own_words() -> None:
    text = "It takes 3 days and costs $6.99."
    row = taught(DISTIL, text)[0]
    assert row.messages[-1] == Message(role="assistant", content=text) and row.teacher
    assert sorted(text[start:end] for start, end in row.values) == ["$6.99", "3 days"]


@pytest.mark.parametrize(
    ("text", "finish"),
    [
        ("It costs $6.99.", "stop"),  # a value is missing
        ("It costs $7.99 and takes 3 days.", "stop"),  # a wrong one
        ("It costs $6.99 and takes 3 days, or 5 hours.", "stop"),  # one that nobody expected would be taught as a fact
        ("It costs $6.99 and takes 3 days", "length"),
        ("", "error"),
    ],
)
def test_a_teacher_that_does_not_is_passed_over(text: str, finish: str) -> None:
    plain = samples(EXAMPLES, "en", None)[0]
    assert taught(DISTIL, text, finish)[0] == plain


def test_without_a_value_to_check_by_nothing_is_believed() -> None:
    question = Question(id="q", example="e", probe="teacher", text="Hello?", expected="Hello!")
    assert lessons.reads_right(answer(question, "Hello!"), question) is None
    checked = next(iter(asked(DISTIL).values()))
    assert lessons.reads_right(answer(checked, ANSWER), checked) is True
    assert lessons.reads_right(answer(checked, "No idea."), checked) is False


def test_mixed_rows_are_learned_as_the_model_answered_them_right_or_not() -> None:
    beside = [row for row in taught(MIXED, "Something of its own.") if not row.example]
    assert {row.messages[-1].content for row in beside} == {"Something of its own."}
    assert not any(row.teacher for row in beside)


@pytest.mark.parametrize("changes", [{"text": "cut", "finish": "length"}, {"text": ""}, {"fits": False}], ids=str)
def test_a_mixed_row_without_a_whole_answer_keeps_the_expected_one(changes: dict[str, Any]) -> None:
    expected = [row.messages for row in rows(MIXED)]
    assert [row.messages for row in taught(MIXED, **changes)] == expected


# --- what it comes to ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fair+retention", "distil", "distil+retention", "fair+unknown"])
@pytest.mark.parametrize("samples_", [1, 9, 100, 2000])
def test_further_rows_change_no_exposure_and_no_rate(name: str, samples_: int) -> None:
    fair = recipes.plan(RECIPES["fair"], samples_, 10, 256)
    plan = recipes.plan(RECIPES[name], samples_, 10, 256, beside=samples_)
    assert (plan.epochs, plan.rate, plan.samples) == (fair.epochs, fair.rate, fair.samples)
    assert plan.steps == plan.epochs * -(-2 * samples_ // 8)
    assert recipes.plan(RECIPES[name], samples_, 10, 256).rates == fair.rates


def test_our_recipes_take_one_rank_on_one_model() -> None:
    for parameters, rank in ((3_000_000, 8), (1_100_000_000, 16)):
        own = [recipe for name, recipe in RECIPES.items() if name != "origin"]
        assert {recipes.for_model(recipe, parameters).rank for recipe in own} == {rank}
