"""The trials of the study: one long training on one wording of each fact, asked after every epoch.

Knows no answer and no page.
"""

from __future__ import annotations

from collections.abc import Mapping

from kurabe import recipes
from kurabe.arms import samples
from kurabe.model import TrialPlan
from kurabe.schema import ModelInfo, Record
from studies import facts
from studies.bench import Plan, Task, after_epochs, exactly, fair
from studies.results import Probes, Run, Trial

COMMAND = "python -m studies.first_recall"
FACTS = 60
EPOCHS = 30
SEEDS = (0, 1)


class Cell(Record):
    """What sets a trial apart: nothing but its seed."""

    facts: int = FACTS


RUNS = tuple(Run(Cell(), seed) for seed in SEEDS)


def plan(epochs: int = EPOCHS) -> Plan:
    """The study over so many epochs."""
    examples = facts.invented(FACTS, trained=1, held_out=1)
    asked = {"trained": facts.asked(examples, "trained", 1)}
    rows = samples(examples, "en", None)

    def task(run: Run, number: int, model: ModelInfo, references: Mapping[str, Probes]) -> Task:
        recipe = exactly(fair(model, schedule="flat"), epochs)
        own = recipes.plan(recipe, len(rows), len(examples), model.hidden)
        return Task(TrialPlan(number, own, rows, run.seed), asked, after_epochs(own, range(1, epochs + 1)))

    return Plan(
        COMMAND, RUNS, Trial[Cell], "invented facts", facts.digest(examples), {"base": asked}, task,
        likely=asked["trained"],
    )  # fmt: skip
