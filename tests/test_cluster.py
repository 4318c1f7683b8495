"""What a task is, and what a dead worker costs, with workers that are scripted: they run in this process and die when
they are told to."""

from __future__ import annotations

import contextlib
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from killed_run import CLOCKS, backend, settings, what_counts, write_data
from test_fake import trial
from test_learned import write_data as more_wordings

from kurabe import cluster, experiment, forecast, raypool
from kurabe.cluster import Cluster, Ended, Lost, groups
from kurabe.endings import NOT_FINITE_STEPS, Endings
from kurabe.errors import DataError, MissingError, StoppedError
from kurabe.fake import FAKE_INFO, FakeBackend
from kurabe.model import Backend, TrialPlan
from kurabe.runs import RunFolder
from kurabe.schema import Step
from kurabe.settings import RunSettings


class ScriptedPool:
    """Workers in turn, one outcome each. `dies(task, outcomes)` says whether the n-th task that was started dies now,
    having yielded so much."""

    def __init__(self, slots: int = 2, dies: Callable[[int, int], bool] = lambda task, outcomes: False) -> None:
        self.slots, self._dies = slots, dies
        self.started: list[tuple[Any, ...]] = []
        self.cancelled: list[int] = []
        self._running: dict[int, Iterator[Any]] = {}
        self._yielded: Counter[int] = Counter()

    def reserve(self, threads: int, memory: int, gpu: bool) -> int:
        return self.slots

    def start(self, work: cluster.Work, arguments: tuple[Any, ...]) -> int:
        handle = len(self.started)
        sent = pickle.loads(pickle.dumps(arguments))  # nothing is shared with another machine
        self.started.append(sent)
        self._running[handle] = work(*sent)
        return handle

    def take(self, handles: Sequence[int]) -> list[tuple[int, Any]]:
        assert set(handles) == set(self._running)
        return [(handle, self._next(handle)) for handle in handles]

    def _next(self, handle: int) -> Any:
        if self._dies(handle, self._yielded[handle]):
            del self._running[handle]
            return Lost("killed")
        outcome = next(self._running[handle], Ended())
        self._yielded[handle] += 1
        if isinstance(outcome, Ended):
            del self._running[handle]
        return outcome

    def cancel(self, handles: Sequence[int]) -> None:
        self.cancelled += handles


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[RunSettings], Backend]], None]:
    """Says how workers load their model; without it every task has a scripted model of its own."""

    def load(how: Callable[[RunSettings], Backend]) -> None:
        monkeypatch.setattr(cluster, "loaded", how)

    load(lambda _: FakeBackend())
    return load


def made(pool: ScriptedPool, lost: Callable[[str], None] | None = None) -> Cluster:
    return Cluster(pool, RunSettings(), FAKE_INFO, lost)


def by_trial(steps: Sequence[Step]) -> dict[int, list[Step]]:
    return {number: [step for step in steps if step.trial == number] for number in {step.trial for step in steps}}


def trained(trainer: Cluster | FakeBackend, trials: Sequence[TrialPlan], folder: Path) -> tuple[Any, Any]:
    """The steps, and the adapters that were saved where the plans keep them and at the end."""
    steps, adapters, keep = [], {}, {t.trial: t.keep for t in trials}
    told = trainer.train(trials, Endings()) if isinstance(trainer, Cluster) else Endings().steps(trainer, trials)
    for step in told:
        steps.append(step.model_copy(update={"peak_memory": None}))
        if step.ended or step.step in (*keep[step.trial], step.steps):
            place = folder / f"{step.trial}-{step.step}"
            place.mkdir(parents=True)
            trainer.save_adapter(step.trial, place)
            adapters[step.trial, step.step] = (place / "adapter_model.safetensors").read_bytes()
    return by_trial(steps), adapters


def test_steps_and_adapters_are_those_of_one_process(tmp_path: Path, workers: object) -> None:
    trials = [trial(number)._replace(keep=(2,)) for number in range(1, 8)]
    assert trained(made(ScriptedPool()), trials, tmp_path / "a") == trained(FakeBackend(), trials, tmp_path / "b")


@pytest.mark.parametrize(("outcomes", "again"), [(3, [3, 4]), (5, [4])])
def test_a_dead_worker_costs_what_is_not_finished_of_its_group_and_no_step_is_told_twice(
    tmp_path: Path, workers: object, outcomes: int, again: list[int]
) -> None:
    trials, told = [trial(number) for number in range(1, 9)], list[str]()  # of three steps each
    pool = ScriptedPool(dies=lambda task, yielded: task == 1 and yielded == outcomes)
    assert trained(made(pool, told.append), trials, tmp_path / "a") == trained(FakeBackend(), trials, tmp_path / "b")
    assert [[t.trial for t in arguments[2]] for arguments in pool.started] == [[1, 2], [3, 4], [5, 6], [7, 8], again]
    assert told == ["killed"]


def test_a_group_that_dies_again_and_again_ends_the_run_and_the_others(workers: object) -> None:
    pool = ScriptedPool(dies=lambda task, outcomes: task != 0 and outcomes == 1)
    with pytest.raises(StoppedError, match="lost 4 times"):
        list(made(pool).train([trial(number, rows=40) for number in (1, 2)], Endings()))
    assert pool.cancelled == [0]


def test_who_stops_reading_ends_all_tasks(workers: object) -> None:
    pool = ScriptedPool()
    steps = made(pool).train([trial(number) for number in range(1, 9)], Endings())
    next(steps)
    steps.close()
    assert pool.cancelled == [0, 1, 2, 3]


def test_a_broken_training_ends_where_it_would_in_one_process(tmp_path: Path, workers: Any) -> None:
    def losses(number: int, step: int) -> float | None:
        return None if number == 2 and step > 1 else 1.0

    workers(lambda _: FakeBackend(losses=losses))
    trials = [trial(number, rows=40) for number in (1, 2, 3)]
    steps, adapters = trained(made(ScriptedPool(1)), trials, tmp_path / "a")
    assert (steps, adapters) == trained(FakeBackend(losses=losses), trials, tmp_path / "b")
    assert len(steps[2]) == 1 + NOT_FINITE_STEPS < len(steps[1])


def test_groups_hold_every_trial_once_and_what_is_told_apart_alone() -> None:
    trials = [trial(number)._replace(alone=number < 3) for number in range(1, 20)]
    cut = groups(trials, 2)
    assert sorted(t.trial for group in cut for t in group) == list(range(1, 20))
    assert all(len(group) == 1 for group in cut if any(t.alone for t in group))
    assert [len(group) for group in cut if not group[0].alone] == [5, 5, 5, 2]
    assert groups([], 2) == []


def test_a_worker_with_other_weights_or_another_version_is_refused(workers: Any) -> None:
    place = made(ScriptedPool())._place
    with pytest.raises(MissingError, match="other weights"):
        list(cluster.on_worker(cluster._answer, place._replace(sha256="0" * 64), None, [], {}))
    with pytest.raises(MissingError, match="another kurabe"):
        list(cluster.on_worker(cluster._answer, place._replace(version="0.0"), None, [], {}))

    def nothing(_: RunSettings) -> Backend:
        raise MissingError("No model is here.", where="/models/x", fix="Copy it.")

    workers(nothing)
    with pytest.raises(MissingError, match="cannot load the model") as told:
        list(cluster.on_worker(cluster._answer, place, None, [], {}))
    assert "/models/x" in told.value.where and told.value.why == "No model is here."


def test_a_users_error_keeps_all_it_says_on_the_way_from_a_worker() -> None:
    error = DataError("what", where="where", why="why", fix="fix", problems=("one", "two"))
    sent = pickle.loads(pickle.dumps(error))
    assert (sent.lines(), sent.problems) == (error.lines(), error.problems)


# --- a whole run -------------------------------------------------------------------------------------------------


def on_cluster(pool: ScriptedPool, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def joined(address: str | None) -> Iterator[ScriptedPool | None]:
        yield pool if address else None

    monkeypatch.setattr(raypool, "joined", joined)


def plain(run: Path) -> dict[str, Any]:
    """What counts, whatever order things were done in, and wherever."""
    counted: Any = what_counts(run)
    for ended in (counted["results"], counted["results"]["settings"]):
        ended.pop("ray", None)
    counted["records"] = [sorted(map(str, kept)) for kept in counted["records"]]
    return counted | {"adapters": adapters(run)}


def adapters(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted((run / "adapters").rglob("*.safetensors"))}


def test_a_run_on_dying_workers_is_the_run_of_one_process(
    tmp_path: Path, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path)
    workers(lambda _: backend(data))
    pool = ScriptedPool(dies=lambda task, outcomes: (task % 4 == 1 and outcomes == 0) or (task == 4 and outcomes == 7))
    on_cluster(pool, monkeypatch)
    wanted: dict[str, Any] = {"over": ("epochs",), "seeds": 1, "arms": ("base", "prompt", "lora"), "exposures": 20}
    experiment.run(data, settings(tmp_path / "one", **wanted), backend=backend(data))
    experiment.run(data, settings(tmp_path / "many", ray="local", **wanted), backend=backend(data))
    assert CLOCKS and plain(tmp_path / "many" / "run") == plain(tmp_path / "one" / "run")
    notes = [
        event.values["key"] for event in RunFolder.open(tmp_path / "many" / "run").events() if event.kind == "note"
    ]
    assert notes.count("audit.note.cluster") == 1 and notes.count("audit.note.worker-lost") > 2


def test_what_has_learned_ends_there_and_likelihoods_are_asked_on_a_cluster_too(
    tmp_path: Path, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = more_wordings(tmp_path)
    workers(lambda _: backend(data))
    on_cluster(ScriptedPool(), monkeypatch)
    wanted: dict[str, Any] = {
        "stop": "learned", "alternatives": 2, "recipes": ("fair",), "arms": ("base", "lora"), "retention": 0,
        "exposures": 30,
    }  # fmt: skip
    experiment.run(data, settings(tmp_path / "one", **wanted), backend=backend(data))
    experiment.run(data, settings(tmp_path / "many", ray="local", **wanted), backend=backend(data))
    assert plain(tmp_path / "many" / "run") == plain(tmp_path / "one" / "run")
    run = RunFolder.open(tmp_path / "many" / "run")
    assert run.steps()[-1].ended == "learned" and any(answer.logprobs for answer in run.answers())


def test_a_run_stopped_on_a_cluster_goes_on_in_one_process(
    tmp_path: Path, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path)
    workers(lambda _: backend(data))
    on_cluster(ScriptedPool(dies=lambda task, outcomes: task > 8), monkeypatch)
    with pytest.raises(StoppedError):
        experiment.run(data, settings(tmp_path / "many", ray="local"), backend=backend(data))
    run = tmp_path / "many" / "run"
    monkeypatch.undo()
    experiment.resume(run, backend=backend(data), ray="none")
    experiment.run(data, settings(tmp_path / "one"), backend=backend(data))
    assert plain(run) == plain(tmp_path / "one" / "run")


def test_the_forecast_shares_out_what_can_be_shared(tmp_path: Path) -> None:
    from kurabe import intake, planning

    data = write_data(tmp_path)
    model = FakeBackend(delay=0.0005)
    request, examples = intake.read(data, settings(tmp_path, over=("rank",), seeds=1))
    material = intake.material(request, examples)
    work = planning.plan_work(material, RunSettings.model_validate(request.settings), model)
    alone, many = forecast.Pace(material, model), forecast.Pace(material, model, slots=4)
    many._trained, many._answered = alone._trained, alone._answered  # measured once for both
    once, shared = alone.training(work), many.training(work)
    assert once and shared and once / 4 <= shared < once
    assert many.answering(work) == pytest.approx(alone.answering(work) / 4)


def test_a_worker_keeps_its_model_for_settings_with_a_price_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are no key of a cache: a table in them cannot be hashed."""
    loads: list[RunSettings] = []

    def load(settings: RunSettings) -> FakeBackend:
        loads.append(settings)
        return FakeBackend()

    monkeypatch.setattr(cluster.backends, "load", load)
    priced = RunSettings.model_validate({"prices": {"models": {"other": {"input_per_million": 1}}}})
    assert cluster.loaded(priced) is cluster.loaded(priced.model_copy()) and loads == [priced]
    cluster._loaded.cache_clear()
