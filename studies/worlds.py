"""Worlds whose truth is known: answers drawn from true shares, and the evidence that a run would make of them.

Knows no study, no margin and no verdict. Estimates and differences come from `kurabe.stats`, the pairs from
`kurabe.analysis`: what a run would have used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy
from numpy.random import Generator
from pydantic import Field
from scipy import special
from scipy import stats as distributions

from kurabe import measures, stats
from kurabe.evidence import Evidence
from kurabe.schema import (
    ArmResult,
    CostEstimate,
    Difference,
    Estimate,
    Finding,
    Measure,
    Probe,
    Record,
    RetentionResult,
)
from kurabe.stats import Cluster
from kurabe.verdict import wanted_difference

RECIPE = "fair"
NOTHING = Estimate(value=None)
RETAINED = {"general": (60, 1), "reading": (10, 6)}  # probe -> clusters, questions in each: as a run asks


class World(Record):
    """What is true of a model, its arms and the data; a draw of it is one experiment.

    `spread` is the intra-class correlation of one arm's answers to one example (0: examples are alike; 1: each is right
    always or never). `agreement` is the correlation between two arms of what an example is like to them: 1 where what
    is hard for one is as hard for the other.
    """

    examples: int
    recall: dict[str, float]  # arm -> true share of values
    style: dict[str, float] = Field({})
    spread: float = 0.4
    agreement: float = 0.5
    wordings: int = 3
    values: tuple[int, ...] = (1, 2, 2, 4)  # expected values per answer, one example after the other
    kept: dict[str, float] = Field({})  # probe -> true share of what was right before
    unscored: dict[str, float] = Field({})  # arm -> share of answers that never come
    prompt_tokens: dict[str, float] = Field({})
    trained_positions: int = 0
    flaws: tuple[str, ...] = ()
    prompt_fits: bool = True
    questions_per_day: int | None = None


def generator(seed: int, *names: object) -> Generator:
    """Random numbers that depend on the seed and the names alone."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return numpy.random.default_rng(int.from_bytes(digest[:8], "big"))


def clusters(world: World, shares: Mapping[str, float], random: Generator) -> dict[str, dict[str, Cluster]]:
    """Arm -> example -> right items and all items, drawn once.

    An example's own share is Beta distributed around the arm's with intra-class correlation `spread`; the arms' shares
    of one example are joined by a normal copula with correlation `agreement`.
    """
    n = world.examples
    items_E = world.wordings * numpy.resize(numpy.array(world.values), n)
    common_E, drawn = random.standard_normal(n), {}
    for label, share in shares.items():
        own_E = random.standard_normal(n)
        place_E = special.ndtr(world.agreement**0.5 * common_E + (1 - world.agreement) ** 0.5 * own_E)
        right_E = random.binomial(items_E, _quantile(place_E, share, world.spread))
        drawn[label] = {f"e{i}": Cluster(int(k), int(m)) for i, (k, m) in enumerate(zip(right_E, items_E, strict=True))}
    return drawn


def _quantile(place_E: Any, share: float, spread: float) -> Any:
    """The shares at these places of a Beta distribution with this mean and intra-class correlation."""
    if share in (0.0, 1.0) or spread == 0.0:
        return numpy.full_like(place_E, share)
    size = (1 - spread) / spread
    return numpy.nan_to_num(distributions.beta.ppf(place_E, share * size, (1 - share) * size), nan=share)


def evidence(world: World, random: Generator) -> Evidence:
    """One experiment in this world, as `analysis` would hand it to the rule."""
    right, form = clusters(world, world.recall, random), clusters(world, world.style, random)
    labels = [*right, *(label for label in form if label not in right)]
    seed = 0  # a run's own default
    differences = (*_differences(right, "recall", seed), *_differences(form, "style", seed))
    return Evidence(
        arms=tuple(_arm(world, label, right.get(label), form.get(label), seed) for label in labels),
        differences=differences,
        retention=tuple(_retention(probe, share, random, seed) for probe, share in world.kept.items()),
        costs=tuple(_cost(world, label, tokens) for label, tokens in world.prompt_tokens.items()),
        audit=tuple(Finding(id=flaw, level="warn", recipe=RECIPE, values={}) for flaw in world.flaws),
        examples=world.examples, stand_in=False, recipe=RECIPE, prompt_fits=world.prompt_fits,
        questions_per_day=world.questions_per_day,
    )  # fmt: skip


def _arm(world: World, label: str, right: Any, form: Any, seed: int) -> ArmResult:
    answers = world.examples * world.wordings
    return ArmResult(
        arm=label, trial=int("lora" in label or label == "shuffled"), recipe=RECIPE if "lora" in label else "",
        label=label, recall=stats.share(right, seed) if right else NOTHING, trained=NOTHING, wrong=NOTHING,
        extra=NOTHING, outcomes={}, answers=answers, cut=0, unscored=round(answers * world.unscored.get(label, 0.0)),
        style=stats.share(form, seed) if form else None,
    )  # fmt: skip


def _differences(drawn: Mapping[str, Mapping[str, Cluster]], measure: Measure, seed: int) -> list[Difference]:
    """Those pairs that a run compares; for style each tuned arm with each untuned one."""
    pairs = list(measures.COMPARED)
    if measure == "style":
        pairs = [(label, other) for label in drawn for other in drawn if "lora" in label and "lora" not in other]
    found = []
    for label, other in pairs:
        if label in drawn and other in drawn:
            estimate = stats.difference(drawn[label], drawn[other], seed)
            needed = stats.examples_needed(drawn[label], drawn[other], wanted_difference(estimate.value))
            detectable = stats.smallest_detectable(drawn[label], drawn[other])
            found.append(
                Difference(
                    label=label, other=other, estimate=estimate, smallest_detectable=detectable, measure=measure,
                    needed=needed,
                )
            )  # fmt: skip
    return found


def _retention(probe: str, share: float, random: Generator, seed: int) -> RetentionResult:
    """Of all questions, which were right before, how many still are."""
    count, size = RETAINED[probe]
    still = random.binomial(size, share, count)
    kept = stats.share({f"q{i}": Cluster(int(k), size) for i, k in enumerate(still)}, seed)
    asked: Probe = "general" if probe == "general" else "reading"
    return RetentionResult(
        trial=1, recipe=RECIPE, probe=asked, asked=count * size, right_before=count * size, kept=kept
    )


def _cost(world: World, label: str, tokens: float) -> CostEstimate:
    return CostEstimate(
        label=label, arm=label, trial=int("lora" in label), preparation_seconds=0.0,
        preparation_tokens=world.trained_positions if "lora" in label else 0, prompt_tokens=tokens, new_tokens=20.0,
        seconds_per_answer=0.0, peak_memory=0, money_per_thousand=None,
    )  # fmt: skip
