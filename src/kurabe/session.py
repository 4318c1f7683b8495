"""One process at work on a run: the folder that it writes to, the model, the log, the stop button, other workers.

Knows no order of steps. In every session of a run the model is the same.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple

from kurabe import backends, intake, runs
from kurabe.arms import Material
from kurabe.cluster import Cluster, Pool
from kurabe.errors import MissingError, SettingsError
from kurabe.events import Recorder
from kurabe.meter import Meter
from kurabe.model import Backend
from kurabe.runs import RunFolder, RunWriter
from kurabe.settings import RunSettings
from kurabe.stopping import Stop


class Session(NamedTuple):
    """What the steps of one process share: the folder they write to, the model, the log, the stop button; and other
    processes that train and answer, where there are any."""

    folder: RunWriter
    backend: Backend
    record: Recorder
    stop: Stop
    cluster: Cluster | None


def mend(folder: RunWriter, record: Recorder) -> None:
    """Say what the folder lost: a torn line, or an adapter or a state of one that is not what was stored (it is trained
    again)."""
    for name, size in folder.torn.items():
        record("note", key="audit.note.torn-tail", values={"file": name, "bytes": size})
    for name in (*folder.forget_damaged("adapters/"), *folder.forget_damaged("states/")):
        record("note", key="audit.note.file-damaged", values={"file": name})


def load(folder: RunWriter, backend: Backend | None, opened: ExitStack) -> Backend:
    """The model that the settings name, or the one at hand; in every session of a run the same."""
    settings = RunSettings.model_validate(folder.request().settings)
    with Meter() as meter:
        backend = opened.enter_context(backends.working(settings, backend))
    if folder.planned:
        check_same_model(folder, backend)
    folder.append_usage(runs.LOADING, [meter.usage("loading")])
    return backend


def begin(folder: RunWriter, backend: Backend, record: Recorder, stop: Stop, pool: Pool | None) -> Session:
    """The session of this process, with the pool's workers as a cluster where there is a pool."""
    if pool is None:
        return Session(folder, backend, record, stop, None)

    def lost(why: str) -> None:
        stop.check()  # the signal may have gone to the workers, too: nothing is started again
        record("note", key="audit.note.worker-lost", values={"why": why})

    settings = RunSettings.model_validate(folder.request().settings)
    if settings.answers_from is not None:
        raise SettingsError(
            "Answers cannot come from a server and from a cluster.", where=settings.answers_from,
            fix="Leave out --ray, or --answers-from.",
        )  # fmt: skip
    cluster = Cluster(pool, settings, backend.info, lost)
    record("note", key="audit.note.cluster", values={"slots": cluster.slots})
    return Session(folder, backend, record, stop, cluster)


def check_same_model(folder: RunFolder, backend: Backend) -> None:
    stored = folder.info().model
    if stored.sha256 != backend.info.sha256:
        raise MissingError(
            "This is not the model that the run began with.",
            where=stored.path or stored.name,
            why=f"Its weights have the hash {backend.info.sha256[:12]}; those of the run have {stored.sha256[:12]}.",
            fix="Put the old weights back, or run again in a new folder.",
        )


def material(folder: RunFolder) -> Material:
    """What the arms of this run are prepared from."""
    return intake.material(folder.request(), folder.examples())
