"""Whole runs as tasks for many workers: the models of a curve, each of them on a machine of its own.

Knows no Ray and no step of a run. A run is begun here; a worker has it meanwhile, in a folder of its own, and sends it
back after each stage.
"""

from __future__ import annotations

import gc
import queue
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from kurabe import __version__, experiment, storage
from kurabe.cluster import Pool, Task, check_version, outcomes
from kurabe.errors import UserError
from kurabe.schema import Event
from kurabe.stopping import Stop

Files: TypeAlias = Mapping[str, bytes]
Told: TypeAlias = Event | Files | UserError  # what a run says, its folder as it is by now, why it ended


def carry_out(
    pool: Pool,
    folders: Sequence[Path],
    slots: int,
    tell: Callable[[Path, Event], None],
    lost: Callable[[Path, str], None],
) -> None:
    """Finish these begun runs, `slots` at a time. `tell` hears each run's events, `lost` that a worker died: its run
    goes on elsewhere from what was sent last. One that ends with an error leaves the others to their end; the first
    error is raised then. Whoever stops it keeps what was sent."""
    if not folders:
        return
    errors: list[UserError] = []

    def task(folder: Path) -> Task:
        return Task(_finish, lambda: (__version__, storage.read_tree(folder)), folder)

    def died(task: Task, why: str) -> None:
        stop.check()  # the signal may have gone to the workers, too: nothing is started again
        lost(task.of, why)

    with ExitStack() as held:
        for folder in folders:  # nobody else works in them meanwhile
            held.callback(storage.FolderLock(folder).release)
        stop = held.enter_context(Stop(folders[0]))
        start = lambda task: pool.start(task.work, task.arguments())  # noqa: E731
        for one, told in outcomes(pool, map(task, folders), slots, start, died):
            if isinstance(told, Event):
                tell(one.of, told)
            elif isinstance(told, UserError):
                errors.append(told)
            else:
                storage.replace_tree(one.of, told)
            stop.check()
    if errors:
        raise errors[0]


# --- on a worker -------------------------------------------------------------------------------------------------


def _finish(version: str, files: Files) -> Iterator[Told]:
    """The events of a run that is finished here; its folder after each stage, at each training, and at its end."""
    check_version(version, socket.gethostname())
    told: queue.SimpleQueue[Told | BaseException | None] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:  # whoever asks no more does not wait for it
        folder = Path(place) / "run"
        storage.write_tree(folder, files)

        def emit(event: Event) -> None:
            told.put(event)
            if event.kind == "trial" or (event.kind == "stage" and event.values["state"] == "end"):
                told.put(storage.read_tree(folder))

        def work() -> None:
            try:
                try:
                    experiment.resume(folder, emit=emit, ray="none")
                finally:
                    told.put(storage.read_tree(folder))
            except BaseException as error:
                told.put(error)  # whoever asked may have left, and the folder with them: nobody hears it then
            told.put(None)

        threading.Thread(target=work, daemon=True).start()
        while (said := told.get()) is not None:
            if isinstance(said, BaseException) and not isinstance(said, UserError):
                raise said
            yield said
    gc.collect()  # the next run's model would lie beside this one's
