"""`--minutes`: what is cut and what never is, the real time beside the planned one, the same run typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from killed_run import backend, settings, what_counts, write_data
from safetensors.torch import load_file

from kurabe import RunSettings, arms, backends, budget, curve, experiment, planning, recipes
from kurabe.arms import Material
from kurabe.errors import DataError, InterruptedRun
from kurabe.fake import FAKE_INFO, FakeBackend
from kurabe.forecast import Pace, Training, Tried
from kurabe.hf import HFBackend
from kurabe.intake import read
from kurabe.model import TrialPlan
from kurabe.recipes import RECIPES
from kurabe.runs import RunFolder
from kurabe.schema import AnswerKey, Event, Reason, Results
from kurabe.texts import LANGUAGES, Texts

WEIGHTS = "adapter_model.safetensors"


def keys(results: Results) -> list[str]:
    told = [note.key.removeprefix("audit.note.") for note in results.notes]
    return [key for key in told if key.startswith(("minutes-", "cut-"))]


def total(seconds: dict[str, Any]) -> float:
    return float(sum(seconds.values()))


# --- the plan and the real time ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("over", "minutes", "delay", "cut"),
    [
        ((), 10, 0.2, []),
        ((), 1, 0.15, ["cut-retention", "cut-exposures", "cut-too-far"]),
        (("rank",), 4, 0.1, ["cut-seeds"]),
        (("wordings", "epochs"), 2, 0.1, ["cut-seeds", "cut-retention", "cut-exposures", "cut-too-far"]),
    ],
)
def test_a_run_takes_the_time_that_was_planned(
    clock: None, tmp_path: Path, over: Sequence[Any], minutes: int, delay: float, cut: list[str]
) -> None:
    data = write_data(tmp_path)
    wanted = settings(tmp_path, over=over, seeds=3, retention=60, minutes=minutes, recipes=("fair",))
    results = experiment.run(data, wanted, backend=backend(data, delay))
    assert keys(results) == ["minutes-fit", *cut]
    assert total(results.planned) <= minutes * 60
    assert total(results.seconds) == pytest.approx(total(results.planned), rel=0.25)


def test_what_never_fits_is_made_as_small_as_may_be_and_said(clock: None, tmp_path: Path) -> None:
    data = write_data(tmp_path)
    few = settings(tmp_path, retention=60, minutes=1, recipes=("fair",))
    results = experiment.run(data, few, backend=backend(data, delay=5.0))
    assert keys(results) == ["minutes-exceeded", "cut-retention", "cut-exposures", "cut-too-far"]
    assert total(results.planned) > 60
    assert (results.settings["retention"], results.settings["exposures"]) == (20, 25)
    assert {"low-exposure", "too-few-steps"} <= {finding.id for finding in results.audit}
    full = experiment.run(data, settings(tmp_path, name="full", recipes=("fair",)), backend=backend(data))
    assert [arm.label for arm in results.arms] == [arm.label for arm in full.arms]
    assert {q.id for q in results.questions} == {q.id for q in full.questions}, "held-out questions are never cut"


# --- what is chosen ----------------------------------------------------------------------------------------------


class Priced(Pace):
    """A computer on which a training position and an answer take so many seconds; nothing is tried on it."""

    def __init__(self, material: Material, position: float, answer: float) -> None:
        super().__init__(material, FakeBackend())
        self.position, self.answer = position, answer

    def _try_steps(self, trials: Sequence[TrialPlan]) -> Training:
        return Training(self.position, 0.0)

    def _try_answers(self, arm: str, keys: Sequence[AnswerKey], work: planning.Work) -> Tried:
        return Tried(self.answer, 0.0)


def fitted(folder: Path, position: float, answer: float = 0.0, spent: float = 0.0, **changes: Any) -> budget.Fitted:
    wanted = settings(folder, retention=60, recipes=("fair",), **changes)
    request, examples = read(write_data(folder), wanted)
    material = Material(examples, request.prompt, request.language)
    return budget.fit(material, wanted, Priced(material, position, answer), spent)


def told(found: budget.Fitted) -> tuple[int, int, int | None, int | None]:
    return found.settings.seeds, found.settings.retention, found.settings.exposures, found.settings.wordings


def test_seeds_go_first_then_retention_then_exposures(tmp_path: Path) -> None:
    seen = [
        told(fitted(tmp_path, position, answer=0.05, over=("rank",), seeds=3, minutes=10))
        for position in (1e-4, 6e-4, 1e-3, 1.6e-3, 2.4e-3, 5e-3, 1.0)
    ]
    left = [(seeds, exposures or 100) for seeds, _, exposures, _ in seen]
    assert left == sorted(left, reverse=True) and len(set(left)) >= 5
    assert left[0] == (3, 100) and left[-1] == (1, 25)
    assert all(seeds == 1 for seeds, retention, exposures, _ in seen if exposures or retention < 60)
    assert {retention for _, retention, *_ in seen} > {60}, "it is cut where that saves something"


def test_time_that_is_gone_counts(tmp_path: Path) -> None:
    assert told(fitted(tmp_path, 0.001, minutes=2))[2] is None
    late = fitted(tmp_path, 0.001, minutes=2, spent=100)
    assert late.settings.exposures and (late.planned["load"] or 0) >= 100


def test_a_cut_that_saves_nothing_is_not_made(tmp_path: Path) -> None:
    """All the time goes into training: retention questions stay. Fewer wordings, seen as often, take no less."""
    assert told(fitted(tmp_path, 1.0, minutes=1)) == (3, 60, 25, None)
    assert told(fitted(tmp_path, 0.0, answer=10.0, minutes=1)) == (3, 20, None, None), "and training costs nothing here"


def with_wordings(folder: Path, wanted: Any, role: str, count: int) -> Material:
    """The rows with so many more wordings each in this role."""
    _, examples = read(write_data(folder), wanted)
    return Material(tuple(
        e.model_copy(update={"wordings": (*e.wordings, *(
            e.wordings[0].model_copy(update={"text": f"{e.question} ({n})", "role": role}) for n in range(count)
        ))}) for e in examples
    ), "", "en")  # fmt: skip


def test_wordings_are_cut_where_they_make_the_training_longer(tmp_path: Path) -> None:
    """With many wordings each of the few epochs is long."""
    wanted = settings(tmp_path, recipes=("fair",), minutes=1, retention=0)
    material = with_wordings(tmp_path, wanted, "trained", 40)
    found = budget.fit(material, wanted, Priced(material, 0.01, 0.0), 0.0)
    assert found.settings.wordings in budget.WORDINGS
    (note,) = (note for note in found.notes if note.key == "audit.note.cut-wordings")
    assert note.values["of"] > 40 and note.values["chosen"] == found.settings.wordings
    curved = wanted.model_copy(update={"over": ("wordings",)})
    assert budget.fit(material, curved, Priced(material, 0.01, 0.0), 0.0).settings.wordings is None


def test_held_out_wordings_are_asked_in_smaller_number_before_the_training_is_cut(tmp_path: Path) -> None:
    """Not fewer than two of each example; the same is asked when it is typed."""
    wanted = settings(tmp_path, recipes=("fair",), minutes=2, retention=0)
    material = with_wordings(tmp_path, wanted, "held_out", 4)
    found = budget.fit(material, wanted, Priced(material, 0.0, 0.6), 0.0)
    assert (found.settings.held_out, found.settings.exposures) == (2, None)
    (note,) = (note for note in found.notes if note.key == "audit.note.cut-held_out")
    assert note.values == {"chosen": 2, "of": 5}
    asked = [q for q in found.work.questions if q.probe == "held_out"]
    assert len(asked) == 2 * len(material.examples)
    typed = wanted.model_copy(update={"minutes": None, "held_out": 2})
    assert planning.plan_work(material, typed, FakeBackend()).questions == found.work.questions


def test_a_dial_never_asks_for_more_than_the_settings_do(tmp_path: Path) -> None:
    found = fitted(tmp_path, 0.0, minutes=600, exposures=30, over=("rank",), seeds=2)
    assert told(found) == (2, 60, 30, None) and found.settings.minutes is None
    poor = fitted(tmp_path, 1.0, answer=100.0, minutes=1, exposures=30)
    assert told(poor) == (3, 20, 25, None)


def test_only_what_counts_exposures_is_changed_and_in_proportion() -> None:
    fair, half = RECIPES["fair"], recipes.adjusted(RECIPES["fair"], 50, 4)
    assert (half.exposures, half.epochs, half.min_steps, half.wordings) == (50, 5, 75, 4)
    assert recipes.adjusted(fair, None, None) == fair == recipes.adjusted(fair, 100, None)
    assert recipes.adjusted(RECIPES["origin"], 50, 4) == RECIPES["origin"]


def test_every_note_is_told_in_both_languages(tmp_path: Path) -> None:
    values = {"minutes": 1, "planned": 1.2, "load": 0.1, "chosen": 1, "of": 3}
    made = ["minutes-measuring", "minutes-fit", "minutes-exceeded", *(f"cut-{name}" for name in ("seeds", "retention"))]
    for key in (*made, "cut-held_out", "cut-exposures", "cut-wordings"):
        for language in LANGUAGES:
            assert Texts(language)(f"audit.note.{key}", **values)


def test_without_minutes_a_run_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_try_steps", "_try_answers"):
        monkeypatch.setattr(Pace, name, lambda *a: pytest.fail("measured"))
    data = write_data(tmp_path)
    results = experiment.run(data, settings(tmp_path), backend=backend(data))
    assert results.planned == {} and keys(results) == []


def test_what_cannot_be_trained_is_refused_before_anything_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The questions fit into the context, with one token for the answer; the rows don't."""
    monkeypatch.setattr(Pace, "_try_steps", lambda *a: pytest.fail("measured"))
    wanted = settings(tmp_path, minutes=1, retention=0, max_new_tokens=1)
    request, examples = read(write_data(tmp_path), wanted)
    build = arms.ARMS["base"].prepare(Material(examples, request.prompt, request.language))
    asked = max(FakeBackend().count(build(question)) for question in planning.asked(examples))
    narrow = FakeBackend(info=FAKE_INFO.model_copy(update={"context": asked + 1}))
    with pytest.raises(DataError, match="fair"):
        experiment.run(examples, wanted, backend=narrow)


# --- the same run, typed by hand ---------------------------------------------------------------------------------


def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps and answers are really tried, and then believed to take ages: everything is cut."""
    steps, answers = Pace._try_steps, Pace._try_answers
    monkeypatch.setattr(Pace, "_try_steps", lambda *a: steps(*a)._replace(per_position=1.0))  # type: ignore[union-attr]
    monkeypatch.setattr(Pace, "_try_answers", lambda *a: answers(*a)._replace(seconds=1000.0))


def typed(results: Results, **changes: Any) -> RunSettings:
    """The settings that the report prints for a repetition."""
    return RunSettings.model_validate(results.settings).model_copy(update=changes)


def test_a_fitted_run_equals_the_same_settings_typed_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data(tmp_path)
    with monkeypatch.context() as patch:
        slowly(patch)
        wanted = settings(tmp_path / "fitted", over=("rank",), seeds=2, retention=60, minutes=1)
        by_dial = experiment.run(data, wanted, backend=backend(data))
    assert (by_dial.settings["seeds"], by_dial.settings["retention"], by_dial.settings["exposures"]) == (1, 20, 25)
    asked = RunFolder.open(tmp_path / "fitted" / "run").request().settings
    assert (asked["minutes"], asked["seeds"], asked["retention"], asked["exposures"]) == (1, 2, 60, None)
    by_hand = experiment.run(data, typed(by_dial, runs=str(tmp_path / "typed")), backend=backend(data))
    left_out = {"notes", "planned"}
    dial, hand = (what_counts(tmp_path / name / "run") for name in ("fitted", "typed"))
    for found in (dial, hand):
        for name in left_out:
            found["results"].pop(name, None)
    assert dial == hand
    assert by_hand.planned == {}


def test_measuring_leaves_a_real_model_as_it_was(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path)
    common = {"model": str(tiny_folder), "threads": 1, "device": "cpu", "arms": ("base", "lora")}
    with monkeypatch.context() as patch:
        slowly(patch)
        wanted = settings(tmp_path / "fitted", minutes=1, retention=3, **common)
        fitted_model = backends.load(wanted)
        assert isinstance(fitted_model, HFBackend)
        results = experiment.run(data, wanted, backend=fitted_model)
    assert results.settings["exposures"] == 25
    again = typed(results, runs=str(tmp_path / "typed"))
    experiment.run(data, again, backend=backends.load(again))
    one, other = (RunFolder.open(tmp_path / name / "run") for name in ("fitted", "typed"))
    assert [a.text for a in one.answers()] == [a.text for a in other.answers()]
    assert [s.loss for s in one.steps()] == [s.loss for s in other.steps()]
    for trial, name in ((1, "fair"), (2, "origin")):
        tensors = [load_file(folder.path / "adapters" / f"{trial}-{name}" / WEIGHTS) for folder in (one, other)]
        assert [name for name in tensors[0] if not torch.equal(tensors[0][name], tensors[1][name])] == []


def test_a_resumed_run_keeps_to_what_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data(tmp_path)

    def stop(event: Event) -> None:
        if event.kind == "step" and event.values["step"] == 5:
            raise InterruptedRun("stop")

    with monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        slowly(patch)
        curve(data, ["rank"], settings(tmp_path, minutes=1), seeds=2, emit=stop, backend=backend(data))
    chosen = RunFolder.open(tmp_path / "run").info()
    monkeypatch.setattr(budget, "fit", lambda *a: pytest.fail("measured again"))
    results = experiment.resume(tmp_path / "run", backend=backend(data))
    assert results.settings == chosen.settings and results.settings["exposures"] == 25
    assert {t.trial for t in chosen.swept} == {p.trial for p in chosen.points} - {1}
    assert results.planned == chosen.planned and set(results.planned) == {"load", "train", "answer"}


def test_events_tell_the_plan_before_the_first_answer(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    events: list[Event] = []
    experiment.run(data, settings(tmp_path, minutes=5), emit=events.append, backend=backend(data))
    first = next(i for i, event in enumerate(events) if event.kind == "batch")
    plan = next(event for event in events[:first] if event.kind == "plan")
    assert set(plan.values["planned"]) == {"load", "train", "answer"}
    notes = [Reason.model_validate(event.values).key for event in events[:first] if event.kind == "note"]
    assert "audit.note.minutes-measuring" in notes and "audit.note.minutes-fit" in notes
