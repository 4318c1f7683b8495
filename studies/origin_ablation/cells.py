"""The cells of the study: every combination of the origin recipe's four faults and their mends, and what it trains.

Knows no model and no answer. Whatever is not a fault is the same in all cells: the origin recipe's rank, alpha,
dropout, linear schedule, clip, and 4 rows per step.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal, NamedTuple

from kurabe import arms, recipes
from kurabe.model import TrialPlan
from kurabe.recipes import Plan, Recipe
from kurabe.schema import Record

Rate = Literal["scaled", "half", "twice", "literal"]


class Cell(Record):
    """One way to train. "answers" is packed, too, and "everywhere" pads each row to the origin recipe's 512."""

    steps: int
    warmup: Literal["10 steps", "5 %"]
    loss: Literal["everywhere", "answers"]
    wordings: int
    rate: Rate = "scaled"


class Fault(NamedTuple):
    """A field of `Cell`: what the origin recipe has there, and what mends it."""

    origin: int | str
    mended: int | str


FAULTS: dict[str, Fault] = {
    "steps": Fault(9, 150),
    "warmup": Fault("10 steps", "5 %"),
    "loss": Fault("everywhere", "answers"),
    "wordings": Fault(1, 10),
}
ORIGIN = Cell.model_validate({name: fault.origin for name, fault in FAULTS.items()})
MENDED = Cell.model_validate({name: fault.mended for name, fault in FAULTS.items()})
GRID: tuple[Cell, ...] = tuple(
    Cell.model_validate(dict(zip(FAULTS, values, strict=True))) for values in itertools.product(*FAULTS.values())
)
# Apart from the grid: the recipe as it was typed, and half and twice the scaled rate, at both ends of the grid.
OTHER_RATES: tuple[Rate, ...] = ("half", "twice", "literal")
RATES: tuple[Cell, ...] = tuple(
    cell.model_copy(update={"rate": rate}) for cell in (ORIGIN, MENDED) for rate in OTHER_RATES
)
SEEDS = (0, 1, 2)


class Run(NamedTuple):
    """One trial of the study."""

    cell: Cell
    seed: int


RUNS: tuple[Run, ...] = tuple(Run(cell, seed) for cell in (*GRID, *RATES) for seed in SEEDS)


def with_fault(cell: Cell, name: str, *, mended: bool) -> Cell:
    """`cell` with one fault mended, or put back."""
    return cell.model_copy(update={name: FAULTS[name].mended if mended else FAULTS[name].origin})


def recipe(cell: Cell, hidden: int) -> Recipe:
    """The cell as a recipe. The rate is the origin one's, scaled by width (`recipes.scaled_rate`), but for `RATES`."""
    origin = recipes.RECIPES["origin"]
    padded = cell.loss == "everywhere"
    factor = {"half": 0.5, "twice": 2.0}.get(cell.rate, 1.0)
    return origin.model_copy(
        update={
            "rate": origin.rate * factor,
            "rate_width": hidden if cell.rate == "literal" else origin.rate_width,
            "warmup_steps": origin.warmup_steps if cell.warmup == "10 steps" else None,
            "epochs": 1,
            "min_steps": cell.steps,
            "pad_to": origin.pad_to if padded else None,
            "loss_on": origin.loss_on if padded else "answer",
            "wordings": cell.wordings,
        }
    )


def plan(cell: Cell, samples: int, examples: int, hidden: int) -> Plan:
    """A plan of exactly `cell.steps` steps: 9 of them are less than an epoch where there are ten wordings."""
    own = recipe(cell, hidden)
    rows_per_step = own.batch * own.accumulation
    schedule = recipes.plan(own, rows_per_step, examples, hidden)  # with one step per epoch, every number of steps fits
    steps_per_epoch = math.ceil(samples / rows_per_step)
    return schedule.model_copy(
        update={
            "samples": samples,
            "steps_per_epoch": steps_per_epoch,
            "epochs": math.ceil(cell.steps / steps_per_epoch),
        }
    )


def trial_plan(run: Run, trial: int, material: arms.Material, hidden: int) -> TrialPlan:
    """The run as the backend trains it, under the number `trial`."""
    samples = arms.samples(material.examples, material.language, run.cell.wordings)
    own = plan(run.cell, len(samples), len(material.examples), hidden)
    return TrialPlan(trial=trial, plan=own, samples=samples, seed=run.seed)


def full_steps(own: Plan) -> float:
    """The sum of the rates, in steps at the rate that the schedule aims at."""
    return sum(own.rates) / own.rate
