"""A curve is a run with further trials: planned, trained, asked, resumed and told as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from killed_run import SHARES, write_data

from kurabe import RunSettings, charts, curve, dataset, experiment, retention, splits, sweeps
from kurabe.analysis import load_run
from kurabe.errors import InterruptedRun, SettingsError
from kurabe.fake import FakeBackend, rehearsal
from kurabe.report import render, sentences
from kurabe.runs import RunFolder
from kurabe.schema import Axis, Crossing, CurvePoint, Event, Request, Results
from kurabe.texts import Texts

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
    results = curve(data, ["rate"], settings(tmp_path), seeds=1, backend=broken)
    folder = RunFolder.open(tmp_path / "run")
    steps = {i.trial: sum(step.trial == i.trial for step in folder.steps()) for i in folder.info().swept}
    assert steps.pop(5) == 6 and set(steps.values()) == {150}
    notes = [e.values for e in folder.events() if e.kind == "note"]
    assert [n["values"]["trial"] for n in notes if n["key"] == "audit.note.trial-broken"] == [5]
    assert folder.adapter(5) and folder.finished
    assert "The loss of trial 5 was no number" in render(results, "md", "en")


def test_examples_with_nothing_to_score_leave_the_rest_of_the_curve(tmp_path: Path) -> None:
    """With one example learned, the curve begins at an example whose answer holds no value."""
    data = write_data(tmp_path)
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    alone = sweeps.chosen(splits.prepare(dataset.read_examples(data).examples, "en", 0).examples, 1, 0)[0].id
    for row in rows:
        if row["id"] == alone:
            row["answer"] = "That depends on the season."
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    results = curve(data, ["examples"], settings(tmp_path), seeds=1, backend=scripted(data))
    assert min(p.x for p in results.curves if (p.axis, p.measure) == ("examples", "recall")) > 1
    assert [c.least for c in results.crossings] == [2]


def test_an_answer_that_did_not_come_was_not_forgotten(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    known = {q.id: q.accept[0] for q in retention.general_questions("en", 3)}
    lost = min(known)

    def script(request: Request) -> str | None:
        if request.key.trial and request.key.question == lost:
            return None
        return known.get(request.key.question, "No idea.")

    results = curve(data, ["rank"], settings(tmp_path), seeds=1, backend=FakeBackend(script))
    assert {p.value for p in results.curves if p.measure == "general"} == {1.0}


@pytest.mark.parametrize("arms", [("base", "prompt"), ("prompt", "lora+prompt")])
def test_a_curve_without_lora_is_refused(tmp_path: Path, arms: tuple[str, ...]) -> None:
    data = write_data(tmp_path)
    with pytest.raises(SettingsError, match="needs the arm 'lora'"):
        curve(data, ["rank"], settings(tmp_path).model_copy(update={"arms": arms}), backend=scripted(data))
    assert not (tmp_path / "run").exists()


def test_a_single_point_and_factors_are_drawn() -> None:
    def curves(axis: str, *values: float) -> Results:
        points = [
            CurvePoint(axis=axis, x=x, measure="recall", trial=0, recipe="fair", value=0.5, low=0.2, high=0.8)
            for x in values
        ]
        return Results.model_construct(curves=tuple(points), predictions=())

    one = charts.curve(curves("wordings", 1), "wordings", Texts("en"))
    factors = charts.curve(curves("rate", 0.25, 1, 4), "rate", Texts("en"))
    assert one and factors and "NaN" not in one and ">×0.25<" in factors and ">×4<" in factors


def test_a_curve_of_trained_wordings_only_is_a_table_without_a_chart(tmp_path: Path) -> None:
    data = tmp_path / "plain.json"
    data.write_text(json.dumps([{"question": f"Zebra {n}", "answer": f"It costs ${n}.50."} for n in range(6)]))
    results = curve(data, ["rank"], settings(tmp_path), seeds=1, backend=scripted(data))
    assert {p.measure for p in results.curves if p.axis == "rank"} == {"trained"}
    text = render(results, "html", "en")
    assert 'id="table-curve-rank"' in text and Texts("en")("curve.figure") not in text


@pytest.mark.parametrize(
    ("crossing", "says"),
    [
        ({"at": None}, ["does not reach the prompt"]),
        ({"at": None, "low": 5.0}, ["was not seen to reach", "begins at 5"]),
        ({"at": 1.0}, ["too few examples"]),
        ({"at": 1.0, "low": 1.0}, ["from 1 to beyond the range", "at 10 rank it recalls 40 %, the prompt 90 %"]),
        ({"at": 1.0, "low": 1.0, "high": 1.0}, ["at or below the first point"]),
        ({"at": 1.0, "low": 1.0, "high": 4.0}, ["95 % interval 1 to 4"]),
    ],
)
def test_a_crossing_is_told_with_what_is_not_known_of_it(
    tmp_path: Path, crossing: dict[str, float | None], says: list[str]
) -> None:
    values = {(1, "recall"): 0.9, (1, "prompt"): 0.9, (10, "recall"): 0.4, (10, "prompt"): 0.9}
    points = tuple(
        CurvePoint(axis="rank", x=x, measure=measure, trial=0, recipe="fair", value=value)
        for (x, measure), value in values.items()
    )
    found = Crossing(axis="rank", least=1, most=10, **crossing)  # type: ignore[arg-type]
    results = Results.model_construct(curves=points, crossings=(found,), predictions=())
    told = sentences.curve(results, "rank", Texts("en"))
    assert all(part in " ".join(told) for part in says), told
    assert len(told) == (1 if found.at is None else 2)
    assert all(sentence.endswith("。") for sentence in sentences.curve(results, "rank", Texts("ja")))


def test_the_command_repeats_the_seeds_of_a_curve(tmp_path: Path) -> None:
    """One seed is a run's default, and not a curve's."""
    assert "--over rank --seeds 1" in sentences.command(drawn(tmp_path, "rank", seeds=1))


@pytest.mark.parametrize("form", ["html", "md"])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_report_draws_every_axis(tmp_path: Path, form: str, language: str) -> None:
    results = drawn(tmp_path, "wordings", "rank", "seeds", seeds=1)
    text = render(results, form, language)  # type: ignore[arg-type]
    assert results.crossings and results.predictions
    for word in {"en": ["wordings per example", "kept out"], "ja": ["例ごとの言い回しの数", "線に含めず"]}[language]:
        assert word in text
    assert ("<svg" in text) == (form == "html")


def test_an_axis_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no axis 'ranks'; did you mean 'rank'"):
        curve(write_data(tmp_path), ["ranks"], settings(tmp_path))  # type: ignore[list-item]
