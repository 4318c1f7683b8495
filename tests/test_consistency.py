"""Consistency: what counts as saying the same, over wordings and over samples."""

from __future__ import annotations

import pytest

from kurabe import consistency
from kurabe.facts import find_facts
from kurabe.schema import Answer, AnswerKey, Checks, ConsistencyResult, Question
from kurabe.scoring import score


def asked(answers: dict[str, list[str]], checks: Checks | None = None) -> ConsistencyResult | None:
    """The result of one arm whose answers to each example's wordings are these; all expect $5."""
    rows = []
    for example, texts in answers.items():
        for n, text in enumerate(texts, start=1):
            question = Question(
                id=f"{example}/h{n}", example=example, probe="held_out", text="How much?", expected="It costs $5.",
                facts=find_facts("It costs $5."), checks=checks,
            )  # fmt: skip
            key = AnswerKey(model="m", trial=0, arm="base", hop="live", probe="held_out", question=question.id)
            answer = Answer(key=key, text=text, finish="error" if text == "-" else "stop")
            rows.append((question, answer, score(answer, question)))
    return consistency.result("base", "wordings", rows, 0)


@pytest.mark.parametrize(
    ("texts", "same", "right"),
    [
        (["It costs $5.", "$5.00, as ever."], 1, 1),
        (["It costs $5.", "It costs $6."], 0, 0),
        (["It costs $6.", "Six? $6!"], 1, 0),
        (["It costs $6.", "It costs $7."], 0, 0),
        (["I do not know.", "Nobody says so."], 1, 0),
        (["It costs $5.", "It costs $5 and takes 3 days."], 0, 1),
    ],
)
def test_the_same_values_and_the_right_ones_are_told_apart(texts: list[str], same: int, right: int) -> None:
    found = asked({"a": texts})
    assert found is not None and found.form is None
    assert (found.values.value, found.right.value, found.values.n) == (same, right, 1)


def test_an_example_answered_once_says_nothing() -> None:
    assert asked({"a": ["It costs $5.", "-"]}) is None
    found = asked({"a": ["It costs $5.", "-"], "b": ["$5", "$5"]})
    assert found is not None and found.values.n == 1


def test_form_is_consistent_where_the_same_checks_hold() -> None:
    checks = Checks(max_length=6, unwanted=("sorry",))
    found = asked({"a": ["$5", "$6"], "b": ["$5", "Sorry, $5"]}, checks)
    assert found is not None and found.form is not None
    assert (found.values.value, found.form.value) == (0.5, 0.5)


def test_one_question_of_each_example_is_drawn_by_seeds_that_all_arms_share() -> None:
    questions = [
        Question(id=f"{e}/{n}", example=e, probe="held_out" if n[0] == "h" else "trained", text="?", expected="x")
        for e in "ab"
        for n in ("t1", "h1", "h2")
    ]
    assert [q.id for q in consistency.sampled(questions)] == ["a/h1", "b/h1"]
    keys = [
        AnswerKey(model="m", trial=t, arm=a, hop="live", probe="sampled", question="a/h1", sample=n)
        for a, t in (("base", 0), ("lora", 1))
        for n in (1, 2, 3)
    ]
    seeds = list(map(consistency.seed, keys))
    assert seeds[:3] == seeds[3:] and len(set(seeds)) == 3
