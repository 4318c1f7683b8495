"""The clock and the memory of one piece of work.

Knows no model and no run folder. Durations are monotonic; memory is the process's own peak, reset where the system
allows it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from pathlib import Path
from types import TracebackType

import psutil

from kurabe.schema import Usage, UsageKind


class Meter:
    """`with Meter() as meter: ...`, then `meter.seconds` and `meter.peak_memory` (bytes)."""

    seconds: float = 0.0
    peak_memory: int = 0

    def __enter__(self) -> Meter:
        reset_peak_memory()
        self._start = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._start
        self.peak_memory = peak_memory()

    def usage(self, kind: UsageKind, *, arm: str = "", trial: int = 0, tokens: int = 0) -> Usage:
        """The record of what was metered."""
        return Usage(kind=kind, arm=arm, trial=trial, seconds=self.seconds, tokens=tokens, peak_memory=self.peak_memory)


def reset_peak_memory() -> None:
    """Let the peak start anew from what is in use. Only Linux can; elsewhere the peak is the process's so far.

    Memory that was freed is handed back first: else each arm would be charged for the training before it. Only young
    garbage is looked for: a full collection walks all of torch and transformers, before every batch.
    """
    if not sys.platform.startswith("linux"):
        return
    gc.collect(1)
    with contextlib.suppress(OSError, AttributeError):  # no such call outside glibc
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory() -> int:
    """The largest resident size of this process since `reset_peak_memory`, or since its start, in bytes."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    # macOS counts bytes, the other Unixes count kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
