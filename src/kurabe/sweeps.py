"""The axes of a curve: which values of x are tried, and what sets the trial at each of them apart.

Knows no model and trains nothing. Each axis varies one thing around the recipe as it stands; trials that come out
alike are one trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from kurabe.recipes import Recipe
from kurabe.schema import Axis, Example

LADDER = tuple(step * 10**power for power in range(6) for step in (1, 2, 3, 5))
POINTS = 6  # values of x on one axis, at most, besides the unseen one
RANKS = (1, 2, 4, 8, 16, 32)
RATES = (0.25, 0.5, 1.0, 2.0, 4.0)  # factors on the recipe's rate
SEEDS = 5  # trials of the axis "seeds"
MOST_EPOCHS = 2.0  # the epoch curve goes on to so many times the recipe's own epochs
GROWING: tuple[Axis, ...] = ("examples", "wordings", "samples", "epochs")  # more of it is more work: crossings are told


class Spec(NamedTuple):
    """What a trial is trained by: recipe, how many of the examples, and the seed that also chooses them.

    With `checkpoint` it is the state of that training after so many epochs.
    """

    recipe: Recipe
    examples: int
    seed: int
    checkpoint: float | None = None


class Tried(NamedTuple):
    """One value of an axis, and its trial for one seed."""

    axis: Axis
    x: float
    spec: Spec
    unseen: bool


def to_try(
    axes: Sequence[Axis], recipe: Recipe, examples: Sequence[Example], epochs: int, seeds: Sequence[int]
) -> list[Tried]:
    """Every value of every axis for every seed. `epochs` are those that the recipe comes to on all examples."""
    found = []
    for axis in axes:
        values, unseen = _values(axis, recipe, examples, epochs, seeds)
        for x in sorted({*values, *([unseen] if unseen is not None else [])}):
            for seed in [round(x)] if axis == "seeds" else seeds:
                found.append(Tried(axis, x, _spec(axis, x, recipe, examples, epochs, seed), x == unseen))
    return found


def chosen(examples: Sequence[Example], count: int, seed: int) -> tuple[Example, ...]:
    """`count` of the examples, in file order; more of them always hold the fewer."""
    order = sorted(range(len(examples)), key=lambda i: Random(f"examples/{seed}/{examples[i].id}").random())
    return tuple(examples[i] for i in sorted(order[:count]))


def most_wordings(examples: Sequence[Example], recipe: Recipe) -> int:
    """Trained wordings per example that the recipe uses."""
    most = max((len(example.texts("trained")) for example in examples), default=0)
    return min(most, recipe.wordings or most)


def _values(
    axis: Axis, recipe: Recipe, examples: Sequence[Example], epochs: int, seeds: Sequence[int]
) -> tuple[list[float], float | None]:
    """The values of x, and one between them that the curve does not see."""
    if axis == "seeds":
        return [float(seed) for seed in range(seeds[0], seeds[0] + SEEDS)], None
    if axis == "rank":
        return _with_unseen([float(rank) for rank in RANKS])
    if axis == "rate":
        return list(RATES), None
    if axis == "epochs":  # states on the way of one long training; the whole run that they predict is the recipe's own
        return [x for x in _ladder(math.ceil(MOST_EPOCHS * epochs)) if x != epochs], float(epochs)
    if axis == "samples":
        return _with_unseen([float(n * w) for n, w in _pairs(len(examples), most_wordings(examples, recipe))])
    most = len(examples) if axis == "examples" else most_wordings(examples, recipe)
    return _with_unseen(_ladder(most))


def _ladder(most: int) -> list[float]:
    """1, 2, 3, 5, 10, 20 ... up to `most`, which is always the last; thinned to `POINTS`."""
    values = [float(value) for value in LADDER if value < most] + [float(most)]
    if len(values) <= POINTS:
        return values
    return [values[round(k * (len(values) - 1) / (POINTS - 1))] for k in range(POINTS)]


def _with_unseen(values: list[float]) -> tuple[list[float], float | None]:
    """One value inside the range is left out of the curve: what the others predict for it can be checked."""
    if len(values) < 4:
        return values, None
    return [x for x in values if x != values[len(values) // 2]], values[len(values) // 2]


def _pairs(examples: int, wordings: int) -> list[tuple[int, int]]:
    """Examples and wordings that grow together, so that samples = examples x wordings spans the whole range."""
    shares = [k / (POINTS - 1) for k in range(POINTS)]
    pairs = [(round(examples**share), round(wordings**share)) for share in shares]
    return sorted({n * w: (n, w) for n, w in pairs}.values(), key=lambda pair: pair[0] * pair[1])


def _spec(axis: Axis, x: float, recipe: Recipe, examples: Sequence[Example], epochs: int, seed: int) -> Spec:
    every = len(examples)
    if axis == "examples":
        return Spec(recipe, round(x), seed)
    if axis == "wordings":
        return Spec(_with_wordings(recipe, round(x), examples), every, seed)
    if axis == "samples":
        pairs = _pairs(every, most_wordings(examples, recipe))
        n, w = next(pair for pair in pairs if pair[0] * pair[1] == round(x))
        return Spec(_with_wordings(recipe, w, examples), n, seed)
    if axis == "epochs":
        if round(x) == epochs:
            return Spec(recipe, every, seed)  # with its own falling rate
        return Spec(_flat(recipe, math.ceil(MOST_EPOCHS * epochs)), every, seed, checkpoint=x)
    if axis == "rank":
        return Spec(recipe.model_copy(update={"rank": round(x)}), every, seed)
    if axis == "rate":
        return Spec(recipe.model_copy(update={"rate": recipe.rate * x}), every, seed)
    return Spec(recipe, every, seed)


def _with_wordings(recipe: Recipe, wordings: int, examples: Sequence[Example]) -> Recipe:
    """The same recipe where this is what it uses anyway: the trial is then the same one."""
    if wordings == most_wordings(examples, recipe):
        return recipe
    return recipe.model_copy(update={"wordings": wordings})


def _flat(recipe: Recipe, epochs: int) -> Recipe:
    """One long training at a constant rate, whose states on the way are the points of an epoch curve."""
    return recipe.model_copy(update={"schedule": "flat", "epochs": epochs, "min_steps": 0, "exposures": 0})
