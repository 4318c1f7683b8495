"""A curve is a run with further trials: planned, trained, asked, resumed and told as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_run import SHARES, write_data

from kurabe import RunSettings, curve, dataset, experiment, splits
from kurabe.analysis import load_run
from kurabe.errors import InterruptedRun, SettingsError
from kurabe.fake import FakeBackend, rehearsal
from kurabe.report import render
from kurabe.runs import RunFolder
from kurabe.schema import Axis, Event, Request, Results

RANKS = (1, 2, 4, 8, 16, 32)


def settings(folder: Path) -> RunSettings:
    return RunSettings(runs=str(folder), name="run", retention=3, arms=("base", "prompt", "lora"))


def scripted(data: Path, losses: object = None) -> FakeBackend:
    """A model whose LoRA recalls everything under trials with an even number, and nothing under the others."""
    examples = splits.prepare(dataset.read_examples(data).examples, "en", 0).examples
    knows = rehearsal(examples, {**SHARES, "lora": 1.0})

    def script(request: Request) -> str | None:
        return knows(request) if request.key.arm != "lora" or request.key.trial % 2 == 0 else "No idea."

    return FakeBackend(script, losses=losses)  # type: ignore[arg-type]


def drawn(folder: Path, *over: Axis, seeds: int = 2) -> Results:
    data = write_data(folder)
    return curve(data, over, settings(folder), seeds=seeds, backend=scripted(data))


def test_every_point_is_what_its_trials_recalled(tmp_path: Path) -> None:
    results = drawn(tmp_path, "rank")
    info = RunFolder.open(tmp_path / "run").info()
    assert len(info.points) == 2 * len(RANKS) and [t.trial for t in info.trials] == [1]
    for rank in RANKS:
        trials = [point.trial for point in info.points if point.x == rank]
        point = next(p for p in results.curves if (p.axis, p.x, p.measure) == ("rank", rank, "recall"))
        assert point.value == sum(trial % 2 == 0 for trial in trials) / 2 and point.seeds == 2
    assert [arm.label for arm in results.arms] == ["base", "prompt", "lora"], "a point of a curve is no arm"
    assert {c.trial for c in results.curves if c.axis == "step"} == {1}
    assert results.settings["over"] == ["rank"]


def test_a_trial_is_asked_about_what_it_learned(tmp_path: Path) -> None:
    drawn(tmp_path, "examples", seeds=1)
    folder = RunFolder.open(tmp_path / "run")
    swept = {info.trial: info for info in folder.info().swept}
    asked: dict[int, set[str]] = {number: set() for number in swept}
    for answer in folder.answers():
        if answer.key.trial in swept and answer.key.probe == "held_out":
            asked[answer.key.trial].add(answer.key.question.rsplit("/", 1)[0])
    assert {number: len(examples) for number, examples in asked.items()} == {n: i.examples for n, i in swept.items()}


def test_states_of_one_training_are_stored_as_they_come(tmp_path: Path) -> None:
    data, order = write_data(tmp_path), []
    backend = scripted(data)
    save = backend.save_adapter

    def watched(trial: int, folder: Path) -> None:
        order.append(folder.name)
        save(trial, folder)

    backend.save_adapter = watched  # type: ignore[method-assign]
    curve(data, ["epochs"], settings(tmp_path), seeds=1, backend=backend)
    info = RunFolder.open(tmp_path / "run").info()
    (long,) = {i.of for i in info.swept if i.of}
    states = sorted((i.steps, f"{i.trial}-fair") for i in info.swept if long in (i.of, i.trial))
    assert order == ["1-fair", *(name for _, name in states)]


def test_a_stopped_curve_goes_on_with_the_same_result(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = drawn(tmp_path / "whole", "wordings", "epochs")
    data = write_data(tmp_path)
    seen = 0

    def emit(event: Event) -> None:
        nonlocal seen
        seen += event.kind == "step"
        if seen == 700:
            seen += 1
            raise InterruptedRun("stop")

    with pytest.raises(InterruptedRun):
        curve(data, ["wordings", "epochs"], settings(tmp_path), seeds=2, emit=emit, backend=scripted(data))
    stored = [
        i.trial
        for i in RunFolder.open(tmp_path / "run").info().swept
        if RunFolder.open(tmp_path / "run").adapter(i.trial)
    ]
    assert stored, "some trials were finished"
    again: list[Event] = []
    results = experiment.resume(tmp_path / "run", emit=again.append, backend=scripted(data))
    assert not set(stored) & {e.values["trial"] for e in again if e.kind == "trial" and not _has_states(tmp_path, e)}
    for name in ("curves", "crossings", "predictions", "arms", "verdict"):
        assert getattr(results, name) == getattr(whole, name), name
    told = load_run(tmp_path / "run")
    assert told.model_copy(update={"seconds": results.seconds}) == results


def _has_states(folder: Path, event: Event) -> bool:
    info = RunFolder.open(folder / "run").info()
    return any(i.of == event.values["trial"] for i in info.swept)


def test_a_trial_that_breaks_down_is_ended_and_the_others_go_on(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    broken = scripted(data, lambda trial, step: None if trial == 5 and step > 3 else 1.0)
    curve(data, ["rate"], settings(tmp_path), seeds=1, backend=broken)
    folder = RunFolder.open(tmp_path / "run")
    steps = {i.trial: sum(step.trial == i.trial for step in folder.steps()) for i in folder.info().swept}
    assert steps.pop(5) == 6 and set(steps.values()) == {150}
    notes = [e.values for e in folder.events() if e.kind == "note"]
    assert [n["values"]["trial"] for n in notes if n["key"] == "audit.note.trial-broken"] == [5]
    assert folder.adapter(5) and folder.finished


@pytest.mark.parametrize("form", ["html", "md"])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_report_draws_every_axis(tmp_path: Path, form: str, language: str) -> None:
    results = drawn(tmp_path, "wordings", "rank", "seeds", seeds=1)
    text = render(results, form, language)  # type: ignore[arg-type]
    assert results.crossings and results.predictions
    for word in {"en": ["wordings per example", "predicted first"], "ja": ["例ごとの言い回しの数", "先に予測"]}[
        language
    ]:
        assert word in text
    assert ("<svg" in text) == (form == "html")


def test_an_axis_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no axis 'ranks'; did you mean 'rank'"):
        curve(write_data(tmp_path), ["ranks"], settings(tmp_path))  # type: ignore[list-item]
