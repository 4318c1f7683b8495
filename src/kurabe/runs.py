"""The run folder: one experiment on disk, as records. Reading it takes no lock and changes nothing.

Knows no model and no order of steps. `RunFolder` is for everybody, `RunWriter` for the experiment alone; the public
format is described in `docs/run-folder.md`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pydantic import TypeAdapter

from kurabe import storage
from kurabe.errors import BusyError, DataError, MissingError, SettingsError
from kurabe.schema import (
    Answer,
    AnswerKey,
    Batch,
    Event,
    Example,
    Finding,
    ModelRun,
    Parity,
    Question,
    Record,
    Results,
    RunInfo,
    RunRequest,
    Step,
    Usage,
)

REQUEST, INFO, EXAMPLES, WORDINGS = "request.json", "run.json", "examples.jsonl", "wordings.jsonl"
QUESTIONS, PLAN, AUDIT, RESULTS = "questions.jsonl", "plan.jsonl", "audit.json", "results.json"
EXPORT, PARITY = "export", "export/parity.json"  # what `kurabe ship` adds to a finished run
MODELS = "models.json"  # what a curve over models adds to its last run
ANSWERS, USAGE, EVENTS = "answers.jsonl", "usage.jsonl", "events.jsonl"
# What a process that was killed before its first manifest can have left: a name that is still free.
_BEGINNING = {storage.LOCK, storage.HOLDER, REQUEST, EXAMPLES, WORDINGS, ANSWERS, USAGE, EVENTS}
R = TypeVar("R", bound=Record)


class RunFolder:
    """One run as it lies on disk. Every call reads the folder anew, so that a run can be watched while it works."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """A run for reading, finished or not."""
        folder = cls(Path(path))
        if REQUEST not in storage.read_manifest(folder.path):
            raise MissingError(
                "There is no run in this folder.",
                where=str(path),
                why="It is missing, or its run was stopped before anything was stored.",
                fix="Name a run folder, or start one: kurabe run FILE",
            )
        return folder

    @staticmethod
    def create(parent: str | Path, name: str) -> RunWriter:
        """A new, locked, empty run folder `parent/name`."""
        return RunWriter.begin(Path(parent), name)

    # what was asked for, and what was planned

    def request(self) -> RunRequest:
        """What was asked for; stored before the model is loaded."""
        return RunRequest.model_validate_json(self._read(REQUEST))

    def info(self) -> RunInfo:
        """What was planned, for which model, on which machine; stored before the first answer."""
        return RunInfo.model_validate_json(self._read(INFO))

    def examples(self) -> tuple[Example, ...]:
        return self._records(Example, EXAMPLES)

    def questions(self) -> tuple[Question, ...]:
        return self._records(Question, QUESTIONS)

    def plan(self) -> tuple[Batch, ...]:
        """The batches in which the answers are asked for."""
        return self._records(Batch, PLAN)

    def findings(self) -> tuple[Finding, ...]:
        """What the audit said before training."""
        return tuple(TypeAdapter(list[Finding]).validate_json(self._read(AUDIT)))

    def models(self) -> tuple[ModelRun, ...]:
        """The curve over models that this run closes; () where it closes none."""
        if MODELS not in storage.read_manifest(self.path):
            return ()
        return tuple(TypeAdapter(list[ModelRun]).validate_json(self._read(MODELS)))

    def parity(self) -> Parity | None:
        """The proof of the files that were shipped into this folder; None where none was. It is in no manifest, since
        it can be made again."""
        path = self.path / PARITY
        if not path.is_file():
            return None
        try:
            return Parity.model_validate_json(path.read_bytes())
        except ValueError as error:
            raise DataError(
                "The proof of the shipped files cannot be read.", where=str(path), why=str(error).splitlines()[0],
                fix=f"Delete it; `kurabe ship {self.path.name}` makes it again.",
            ) from error  # fmt: skip

    # what happened

    def answers(self) -> tuple[Answer, ...]:
        """The answers of all complete batches, in the order of the plan, each key once."""
        rows = storage.read_journal(self.path / ANSWERS).rows
        return tuple(answer for batch in _complete_batches(rows, self.plan()) for answer in batch)

    def usages(self) -> tuple[Usage, ...]:
        """Metered work that counts: one record per unit of work and arm, from the attempt that was stored.

        An arm has one record per batch and a trial one for its training; add them up (and take the largest memory).
        """
        latest: dict[tuple[str, str, str, int], Usage] = {}
        for row in storage.read_journal(self.path / USAGE).rows:
            usage = Usage.model_validate({k: v for k, v in row.items() if k not in ("seq", "unit")})
            latest[row["unit"], usage.kind, usage.arm, usage.trial] = usage
        done = self._done_units()
        return tuple(usage for (unit, *_), usage in latest.items() if unit in done)

    def events(self, after: int = 0) -> tuple[Event, ...]:
        """The log of the run, attempts that were cut short included, from the event after `after` on."""
        rows = storage.read_journal(self.path / EVENTS).rows
        return tuple(Event.model_validate(row) for row in rows[after:])

    def steps(self) -> tuple[Step, ...]:
        """The training steps of each trial: those of its last attempt, and before them those that it went on from."""
        attempts: dict[int, list[Step]] = {}
        for event in self.events():
            if event.kind == "trial":
                before = attempts.get(event.values["trial"], [])
                attempts[event.values["trial"]] = before[: event.values.get("from_step", 0)]
            elif event.kind == "step":
                attempts[event.values["trial"]].append(Step.model_validate(event.values))
        return tuple(step for trial in sorted(attempts) for step in attempts[trial])

    def listed(self, prefix: str) -> list[str]:
        """The published files whose names begin so."""
        return [name for name in storage.read_manifest(self.path) if name.startswith(prefix)]

    def adapter(self, trial: int) -> Path | None:
        """The folder of a trial's adapter, if all its files are published and still have their hashes."""
        manifest = storage.read_manifest(self.path)
        names = [name for name in manifest if name.startswith(f"adapters/{trial}-")]
        if not names or not all(storage.is_intact(self.path, name, manifest[name]) for name in names):
            return None
        return self.path / Path(names[0]).parent

    def results(self) -> Results | None:
        """The results as they were stored; None while the run is not finished."""
        return Results.model_validate_json(self._read(RESULTS)) if self.finished else None

    @property
    def finished(self) -> bool:
        """Whether results were published."""
        return RESULTS in storage.read_manifest(self.path)

    @property
    def planned(self) -> bool:
        """Whether the plan was published: from there on only the plan's answers are asked."""
        return INFO in storage.read_manifest(self.path)

    def _done_units(self) -> set[str]:
        answered = {answer.key for answer in self.answers()}
        done = {batch_unit(batch.batch) for batch in self.plan() if answered.issuperset(batch.keys)}
        info = self.info()
        trials = {trial_unit(t.trial) for t in (*info.trials, *info.swept) if self.adapter(t.trial)}
        return done | trials | {LOADING, INDEXING}

    def _read(self, name: str) -> bytes:
        entry = storage.read_manifest(self.path).get(name)
        if entry is None:
            raise MissingError(
                f"The run has no {name} yet.",
                where=str(self.path),
                why="It was stopped before that was stored, or it is still working.",
                fix=storage.go_on(self.path),
            )
        if not storage.is_intact(self.path, name, entry):
            raise DataError(
                "The run folder is damaged.",
                where=str(self.path / name),
                why="The file is missing or differs from its hash in the manifest.",
                fix="Restore the file from a copy, or run again in a new folder.",
            )
        return (self.path / name).read_bytes()

    def _records(self, kind: type[R], name: str) -> tuple[R, ...]:
        return tuple(kind.model_validate_json(line) for line in self._read(name).splitlines() if line)


# Units of metered work, by which an attempt that was stored replaces those that were cut short.
LOADING, INDEXING = "loading", "indexing"


def batch_unit(batch: int) -> str:
    return f"batch-{batch}"


def trial_unit(trial: int) -> str:
    return f"trial-{trial}"


def _complete_batches(rows: Sequence[dict[str, Any]], plan: Sequence[Batch]) -> list[list[Answer]]:
    """The answers of each batch that has all its planned keys; of two attempts the later one."""
    attempts: dict[int, dict[AnswerKey, Answer]] = {}
    for row in rows:
        attempt = attempts.setdefault(row["batch"], {})
        answer = Answer.model_validate({k: v for k, v in row.items() if k not in ("seq", "batch")})
        if answer.key in attempt:
            attempt.clear()
        attempt[answer.key] = answer
    return [
        [attempts[batch.batch][key] for key in batch.keys]
        for batch in plan
        if set(attempts.get(batch.batch, ())) == set(batch.keys)
    ]


class RunWriter(RunFolder):
    """The run folder under its lock. Opening it drops what a killed process left half done."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with _folder_errors(path):
            self._lock = storage.FolderLock(path)
            try:
                storage.sweep(path)
                self._journals = {name: storage.Journal(path / name) for name in (ANSWERS, USAGE, EVENTS)}
            except BaseException:
                self._lock.release()
                raise
        self.torn = {name: journal.torn for name, journal in self._journals.items() if journal.torn}
        if self.planned:
            self._drop_unfinished_batch()

    @classmethod
    def begin(cls, parent: Path, name: str) -> RunWriter:
        """A new run folder. What another run or another program stored there is never touched."""
        path = parent / check_name(name)
        with _folder_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            present = {entry.name for entry in path.iterdir() if not entry.name.startswith(storage.STAGING)}
        if not present <= _BEGINNING:
            if storage.LOCK in present:
                storage.FolderLock(path).release()  # a folder that is being worked in is busy, and says by whom
            raise SettingsError(
                "This folder holds something already; old results are never overwritten.",
                where=str(path),
                fix=f"Choose another --name; if it is a run, go on with it: {storage.go_on(path)}",
            )
        writer = cls(path)
        if storage.read_manifest(path):  # another process stored its request between our look and our lock
            writer.close()
            raise BusyError("Another run took this name just now.", where=str(path), fix="Choose another --name.")
        return writer

    @classmethod
    def resume(cls, path: str | Path) -> RunWriter:
        """An existing run, to go on with."""
        return cls(RunFolder.open(path).path)

    def discard(self) -> None:
        """Remove a folder in which nothing was planned yet: its request could never be carried out."""
        if self.planned:
            raise ValueError("a planned run is never removed")
        self.close()
        shutil.rmtree(self.path)

    def close(self) -> None:
        for journal in self._journals.values():
            journal.close()
        self._lock.release()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def publish(self, files: dict[str, Record | Sequence[Record]]) -> None:
        """Publish several files at once, all or none: a record as JSON, records as JSONL (or a list in `.json`)."""
        with self.staged() as stage:
            for name, content in files.items():
                (stage / name).write_bytes(_encode(name, content))

    @contextlib.contextmanager
    def staged(self) -> Iterator[Path]:
        """A folder to write into; everything in it is published when the block ends well, else nothing is."""
        with storage.staging(self.path) as stage:
            yield stage
            storage.commit(self.path, stage)

    def forget_damaged(self, prefix: str) -> list[str]:
        """Take groups with a damaged file out of the manifest, so that they can be made again; names those files.

        A group is what lies in one folder below `prefix`: an adapter is whole or does not exist.
        """
        files = storage.read_manifest(self.path)
        damaged = [
            n for n, entry in files.items() if n.startswith(prefix) and not storage.is_intact(self.path, n, entry)
        ]
        groups = {Path(name).parent for name in damaged}
        self.withdraw([name for name in files if Path(name).parent in groups])
        return damaged

    def withdraw(self, names: Collection[str]) -> None:
        """Take these files out of the manifest: they exist no more, wherever they lie."""
        if names:
            rest = {name: entry for name, entry in storage.read_manifest(self.path).items() if name not in names}
            with storage.staging(self.path) as stage:
                storage.write_manifest(self.path, stage, rest)

    def append_event(self, event: Event) -> None:
        self._journals[EVENTS].append([event.model_dump(mode="json", exclude={"seq"})])

    @property
    def event_count(self) -> int:
        return len(self._journals[EVENTS].rows)

    @property
    def last_elapsed(self) -> float:
        """Working time up to the last event."""
        rows = self._journals[EVENTS].rows
        return float(rows[-1]["elapsed"]) if rows else 0.0

    def append_usage(self, unit: str, usages: Sequence[Usage]) -> None:
        """Store what a unit of work took. It counts once that unit's answers or adapter are stored, too."""
        self._journals[USAGE].append([{"unit": unit, **usage.model_dump(mode="json")} for usage in usages], sync=True)

    def append_answers(self, batch: int, answers: Sequence[Answer]) -> None:
        """Store a whole batch with one write."""
        rows = [{"batch": batch, **answer.model_dump(mode="json")} for answer in answers]
        self._journals[ANSWERS].append(rows, sync=True)

    def sync_events(self) -> None:
        self._journals[EVENTS].sync()

    def _drop_unfinished_batch(self) -> None:
        """Batches are stored in one write each, so that only the last one can lack answers."""
        journal = self._journals[ANSWERS]
        sizes = {batch.batch: len(batch.keys) for batch in self.plan()}
        if journal.rows:
            last = journal.rows[-1]["batch"]
            present = sum(row["batch"] == last for row in journal.rows)
            if present != sizes.get(last):
                journal.keep(len(journal.rows) - present)


def _encode(name: str, content: Record | Sequence[Record]) -> bytes:
    if isinstance(content, Record):
        return json.dumps(content.model_dump(mode="json"), ensure_ascii=False, allow_nan=False, indent=1).encode()
    rows = [record.model_dump(mode="json") for record in content]
    if name.endswith(".jsonl"):
        return b"".join(storage.dumps(row) + b"\n" for row in rows)
    return json.dumps(rows, ensure_ascii=False, allow_nan=False, indent=1).encode()


@contextlib.contextmanager
def _folder_errors(path: Path) -> Iterator[None]:
    """A folder that cannot be written to is refused before any work starts."""
    try:
        yield
    except OSError as error:
        begun = os.path.exists(path / storage.MANIFEST)
        mended = "Free some space" if error.errno in storage.FULL else "Make it writable"
        raise MissingError(
            "The run folder cannot be written.",
            where=str(path),
            why=str(error.strerror or error),
            fix=f"{mended}, then: {storage.go_on(path)}"
            if begun
            else "Choose a folder that you may write to and that has room: --runs FOLDER",
        ) from error


# --- names -----------------------------------------------------------------------------------------------------

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def check_name(name: str) -> str:
    """`name` if it can be a folder on every system, else a `SettingsError`."""
    if not _NAME.fullmatch(name) or name.split(".")[0] in _RESERVED:
        raise SettingsError(
            f"{name!r} cannot be the name of a run.",
            why="A name is a folder on every system: small letters a-z, digits, and . _ - inside; 64 at most.",
            fix=f"For example: --name {slug(name)}",
        )
    return name


def slug(text: str) -> str:
    """The ASCII letters and digits of `text`, joined by hyphens; "run" where there are none."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    name = "-".join(words)[:40].strip("-")
    return name if name and name not in _RESERVED else "run"


def new_name(parent: Path, data: str, now: datetime) -> str:
    """A name from the data file and the time that no folder in `parent` has."""
    base = f"{slug(Path(data).stem)}-{now:%Y%m%d-%H%M%S}"
    names = (base, *(f"{base}-{n}" for n in range(2, 1000)))
    return next(name for name in names if not (parent / name).exists())
