"""What each arm costs: preparation once, then tokens, memory and money per answer, and when a LoRA pays itself back.

Knows no recall and no verdict. Seconds are carried along for display; no rule reads them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kurabe.schema import Answer, CostEstimate, Usage
from kurabe.settings import Price


def cost(
    label: str, arm: str, trial: int, answers: Sequence[Answer], usages: Sequence[Usage], prices: Price
) -> CostEstimate:
    """The cost of one arm under one trial. `answers` are that arm's, to one set of questions; failed ones cost nothing.

    Training belongs to the trial, so `lora` and `lora+prompt` of one trial both carry it; building an index belongs to
    the arm that searches it.
    """
    came = [a for a in answers if a.finish != "error"]
    own = {("lora", trial)} if trial else set()
    preparation = [u for u in usages if u.kind == "preparation" and (u.arm, u.trial) in own | {(arm, 0)}]
    working = [u for u in usages if u.kind == "answering" and (u.arm, u.trial) == (arm, trial)]
    prompt_tokens, new_tokens = _mean([a.prompt_tokens for a in came]), _mean([a.new_tokens for a in came])
    return CostEstimate(
        label=label,
        arm=arm,
        trial=trial,
        preparation_seconds=sum(u.seconds for u in preparation),
        preparation_tokens=sum(u.tokens for u in preparation),
        prompt_tokens=prompt_tokens,
        cached_tokens=_mean([a.cached_tokens for a in came]),
        new_tokens=new_tokens,
        seconds_per_answer=_mean([a.seconds for a in came]),
        peak_memory=max((u.peak_memory for u in [*preparation, *working]), default=0),
        money_per_thousand=money_per_thousand(prompt_tokens, new_tokens, prices) if came else None,
    )


def money_per_thousand(prompt_tokens: float, new_tokens: float, prices: Price) -> float | None:
    """What a thousand answers cost; None unless both prices are given. Cached tokens are charged like any other."""
    if prices.input_per_million is None or prices.output_per_million is None:
        return None
    return (prompt_tokens * prices.input_per_million + new_tokens * prices.output_per_million) / 1000


def break_even(training_positions: int, prompt_tokens: float, lora_tokens: float) -> int | None:
    """Questions after which a LoRA's training is paid back by its shorter prompt; None where it saves no tokens.

    2 x training positions / prompt tokens saved: with N parameters, training computes about 4N operations per position
    (forward, and backward through the frozen weights to the activations) and answering 2N per prompt token. Neither
    side is credited with a beginning that its rows share, though kurabe computes it once: every row counts whole, with
    its padding, and every prompt token. A server that keeps the prompt's prefix in its cache computes far fewer of
    those, and the LoRA then needs far more questions.
    """
    saved = prompt_tokens - lora_tokens
    return math.ceil(2 * training_positions / saved) if saved > 0 and training_positions > 0 else None


def with_break_even(costs: Sequence[CostEstimate]) -> tuple[CostEstimate, ...]:
    """The costs, that of `lora` with its break-even against `prompt` and `rag`, where they were run. Only the first
    recipe's LoRA: what a further one would pay back is no reason to use it."""
    beside = {"break_even": "prompt", "break_even_rag": "rag"}
    tokens = {field: c.prompt_tokens for field, arm in beside.items() for c in costs if c.label == arm}
    return tuple(
        c.model_copy(
            update={field: break_even(c.preparation_tokens, paid, c.prompt_tokens) for field, paid in tokens.items()}
        )
        if c.label == "lora"
        else c
        for c in costs
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
