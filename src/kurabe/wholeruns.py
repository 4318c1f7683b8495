"""Whole runs as tasks for many workers: the models of a curve, each of them on a machine of its own.

Knows no Ray and no step of a run. A run is begun here; a worker has it meanwhile, in a folder of its own, and sends it
back when it is finished.
"""

from __future__ import annotations

import queue
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kurabe import __version__, experiment, storage
from kurabe.cluster import Pool, Task, check_version, outcomes
from kurabe.schema import Event
from kurabe.stopping import Stop

Files = Mapping[str, bytes]


class Needs(NamedTuple):
    """What one of these runs takes: CPU threads, bytes, and whether a GPU where there is one."""

    threads: int
    memory: int
    gpu: bool


def carry_out(
    pool: Pool,
    folders: Sequence[Path],
    needs: Needs,
    tell: Callable[[Path, Event], None],
    lost: Callable[[Path, str], None],
) -> None:
    """Finish these begun runs, as many at a time as fit. `tell` hears each run's events, `lost` that a worker died: its
    run begins again where it was begun, the others go on. What a run raised is raised here."""
    if not folders:
        return
    slots = pool.reserve(*needs)

    def task(folder: Path) -> Task:
        return Task(_finish, lambda: (__version__, storage.read_tree(folder)), folder)

    with Stop(folders[0]) as stop:
        for one, outcome in outcomes(
            pool, map(task, folders), slots, lambda task: pool.start(task.work, task.arguments()),
            lambda task, why: lost(task.of, why),
        ):  # fmt: skip
            if isinstance(outcome, Event):
                tell(one.of, outcome)
            else:
                storage.replace_tree(one.of, outcome)
            stop.check()


# --- on a worker -------------------------------------------------------------------------------------------------


def _finish(version: str, files: Files) -> Iterator[Event | Files]:
    """The events of a run that is finished here, then its folder."""
    check_version(version, socket.gethostname())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        storage.write_tree(folder, files)
        told: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                experiment.resume(folder, emit=told.put, ray="none")
                told.put(None)
            except BaseException as error:
                told.put(error)

        threading.Thread(target=work, daemon=True).start()
        while (said := told.get()) is not None:
            if isinstance(said, BaseException):
                raise said
            yield said
        yield storage.read_tree(folder)
