"""The trials of the study: five rates at three ranks, and four rates at four batch sizes, epochs being equal.

Knows no answer and no page. The rates are factors on that of the recipe `fair`.
"""

from __future__ import annotations

from collections.abc import Mapping

from kurabe import recipes
from kurabe.arms import Material, samples
from kurabe.model import TrialPlan
from kurabe.recipes import RECIPES
from kurabe.schema import ModelInfo, Record
from studies import facts
from studies.bench import Plan, Task, exactly, fair
from studies.results import Probes, Run, Trial

COMMAND = "python -m studies.rates"
FACTS = 12
WORDINGS = 10
EPOCHS = 3  # of ten wordings: 30 exposures
HELD_OUT = 5
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
RANKS = (1, 4, 16)
BATCH = RECIPES["fair"].batch
BATCHES = (4, BATCH, 16, 64)
RANK = 4  # of the batch sweep
SEEDS = (0, 1)


class Cell(Record):
    """What sets a trial apart."""

    rank: int
    batch: int
    factor: float


BY_RANK = tuple(Cell(rank=rank, batch=BATCH, factor=factor) for rank in RANKS for factor in FACTORS)
BY_BATCH = tuple(Cell(rank=RANK, batch=batch, factor=factor) for batch in BATCHES for factor in FACTORS[1:])
CELLS = tuple(dict.fromkeys((*BY_RANK, *BY_BATCH)))
RUNS = tuple(Run(cell, seed) for cell in CELLS for seed in SEEDS)


def plan(epochs: int = EPOCHS) -> Plan:
    """The study over so many epochs."""
    examples = facts.invented(FACTS, trained=WORDINGS, held_out=HELD_OUT)
    asked = {"held_out": facts.asked(examples, "held_out"), "trained": facts.asked(examples, "trained", 1)}
    rows = samples(examples, "en", None)

    def task(run: Run, number: int, model: ModelInfo, references: Mapping[str, Probes]) -> Task:
        assert isinstance(run.cell, Cell)
        usual = fair(model)
        recipe = fair(model, rank=run.cell.rank, batch=run.cell.batch, rate=usual.rate * run.cell.factor)
        own = recipes.plan(exactly(recipe, epochs), len(rows), len(examples), model.hidden)
        return Task(TrialPlan(number, own, rows, run.seed), asked, scored="held_out")

    return Plan(
        COMMAND, RUNS, Trial[Cell], "invented facts", facts.digest(examples),
        {"base": asked, "ceiling": {"held_out": asked["held_out"]}}, task, material=Material(examples, "", "en"),
    )  # fmt: skip
