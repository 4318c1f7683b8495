"""The cells of the A/A study: equal arms over sizes and correlations, and what a false verdict is.

Knows no file. A false verdict is a claimed difference where there is none: `fine-tune`, `both`, `retrieve`, or `prompt`
because the LoRA is said to be worse. `prompt` because the LoRA is no better is right here, and so is `cannot tell yet`.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Literal

import numpy
from numpy.random import Generator

from kurabe import stats
from kurabe.schema import Record, Verdict
from kurabe.stats import Cluster
from kurabe.verdict import decide
from studies.worlds import World, clusters, evidence, generator

SEED = 20261128
DRAWS = 40  # of each cell of the grid
MANY = 600  # of the published cell, as it was published; half as many of all arms together for each size
ARMS = {"two": ("prompt", "lora"), "all": ("prompt", "rag", "lora", "lora+prompt", "lora+rag")}


class Cell(Record):
    """One size with its correlations. `group` tells the grid from the cells beside it."""

    group: Literal["grid", "published", "all arms"]
    examples: int
    recall: float
    spread: float  # intra-class correlation
    agreement: float  # between the two arms; 1: what is hard for one is as hard for the other
    draws: int


class Found(Record):
    """Counts over the draws of a cell."""

    choices: dict[str, int]  # choice, or "prompt, better" where the LoRA is said to be worse
    excluded: int  # intervals of lora - prompt that leave out 0
    by_rows: int  # paired tests of single rows that do, at the same 5 %


GRID = tuple(
    Cell(group="grid", examples=n, recall=recall, spread=spread, agreement=agreement, draws=DRAWS)
    for n, recall, spread, agreement in itertools.product((8, 12, 25, 50, 120), (0.7, 0.9), (0.3, 0.7), (0.0, 0.5, 1.0))
)
# EvalSig's published simulation: 50 examples of 10 rows each, intra-class correlation .71.
PUBLISHED = Cell(group="published", examples=50, recall=0.6, spread=0.71, agreement=0.0, draws=MANY)
ALL_ARMS = tuple(
    Cell(group="all arms", examples=n, recall=0.8, spread=0.5, agreement=0.5, draws=MANY // 2) for n in (10, 20, 40, 80)
)
CELLS = (*GRID, PUBLISHED, *ALL_ARMS)
CLAIMS = ("fine-tune", "both", "retrieve", "prompt, better")


def world(cell: Cell) -> World:
    """The cell as a world in which all arms are equally good."""
    arms = ARMS["all" if cell.group == "all arms" else "two"]
    values = (10,) if cell.group == "published" else (1, 2, 2, 4)
    return World(
        examples=cell.examples, recall=dict.fromkeys(arms, cell.recall), spread=cell.spread, values=values,
        agreement=cell.agreement, wordings=1 if cell.group == "published" else 3,
    )  # fmt: skip


def measure(cell: Cell) -> Found:
    """All draws of a cell, through the intervals and the rule that a run uses."""
    own, choices, excluded, by_rows = world(cell), Counter[str](), 0, 0
    for draw in range(cell.draws):
        found = evidence(own, generator(SEED, cell.model_dump_json(), draw))
        choices[claim(decide(found))] += 1
        difference = found.difference("lora", "prompt")
        if difference is not None and difference.estimate.low is not None and difference.estimate.high is not None:
            excluded += not difference.estimate.low <= 0 <= difference.estimate.high
        random = generator(SEED, cell.model_dump_json(), draw, "rows")
        by_rows += row_test(clusters(own, dict.fromkeys(ARMS["two"], cell.recall), random), random)
    return Found(choices=dict(choices), excluded=excluded, by_rows=by_rows)


def claim(verdict: Verdict) -> str:
    """The choice; with what it claims where it says that the LoRA is worse."""
    worse = any(reason.key == "verdict.reason.untrained_better" for reason in verdict.reasons)
    return f"{verdict.choice}, better" if verdict.choice == "prompt" and worse else verdict.choice


def row_test(drawn: dict[str, dict[str, Cluster]], random: Generator) -> bool:
    """Whether a paired test of single rows finds a difference at 5 %: the rows of one example count as independent.

    Rows of one example are drawn alike, so that which right row meets which is drawn, too: hypergeometric.
    """
    first, second = (
        numpy.array([drawn[label][name].total for name in drawn[label]], int) for label in ("lora", "prompt")
    )
    items = numpy.array([cluster.items for cluster in drawn["lora"].values()])
    together = random.hypergeometric(first, items - first, second)
    apart, rows = int((first + second - 2 * together).sum()), int(items.sum())
    mean = float((first - second).sum()) / rows
    deviation = math.sqrt(max(0.0, apart / rows - mean**2) / rows)
    return abs(mean) > stats.Z * deviation
