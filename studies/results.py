"""The results file of a study: one JSON line per finished trial, so that a killed study goes on where it was.

Knows no model and no study. A line that a kill cut off is set aside when the file is opened again (`storage.Journal`),
and its trial is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import Field

from kurabe.errors import DataError, StoppedError
from kurabe.schema import ModelInfo, Provenance, Record
from kurabe.storage import Journal, read_journal

C = TypeVar("C", bound=Record)
T = TypeVar("T", bound=Record)  # the study's kind of trial


class Counts(Record):
    """What became of the expected values of one example, over all the answers to its questions."""

    right: int
    wrong: int
    items: int


Tally = dict[str, Counts]  # by example
Probes = dict[str, Tally]  # by probe: "held_out", "trained", or what the study calls a group of its questions


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
    likely: dict[str, float] = Field({})  # question -> log-probability per token of its answer before training


class State(Record):
    """A training at one moment of it."""

    steps: int
    epochs: float
    answers: Probes


class Trial(Record, Generic[C]):
    """One finished trial: what was asked on the way, and at the end."""

    kind: Literal["trial"] = "trial"
    cell: C
    seed: int
    samples: int
    steps: int
    rows: int  # training rows of all steps
    rate: float  # what the schedule aims at
    trainable: int  # parameters
    first_loss: float | None
    last_loss: float | None
    not_finite: int  # steps that changed nothing because their loss or gradient was no finite number
    train_seconds: float
    answer_seconds: float
    states: tuple[State, ...]
    said: str  # the last answer to the first question, to be read
    likely: float | None = None  # log-probability per token of the expected answers at the end, where it was asked for

    @property
    def run(self) -> Run:
        """What was trained."""
        return Run(self.cell, self.seed)

    @property
    def end(self) -> Probes:
        """What was answered after the last step."""
        return self.states[-1].answers


class Run(NamedTuple):
    """One trial of a study."""

    cell: Record
    seed: int


class End(Record):
    """The end of a session that did all that was left."""

    kind: Literal["end"] = "end"
    trials: int
    seconds: float  # from the start of the process
    load: float | None  # the system's load average over the last 15 minutes
    processor: float | None = None  # seconds of processor time of all threads; None in older records


class Stored(NamedTuple):
    """All that a results file holds."""

    sessions: tuple[Session, ...]
    trials: tuple[Any, ...]  # of the study's kind
    ends: tuple[End, ...]

    def left(self, runs: Sequence[Any]) -> list[Any]:
        """Those of `runs` that are not stored yet."""
        stored = {trial.run for trial in self.trials}
        return [run for run in runs if run not in stored]

    def complete(self, runs: Sequence[Any], command: str) -> list[Any]:
        """All trials in the study's own order; raises `StoppedError` while some of them are missing."""
        left = self.left(runs)
        if left:
            raise StoppedError(f"{len(left)} of {len(runs)} trials are missing.", fix=command)
        place = {run: number for number, run in enumerate(runs)}
        return sorted((trial for trial in self.trials if trial.run in place), key=lambda trial: place[trial.run])


def read(path: Path, kind: type[Record]) -> Stored:
    """The whole lines of a results file, its trials of this kind; nothing where there is none yet."""
    return _stored(read_journal(path).rows, kind)


class Writer:
    """The results file, open for appending. What is stored must come from the same model and the same data."""

    def __init__(self, path: Path, kind: type[Record], command: str, model: ModelInfo, data_sha256: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._command, self._journal = path, command, Journal(path)
        self.study = _stored(self._journal.rows, kind)
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
                        fix=f"{command} --results ANOTHER.jsonl",
                    )  # fmt: skip

    def left(self, runs: Sequence[Any], say: Callable[[str], None]) -> list[Any]:
        """Those of `runs` that are not stored yet; says how many are."""
        left = self.study.left(runs)
        say(f"{len(runs)} trials, {len(runs) - len(left)} of them stored in {self._path}")
        if not left:
            say(f"Nothing is left to do. The page: {self._command} --page")
        return left

    def append(self, *records: Record) -> None:
        """Store the records with one write, and wait until they are on the disk."""
        try:
            self._journal.append([record.model_dump(mode="json") for record in records], sync=True)
        except StoppedError as error:  # the storage's own advice is for run folders
            error.fix = f"Free some space, then: {self._command} --results {self._path}"
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()


def _stored(rows: Sequence[Mapping[str, Any]], kind: type[Record]) -> Stored:
    kinds: dict[str, type[Record]] = {"session": Session, "trial": kind, "end": End}
    records = [kinds[row["kind"]].model_validate({k: v for k, v in row.items() if k != "seq"}) for row in rows]
    return Stored(
        tuple(r for r in records if isinstance(r, Session)),
        tuple(r for r in records if isinstance(r, kind)),
        tuple(r for r in records if isinstance(r, End)),
    )
