"""The families of scenarios: what is true in each, drawn at random, and which choices are right there.

Knows no draw of answers and no verdict. What is right follows from the true shares, costs and flaws alone: it was
written down before the rule saw them. Two choices are right only where the truth lies at a margin, and `cannot-tell`
only where nothing can be concluded or so few examples cannot show what is true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.random import Generator

from kurabe.schema import Choice
from studies.worlds import World

FLAWS = ("too-few-steps", "loss-on-padding")
SOUND = {"general": 0.98, "reading": 0.96}
HARMED = {"general": 0.98, "reading": 0.45}
FORGOT = {"general": 0.25, "reading": 0.9}


class Family(NamedTuple):
    """One kind of situation. `taught` is False where the recipe was broken, seen by the audit or not."""

    right: tuple[Choice, ...]
    make: Callable[[Draw], World]
    taught: bool = True


class Draw:
    """Random true values of one scenario."""

    def __init__(self, random: Generator) -> None:
        self._random = random

    def between(self, low: float, high: float) -> float:
        """A number between these."""
        return round(float(self._random.uniform(low, high)), 4)

    def count(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return int(self._random.integers(low, high + 1))

    def world(self, low: int, high: int, recall: dict[str, float], **changes: Any) -> World:
        """A world of `low` to `high` examples, with correlations as real answers have them and a readable ceiling."""
        shares = {"base": self.between(0.0, 0.05), "ceiling": self.between(0.95, 0.99)} | recall
        fields: dict[str, Any] = {
            "spread": self.between(0.2, 0.6), "agreement": self.between(0.3, 0.8), "wordings": self.count(2, 4),
            "kept": SOUND,
        }  # fmt: skip
        return World(examples=self.count(low, high), recall=shares, **fields | changes)


def _same(draw: Draw, low: float, high: float, *labels: str) -> dict[str, float]:
    return dict.fromkeys(labels, draw.between(low, high))


def _priced(questions: int, days: float, beside: float, lora: float = 40.0) -> dict[str, Any]:
    """Training that is paid back in `days` beside a prompt of `beside` tokens, at so many questions per day."""
    positions = round(days * questions * (beside - lora) / 2)
    tokens = {"prompt": 1500.0, "lora": lora, "lora+prompt": 1500.0}
    return {"questions_per_day": questions, "trained_positions": positions, "prompt_tokens": tokens}


def _beside_rag(draw: Draw, days: float) -> dict[str, Any]:
    own = _priced(draw.count(500, 20_000), days, 220.0)
    return own | {"prompt_tokens": {**own["prompt_tokens"], "rag": 220.0}}


def _stale(draw: Draw) -> World:
    """A share of the facts has changed since training; with the prompt, the LoRA says some of the old ones."""
    changed, prompt = draw.between(0.3, 0.5), draw.between(0.93, 0.98)
    recall = {"prompt": prompt, "lora": prompt * (1 - changed), "lora+prompt": prompt * (1 - changed / 2)}
    return draw.world(50, 120, recall)


def _contradictory(draw: Draw) -> World:
    """Each question stands in the file with three or four answers; every arm can give one of them."""
    share = 1 / draw.count(3, 4)
    return draw.world(50, 120, {"prompt": share, "rag": share, "lora": share, "lora+prompt": share})


def _styled(draw: Draw, tuned: float, combined: float, shots: float, recall: dict[str, float]) -> World:
    style = {"prompt": draw.between(0.4, 0.6), "few-shot": shots, "lora": tuned, "lora+prompt": combined}
    return draw.world(60, 120, recall, style=style)


def _only_style(draw: Draw, low: int, high: int, lora: float, shots: float) -> World:
    style = {"prompt": draw.between(0.3, 0.6), "few-shot": shots, "lora": lora}
    world = draw.world(low, high, {}, style=style, spread=draw.between(0.1, 0.3))
    return world.model_copy(update={"recall": {}})


FAMILIES: dict[str, Family] = {
    # --- the prompt is right
    "fits": Family(("prompt",), lambda d: d.world(40, 120, {
        **_same(d, 0.92, 0.98, "prompt", "rag", "lora+prompt"), "lora": d.between(0.3, 0.7)})),
    "fits, without a retrieval arm": Family(("prompt",), lambda d: d.world(40, 120, {
        "prompt": d.between(0.85, 0.98), "lora": d.between(0.2, 0.6)})),
    "fits, ten to twenty rows": Family(("prompt",), lambda d: d.world(10, 20, {
        "prompt": d.between(0.92, 0.98), "lora": d.between(0.1, 0.4)})),
    "the lora is as good, many rows": Family(("prompt",), lambda d: d.world(150, 250, _same(
        d, 0.94, 0.98, "prompt", "lora"), spread=0.2)),
    "as good, but it harms reading": Family(("prompt",), lambda d: d.world(15, 40, _same(
        d, 0.96, 0.99, "prompt", "lora"), kept=HARMED, spread=0.2)),
    "retrieval misses": Family(("prompt",), lambda d: d.world(40, 120, {
        "prompt": d.between(0.92, 0.98), "rag": d.between(0.5, 0.7), "lora": d.between(0.2, 0.5),
        "lora+rag": d.between(0.5, 0.7)})),
    "stale facts": Family(("prompt",), _stale),
    "some answers never came": Family(("prompt",), lambda d: d.world(40, 120, {
        "prompt": d.between(0.92, 0.98), "lora": d.between(0.2, 0.5)}, unscored={"lora": d.between(0.005, 0.04)})),
    "broken recipe, a prompt without a fault": Family(("prompt",), lambda d: d.world(180, 250, {
        "prompt": d.between(0.992, 0.999), "lora": d.between(0.0, 0.3)}, flaws=FLAWS, spread=0.2), taught=False),
    "as good, and paid back too late": Family(("prompt",), lambda d: d.world(150, 250, _same(
        d, 0.94, 0.98, "prompt", "lora"), spread=0.2, **_priced(d.count(5, 50), d.between(60, 400), 1500.0))),
    "as good and cheap, but it harms reading": Family(("prompt",), lambda d: d.world(150, 250, _same(
        d, 0.94, 0.98, "prompt", "lora"), spread=0.2, kept=HARMED,
        **_priced(d.count(500, 20_000), d.between(1, 20), 1500.0))),
    "form alone, similar rows show it": Family(("prompt",), lambda d: _only_style(
        d, 150, 250, *[d.between(0.94, 0.98)] * 2)),
    # --- retrieval is right
    "a long prompt is read badly": Family(("retrieve",), lambda d: d.world(50, 120, {
        "prompt": d.between(0.55, 0.7), "rag": d.between(0.93, 0.98), "lora": d.between(0.3, 0.6)})),
    "beyond the window, retrieval measured": Family(("retrieve",), lambda d: d.world(40, 120, {
        "rag": d.between(0.9, 0.98), "lora": d.between(0.2, 0.6), "lora+rag": d.between(0.6, 0.9)}, prompt_fits=False)),
    "beyond the window, retrieval not run": Family(("retrieve",), lambda d: d.world(40, 120, {
        "lora": d.between(0.3, 0.65)}, prompt_fits=False)),
    "beyond the window, a broken recipe": Family(("retrieve",), lambda d: d.world(40, 120, {
        "lora": d.between(0.1, 0.98)}, prompt_fits=False, flaws=FLAWS), taught=False),
    "retrieval as good, at a tenth of the tokens": Family(("retrieve",), lambda d: d.world(150, 250, {
        **_same(d, 0.94, 0.98, "prompt", "rag"), "lora": d.between(0.3, 0.7)}, spread=0.2, **_beside_rag(d, 10.0))),
    "the lora beats the prompt, not retrieval": Family(("retrieve",), lambda d: d.world(150, 250, {
        "prompt": d.between(0.5, 0.7), **_same(d, 0.94, 0.98, "rag", "lora")}, spread=0.2)),
    # --- fine-tuning is right
    "nothing else reads it": Family(("fine-tune",), lambda d: d.world(50, 120, {
        "prompt": d.between(0.5, 0.65), "rag": d.between(0.5, 0.65), "lora": d.between(0.9, 0.97),
        "shuffled": d.between(0.0, 0.2)})),
    "beyond the window, retrieval misses": Family(("fine-tune",), lambda d: d.world(50, 120, {
        "rag": d.between(0.4, 0.6), "lora": d.between(0.88, 0.97)}, prompt_fits=False)),
    "beyond the window, a good lora alone": Family(("fine-tune",), lambda d: d.world(40, 120, {
        "lora": d.between(0.92, 0.98)}, prompt_fits=False)),
    "clearly better, though it harms reading": Family(("fine-tune",), lambda d: d.world(50, 120, {
        "prompt": d.between(0.5, 0.65), "lora": d.between(0.88, 0.97)}, kept=HARMED)),
    "clearly better, and it forgets a little": Family(("fine-tune",), lambda d: d.world(50, 120, {
        "prompt": d.between(0.5, 0.65), "lora": d.between(0.88, 0.97)}, kept={"general": 0.8, "reading": 0.9})),
    "as good, at a large volume": Family(("fine-tune",), lambda d: d.world(150, 250, _same(
        d, 0.94, 0.98, "prompt", "lora"), spread=0.2, **_priced(d.count(500, 20_000), d.between(1, 20), 1500.0))),
    "as good as retrieval, at a large volume": Family(("fine-tune",), lambda d: d.world(150, 250, _same(
        d, 0.94, 0.98, "prompt", "rag", "lora"), spread=0.2, **_beside_rag(d, d.between(1, 20)))),
    "form alone": Family(("fine-tune",), lambda d: _only_style(d, 40, 120, d.between(0.9, 0.98), d.between(0.5, 0.7))),
    "form, and facts as good": Family(("fine-tune",), lambda d: _styled(
        d, d.between(0.9, 0.98), d.between(0.9, 0.98), d.between(0.5, 0.7), _same(
            d, 0.94, 0.98, "prompt", "lora", "lora+prompt"))),
    # --- both are right
    "each knows a part": Family(("both",), lambda d: d.world(60, 120, {
        "prompt": d.between(0.55, 0.7), "lora": d.between(0.55, 0.7), "lora+prompt": d.between(0.9, 0.97)})),
    "beyond the window, each knows a part": Family(("both",), lambda d: d.world(60, 120, {
        "rag": d.between(0.55, 0.7), "lora": d.between(0.55, 0.7), "lora+rag": d.between(0.9, 0.97)},
        prompt_fits=False)),
    "facts by the prompt, form by the lora": Family(("both",), lambda d: _styled(
        d, d.between(0.9, 0.98), d.between(0.9, 0.98), d.between(0.5, 0.7), {
            "lora": d.between(0.2, 0.5), **_same(d, 0.94, 0.98, "prompt", "lora+prompt")})),
    # --- nothing can be concluded
    "too few facts": Family(("cannot-tell",), lambda d: d.world(3, 7, {
        "prompt": d.between(0.5, 0.98), "lora": d.between(0.1, 0.98)})),
    "equal, ten to thirty rows": Family(("cannot-tell",), lambda d: d.world(10, 30, _same(
        d, 0.9, 0.97, "prompt", "lora"), spread=0.3)),
    "contradictory data": Family(("cannot-tell",), _contradictory),
    "the model cannot read a prompt": Family(("cannot-tell",), lambda d: d.world(40, 120, {
        "ceiling": d.between(0.2, 0.6), "prompt": d.between(0.1, 0.5), "lora": d.between(0.5, 0.95)})),
    "broken recipe": Family(("cannot-tell",), lambda d: d.world(40, 120, {
        "prompt": d.between(0.7, 0.9), "lora": d.between(0.0, 0.3)}, flaws=FLAWS), taught=False),
    "broken recipe that looks good": Family(("cannot-tell",), lambda d: d.world(40, 120, {
        "prompt": d.between(0.5, 0.7), "lora": d.between(0.9, 0.98)}, flaws=FLAWS), taught=False),
    "values that form alone gives": Family(("cannot-tell",), lambda d: d.world(50, 120, {
        "prompt": d.between(0.5, 0.65), **_same(d, 0.88, 0.95, "lora", "shuffled")}), taught=False),
    "better, and it forgets most": Family(("cannot-tell",), lambda d: d.world(50, 120, {
        "prompt": d.between(0.5, 0.65), "lora": d.between(0.9, 0.97)}, kept=FORGOT)),
    "better together, and it forgets most": Family(("cannot-tell",), lambda d: d.world(60, 120, {
        "prompt": d.between(0.55, 0.7), "lora": d.between(0.55, 0.7), "lora+prompt": d.between(0.9, 0.97)},
        kept=FORGOT)),
    "many answers never came": Family(("cannot-tell",), lambda d: d.world(40, 120, {
        "prompt": d.between(0.5, 0.98), "lora": d.between(0.1, 0.98)}, unscored={"lora": d.between(0.08, 0.2)})),
    "nothing to compare": Family(("cannot-tell",), lambda d: d.world(40, 120, {"lora": d.between(0.1, 0.98)})),
    "nobody is usable": Family(("cannot-tell",), lambda d: d.world(40, 120, {
        "prompt": d.between(0.1, 0.35), "rag": d.between(0.1, 0.35), "lora": d.between(0.0, 0.35)})),
    # --- at a margin, two choices are right
    "a gain below the margin": Family(("prompt", "cannot-tell"), lambda d: (
        lambda prompt: d.world(120, 250, {"prompt": prompt, "lora": prompt + d.between(0.005, 0.02)}, spread=0.2)
    )(d.between(0.9, 0.95))),
    "a gain that so few cannot show": Family(("cannot-tell", "fine-tune"), lambda d: (
        lambda prompt: d.world(8, 12, {"prompt": prompt, "lora": prompt + d.between(0.08, 0.12)})
    )(d.between(0.7, 0.8))),
    "a recipe that taught nothing, unseen by the audit": Family(("prompt", "cannot-tell"), lambda d: d.world(40, 120, {
        "prompt": d.between(0.85, 0.95), **_same(d, 0.02, 0.2, "lora", "shuffled")}), taught=False),
}  # fmt: skip
