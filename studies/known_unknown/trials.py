"""The trials of the study: as many training rows in each, of which none, some or all are unknown to the model.

Knows no answer and no page. Known rows are general questions that the model answers right before training; others of
these, never trained, are the test. Unknown rows are invented facts. Every row has one wording.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from kurabe import recipes
from kurabe.errors import DataError
from kurabe.model import TrialPlan
from kurabe.retention import general_questions
from kurabe.schema import ModelInfo, Question, Record
from studies import facts
from studies.bench import Plan, Task, after_epochs, exactly, fair, rows
from studies.results import Probes, Run, Trial

COMMAND = "python -m studies.known_unknown"
ROWS = 32
UNKNOWN = (0, 8, 16, 24, 32)  # of the rows
EPOCHS = 40
ASKED_AFTER = (1, 2, 3, 5, 8, 12, 20, 30, EPOCHS)  # epochs
TESTED = 40  # known questions that are never trained, at most
LEAST = 10  # of them
SEEDS = (0, 1)


class Cell(Record):
    """What sets a trial apart."""

    unknown: int


RUNS = tuple(Run(Cell(unknown=count), seed) for count in UNKNOWN for seed in SEEDS)


def plan(epochs: int = EPOCHS) -> Plan:
    """The study over so many epochs."""
    general = general_questions("en", 1000)
    invented = facts.invented(ROWS, trained=1, held_out=1)
    unknown = facts.asked(invented, "trained", 1)

    def task(run: Run, number: int, model: ModelInfo, references: Mapping[str, Probes]) -> Task:
        assert isinstance(run.cell, Cell)
        known, tested = split(general, references)
        learned = {"known": known[: ROWS - run.cell.unknown], "unknown": unknown[: run.cell.unknown]}
        questions = [question for own in learned.values() for question in own]
        samples = rows([(q.example, q.text, q.expected) for q in questions])
        recipe = exactly(fair(model, schedule="flat"), epochs)  # a state on the way is that of a shorter training
        own = recipes.plan(recipe, len(samples), len(samples), model.hidden)
        asked = {probe: some for probe, some in (learned | {"retention": tested}).items() if some}
        after = after_epochs(own, [epoch for epoch in ASKED_AFTER if epoch <= epochs])
        return Task(TrialPlan(number, own, samples, run.seed), asked, after)

    return Plan(
        COMMAND, RUNS, Trial[Cell], "general-en.jsonl, invented facts", facts.digest(invented),
        {"base": {"general": general, "unknown": unknown}}, task,
    )  # fmt: skip


def split(
    general: tuple[Question, ...], references: Mapping[str, Probes]
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """The known questions that are trained, and those that are only asked."""
    right = references["base"]["general"]
    known = [question for question in general if right[question.example].right]
    Random("known").shuffle(known)
    if len(known) < ROWS + LEAST:
        raise DataError(
            f"The model answers {len(known)} of {len(general)} general questions right; the study needs "
            f"{ROWS + LEAST}.",
            why=f"{ROWS} of them are trained, at least {LEAST} more are the test of what is kept.",
            fix=f"{COMMAND} --model FOLDER --results FILE, with a model that knows more.",
        )
    return tuple(known[:ROWS]), tuple(known[ROWS : ROWS + TESTED])
