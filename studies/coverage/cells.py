"""The cells of the coverage study: sizes, true shares and correlations, and whether an interval held the truth.

Knows no file. Examples are drawn anew each time, so that the truth is the share among all examples there could be.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal

from numpy.random import Generator

from kurabe import stats
from kurabe.schema import Estimate, Record
from kurabe.stats import Cluster
from studies.worlds import World, clusters, generator

SEED = 20261128
DRAWS = 250
SIZES = (8, 10, 20, 50, 150)


class Cell(Record):
    """One interval in one world. `second` is the other arm's true share (differences); `seeds` and `luck` are trials
    of one recipe and the standard deviation of their true shares (seeds)."""

    kind: Literal["share", "difference", "seeds"]
    examples: int
    first: float
    second: float = 0.0
    spread: float = 0.5
    agreement: float = 0.5
    seeds: int = 1
    luck: float = 0.0
    draws: int = DRAWS


class Found(Record):
    """Counts over the draws of a cell."""

    held: int
    below: int  # intervals that lie wholly below the truth
    width: float  # mean width


SHARES = tuple(
    Cell(kind="share", examples=n, first=share, spread=spread)
    for n, share, spread in itertools.product(SIZES, (0.1, 0.6, 0.9, 0.97), (0.3, 0.7))
)
DIFFERENCES = tuple(
    Cell(kind="difference", examples=n, first=first, second=second, spread=spread)
    for n, (first, second), spread in itertools.product(
        SIZES, ((0.6, 0.6), (0.9, 0.9), (0.9, 0.5), (0.97, 0.9), (0.5, 0.1)), (0.3, 0.7)
    )
)
BY_SEEDS = tuple(
    Cell(kind="seeds", examples=n, first=0.6, seeds=seeds, luck=luck, agreement=0.8, draws=100)
    for n, seeds, luck in itertools.product((10, 50), (2, 3, 5), (0.03, 0.1))
)
CELLS = (*SHARES, *DIFFERENCES, *BY_SEEDS)


def measure(cell: Cell) -> Found:
    """All draws of a cell."""
    held = below = 0
    width = 0.0
    truth = cell.first - cell.second if cell.kind == "difference" else cell.first
    for draw in range(cell.draws):
        estimate = _estimate(cell, generator(SEED, cell.model_dump_json(), draw))
        if estimate.low is None or estimate.high is None:
            raise ValueError("an interval is missing where there are enough examples for one")
        held += estimate.low <= truth <= estimate.high
        below += estimate.high < truth
        width += estimate.high - estimate.low
    return Found(held=held, below=below, width=width / cell.draws)


def _estimate(cell: Cell, random: Generator) -> Estimate:
    if cell.kind == "share":
        return stats.share(_drawn(cell, {"arm": cell.first}, random)["arm"])
    if cell.kind == "difference":
        drawn = _drawn(cell, {"first": cell.first, "second": cell.second}, random)
        return stats.difference(drawn["first"], drawn["second"])
    shares = {f"seed {k}": cell.first + cell.luck * random.standard_normal() for k in range(cell.seeds)}
    drawn = _drawn(cell, {name: min(0.99, max(0.01, share)) for name, share in shares.items()}, random)
    return stats.pooled(list(drawn.values()))


def _drawn(cell: Cell, shares: Mapping[str, float], random: Generator) -> dict[str, dict[str, Cluster]]:
    world = World(examples=cell.examples, recall={}, spread=cell.spread, agreement=cell.agreement)
    return clusters(world, shares, random)
