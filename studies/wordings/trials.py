"""The trials of the study: 1 to 20 trained wordings of the same facts, each fact seen equally often.

Knows no answer and no page.
"""

from __future__ import annotations

from collections.abc import Mapping

from kurabe import recipes
from kurabe.arms import Material, samples
from kurabe.model import TrialPlan
from kurabe.schema import ModelInfo, Record
from studies import facts
from studies.bench import Plan, Task, exactly, fair
from studies.results import Probes, Run, Trial

COMMAND = "python -m studies.wordings"
FACTS = 16  # two steps per epoch and wording: every number of wordings comes to the same steps
WORDINGS = (1, 2, 5, 10, 20)
EXPOSURES = 40  # of each fact
HELD_OUT = 5
SEEDS = (0, 1, 2)


class Cell(Record):
    """What sets a trial apart."""

    wordings: int


RUNS = tuple(Run(Cell(wordings=count), seed) for count in WORDINGS for seed in SEEDS)


def plan(count: int = FACTS, exposures: int = EXPOSURES) -> Plan:
    """The study on so many facts, each seen so often."""
    examples = facts.invented(count, trained=max(WORDINGS), held_out=HELD_OUT)
    questions = {"held_out": facts.asked(examples, "held_out"), "trained": facts.asked(examples, "trained", 1)}

    def task(run: Run, number: int, model: ModelInfo, references: Mapping[str, Probes]) -> Task:
        """One trial. Asked as trained is the first of its own wordings."""
        assert isinstance(run.cell, Cell)
        chosen = facts.with_wordings(examples, run.cell.wordings, run.seed)
        rows = samples(chosen, "en", None)
        recipe = exactly(fair(model), exposures // run.cell.wordings)
        own = TrialPlan(number, recipes.plan(recipe, len(rows), count, model.hidden), rows, run.seed)
        return Task(own, questions | {"trained": facts.asked(chosen, "trained", 1)})

    return Plan(
        COMMAND, RUNS, Trial[Cell], "invented facts", facts.digest(examples),
        {"base": questions, "ceiling": {"held_out": questions["held_out"]}}, task,
        material=Material(examples, "", "en"),
    )  # fmt: skip
