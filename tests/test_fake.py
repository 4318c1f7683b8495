"""The scripted backend keeps the protocol: order, errors, limits, training, adapters, and the same again each time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors import safe_open

from kurabe.errors import MissingError
from kurabe.fake import FAKE_INFO, UNKNOWN, FakeBackend, rehearsal
from kurabe.model import Backend, TrialPlan
from kurabe.recipes import RECIPES, plan
from kurabe.schema import AnswerKey, Example, Message, Request, Sample, Wording


def request(question: str, *, arm: str = "base", trial: int = 0, limit: int = 50) -> Request:
    key = AnswerKey(model="fake", trial=trial, arm=arm, hop="live", probe="held_out", question=question)
    return Request(key=key, messages=(Message(role="user", content=f"ask {question}"),), max_new_tokens=limit)


def trial(number: int = 1, rows: int = 4, seed: int = 0) -> TrialPlan:
    messages = (Message(role="user", content="How much?"), Message(role="assistant", content="It costs $5."))
    recipe = RECIPES["origin"]
    samples = tuple(Sample(example=f"e{n}", messages=messages) for n in range(rows))
    return TrialPlan(number, plan(recipe, rows, rows, FAKE_INFO.hidden), samples, seed)


def test_it_is_a_backend() -> None:
    backend: Backend = FakeBackend()
    assert backend.capabilities.train and backend.trainable(8) == 2 * backend.trainable(4)


def test_answers_keep_the_order_and_failures_stay_in_their_place() -> None:
    backend = FakeBackend(lambda r: None if "b" in r.key.question else r.key.question.upper())
    requests = [request(name) for name in ("a", "b", "c")]
    answers = list(backend.answer(requests))
    assert [a.key for a in answers] == [r.key for r in requests]
    assert [(a.text, a.finish) for a in answers] == [("A", "stop"), ("", "error"), ("C", "stop")]
    assert answers[1].error


def test_a_long_answer_is_cut_at_the_limit_and_says_so() -> None:
    text = "It costs $6.99, and 料金は五百円です。"
    whole, cut = (next(FakeBackend(lambda _: text).answer([request("a", limit=n)])) for n in (50, 5))
    assert (whole.text, whole.finish) == (text, "stop")
    assert cut.finish == "length" and cut.new_tokens == 5 and text.startswith(cut.text) and cut.text


def test_a_trial_answers_only_once_it_is_trained() -> None:
    backend = FakeBackend(lambda _: "yes")
    asked = [request("a", arm="lora", trial=1)]
    assert next(backend.answer(asked)).finish == "error"
    steps = list(backend.train([trial()]))
    assert next(backend.answer(asked)).finish == "stop"
    assert [s.step for s in steps] == list(range(1, steps[0].steps + 1))
    assert steps[-1].loss is not None and steps[0].loss is not None and steps[-1].loss < steps[0].loss
    assert [s.rate for s in steps] == list(trial().plan.rates)


def test_trials_together_are_trained_step_by_step_and_each_can_be_used_after_its_last(tmp_path: Path) -> None:
    backend, seen = FakeBackend(lambda _: "yes"), {1: 0, 2: 0, 3: 0}
    trials = [trial(1), trial(2, rows=12), trial(3, seed=5)]
    steps = []
    for step in backend.train(trials, lambda number: number == 3 and seen[3] == 2):
        steps.append((step.trial, step.step))
        seen[step.trial] = step.step
        if (step.trial, step.step) == (1, step.steps):
            backend.save_adapter(1, tmp_path)
            backend.load_adapter(1, tmp_path)
            assert next(backend.answer([request("a", arm="lora", trial=1)])).finish == "stop"
    assert steps[:4] == [(1, 1), (2, 1), (3, 1), (1, 2)]
    assert seen == {1: trials[0].plan.steps, 2: trials[1].plan.steps, 3: 2} and seen[2] > seen[1] > 2


def test_a_stopped_trial_has_another_adapter_than_one_that_went_on() -> None:
    def tokens(steps: int) -> Sequence[int]:
        backend, taken = FakeBackend(lambda _: "yes"), list[int]()
        for step in backend.train([trial()], lambda _: len(taken) == steps):
            taken.append(step.step)
        return next(backend.answer([request("a", arm="lora", trial=1)])).token_ids

    assert tokens(1) != tokens(2) == tokens(2)


def test_a_score_favours_what_the_script_would_answer() -> None:
    backend = FakeBackend(lambda r: None if r.key.question == "b" else "It costs $5.")
    gold, other, failed = backend.score([request("a"), request("a"), request("b")], ["It costs $5.", "No idea.", "x"])
    assert gold.logprob is not None and other.logprob is not None
    assert gold.logprob / gold.tokens > other.logprob / other.tokens
    assert failed.logprob is None and failed.error


def test_an_adapter_is_a_real_file_that_brings_the_trial_back(tmp_path: Path) -> None:
    first, second = FakeBackend(lambda _: "yes"), FakeBackend(lambda _: "yes")
    list(first.train([trial()]))
    first.save_adapter(1, tmp_path)
    with safe_open(tmp_path / "adapter_model.safetensors", framework="np") as file:
        assert file.get_tensor("fake").shape == (32,)
    second.load_adapter(1, tmp_path)
    asked = [request("a", arm="lora", trial=1)]
    assert next(first.answer(asked)) == next(second.answer(asked))
    with pytest.raises(MissingError):
        second.load_adapter(2, tmp_path / "nothing")


def test_another_training_makes_another_adapter() -> None:
    def tokens(planned: TrialPlan) -> Sequence[int]:
        backend = FakeBackend(lambda _: "yes")
        list(backend.train([planned]))
        return next(backend.answer([request("a", arm="lora", trial=1)])).token_ids

    assert tokens(trial()) == tokens(trial()) != tokens(trial(seed=1)) != tokens(trial(rows=5))


def test_a_loss_can_be_scripted() -> None:
    backend = FakeBackend(losses=lambda trial, step: None if step == 2 else 1.0)
    assert [s.loss for s in backend.train([trial()])][:3] == [1.0, None, 1.0]


def test_counts_grow_with_the_words_and_japanese_counts_by_characters() -> None:
    def count(text: str, role: str = "user") -> int:
        return FakeBackend().count([Message.model_validate({"role": role, "content": text})])

    assert count("one two three") == count("one two") + 1
    assert count("送料はいくら") == count("") + 6
    assert count("a", "user") > count("a", "assistant"), "a question is rendered with the answer's header"


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_rehearsal_knows_its_share(share: float) -> None:
    examples = [
        Example(id=f"e/{n}", answer=f"${n}.", facts=(), wordings=(Wording(text="?", role="trained"),))
        for n in range(200)
    ]
    script = rehearsal(examples, {"prompt": share}, "ja")
    texts = [script(request(f"{example.id}/h1", arm="prompt")) for example in examples]
    right = sum(text == example.answer for text, example in zip(texts, examples, strict=True))
    assert abs(right / 200 - share) < 0.12 and (share == 0.5 or right == 200 * share)
    assert set(texts) - {example.answer for example in examples} <= {UNKNOWN["ja"]}
    assert script(request("general-1", arm="prompt")) == UNKNOWN["ja"]
