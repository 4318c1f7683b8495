"""Trainings and answers as tasks for many workers: what is one task, what a dead worker costs, what comes back.

Knows no Ray and no run folder. A task is a generator that runs on a worker beside its own copy of the model; a task
whose worker died starts again, and nobody is told a step twice. `raypool.py` is the pool of workers that Ray keeps.
"""

from __future__ import annotations

import math
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from kurabe import __version__, backends, storage
from kurabe.endings import Endings
from kurabe.errors import MissingError, StoppedError, UserError
from kurabe.meter import Meter, peak_memory, reset_peak_memory
from kurabe.model import Backend, TrialPlan
from kurabe.schema import Answer, Batch, ModelInfo, Request, Step
from kurabe.settings import RunSettings

ROUNDS = 2  # groups per worker: the more there are, the less a death costs and the less is trained in one batch
AHEAD = 2  # tasks per worker that are handed over at a time
DEATHS = 3  # of the workers of one task; then it is no accident
MEMORY = 1.25  # of a worker's model: the weights, and what training takes beside them

Work: TypeAlias = Callable[..., Iterator[Any]]
Files: TypeAlias = dict[str, bytes]  # an adapter's folder
Ask: TypeAlias = Callable[[Backend, list[Request]], list[Answer]]


class Ended(NamedTuple):
    """A task has told everything."""


class Lost(NamedTuple):
    """A task's worker died."""

    why: str


class Pool(Protocol):
    """Workers that run generators. Handles are whatever the pool makes of them."""

    def reserve(self, threads: int, memory: int, gpu: bool) -> int:
        """Say what each task takes: CPU threads, bytes, and whether a GPU where there is one. Returns how many tasks
        can run at a time; raises `MissingError` where not even one can."""
        ...

    def start(self, work: Work, arguments: tuple[Any, ...]) -> Any:
        """Run `work(*arguments)` on some worker, as soon as one is free."""
        ...

    def take(self, handles: Sequence[Any]) -> list[tuple[Any, Any]]:
        """Wait until one of these has yielded something; (handle, what it yielded, or `Ended`, or `Lost`) of each that
        has. What a task raised is raised here."""
        ...

    def cancel(self, handles: Sequence[Any]) -> None:
        """End these tasks wherever they are."""
        ...


class Place(NamedTuple):
    """What a worker must have, so that it computes what this process would."""

    settings: RunSettings
    sha256: str  # of the weights
    version: str  # of kurabe


class Task(NamedTuple):
    """One piece of work; its arguments are looked up when it starts, and again when it starts again."""

    work: Work
    arguments: Callable[[], tuple[Any, ...]]
    of: Any = None


class Cluster:
    """The workers of a pool as trainers of trials and givers of answers, for one run with one model."""

    def __init__(
        self, pool: Pool, settings: RunSettings, info: ModelInfo, lost: Callable[[str], None] | None = None
    ) -> None:
        """`lost` is told when a worker died, and why."""
        threads = settings.threads or 1  # tasks side by side gain more than threads within one
        folder = Path(settings.model).expanduser()
        model = str(folder.resolve()) if folder.is_dir() else settings.model
        here = settings.model_copy(update={"threads": threads, "model": model})
        self._lost = lost
        self._pool, self._place = pool, Place(here, info.sha256, __version__)
        self._adapters: dict[int, Files] = {}  # of the trials whose step is just being told
        self.slots = pool.reserve(threads, math.ceil(MEMORY * 4 * info.parameters), settings.device in ("auto", "cuda"))

    def train(self, trials: Sequence[TrialPlan], endings: Endings) -> Generator[Step, None, None]:
        """Train adapters for these trials, a group of them per task, by a rule that has seen no step yet. After a step
        that the trial's plan keeps, and after its last one, the adapter can be saved until the next step is asked for.
        """
        told, ended = Counter[int](), set[int]()

        def task(group: list[TrialPlan]) -> Task:
            return Task(_train, lambda: ([t for t in group if t.trial not in ended], endings))

        for _, (step, files) in self._outcomes(map(task, groups(trials, self.slots))):
            if step.step <= told[step.trial]:
                continue  # taken once more, after a worker died
            told[step.trial] = step.step
            if files is not None:
                self._adapters[step.trial] = files
            yield step
            self._adapters.pop(step.trial, None)
            if step.ended or step.step == step.steps:
                ended.add(step.trial)

    def save_adapter(self, trial: int, folder: Path) -> None:
        """Write the adapter that came with the trial's last step into an existing empty folder."""
        storage.write_tree(folder, self._adapters[trial])

    def answer(
        self, batches: Sequence[Batch], requests: Callable[[Batch], list[Request]], ask: Ask,
        adapter: Callable[[int], Path],
    ) -> Iterator[tuple[Batch, list[Answer], Meter]]:  # fmt: skip
        """The answers of each batch, as they are done, with what they took. `ask` goes to the workers; `adapter` finds
        a trial's folder."""

        def task(batch: Batch) -> Task:
            def arguments() -> tuple[Ask, list[Request], dict[int, Files]]:
                trials = sorted({key.trial for key in batch.keys} - {0})
                return ask, requests(batch), {trial: storage.read_tree(adapter(trial)) for trial in trials}

            return Task(_answer, arguments, batch)

        for done, (answers, meter) in self._outcomes(map(task, batches)):
            yield done.of, answers, meter

    def _outcomes(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        def lost(task: Task, why: str) -> None:
            if self._lost:
                self._lost(why)

        return outcomes(self._pool, tasks, AHEAD * self.slots, self._start, lost)

    def _start(self, task: Task) -> Any:
        return self._pool.start(on_worker, (task.work, self._place, *task.arguments()))


def outcomes(
    pool: Pool,
    tasks: Iterable[Task],
    ahead: int,
    start: Callable[[Task], Any],
    lost: Callable[[Task, str], None],
) -> Iterator[tuple[Task, Any]]:
    """What the tasks yield, as it comes; `ahead` of them are handed over at a time. `lost` is told when a worker died,
    and why: its task starts again. Those that are still at work when nobody asks any more are ended."""
    running, deaths = dict[Any, tuple[int, Task]](), Counter[int]()
    numbered = enumerate(tasks)
    try:
        while True:
            for number, task in islice(numbered, ahead - len(running)):
                running[start(task)] = number, task
            if not running:
                return
            for handle, outcome in pool.take(list(running)):
                number, task = running[handle]
                if isinstance(outcome, Ended):
                    del running[handle]
                elif isinstance(outcome, Lost):
                    del running[handle]
                    deaths[number] += 1
                    if deaths[number] > DEATHS:
                        raise _given_up(outcome)
                    lost(task, outcome.why)
                    running[start(task)] = number, task
                else:
                    yield task, outcome
    finally:
        pool.cancel(list(running))


def groups(trials: Sequence[TrialPlan], slots: int) -> list[list[TrialPlan]]:
    """Trials that one task trains: those that are to be told apart alone, the others beside their like, the longest
    first, about `ROUNDS` groups for each of the workers."""

    def like(trial: TrialPlan) -> tuple[Any, ...]:
        recipe, plan = trial.plan.recipe, trial.plan
        size = recipe.batch * recipe.accumulation
        return -size, recipe.pad_to or 0, recipe.loss_on, recipe.dropout > 0, -plan.steps, trial.trial

    shared = sorted((trial for trial in trials if not trial.alone), key=like)
    size = max(1, math.ceil(len(shared) / (ROUNDS * slots)))
    cut = [shared[start : start + size] for start in range(0, len(shared), size)]
    return [*([trial] for trial in trials if trial.alone), *cut]


def _given_up(lost: Lost) -> StoppedError:
    return StoppedError(
        f"A task of the cluster was lost {DEATHS + 1} times; everything stored before is kept.",
        why=lost.why,
        fix="Look for memory that ends on its machines; then kurabe resume RUN.",
    )


# --- on a worker -------------------------------------------------------------------------------------------------


def on_worker(work: Work, place: Place, *arguments: Any) -> Iterator[Any]:
    """A task: `work` beside the model."""
    yield from work(_backend(place), *arguments)


def check_version(wanted: str, machine: str) -> None:
    """Raises MissingError where this machine has another kurabe than the run's."""
    if wanted != __version__:
        raise MissingError(
            "A machine of the cluster has another kurabe.", where=machine,
            why=f"It has version {__version__}; the run is made by {wanted}.",
            fix=f"There: pip install kurabe=={wanted}",
        )  # fmt: skip


def loaded(settings: RunSettings) -> Backend:
    """The model in this process, for all tasks that it is given."""
    return _loaded(settings.model_dump_json())


@lru_cache(maxsize=1)
def _loaded(settings: str) -> Backend:
    """By the settings' text: a table of prices in them cannot be a key."""
    return backends.load(RunSettings.model_validate_json(settings))


def _backend(place: Place) -> Backend:
    """The model, if this worker would compute with it what the driver would."""
    machine = socket.gethostname()
    check_version(place.version, machine)
    try:
        backend = loaded(place.settings)
    except UserError as error:
        raise MissingError(
            "A machine of the cluster cannot load the model.", where=f"{machine}: {error.where}",
            why=" ".join(filter(None, (error.what, error.why))),
            fix="Put the model where every machine finds it under the same path.",
        ) from None  # fmt: skip
    if backend.info.sha256 != place.sha256:
        raise MissingError(
            "A machine of the cluster has other weights.", where=f"{machine}: {place.settings.model}",
            why=f"Their hash is {backend.info.sha256[:12]}; those of the run have {place.sha256[:12]}.",
            fix="Copy the same model folder to every machine.",
        )  # fmt: skip
    return backend


def _train(backend: Backend, trials: Sequence[TrialPlan], endings: Endings) -> Iterator[tuple[Step, Files | None]]:
    """The steps of these trials, with the adapter where it is to be kept."""
    reset_peak_memory()
    kept = {trial.trial: trial.keep for trial in trials}
    for step in endings.steps(backend, trials):
        due = step.ended or step.step in (*kept[step.trial], step.steps)
        told = step.model_copy(update={"peak_memory": peak_memory()}) if due else step
        yield told, _files(backend, step.trial) if due else None
    backend.forget([trial.trial for trial in trials])


def _files(backend: Backend, trial: int) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        backend.save_adapter(trial, Path(folder))
        return storage.read_tree(Path(folder))


def _answer(
    backend: Backend, ask: Ask, requests: list[Request], adapters: Mapping[int, Files]
) -> Iterator[tuple[list[Answer], Meter]]:
    """The answers of one batch, metered without what its adapters took to come here."""
    for trial, files in adapters.items():
        with tempfile.TemporaryDirectory() as folder:
            storage.write_tree(Path(folder), files)
            backend.load_adapter(trial, Path(folder))
    with Meter() as meter:
        answers = ask(backend, requests)
    backend.forget(list(adapters))
    yield answers, meter
