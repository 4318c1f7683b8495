"""The trials of the study: ten facts in 10 to 300 samples by two recipes, and 10 to 200 facts by the better one.

Knows no answer and no page. "three epochs" is the schedule of the recipe `origin`, without its padding and with the
loss on answers only, so that the number of samples is what is left to differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from kurabe import recipes
from kurabe.arms import Material, samples
from kurabe.model import TrialPlan
from kurabe.recipes import RECIPES
from kurabe.schema import ModelInfo, Record
from studies import facts
from studies.bench import Plan, Task, exactly, fair
from studies.results import Probes, Run, Trial

COMMAND = "python -m studies.sayings"
FEW = 10
WORDINGS = (1, 3, 10, 30)  # of the ten facts: 10, 30, 100, 300 samples
FACTS = (10, 20, 50, 100, 200)  # in MANY wordings each
MANY = 10
EXPOSURES = 60  # of each fact, by `fair`
HELD_OUT = 3
SEEDS = (0, 1)


class Cell(Record):
    """What sets a trial apart."""

    recipe: Literal["three epochs", "fair"]
    facts: int
    wordings: int


SAMPLES = tuple(Cell(recipe=name, facts=FEW, wordings=count) for name in ("three epochs", "fair") for count in WORDINGS)
GROWING = tuple(Cell(recipe="fair", facts=count, wordings=MANY) for count in FACTS)
RUNS = (
    *(Run(cell, seed) for cell in SAMPLES for seed in SEEDS),
    *(Run(cell, SEEDS[0]) for cell in GROWING if cell not in SAMPLES),
)


def plan(most: int = max(FACTS), exposures: int = EXPOSURES) -> Plan:
    """The study on the first of so many facts: those of a smaller trial are among those of a larger one."""
    examples = facts.invented(most, trained=max(WORDINGS), held_out=HELD_OUT)
    first = examples[:FEW]

    def task(run: Run, number: int, model: ModelInfo, references: Mapping[str, Probes]) -> Task:
        assert isinstance(run.cell, Cell)
        cell = run.cell
        chosen = facts.with_wordings(examples[: cell.facts], cell.wordings, run.seed)
        rows = samples(chosen, "en", None)
        recipe = exactly(fair(model), exposures // cell.wordings)
        if cell.recipe == "three epochs":
            recipe = RECIPES["origin"].model_copy(update={"pad_to": None, "loss_on": "answer"})
        own = TrialPlan(number, recipes.plan(recipe, len(rows), len(chosen), model.hidden), rows, run.seed)
        return Task(own, {"held_out": facts.asked(chosen, "held_out"), "trained": facts.asked(chosen, "trained", 1)})

    return Plan(
        COMMAND, RUNS, Trial[Cell], "invented facts", facts.digest(examples),
        {"base": {"held_out": facts.asked(first, "held_out")}, "ceiling": {"held_out": facts.asked(first, "held_out")}},
        task, material=Material(first, "", "en"),
    )  # fmt: skip
