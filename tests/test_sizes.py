"""A curve over models: looked at before the first run, one run each, joined by size, gone on with after a stop."""

from __future__ import annotations

import contextlib
import functools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killed_run import SHARES, what_counts, write_data
from test_cluster import ScriptedPool

from kurabe import __version__, dataset, experiment, runs, sizes, splits, storage, wholeruns
from kurabe.analysis import load_run
from kurabe.cli import main
from kurabe.errors import EXIT_MISSING, EXIT_USAGE, BusyError, InterruptedRun, MissingError, SettingsError
from kurabe.fake import FAKE_INFO, FakeBackend, rehearsal
from kurabe.report import render
from kurabe.runs import RunFolder, RunWriter
from kurabe.schema import Event, Results
from kurabe.settings import RunSettings
from kurabe.sizes import Part

PARAMETERS = {"small": 2_000_000, "large": 300_000_000}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path)


def settings(folder: Path, **changes: Any) -> RunSettings:
    arms = ("base", "prompt", "lora")
    return RunSettings.model_validate({"runs": str(folder), "name": "size", "retention": 3, "arms": arms} | changes)


def parts(folder: Path) -> tuple[Part, ...]:
    """What `plan` makes of two models, without their weights."""
    return tuple(Part(name, settings(folder, name=f"size-{k}-{name}")) for k, name in enumerate(PARAMETERS, start=1))


def backend(data: Path, name: str) -> FakeBackend:
    """The larger model's LoRA recalls more."""
    examples = splits.prepare(dataset.read_examples(data).examples, "en", 0).examples
    info = FAKE_INFO.model_copy(update={"name": name, "parameters": PARAMETERS[name]})
    return FakeBackend(rehearsal(examples, {**SHARES, "lora": 0.2 if name == "small" else 1.0}), info=info)


def joined(folder: Path, data: Path) -> Results:
    for part in parts(folder):
        sizes.measure(data, part, backend=backend(data, part.model))
    return sizes.join(parts(folder))


def test_models_are_looked_at_before_the_first_run_and_put_in_order(
    tiny_folder: Path, tmp_path: Path, data: Path
) -> None:
    planned = sizes.plan(data, ["tiny", str(tiny_folder)], settings(tmp_path))
    assert [part.model for part in planned] == [str(tiny_folder), "tiny"]  # 0.2M and 5M parameters
    assert len({part.folder for part in planned}) == 2
    assert all(part.settings.model == part.model and not part.settings.over for part in planned)
    assert {part.settings.rate for part in planned} == {1.0}  # by the recipe's rule, whatever was found for one of them
    again = Path(shutil.copytree(tiny_folder, tmp_path / "again"))
    for models, error in (
        (["tiny"], SettingsError), (["tiny", "tiny"], SettingsError), ([str(tiny_folder), str(again)], SettingsError),
        (["tiny", "org/absent"], MissingError), (["tiny", "ollama:llama3"], SettingsError),
    ):  # fmt: skip
        with pytest.raises(error) as caught:
            sizes.plan(data, models, settings(tmp_path))
        assert caught.value.fix
    assert not list(tmp_path.glob("size*"))


def test_the_curve_is_what_each_run_came_to(tmp_path: Path, data: Path) -> None:
    results = joined(tmp_path, data)
    assert results.run == "size-2-large"
    assert [(run.model.name, run.rank) for run in results.models] == [("small", 8), ("large", 16)]
    for run in results.models:
        alone = load_run(tmp_path / run.run)
        lora = next(arm for arm in alone.arms if arm.label == "lora")
        at = {p.measure: p for p in results.curves if p.axis == "models" and p.x == run.model.parameters}
        assert (at["recall"].value, at["recall"].low) == (lora.recall.value, lora.recall.low)
        assert {"recall", "prompt", "trained", "wrong", "extra"} <= set(at)
    recalls = [p.value for p in results.curves if (p.axis, p.measure) == ("models", "recall")]
    assert recalls[0] < recalls[1]  # type: ignore[operator]
    assert load_run(tmp_path / "size-2-large") == results
    assert not load_run(tmp_path / "size-1-small").models


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_report_names_the_models_and_says_that_they_differ(tmp_path: Path, data: Path, language: str) -> None:
    results = joined(tmp_path, data)
    page = render(results, "html", language)  # type: ignore[arg-type]
    table = render(results, "md", language)  # type: ignore[arg-type]
    for text in (page, table):
        assert "small (2,000,000)" in text and "large (300,000,000)" in text
        assert {"en": "not in size alone", "ja": "大きさだけでなく"}[language] in text
    assert page.count("<svg") > render(load_run(tmp_path / "size-1-small"), "html", language).count("<svg")  # type: ignore[arg-type]


def test_a_stopped_curve_goes_on_and_does_nothing_twice(tmp_path: Path, data: Path) -> None:
    first, second = parts(tmp_path)
    sizes.measure(data, first, backend=backend(data, "small"))

    def stop(event: Event) -> None:
        if event.kind == "step":
            raise InterruptedRun("stopped", fix="go on")

    with pytest.raises(InterruptedRun):
        sizes.measure(data, second, stop, backend(data, "large"))

    def never(request: object) -> str:
        raise AssertionError("a finished run was asked again")

    sizes.measure(data, first, backend=FakeBackend(never))
    sizes.measure(data, second, backend=backend(data, "large"))
    assert len(sizes.join(parts(tmp_path)).models) == 2
    assert sizes.join(parts(tmp_path)) == sizes.join(parts(tmp_path))


def test_a_run_of_that_name_that_asked_something_else_is_not_taken(tmp_path: Path, data: Path) -> None:
    first, _ = parts(tmp_path)
    sizes.measure(data, first, backend=backend(data, "small"))
    other = first._replace(settings=first.settings.model_copy(update={"exposures": 7}))
    with pytest.raises(SettingsError, match="something else"):
        sizes.measure(data, other, backend=backend(data, "small"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--over", "models"), EXIT_USAGE),
        (("a,b",), EXIT_USAGE),
        (("a,b", "--over", "rank"), EXIT_USAGE),
        (("tiny,org/absent", "--over", "models"), EXIT_MISSING),
        (("tiny,a/b", "--over", "models", "--seeds", "2"), EXIT_USAGE),
        (("tiny,a/b", "--over", "models", "--model", "tiny"), EXIT_USAGE),
    ],
)
def test_what_the_command_refuses(
    tmp_path: Path, data: Path, arguments: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["curve", str(data), *arguments, "--runs", str(tmp_path / "runs")])
    assert caught.value.code == code
    assert "fix" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_command_measures_each_model_and_shows_the_curve(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kurabe import backends

    monkeypatch.setattr(sizes, "plan", lambda *_: parts(tmp_path))
    monkeypatch.setattr(backends, "load", lambda wanted: backend(data, (wanted.name or "").rpartition("-")[2]))
    with pytest.raises(SystemExit) as caught:
        main(["curve", str(data), "small,large", "--over", "models", "--runs", str(tmp_path)])
    screen = capsys.readouterr()
    assert caught.value.code == 0
    assert "2 of 2" in screen.err and "small (2,000,000)" in screen.out
    assert RunFolder.open(tmp_path / "size-2-large").models()
    assert (tmp_path / "size-2-large" / runs.RESULTS).is_file()


# --- all models at once, on scripted workers ---------------------------------------------------------------------


@pytest.fixture
def workers(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ScriptedPool], None]:
    """Says which pool is joined; its workers have the scripted models."""
    resume = experiment.resume

    def resumed(folder: Path, *, backend: FakeBackend | None = None, **asked: Any) -> Results:
        return resume(
            folder, backend=backend or made(Path(RunFolder.open(folder).request().settings["model"]).name), **asked
        )

    made = functools.partial(backend, data)

    monkeypatch.setattr(wholeruns.experiment, "resume", resumed)
    monkeypatch.setattr(sizes, "_numbers", PARAMETERS.__getitem__)

    def join(pool: ScriptedPool) -> None:
        def joined(address: str | None) -> Any:
            return contextlib.nullcontext(None if address in (None, "none") else pool)

        monkeypatch.setattr(sizes.raypool, "joined", joined)

    return join


def on_cluster(folder: Path) -> tuple[Part, ...]:
    return tuple(
        part._replace(settings=part.settings.model_copy(update={"ray": "auto", "model": part.model}))
        for part in parts(folder)
    )


def test_on_a_cluster_the_runs_are_those_of_one_process(
    tmp_path: Path, data: Path, workers: Callable[[ScriptedPool], None]
) -> None:
    """Though one of them dies once in the middle of its training."""
    joined(tmp_path / "alone", data)
    told: list[tuple[str, str]] = []
    pool = ScriptedPool(dies=lambda task, outcomes: task == 1 and outcomes == 60)
    workers(pool)
    sizes.measure_at_once(data, on_cluster(tmp_path), lambda part, event: told.append((part.model, event.kind)))
    assert len(sizes.join(on_cluster(tmp_path)).models) == 2
    for part in parts(tmp_path):
        assert what_counts(part.folder)["records"] == what_counts(tmp_path / "alone" / part.folder.name)["records"]
        assert not list(part.folder.glob(".staging-*")) and (part.model, "end") in told
    assert len(pool.started) == 3, "the other model's run was not begun again"
    assert told.count(("large", "note")) == told.count(("small", "note")) + 1
    sizes.measure_at_once(data, on_cluster(tmp_path), lambda part, event: told.append((part.model, event.kind)))
    assert len(pool.started) == 3, "what is finished is not done again"


def test_a_model_that_fails_leaves_the_others_to_their_end(
    tmp_path: Path, data: Path, workers: Callable[[ScriptedPool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers(ScriptedPool())
    resumed = wholeruns.experiment.resume

    def resume(folder: Path, **asked: Any) -> Results:
        if RunFolder.open(folder).request().settings["model"].endswith("small"):
            raise MissingError("The model cannot be loaded.", where="small", fix="Copy it again.")
        return resumed(folder, **asked)

    monkeypatch.setattr(wholeruns.experiment, "resume", resume)
    with pytest.raises(MissingError, match="cannot be loaded"):
        sizes.measure_at_once(data, on_cluster(tmp_path), lambda part, event: None)
    assert [RunFolder.open(part.folder).finished for part in parts(tmp_path)] == [False, True]


def test_what_was_stopped_keeps_its_stages_and_is_held_meanwhile(
    tmp_path: Path, data: Path, workers: Callable[[ScriptedPool], None]
) -> None:
    workers(ScriptedPool())
    busy: list[bool] = []

    def tell(part: Part, event: Event) -> None:
        if (part.model, event.kind) == ("large", "step"):
            with pytest.raises(BusyError):
                RunWriter.resume(part.folder)
            busy.append(True)
            raise InterruptedRun("stopped", fix="go on")

    with pytest.raises(InterruptedRun):
        sizes.measure_at_once(data, on_cluster(tmp_path), tell)
    assert busy
    stages = [e.values["name"] for e in RunFolder.open(parts(tmp_path)[1].folder).events() if e.kind == "stage"]
    assert "base" in stages and RunFolder.open(parts(tmp_path)[1].folder).answers()


def test_a_run_that_nobody_asks_any_more_ends_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, closed = list[threading.Thread](), threading.Event()

    def resume(folder: Path, emit: Callable[[Event], None], **_: object) -> None:
        at_work.append(threading.current_thread())
        emit(Event(seq=0, at="", elapsed=0.0, kind="note", values={}))
        assert closed.wait(60)

    def gone(folder: Path) -> dict[str, bytes]:
        raise FileNotFoundError(folder)  # a file that was listed is deleted before it is read

    monkeypatch.setattr(experiment, "resume", resume)
    monkeypatch.setattr(storage, "read_tree", gone)
    run = wholeruns._finish(__version__, {"request.json": b"{}"})
    assert next(run)
    run.close()
    closed.set()
    at_work[0].join(60)  # an exception that a thread leaves behind fails the test
    assert not at_work[0].is_alive()


def test_nothing_is_begun_where_the_cluster_is_not_there(tmp_path: Path, data: Path) -> None:
    away = [p._replace(settings=p.settings.model_copy(update={"ray": "ray://nowhere"})) for p in parts(tmp_path)]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SettingsError, match="client protocol"):
        patch.setattr(sizes, "_numbers", PARAMETERS.__getitem__)
        sizes.measure_at_once(data, away, lambda part, event: None)
    asking = [p._replace(settings=p.settings.model_copy(update={"beside": ("ollama:x",)})) for p in away]
    with pytest.raises(SettingsError, match="themselves"):
        sizes.measure_at_once(data, asking, lambda part, event: None)
    assert not list(tmp_path.glob("size-*"))


def test_what_a_worker_refuses_ends_the_curve_and_it_goes_on_without_the_cluster(
    tmp_path: Path, data: Path, workers: Callable[[ScriptedPool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ScriptedPool()
    workers(pool)
    with monkeypatch.context() as patch, pytest.raises(MissingError, match="another kurabe"):
        patch.setattr(wholeruns, "__version__", "0.0.0")
        sizes.measure_at_once(data, on_cluster(tmp_path), lambda part, event: None)
    assert pool.cancelled
    for part in parts(tmp_path):
        sizes.measure(data, part, backend=backend(data, part.model))
    assert len(sizes.join(parts(tmp_path)).models) == 2
