"""What a run tells while it works: events, numbered and timed, stored in the folder and handed to whoever listens.

Knows no screen, no model and no file. Order comes from the sequence number, durations from a monotonic clock; the wall
clock is for people only and may jump.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any, Protocol, TypeAlias

from kurabe.schema import Event

Emit: TypeAlias = Callable[[Event], None]


class Log(Protocol):
    """Where events are kept: the run folder."""

    @property
    def event_count(self) -> int: ...
    @property
    def last_elapsed(self) -> float: ...
    def append_event(self, event: Event) -> None: ...
    def sync_events(self) -> None: ...


class Recorder:
    """Stores each event, then hands it on. `recorder("note", key=...)` is one event."""

    def __init__(self, log: Log, emit: Emit | None = None) -> None:
        self._log, self._emit = log, emit
        # After a resume the elapsed time goes on where the last session stopped: it never falls.
        self._before = log.last_elapsed
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds that this run has worked, earlier sessions included."""
        return self._before + time.monotonic() - self._start

    def __call__(self, kind: str, /, **values: Any) -> None:
        event = Event(
            seq=self._log.event_count + 1, at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            elapsed=round(self.elapsed, 6), kind=kind, values=values,
        )  # fmt: skip
        self._log.append_event(event)
        if self._emit:
            self._emit(event)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage of the run: its start, and its end with its seconds when it ends well."""
        start = time.monotonic()
        self("stage", name=name, state="start")
        yield
        self("stage", name=name, state="end", seconds=round(time.monotonic() - start, 6))
        self.sync()

    def sync(self) -> None:
        """Wait until the events are on the disk."""
        self._log.sync_events()
