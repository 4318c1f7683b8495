"""What one trial of this study came to, and the file that all of them are stored in.

Knows no model; the file's form is that of every study (`studies/results.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kurabe.schema import ModelInfo, Record
from studies import results
from studies.origin_ablation.cells import Cell, Run
from studies.results import Counts, End, Probes, Session, Tally
from studies.results import Stored as Study

__all__ = ["COMMAND", "FILE", "HERE", "Counts", "End", "Probes", "Session", "Study", "Tally", "Trial", "Writer", "read"]

COMMAND = "python -m studies.origin_ablation"
HERE = Path(__file__).resolve().parent
FILE = HERE / "results.jsonl"


class Trial(Record):
    """One finished trial."""

    kind: Literal["trial"] = "trial"
    cell: Cell
    seed: int
    samples: int
    rate: float  # what the schedule aims at
    full_steps: float  # the sum of the rates, in steps at that rate
    rows: int  # training rows of all steps
    positions: int  # padding included
    first_loss: float | None
    last_loss: float | None
    not_finite: int  # steps that changed nothing because their loss or gradient was no finite number
    train_seconds: float
    answer_seconds: float
    answers: Probes
    said: str  # the answer to the first held-out question, to be read

    @property
    def run(self) -> Run:
        """What was trained."""
        return Run(self.cell, self.seed)


def read(path: Path) -> Study:
    """The whole lines of a results file; nothing where there is none yet."""
    return results.read(path, Trial)


class Writer(results.Writer):
    """The results file of this study, open for appending."""

    def __init__(self, path: Path, model: ModelInfo, data_sha256: str) -> None:
        super().__init__(path, Trial, COMMAND, model, data_sha256)
