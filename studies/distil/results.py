"""The results file: one JSON line per finished run, so that a killed study goes on where it was.

Knows no model. Counts stand by cluster (an example, a shop, a general question), so that everything else can be
computed from them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kurabe.errors import DataError
from kurabe.schema import ModelInfo, Provenance, Record
from kurabe.stats import Cluster
from kurabe.storage import Journal, read_journal

COMMAND = "python -m studies.distil"
HERE = Path(__file__).resolve().parent
FILE = HERE / "results.jsonl"
DATA = HERE.parents[1] / "examples" / "support-en.jsonl"
RECIPES = ("fair", "distil", "fair+retention", "distil+retention")
EXPOSURES = (20, 100)  # how often an example is seen: a fifth of the recipe's own, and its own
SEEDS = (0, 1, 2)
RETENTION = 60  # questions of each kind


class Cell(NamedTuple):
    """One run: all four recipes, so long, from this seed."""

    exposures: int
    seed: int


RUNS: tuple[Cell, ...] = tuple(Cell(exposures, seed) for seed in SEEDS for exposures in EXPOSURES)

Counts = dict[str, tuple[int, int]]  # cluster -> right, of how many


class Trial(Record):
    """One trained recipe."""

    recipe: str
    steps: int
    positions: int  # what its preparation took in tokens, the model's own answers included
    seconds: float
    held_out: Counts  # expected values, by example
    trained: Counts
    general: Counts  # still right of those that were right before tuning, by question
    reading: Counts  # the same, by shop


class Run(Record):
    """One finished run of the study."""

    exposures: int
    seed: int
    began: str  # ISO 8601, UTC
    seconds: float
    model: ModelInfo
    provenance: Provenance
    base: Counts  # held-out values without training
    ceiling: Counts  # the same, with the one right row in the prompt
    teacher: Counts  # training rows that the model itself read right, by example
    trials: tuple[Trial, ...]

    @property
    def cell(self) -> Cell:
        return Cell(self.exposures, self.seed)


def read(path: Path) -> tuple[Run, ...]:
    """The whole lines of a results file; nothing where there is none yet."""
    return _runs(read_journal(path).rows)


def left(runs: Sequence[Run]) -> list[Cell]:
    """What is not stored yet."""
    stored = {run.cell for run in runs}
    return [cell for cell in RUNS if cell not in stored]


def check(runs: Sequence[Run], path: Path, model_sha256: str, data_sha256: str) -> None:
    """Raises `DataError` where runs of another model or other data are stored."""
    for stored in runs:
        if (stored.model.sha256, stored.provenance.data_sha256) != (model_sha256, data_sha256):
            raise DataError(
                "The stored runs are of another model or other data.", where=str(path),
                why=f"The weights of those are {stored.model.sha256[:12]}, of this one {model_sha256[:12]}.",
                fix=f"{COMMAND} --results ANOTHER.jsonl",
            )  # fmt: skip


def append(path: Path, run: Run) -> None:
    """Store one run. Those stored before must be of the same model and the same data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path)
    try:
        check(_runs(journal.rows), path, run.model.sha256, run.provenance.data_sha256)
        journal.append([run.model_dump(mode="json")], sync=True)
    finally:
        journal.close()


def clusters(counts: Counts) -> dict[str, Cluster]:
    """As `kurabe.stats` takes them."""
    return {name: Cluster(right, items) for name, (right, items) in counts.items()}


def _runs(rows: Sequence[Mapping[str, Any]]) -> tuple[Run, ...]:
    return tuple(Run.model_validate({k: v for k, v in row.items() if k != "seq"}) for row in rows)
