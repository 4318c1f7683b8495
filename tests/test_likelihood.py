"""Likelihood: what an expected answer is held against, and what counts as leaning towards it."""

from __future__ import annotations

from kurabe import likelihood
from kurabe.facts import find_facts, same
from kurabe.fake import FakeBackend
from kurabe.schema import Answer, AnswerKey, Message, Question, Request

ANSWER = "Standard shipping costs $6.99 and takes 3-5 business days."


def question(answer: str = ANSWER, number: int = 1) -> Question:
    return Question(
        id=f"shipping/h{number}", example="shipping", probe="held_out", text="How much is shipping?", expected=answer,
        facts=find_facts(answer),
    )  # fmt: skip


def key(arm: str = "base", number: int = 1) -> AnswerKey:
    return AnswerKey(model="m", trial=0, arm=arm, hop="live", probe="weighed", question=f"shipping/h{number}")


def test_each_alternative_is_the_answer_with_one_other_value_and_the_values_take_turns() -> None:
    expected, *others = likelihood.targets(question(), 4)
    before = find_facts(ANSWER)
    assert expected == ANSWER and len(set(others)) == 4
    changed = []
    for other in others:
        after = find_facts(other)
        different = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if not same(a, b)]
        assert len(different) == 1 and after[different[0]].kind == before[different[0]].kind
        changed += different
    assert changed == [0, 1, 0, 1]


def test_without_a_value_to_change_there_is_nothing_to_hold_against() -> None:
    assert likelihood.targets(question("Write to help@example.com."), 4) == ()
    assert likelihood.targets(question(), 0) == ()


def weighed(says: str, *texts: str) -> list[Answer]:
    """What an arm that would answer so holds likely, question by question."""
    asked = [question(text, number) for number, text in enumerate(texts, start=1)]
    requests = [
        Request(key=key(number=n), messages=(Message(role="user", content=q.text),), max_new_tokens=9)
        for n, q in enumerate(asked, start=1)
    ]
    return list(likelihood.weigh(FakeBackend(lambda _: says), requests, {q.id: q for q in asked}, 3))


def test_an_arm_leans_towards_the_right_value_or_it_does_not() -> None:
    asked = {q.id: q for q in (question(), question(number=2))}
    arms = {"base": ("base", 0), "lora": ("lora", 1)}
    for says, likeliest in ((ANSWER, 1.0), (ANSWER.replace("$6.99", "$7.99"), 0.0)):
        answers = weighed(says, ANSWER, ANSWER)
        assert [len(answer.logprobs or ()) for answer in answers] == [4, 4] and not any(a.text for a in answers)
        (found,) = likelihood.results(arms, answers, asked, 0)
        assert (found.label, found.likeliest.value, found.chance) == ("base", likeliest, 0.25)
        assert (found.likeliest.n, found.likeliest.items) == (1, 2)


def test_equally_likely_is_not_likeliest_and_what_could_not_be_weighed_is_left_out() -> None:
    (even,) = likelihood.results({"base": ("base", 0)}, weighed("?", ANSWER), {"shipping/h1": question()}, 0)
    assert even.likeliest.value == 0
    backend = FakeBackend(lambda _: None)
    request = Request(key=key(), messages=(Message(role="user", content="?"),), max_new_tokens=9)
    (failed,) = likelihood.weigh(backend, [request], {"shipping/h1": question()}, 3)
    assert failed.finish == "error" and failed.logprobs is None
    assert list(likelihood.results({"base": ("base", 0)}, [failed], {"shipping/h1": question()}, 0)) == []
