"""Recipes: everything that decides how a LoRA is trained, and the arithmetic of their steps and rates.

Knows no torch and no data; the training loop asks it for numbers. Sources: `docs/science.md`.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from kurabe.schema import Record

# The width of TinyLlama-1.1B, for which the old show's literal rate was written.
ORIGIN_WIDTH = 2048
# Tinker's fitted rule for LoRA on Llama shapes: best rate = 5e-4 x (2000 / hidden) ^ 0.781. Below a width of 2048
# it is an extrapolation.
FAIR_RATE, FAIR_WIDTH, WIDTH_EXPONENT = 5e-4, 2000, 0.781
SHORT_RUN_STEPS, SHORT_RUN_BOOST = 150, 1.5


class Recipe(Record):
    """One way to train a LoRA. The descriptions are the help texts; each setting is declared here only."""

    name: str
    rank: int = Field(16, ge=1, description="rank r of the two adapter matrices")
    alpha: float = Field(32, description="the adapter's output is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of adapter inputs set to zero in training")
    rate: float = Field(FAIR_RATE, gt=0, description="learning rate at the width `rate_width`")
    rate_width: int = Field(FAIR_WIDTH, description="the hidden size that `rate` was found for")
    schedule: Literal["linear", "constant", "flat"] = Field(
        "constant",
        description="linear: falls to zero from the end of warm-up; constant: falls over the last 20 %; flat: never",
    )
    warmup_steps: int | None = Field(None, description="steps of linear warm-up; none: the smaller of 10 and 5 %")
    batch: int = Field(8, ge=1, description="samples in one forward pass")
    accumulation: int = Field(1, ge=1, description="forward passes per optimizer step")
    epochs: int = Field(1, ge=1, description="passes over the samples, at least")
    min_steps: int = Field(0, ge=0, description="optimizer steps, at least: epochs are added until this is reached")
    exposures: int = Field(0, ge=0, description="times each example is seen, at least: epochs are added until then")
    pad_to: int | None = Field(None, description="every row padded to this length; none: packed, without padding")
    loss_on: Literal["answer", "everything"] = Field(
        "answer", description="answer: the answer's tokens and the end token; everything: prompt and padding, too"
    )
    wordings: int | None = Field(
        None, description="trained wordings used per example; none: all, fewer of them repeated"
    )
    clip: float = Field(1.0, gt=0, description="the gradient's norm is cut to this")
    teacher: bool = Field(
        False, description="learn from the model itself, reading the one right row, wherever it reads it right"
    )
    retention_mix: float = Field(
        0.0, ge=0, description="general prompts, answered by the model itself before training, per training row"
    )
    unknown_rows: float = Field(
        0.0, ge=0, description="questions that the data does not answer, declined, per training row"
    )


FAIR = Recipe(name="fair", rank=16, alpha=32, epochs=10, min_steps=150, exposures=100)
RECIPES: dict[str, Recipe] = {
    # The old show's recipe, flaws included: the audit names them one by one.
    "origin": Recipe(
        name="origin", rank=16, alpha=32, dropout=0.1, rate=2e-4, rate_width=ORIGIN_WIDTH, schedule="linear",
        warmup_steps=10, batch=1, accumulation=4, epochs=3, pad_to=512, loss_on="everything", wordings=1,
    ),
    "fair": FAIR,
    # Ours with one thing more, so that what it brings can be read off two rows of a table.
    "distil": FAIR.model_copy(update={"name": "distil", "teacher": True}),
    "fair+retention": FAIR.model_copy(update={"name": "fair+retention", "retention_mix": 1.0}),
    "distil+retention": FAIR.model_copy(update={"name": "distil+retention", "teacher": True, "retention_mix": 1.0}),
    "fair+unknown": FAIR.model_copy(update={"name": "fair+unknown", "unknown_rows": 0.15}),
}  # fmt: skip


class Plan(Record):
    """What a recipe comes to on so many samples of a model of this width. `rates[k]` is the rate of step k + 1."""

    recipe: Recipe
    samples: int  # rows of the user's own examples
    epochs: int
    steps_per_epoch: int
    rate: float  # what the schedule aims at, whether it gets there or not
    rates: tuple[float, ...]
    beside: int = 0  # further rows of each epoch, which count as nobody's exposure

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return len(self.rates)


def scaled_rate(recipe: Recipe, hidden: int) -> float:
    """The recipe's rate carried to another width: rate x (rate_width / hidden) ^ 0.781. The old show's is carried to
    narrower models only: on a wider one people type it as it stands."""
    width = min(hidden, recipe.rate_width) if recipe.name == "origin" else hidden
    return recipe.rate * math.pow(recipe.rate_width / width, WIDTH_EXPONENT)


def _is_ours(recipe: Recipe) -> bool:
    return recipe.name in RECIPES and recipe.name != "origin"


def for_model(recipe: Recipe, parameters: int) -> Recipe:
    """The recipe as it is used on a model of this size: ours take rank 8 below 100M parameters."""
    if _is_ours(recipe) and parameters < 100_000_000:
        return recipe.model_copy(update={"rank": 8, "alpha": 16.0})
    return recipe


def adjusted(recipe: Recipe, exposures: int | None, wordings: int | None, rate: float | None = None) -> Recipe:
    """The recipe with these numbers instead of its own, and its rate times `rate`: epochs and steps keep their
    proportion to the exposures. One that counts no exposures is what it is on purpose, and stays so."""
    if not recipe.exposures:
        return recipe
    wanted, usual = exposures or recipe.exposures, recipe.exposures
    changes = {name: -(-getattr(recipe, name) * wanted // usual) for name in ("exposures", "epochs", "min_steps")}
    others = {"wordings": wordings or recipe.wordings, "rate": recipe.rate * (rate or 1)}
    return recipe.model_copy(update=changes | others)


def plan(recipe: Recipe, samples: int, examples: int, hidden: int, beside: int = 0) -> Plan:
    """Steps and rates of `recipe` on `samples` rows made from `examples` examples, and `beside` further ones: they add
    steps to an epoch, so that an example is seen as often, and at the same rate, as without them."""
    size = recipe.batch * recipe.accumulation
    own_steps, steps_per_epoch = (max(1, math.ceil(rows / size)) for rows in (samples, samples + beside))
    wanted = [recipe.epochs, math.ceil(recipe.min_steps / own_steps)]
    if samples:
        wanted.append(math.ceil(recipe.exposures * examples / samples))
    epochs = max(wanted)
    steps = epochs * steps_per_epoch
    rate = scaled_rate(recipe, hidden)
    if _is_ours(recipe) and epochs * own_steps < SHORT_RUN_STEPS:
        rate *= SHORT_RUN_BOOST
    warmup = recipe.warmup_steps if recipe.warmup_steps is not None else min(10, math.ceil(steps * 0.05))
    factor = {"linear": _linear, "constant": _constant, "flat": _flat}[recipe.schedule]
    return Plan(
        recipe=recipe, samples=samples, epochs=epochs, steps_per_epoch=steps_per_epoch, rate=rate,
        rates=tuple(rate * factor(k, steps, warmup) for k in range(steps)), beside=beside,
    )  # fmt: skip


def _linear(k: int, steps: int, warmup: int) -> float:
    """transformers' `get_linear_schedule_with_warmup`: step 0 of a warm-up has rate 0."""
    if k < warmup:
        return k / warmup
    return max(0.0, (steps - k) / max(1, steps - warmup))


def _constant(k: int, steps: int, warmup: int) -> float:
    """Warm-up that starts above zero, constant, then a straight fall over the last fifth."""
    decay = max(1, math.ceil(steps * 0.2))
    return _flat(k, steps, warmup) if k < warmup else min(1.0, (steps - k) / decay)


def _flat(k: int, steps: int, warmup: int) -> float:
    """Warm-up that starts above zero, then constant: any state on the way is that of a shorter such run."""
    return min(1.0, (k + 1) / warmup) if warmup else 1.0
