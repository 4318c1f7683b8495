"""The trials of the study: a phone book of 50 to 1,000 entries, learned by adapters of rank 1, 4 and 16.

Knows no answer and no page. Every entry is seen equally often, in one wording; so that more entries are more steps.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from kurabe import recipes
from kurabe.model import TrialPlan
from kurabe.schema import ModelInfo, Question, Record
from kurabe.shop_values import FAMILY_NAMES, invented_word
from studies.bench import Plan, Task, after_epochs, exactly, fair, rows
from studies.results import Probes, Run, Trial

COMMAND = "python -m studies.capacity"
KEYS = (50, 100, 200, 500, 1000)
RANKS = (1, 4, 16)
EPOCHS = 20
ASKED_AFTER = (5, 10, EPOCHS)
ASKED = 100  # entries of a trial, at most
DIGITS = 3
BITS = DIGITS * math.log2(10)  # of one entry
SEED = 0


class Entry(NamedTuple):
    """One line of the phone book."""

    name: str
    number: str


class Cell(Record):
    """What sets a trial apart."""

    keys: int
    rank: int


RUNS = tuple(Run(Cell(keys=keys, rank=rank), SEED) for keys in KEYS for rank in RANKS)


def phone_book(count: int = max(KEYS)) -> tuple[Entry, ...]:
    """Invented people with numbers that follow from nothing; no name stands twice."""
    rng = Random("phone book")
    book: dict[str, str] = {}
    while len(book) < count:
        book[f"{invented_word(rng).capitalize()} {rng.choice(FAMILY_NAMES)}"] = f"{rng.randrange(10**DIGITS):0{DIGITS}}"
    return tuple(Entry(*entry) for entry in book.items())


def plan(most: int = max(KEYS), epochs: int = EPOCHS) -> Plan:
    """The study on the first of so many entries: those of a smaller trial are among those of a larger one."""
    book = phone_book(most)
    every = tuple(
        Question(
            id=f"k{n}/t1", example=f"k{n}", probe="trained", text=f"Number of {entry.name}?", expected=entry.number,
            accept=(entry.number,),
        )
        for n, entry in enumerate(book, start=1)
    )  # fmt: skip

    def task(run: Run, number: int, model: ModelInfo, references: Mapping[str, Probes]) -> Task:
        assert isinstance(run.cell, Cell)
        learned = every[: run.cell.keys]
        samples = rows([(q.example, q.text, q.expected) for q in learned])
        recipe = exactly(fair(model, rank=run.cell.rank, schedule="flat"), epochs)
        own = recipes.plan(recipe, len(samples), len(learned), model.hidden)
        asked = Random(f"asked/{run.cell.keys}").sample(learned, min(ASKED, len(learned)))
        after = after_epochs(own, [epoch for epoch in ASKED_AFTER if epoch <= epochs])
        return Task(TrialPlan(number, own, samples, run.seed), {"trained": asked}, after)

    digest = hashlib.sha256(repr(book).encode()).hexdigest()
    return Plan(
        COMMAND, RUNS, Trial[Cell], "an invented phone book", digest, {"base": {"trained": every[:ASKED]}}, task
    )
