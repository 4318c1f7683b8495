"""Costs: each arm carries its own work, and the break-even is where the two bills meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe import cost
from kurabe.schema import Answer, AnswerKey, Usage
from kurabe.settings import Prices


def answer(number: int, prompt: int, new: int, finish: str = "stop", seconds: float = 0.5) -> Answer:
    key = AnswerKey(model="m", trial=0, arm="prompt", hop="live", probe="held_out", question=f"e{number}/h1")
    return Answer(
        key=key, text="x", finish=finish, prompt_tokens=prompt, cached_tokens=prompt // 2, new_tokens=new,
        seconds=seconds,
    )  # type: ignore[arg-type]  # fmt: skip


def usage(kind: str, arm: str, trial: int, tokens: int, memory: int = 1, seconds: float = 1.0) -> Usage:
    return Usage(kind=kind, arm=arm, trial=trial, seconds=seconds, tokens=tokens, peak_memory=memory)  # type: ignore[arg-type]


USAGES = [
    usage("loading", "", 0, 0, memory=999, seconds=50),
    usage("preparation", "lora", 1, 30_000, memory=300, seconds=20),
    usage("preparation", "lora", 2, 5_000, memory=900, seconds=7),
    usage("answering", "prompt", 0, 4_000, memory=200),
    usage("answering", "lora", 1, 400, memory=100),
]


def test_loading_belongs_to_no_arm_and_training_to_its_trial_alone() -> None:
    prompt = cost.cost("prompt", "prompt", 0, [answer(1, 400, 20)], USAGES, Prices())
    first = cost.cost("lora", "lora", 1, [answer(1, 40, 20)], USAGES, Prices())
    with_prompt = cost.cost("lora+prompt", "lora+prompt", 1, [answer(1, 400, 20)], USAGES, Prices())
    assert (prompt.preparation_seconds, prompt.preparation_tokens, prompt.peak_memory) == (0, 0, 200)
    assert (first.preparation_seconds, first.preparation_tokens, first.peak_memory) == (20, 30_000, 300)
    assert with_prompt.preparation_tokens == 30_000


def test_means_leave_out_answers_that_never_came() -> None:
    rows = [answer(1, 100, 10), answer(2, 300, 30), answer(3, 0, 0, finish="error", seconds=99)]
    result = cost.cost("prompt", "prompt", 0, rows, [], Prices())
    assert (result.prompt_tokens, result.cached_tokens, result.new_tokens) == (200, 100, 20)
    assert result.seconds_per_answer == 0.5


def test_money_needs_both_prices() -> None:
    rows = [answer(1, 1000, 100)]
    priced = Prices(input_per_million=2, output_per_million=10)
    assert cost.cost("p", "prompt", 0, rows, [], priced).money_per_thousand == pytest.approx(2 + 1)
    assert cost.cost("p", "prompt", 0, rows, [], Prices(input_per_million=2)).money_per_thousand is None
    assert cost.cost("p", "prompt", 0, [], [], priced).money_per_thousand is None


@given(st.integers(1, 10**7), st.floats(2, 4000), st.floats(0, 4000))
def test_break_even_is_the_first_question_at_which_the_prompts_bill_is_the_larger(
    positions: int, prompt: float, lora: float
) -> None:
    questions = cost.break_even(positions, prompt, lora)
    if prompt <= lora:
        assert questions is None
    else:
        assert questions is not None
        bill = 2 * questions * (prompt - lora)  # in units of N, beside 4 per trained position
        assert bill >= 4 * positions * (1 - 1e-9)
        assert bill - 2 * (prompt - lora) <= 4 * positions * (1 + 1e-9)


def test_break_even_of_the_science_notes_example() -> None:
    assert cost.break_even(800_000, 1_500, 0) == 1067


def test_only_the_first_lora_breaks_even_and_only_beside_a_prompt() -> None:
    prompt = cost.cost("prompt", "prompt", 0, [answer(1, 400, 20)], USAGES, Prices())
    lora = cost.cost("lora", "lora", 1, [answer(1, 40, 20)], USAGES, Prices())
    both = cost.cost("lora+prompt", "lora+prompt", 1, [answer(1, 400, 20)], USAGES, Prices())
    second = cost.cost("lora (origin)", "lora", 2, [answer(1, 40, 20)], USAGES, Prices())
    values = {c.label: c.break_even for c in cost.with_break_even([prompt, lora, both, second])}
    assert values == {"prompt": None, "lora": 167, "lora+prompt": None, "lora (origin)": None}
    assert cost.with_break_even([lora])[0].break_even is None


def test_an_index_is_charged_to_the_arm_that_searches_it() -> None:
    usages = [*USAGES, usage("preparation", "rag", 0, 0, seconds=3), usage("preparation", "lora+rag", 0, 0, seconds=4)]
    seconds = {
        arm: cost.cost(arm, arm, trial, [], usages, Prices()).preparation_seconds
        for arm, trial in (("rag", 0), ("lora+rag", 1), ("lora", 1), ("prompt", 0))
    }
    assert seconds == {"rag": 3, "lora+rag": 24, "lora": 20, "prompt": 0}


def test_break_even_beside_retrieval_is_that_of_its_shorter_prompt() -> None:
    rag = cost.cost("rag", "rag", 0, [answer(1, 100, 20)], USAGES, Prices())
    lora = cost.cost("lora", "lora", 1, [answer(1, 40, 20)], USAGES, Prices())
    found = {c.label: c for c in cost.with_break_even([rag, lora])}
    assert found["lora"].break_even_rag == cost.break_even(30_000, 100, 40) == 1000
    assert found["lora"].break_even is None and found["rag"].break_even_rag is None
