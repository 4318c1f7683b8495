"""What trainings have come to, stored every few minutes: a kill in the middle of a long one costs no more than that.

Knows no model and no order of steps. A state lies in the run folder until its trial's adapter is stored. It can be
left out at any time: where the disk has no room for it, a kill only costs more.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kurabe import storage
from kurabe.errors import StoppedError
from kurabe.runs import RunWriter
from kurabe.schema import Step

EVERY = 120.0  # seconds between two of them
SHARE = 0.02  # of the time that storing them may take: adapters of many trials are large
ROOM = 4  # times the size of a trial's adapter: its state is three, and the last one stays until then
STATES, PROGRESS = "states", "progress.json"


@dataclass
class Progress:
    """What a training has taken so far, and what the rule that may end it has seen."""

    step: int = 0
    positions: int = 0
    seconds: float = 0.0
    peak_memory: int | None = None  # of another process
    at_once: int | None = None
    device: str = ""  # generators of one kind of device cannot go on as those of another
    seen: dict[str, Any] = field(default_factory=dict)  # by `Endings`
    over: bool = False  # no further step comes

    def take_in(self, step: Step) -> None:
        """One more step."""
        self.step = step.step
        self.positions += step.positions
        self.seconds += step.seconds
        self.peak_memory = step.peak_memory
        self.over = bool(step.ended) or step.step == step.steps


class Found(NamedTuple):
    """A stored state: the backend's files, and what the training had taken."""

    files: Mapping[str, bytes]
    progress: Progress


class Checkpoints:
    """The states in one run folder. `save(trial, folder)` is the backend's."""

    def __init__(self, folder: RunWriter, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._last, self._pause = clock(), EVERY

    def find(self, trial: int) -> Found | None:
        """The state that a trial's training can go on from: the last one, where a kill has left two. One that another
        version stored is none."""
        names = self._folder.listed(f"{STATES}/{trial}-")
        if not names:
            return None
        last = max((Path(name).parent for name in names), key=lambda place: int(place.name.rpartition("-")[2]))
        self._withdraw([name for name in names if Path(name).parent != last])
        files = storage.read_tree(self._folder.path / last)
        try:
            return Found(files, Progress(**json.loads(files.pop(PROGRESS))))
        except (KeyError, ValueError, TypeError):
            return None

    def due(self) -> bool:
        """Whether it is time for one."""
        return self._clock() - self._last >= self._pause

    def store(self, trials: Mapping[int, Progress], save: Callable[[int, Path], None], adapter_bytes: int) -> None:
        """Store the state of these trials in place of those stored before; one that is stored already stays. Where
        the disk refuses, the training goes on without: whatever else has to be stored will say it."""
        began = self._last = self._clock()
        place = {trial: f"{STATES}/{trial}-{progress.step}" for trial, progress in trials.items()}
        fresh = [trial for trial, name in place.items() if not self._folder.listed(f"{name}/")]
        if storage.free_space(self._folder.path) < 2 * ROOM * adapter_bytes * len(fresh):
            return
        before = [name for trial in fresh for name in self._folder.listed(f"{STATES}/{trial}-")]
        with contextlib.suppress(StoppedError):
            with self._folder.staged() as stage:
                for trial in fresh:
                    (stage / place[trial]).mkdir(parents=True)
                    save(trial, stage / place[trial])
                    told = json.dumps(asdict(trials[trial]))
                    (stage / place[trial] / PROGRESS).write_text(told, encoding="utf-8")
            self._withdraw(before)
        self._pause = max(EVERY, (self._clock() - began) / SHARE)

    def drop(self, trials: Collection[int]) -> None:
        """The trials' adapters are stored: nobody will go on from their states."""
        self._withdraw([name for trial in trials for name in self._folder.listed(f"{STATES}/{trial}-")])

    def _withdraw(self, names: Collection[str]) -> None:
        """Off the manifest, then off the disk, with what killed processes left there."""
        self._folder.withdraw(names)
        place = self._folder.path / STATES
        listed = {Path(name).parent.name for name in self._folder.listed(f"{STATES}/")}
        for path in place.iterdir() if place.is_dir() else ():
            if path.name not in listed:
                shutil.rmtree(path, ignore_errors=True)
        if place.is_dir() and not listed:
            shutil.rmtree(place, ignore_errors=True)
