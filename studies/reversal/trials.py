"""The trials of the study: people and their codes, trained from name to code, from code to name, or both.

Knows no answer and no page. Each direction has six wordings: four may be trained, two are held out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random
from typing import Literal, NamedTuple

from kurabe import recipes
from kurabe.model import TrialPlan
from kurabe.schema import ModelInfo, Question, Record
from kurabe.shop_values import FAMILY_NAMES, invented_word
from studies.bench import Plan, Task, exactly, fair, rows
from studies.results import Probes, Run, Trial

COMMAND = "python -m studies.reversal"
PAIRS = 24
EPOCHS = 10  # of four wordings: 40 exposures in each direction that is trained
SEEDS = (0, 1)

FORWARD = (
    "What is the code of {name}?", "Which code does {name} have?", "Tell me the code of {name}.", "The code of {name}?",
    "I need the code that {name} uses.", "By which code do we know {name}?",
)  # fmt: skip
REVERSE = (
    "Who has the code {code}?", "Whose code is {code}?", "Tell me who uses the code {code}.",
    "The person with the code {code}?", "I need the name behind the code {code}.",
    "Whom do we know by the code {code}?",
)  # fmt: skip
TRAINED = 4


class Pair(NamedTuple):
    """A is B."""

    name: str
    code: str


class Cell(Record):
    """What sets a trial apart: the directions that are trained."""

    trained: Literal["forward", "reverse", "both"]


RUNS = tuple(
    Run(Cell.model_validate({"trained": way}), seed) for way in ("forward", "reverse", "both") for seed in SEEDS
)


def pairs(count: int = PAIRS) -> tuple[Pair, ...]:
    """Invented first names with family names, and codes; none twice."""
    rng = Random("reversal")
    names = {f"{invented_word(rng).capitalize()} {rng.choice(FAMILY_NAMES)}" for _ in range(3 * count)}
    codes = {f"{rng.choice('BCDFGHJK')}{rng.choice('LMNPRSTV')}{rng.randrange(1000, 10000)}" for _ in range(3 * count)}
    return tuple(Pair(*pair) for pair in zip(sorted(names)[:count], rng.sample(sorted(codes), count), strict=True))


def plan(count: int = PAIRS, epochs: int = EPOCHS) -> Plan:
    """The study on so many pairs."""
    people = pairs(count)
    asked = {way: questions(people, way, TRAINED, 6) for way in ("forward", "reverse")}

    def task(run: Run, number: int, model: ModelInfo, references: Mapping[str, Probes]) -> Task:
        assert isinstance(run.cell, Cell)
        ways = ("forward", "reverse") if run.cell.trained == "both" else (run.cell.trained,)
        learned = [q for way in ways for q in questions(people, way, 0, TRAINED)]
        samples = rows([(q.example, q.text, q.expected) for q in learned])
        own = recipes.plan(exactly(fair(model), epochs), len(samples), count, model.hidden)
        return Task(TrialPlan(number, own, samples, run.seed), asked)

    digest = hashlib.sha256(repr(people).encode()).hexdigest()
    return Plan(COMMAND, RUNS, Trial[Cell], "invented people and codes", digest, {"base": asked}, task)


def questions(people: tuple[Pair, ...], way: str, start: int, stop: int) -> tuple[Question, ...]:
    """These wordings of one direction, for every pair."""
    templates, expected = (FORWARD, "code") if way == "forward" else (REVERSE, "name")
    return tuple(
        Question(
            id=f"p{n}/{way}{k}", example=f"p{n}", probe="held_out",
            text=template.format(name=pair.name, code=pair.code),
            expected=getattr(pair, expected), accept=(getattr(pair, expected),),
        )
        for n, pair in enumerate(people, start=1)
        for k, template in enumerate(templates[start:stop], start=start)
    )  # fmt: skip
