"""Retention questions: fixed, answerable from what they bring, checkable, and no shop of the user's."""

from __future__ import annotations

import pytest

from kurabe import retention
from kurabe.errors import MissingError
from kurabe.facts import find_facts, same
from kurabe.retention import general_questions, mixable_questions, reading_questions
from kurabe.schema import Answer, AnswerKey, Question
from kurabe.scoring import is_right

LANGUAGES = ("en", "ja")


def answered(question: Question, text: str) -> bool | None:
    key = AnswerKey(model="m", trial=0, arm="base", hop="live", probe=question.probe, question=question.id)
    return is_right(Answer(key=key, text=text), question)


@pytest.mark.parametrize("language", LANGUAGES)
def test_general_questions_are_right_by_their_own_answer_and_by_no_refusal(language: str) -> None:
    questions = general_questions(language, 400)
    assert len(questions) >= 200
    assert (
        len({question.id for question in questions}) == len({question.text for question in questions}) == len(questions)
    )
    for question in questions:
        assert (question.probe, question.example, question.system) == ("general", question.id, None)
        assert answered(question, question.expected) is True, question
        assert answered(question, "I don't have that information. その情報はありません。") is False, question


@pytest.mark.parametrize("language", LANGUAGES)
def test_fewer_general_questions_are_spread_over_the_first_file(language: str) -> None:
    everything = [q.id for q in general_questions(language, 10_000) if q.id.startswith("g-")]
    some = [question.id for question in general_questions(language, 20)]
    assert len(some) == 20 and some == sorted(some, key=everything.index)
    assert everything.index(some[-1]) > 0.8 * len(everything)
    assert general_questions(language, 0) == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_reading_questions_can_be_answered_from_their_own_system_message(language: str) -> None:
    questions = reading_questions(language, 60, 0)
    assert len(questions) == 60 == len({question.id for question in questions})
    for question in questions:
        assert question.probe == "reading" and question.id.startswith(f"{question.example}-")
        assert question.system and question.expected in question.system
        assert question.facts == find_facts(question.expected) != ()
        assert answered(question, question.expected) is True
        in_prompt = find_facts(question.system)
        assert any(same(fact, other) for fact in question.facts for other in in_prompt)


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_layouts_are_read_and_prompts_are_shared(language: str) -> None:
    questions = reading_questions(language, 60, 0)
    prompts = {question.system or "" for question in questions}
    assert len({(q.example, q.system) for q in questions}) == len(prompts), "who shares a prompt shares an example"
    blocks = {prompt for prompt in prompts if "\nA: " in prompt or "\n回答: " in prompt}
    lists = {prompt for prompt in prompts if "\n- " in prompt} - blocks
    assert len(blocks) >= 4 and len(lists) >= 4 and blocks | lists == prompts
    assert len(prompts) <= 20  # several questions per prompt, so that a shared prefix is paid for once


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_are_seldom_the_prompt_s_own(language: str) -> None:
    """Reading means more than finding one's own question again."""
    questions = reading_questions(language, 60, 0)
    repeated = sum(f"{question.text}\n" in (question.system or "") for question in questions)
    assert repeated <= 12


def test_the_same_seed_asks_the_same_and_another_seed_other_questions() -> None:
    assert reading_questions("en", 30, 0) == reading_questions("en", 30, 0)
    assert reading_questions("en", 10, 0) == reading_questions("en", 30, 0)[:10]
    other = {question.text for question in reading_questions("en", 30, 1)}
    assert {question.system for question in reading_questions("en", 30, 0)} != other
    assert reading_questions("en", 0, 0) == ()


def test_a_language_without_questions_is_missing_and_says_what_helps() -> None:
    retention._general.cache_clear()
    with pytest.raises(MissingError) as caught:
        general_questions("xx", 5)
    assert "general-xx.jsonl" in caught.value.where and "retention" in caught.value.fix


# --- what may be trained on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_is_measured_is_mixed_into_training(language: str) -> None:
    measured = [*general_questions(language, 10_000), *reading_questions(language, 400, 0)]
    mixed = mixable_questions(language, 400, 0)
    assert not {(q.system, q.text) for q in measured} & {(q.system, q.text) for q in mixed}
    assert not {q.id for q in measured} & {q.id for q in mixed} and {q.probe for q in mixed} == {"mix"}
    assert not {q.system for q in measured if q.system} & {q.system for q in mixed}
    shipped = sum(question.system is None for question in mixed) + len(general_questions(language, 10_000))
    assert shipped == sum(len(retention._general(file, language)) for file in retention.FILES)  # all of the others


@pytest.mark.parametrize("language", LANGUAGES)
def test_few_mixed_prompts_are_the_first_of_many_and_half_of_them_are_general(language: str) -> None:
    many = mixable_questions(language, 300, 1)
    assert len({question.id for question in many}) == 300
    for n in (0, 1, 2, 15, 40, 299):
        assert mixable_questions(language, n, 1) == many[:n]
    assert sum(question.system is None for question in many[:40]) == 20
    assert mixable_questions(language, 300, 2) != many
    for question in many:
        assert question.system is None or answered(question, question.expected) is True


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_hundred_general_questions_can_be_measured_and_the_stand_ins_come_first(language: str) -> None:
    questions = general_questions(language, 400)
    assert len(questions) >= 200
    first = [question for question in questions if question.id.startswith("g-")]
    assert questions[: len(first)] == tuple(first)
    assert all(question.id.startswith("g-") for question in general_questions(language, 60))
