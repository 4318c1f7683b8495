"""How a run is stopped from outside: Ctrl-C once, Ctrl-C twice, SIGTERM.

Knows no step: the experiment asks between two steps whether it shall go on.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from kurabe.errors import InterruptedRun, TerminatedRun
from kurabe.storage import go_on


class Stop:
    """While it is entered, the first SIGINT or SIGTERM is remembered and the second SIGINT stops at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        # Handlers can be set from the main thread only; in another one, the embedding program decides about signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number

    @property
    def asked(self) -> bool:
        """Whether the run was asked to stop."""
        return self._received is not None

    def check(self) -> None:
        """Raise if the run was asked to stop. To be called where everything done so far is stored."""
        if self._received is None:
            return
        kind = TerminatedRun if self._received == signal.SIGTERM else InterruptedRun
        raise kind(
            "The run was stopped; everything done so far is stored.",
            where=str(self._folder),
            fix=go_on(self._folder),
        )
