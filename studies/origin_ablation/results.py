"""The results file: one JSON line per finished trial, so that a killed study goes on where it was.

Knows no model. A line that a kill cut off is set aside when the file is opened again (`storage.Journal`), and its trial
is done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from kurabe.errors import DataError, StoppedError
from kurabe.schema import ModelInfo, Provenance, Record
from kurabe.storage import Journal, read_journal
from studies.origin_ablation.cells import Cell, Run

COMMAND = "python -m studies.origin_ablation"
HERE = Path(__file__).resolve().parent
FILE = HERE / "results.jsonl"


class Counts(Record):
    """What became of the expected values of one example, over all the answers to its questions."""

    right: int
    wrong: int
    items: int


Tally = dict[str, Counts]  # by example
Probes = dict[str, Tally]  # by probe: "held_out", "trained"


class Session(Record):
    """One start of the study: of which weights, on which data and machine; what the model does without training."""

    kind: Literal["session"] = "session"
    began: str  # ISO 8601, UTC
    model: ModelInfo
    provenance: Provenance
    data: str
    max_new_tokens: int
    predicted_seconds: float  # for the trials that were still to be done
    references: dict[str, Probes]  # arm -> base, ceiling


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


class End(Record):
    """The end of a session that did all that was left."""

    kind: Literal["end"] = "end"
    trials: int
    seconds: float  # from the start of the process
    load: float | None  # the system's load average over the last 15 minutes


class Study(NamedTuple):
    """All that a results file holds."""

    sessions: tuple[Session, ...]
    trials: tuple[Trial, ...]
    ends: tuple[End, ...]

    def left(self, runs: Sequence[Run]) -> list[Run]:
        """Those of `runs` that are not stored yet."""
        stored = {trial.run for trial in self.trials}
        return [run for run in runs if run not in stored]


def read(path: Path) -> Study:
    """The whole lines of a results file; nothing where there is none yet."""
    return _study(read_journal(path).rows)


class Writer:
    """The results file, open for appending. What is stored must come from the same model and the same data."""

    def __init__(self, path: Path, model: ModelInfo, data_sha256: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._journal = path, Journal(path)
        self.study = _study(self._journal.rows)
        for session in self.study.sessions:
            for what, stored, now in (
                ("model", session.model.sha256, model.sha256),
                ("data file", session.provenance.data_sha256, data_sha256),
            ):
                if stored != now:
                    self._journal.close()
                    raise DataError(
                        f"The stored trials are of another {what}.", where=str(path),
                        why=f"Its hash is {stored[:12]}, this one's {now[:12]}.",
                        fix=f"{COMMAND} --results ANOTHER.jsonl",
                    )  # fmt: skip

    def append(self, *records: Session | Trial | End) -> None:
        """Store the records with one write, and wait until they are on the disk."""
        try:
            self._journal.append([record.model_dump(mode="json") for record in records], sync=True)
        except StoppedError as error:  # the storage's own advice is for run folders
            error.fix = f"Free some space, then: {COMMAND} --results {self._path}"
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()


def _study(rows: Sequence[Mapping[str, Any]]) -> Study:
    kinds: dict[str, type[Session] | type[Trial] | type[End]] = {"session": Session, "trial": Trial, "end": End}
    records = [kinds[row["kind"]].model_validate({k: v for k, v in row.items() if k != "seq"}) for row in rows]
    return Study(
        tuple(r for r in records if isinstance(r, Session)),
        tuple(r for r in records if isinstance(r, Trial)),
        tuple(r for r in records if isinstance(r, End)),
    )
