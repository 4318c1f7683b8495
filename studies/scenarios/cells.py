"""The cells of the scenarios: twenty draws of each family, each through the intervals and the rule of a run.

Knows no family's truth. The seed was chosen before its first draw, after the rule's last change; while the rule was
written only others were used.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from kurabe.schema import Record
from kurabe.verdict import decide
from studies.scenarios import whole_runs
from studies.scenarios.families import FAMILIES, Draw
from studies.worlds import evidence, generator

SEED = 41_000_017
DRAWS = 20
RUNS = 2  # of each family that is run from a file to a verdict


class Cell(Record):
    """One family: simulated from shares, or run from a data file with a scripted model."""

    family: str
    kind: Literal["simulated", "whole run"]
    draws: int
    seed: int = SEED


class Found(Record):
    """How often each choice came out."""

    choices: dict[str, int]


CELLS = (
    *(Cell(family=name, kind="simulated", draws=DRAWS) for name in FAMILIES),
    *(Cell(family=name, kind="whole run", draws=RUNS) for name in whole_runs.FAMILIES),
)


def measure(cell: Cell) -> Found:
    """All draws of one family."""
    choices: Counter[str] = Counter()
    for number in range(cell.draws):
        random = generator(cell.seed, cell.family, number)
        if cell.kind == "whole run":
            choices[whole_runs.choice(cell.family, random)] += 1
        else:
            choices[decide(evidence(FAMILIES[cell.family].make(Draw(random)), random)).choice] += 1
    return Found(choices=dict(choices))
