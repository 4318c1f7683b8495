"""The bench, the results file, the facts and the estimates that all studies share, and each study's own machinery.

Knows no page (`test_studies_pages.py`) and no real result.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from studies import bench, estimates, facts, results
from studies.capacity import page as capacity_page
from studies.capacity import trials as capacity
from studies.first_recall import page as first_recall_page
from studies.first_recall.page import First
from studies.from_scratch import people as invented_people
from studies.from_scratch import trials as from_scratch
from studies.from_scratch.network import Network
from studies.known_unknown import page as known_page
from studies.known_unknown import trials as known_unknown
from studies.rates import trials as rates
from studies.results import Counts, State, Tally
from studies.reversal import trials as reversal
from studies.sayings import trials as sayings
from studies.wordings import trials as wordings
from study_runs import Pupil, Task, measured, nothing, real

from kurabe import backends
from kurabe.errors import DataError, SettingsError, StoppedError
from kurabe.schema import ModelInfo, Request
from kurabe.settings import RunSettings
from kurabe.splits import find_leaks
from kurabe.wordings import normal

SMALL = wordings.plan(4, 20)
MODEL = Pupil(SMALL, nothing).info


def half(task: Task, probe: str, step: int) -> float:
    """Half of the questions come out right after half of the steps."""
    return 0.5 if step >= task.plan.plan.steps / 2 else 0.0


def task_of(plan: bench.Plan, run: results.Run, model: ModelInfo = MODEL, **references: Any) -> Task:
    """The task of a run, on a model that knows nothing."""
    return plan.task(run, 1, model, references)


# --- facts ------------------------------------------------------------------------------------------------------------


def test_invented_facts_are_the_same_again_and_share_no_wording() -> None:
    examples = facts.invented(12, trained=10, held_out=4)
    assert examples == facts.invented(12, trained=10, held_out=4)
    assert [len(e.texts("trained")) for e in examples] == [10] * 12
    assert [len(e.texts("held_out")) for e in examples] == [4] * 12
    assert all(e.facts for e in examples) and not find_leaks(examples)
    every = [normal(text) for e in examples for role in ("trained", "held_out") for text in e.texts(role)]  # type: ignore[arg-type]
    assert len({e.id for e in examples}) == 12 and len(set(every)) >= 0.99 * len(every)


def test_more_wordings_hold_the_fewer_and_the_seed_draws_them() -> None:
    examples = facts.invented(3, trained=8, held_out=1)
    two, five = (facts.with_wordings(examples, count, 0) for count in (2, 5))
    for small, large, whole in zip(two, five, examples, strict=True):
        assert set(small.texts("trained")) < set(large.texts("trained")) < set(whole.texts("trained"))
        assert small.texts("held_out") == whole.texts("held_out")
    assert facts.with_wordings(examples, 2, 1) != two


# --- the bench --------------------------------------------------------------------------------------------------------


def test_states_are_asked_for_where_the_task_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = known_unknown.plan(epochs=5)._replace(runs=known_unknown.RUNS[4:5])
    study = measured(plan, half, tmp_path / "r.jsonl", monkeypatch, known=1.0)
    trial = study.trials[0]
    assert [round(state.epochs) for state in trial.states] == [1, 2, 3, 5]
    assert (trial.steps, trial.rows, trial.samples) == (20, 160, 32)
    shares = [estimates.ratio(state.answers["retention"]) for state in trial.states]
    assert shares[:2] == [0.0, 0.0] and 0 < shares[2] == shares[3] < 1
    assert trial.end == trial.states[-1].answers


def test_a_stopped_study_goes_on_with_what_it_found_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is drawn by the first session's answers, so that all trials are asked the same questions."""
    plan = known_unknown.plan(epochs=2)._replace(runs=known_unknown.RUNS[:4])
    path = tmp_path / "results.jsonl"

    def stop_after_two(line: str) -> None:
        if line.lstrip().startswith("2/4 "):
            raise KeyboardInterrupt

    pupil = Pupil(plan, half, known=1.0)
    monkeypatch.setattr(backends, "load", lambda settings: pupil)
    with pytest.raises(KeyboardInterrupt):
        bench.run(pupil.plan, path, RunSettings(), stop_after_two)
    first = results.read(path, plan.kind)
    assert [trial.run for trial in first.trials] == list(plan.runs[:2])
    study = measured(plan, half, path, monkeypatch, known=0.6)  # the machine answers otherwise now
    assert study.trials[:2] == first.trials and [trial.run for trial in study.trials] == list(plan.runs)
    assert len({tuple(trial.end["retention"]) for trial in study.trials}) == 1
    assert study.sessions[1].references == study.sessions[0].references
    with pytest.raises(StoppedError, match="trials are missing"):
        study.complete(known_unknown.RUNS, plan.command)


def test_answers_that_did_not_come_are_stored_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Pupil):
        def _said(self, request: Request) -> Any:
            return None if request.key.trial else "no"

    mute = Mute(SMALL, nothing)
    monkeypatch.setattr(backends, "load", lambda settings: mute)
    with pytest.raises(StoppedError, match="did not come") as caught:
        bench.run(mute.plan, tmp_path / "r.jsonl", RunSettings(), lambda line: None)
    assert caught.value.fix and results.read(tmp_path / "r.jsonl", SMALL.kind).trials == ()


def test_trials_of_other_facts_never_meet_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.jsonl"
    measured(SMALL._replace(runs=SMALL.runs[:1]), nothing, path, monkeypatch)
    with pytest.raises(DataError, match="another data file"):
        measured(wordings.plan(5, 20), nothing, path, monkeypatch)


def test_a_real_model_is_trained_asked_and_scored(tmp_path: Path, tiny_folder: Path) -> None:
    """Random weights: nothing is learned, but every part works."""
    study = real(SMALL._replace(runs=SMALL.runs[-1:]), tiny_folder, tmp_path / "w.jsonl")
    assert study.trials[0].end.keys() == {"held_out", "trained"} and study.sessions[0].predicted_seconds > 0
    plan = rates.plan(epochs=1)._replace(runs=rates.RUNS[:1])
    likely = real(plan, tiny_folder, tmp_path / "r.jsonl").trials[0].likely
    assert likely is not None and -20 < likely < 0
    recall = first = real(_two_epochs(), tiny_folder, tmp_path / "f.jsonl")
    assert recall.sessions[0].likely.keys() == {q.id for q in _two_epochs().likely}
    assert len(first.trials[0].states) == 2


def _two_epochs() -> bench.Plan:
    from studies.first_recall import trials

    return trials.plan(epochs=2)._replace(runs=trials.RUNS[:1])


# --- estimates --------------------------------------------------------------------------------------------------------


def tally(*right: int, items: int = 10) -> Tally:
    """One example for each number of right values."""
    return {f"e{n}": Counts(right=r, wrong=0, items=items) for n, r in enumerate(right)}


def test_a_slope_is_that_of_the_line_through_the_shares() -> None:
    straight = {
        x: [tally(*(base + round(2 * x) for base in (1, 2, 3, 4, 2, 3))) for _ in range(2)] for x in (0.0, 1.0, 2.0)
    }
    found = estimates.slope(straight)
    assert found.value == pytest.approx(0.2) and found.r2 == pytest.approx(1.0)
    assert found.low == pytest.approx(0.2) and found.high == pytest.approx(0.2)  # it is the same for every example
    flat = estimates.slope({x: [tally(3, 4, 5, 6, 7)] for x in (0.0, 1.0)})
    assert (flat.value, flat.r2) == (0.0, None)
    noisy = estimates.slope({0.0: [tally(0, 9, 1, 8, 5)], 1.0: [tally(9, 0, 8, 2, 5)]})
    assert noisy.low < 0 < noisy.high


def test_differences_paired_and_unpaired() -> None:
    one, other = [tally(*list(range(3, 11)) * 8)], [tally(*[*range(8), 0, *range(1, 8)] * 4)]  # many: no Wilson bound
    paired, apart = estimates.difference(one, other), estimates.unpaired(one, other)
    assert paired.value == pytest.approx(0.3) == apart.value
    assert apart.low is not None and apart.high is not None and paired.low is not None and paired.high is not None
    assert apart.high - apart.low > paired.high - paired.low  # the examples' own spread is in it twice
    assert estimates.shown(paired) == 1 and estimates.shown(estimates.unpaired(one, one)) == 0


# --- the studies ------------------------------------------------------------------------------------------------------


def test_wordings_differ_in_wordings_only() -> None:
    plan = wordings.plan()
    tasks = [task_of(plan, run) for run in plan.runs if run.seed == 0]
    assert (
        len({task.plan.plan.steps for task in tasks}) == 1 and len({bench.rows_seen(t.plan.plan) for t in tasks}) == 1
    )
    held_out = {q.text for q in tasks[0].questions["held_out"]}
    for task in tasks:
        users = {sample.messages[1].content for sample in task.plan.samples}
        assert {q.text for q in task.questions["trained"]} <= users and users.isdisjoint(held_out)


def test_sayings_count_samples_as_they_are_said() -> None:
    plan = sayings.plan(20)
    for run in [run for run in plan.runs if run.cell in sayings.SAMPLES and run.seed == 0]:
        task = task_of(plan, run)
        assert isinstance(run.cell, sayings.Cell)
        assert len({s.messages[1].content for s in task.plan.samples}) == len(task.plan.samples)
        assert len(task.plan.samples) == run.cell.facts * run.cell.wordings
        if run.cell.recipe == "fair":
            assert bench.rows_seen(task.plan.plan) == run.cell.facts * sayings.EXPOSURES
        else:
            assert task.plan.plan.epochs == 3
    assert [cell.facts * cell.wordings for cell in sayings.SAMPLES[:4]] == [10, 30, 100, 300]


def test_unknown_rows_replace_known_ones_and_the_test_is_never_trained(tmp_path: Path) -> None:
    plan = known_unknown.plan()
    every = {"general": {q.example: Counts(right=1, wrong=0, items=1) for q in plan.references["base"]["general"]}}
    for run in plan.runs[::2]:
        task = task_of(plan, run, base=every)
        assert isinstance(run.cell, known_unknown.Cell)
        assert len(task.plan.samples) == known_unknown.ROWS
        assert len(task.questions.get("unknown", ())) == run.cell.unknown
        trained = {sample.messages[1].content for sample in task.plan.samples}
        assert trained.isdisjoint(q.text for q in task.questions["retention"])
    none = {"general": {name: Counts(right=0, wrong=1, items=1) for name in every["general"]}}
    with pytest.raises(DataError, match="needs 42") as caught:
        task_of(plan, plan.runs[0], base=none)
    assert caught.value.fix


def test_the_regression_finds_what_was_put_in() -> None:
    """retention = 0.9 + 0.1 x known - 0.5 x unknown, at every state of every trial."""

    def trial(unknown: int) -> Any:
        def state(progress: float) -> State:
            known, fitted = round((32 - unknown) * progress), round(unknown * progress**2)
            kept = 0.9 + 0.1 * known / 32 - 0.5 * fitted / 32
            answers = {
                "known": tally(*[1] * known, *[0] * (32 - unknown - known), items=1),
                "unknown": tally(*[1] * fitted, *[0] * (unknown - fitted), items=1),
                "retention": tally(round(1e6 * kept), items=1_000_000),
            }
            return State(steps=1, epochs=1.0, answers=answers)

        states = tuple(state(k / 4) for k in range(5))
        return known_unknown.Trial[known_unknown.Cell].model_construct(
            cell=known_unknown.Cell(unknown=unknown), states=states
        )

    found = known_page.regression([trial(unknown) for unknown in known_unknown.UNKNOWN])
    assert found.constant == pytest.approx(0.9, abs=1e-4) and found.r2 == pytest.approx(1.0)
    assert found.known.value == pytest.approx(0.1, abs=1e-3) and found.unknown.value == pytest.approx(-0.5, abs=1e-3)


def test_the_first_recall_and_the_hazard_ratio() -> None:
    first = {f"f{n}": [First(2, True), First(4, True)] for n in range(6)}  # 2 events in 6 epochs at risk
    late = {f"l{n}": [First(10, True), First(20, False)] for n in range(6)}  # 1 event in 30
    found = first_recall_page.hazard_ratio(first | late, set(first), set(late))
    assert found.value == pytest.approx((2 / 6) / (1 / 30)) == found.low == found.high
    none = {name: [First(30, False)] for name in late}
    assert first_recall_page.hazard_ratio(first | none, set(first), set(none)).value is None


def test_the_phone_book_is_nested_and_its_cliff_is_found() -> None:
    book = capacity.phone_book()
    assert len({entry.name for entry in book}) == 1000 and all(len(entry.number) == capacity.DIGITS for entry in book)
    plan = capacity.plan(200)
    small, large = (task_of(plan, run) for run in plan.runs[3:9:3])
    assert {s.example for s in small.plan.samples} < {s.example for s in large.plan.samples}
    assert small.plan.plan.recipe.alpha == large.plan.plan.recipe.alpha

    def cliff(*shares: float) -> int | None:
        rows = [{"entries": k, "recall": estimates.share([tally(round(1000 * s), items=1000)])}
                for k, s in zip(capacity.KEYS, shares, strict=True)]  # fmt: skip
        return capacity_page._cliff(rows)

    assert cliff(1.0, 0.9, 0.4, 0.1, 0.0) == 200 and cliff(1, 1, 1, 1, 1) is None is cliff(0, 0, 0, 0, 0)
    assert capacity_page._moves_right([100, 200, None]) and not capacity_page._moves_right([None, None, None])
    assert not capacity_page._moves_right([200, 100, None])


def test_rates_vary_what_they_name() -> None:
    plan = rates.plan()
    recipes = {cell: task_of(plan, results.Run(cell, 0)).plan.plan for cell in rates.CELLS}
    for one, other in itertools.combinations(rates.CELLS, 2):
        same = [getattr(one, name) == getattr(other, name) for name in ("rank", "batch", "factor")]
        a, b = recipes[one], recipes[other]
        assert same == [
            a.recipe.rank == b.recipe.rank,
            a.recipe.batch == b.recipe.batch,
            math.isclose(a.recipe.rate, b.recipe.rate),
        ]
        assert a.epochs == b.epochs and a.recipe.alpha == b.recipe.alpha


def test_a_direction_that_is_not_trained_stands_in_no_training_row() -> None:
    plan = reversal.plan()
    people = reversal.pairs()
    assert len({p.name for p in people}) == len({p.code for p in people}) == reversal.PAIRS
    for way, run in (("reverse", plan.runs[0]), ("forward", plan.runs[2])):
        task = task_of(plan, run)
        users = {sample.messages[1].content for sample in task.plan.samples}
        trained = {q.text for q in reversal.questions(people, way, 0, 6)}
        assert users.isdisjoint(trained) and task.questions.keys() == {"forward", "reverse"}
        assert users.isdisjoint(q.text for own in task.questions.values() for q in own)
    both = task_of(plan, plan.runs[4])
    assert len(both.plan.samples) == 2 * len(task.plan.samples)


# --- from scratch -----------------------------------------------------------------------------------------------------


def test_biographies_tell_all_values_after_the_name() -> None:
    person = invented_people.people(3)[1]
    texts = invented_people.biographies(person, 5, 0)
    assert len({text.words for text in texts}) == 5
    assert len({tuple(key for _, key in text.values) for text in texts}) > 1  # the order differs, too
    for text in (*texts, *invented_people.biographies(person, 1, 0)):
        assert " ".join(text.words).startswith(f"{person.name} :") and text.words.count(":") == 1
        assert {key: text.words[place] for place, key in text.values} == person.values
    asked = invented_people.question(person, "pet")
    assert asked.words[-1] == person.values["pet"] and asked.values == ((len(asked.words) - 1, "pet"),)


def test_a_small_network_learns_by_heart_and_is_asked_at_the_right_place() -> None:
    person = invented_people.people(2)[0]
    texts = invented_people.biographies(person, 1, 0)
    network = Network(texts[0].words, 0, hidden_size=32, intermediate_size=64, num_hidden_layers=1)
    assert network.right(texts)[0][0] < 5
    network.train(texts * 40, 60, 1e-2, 0)
    assert network.right(texts) == [(5, 5)]


def test_the_study_from_scratch_runs_is_stored_and_trains_no_other_model(tmp_path: Path) -> None:
    sizes = from_scratch.Sizes(people=4, exposures=20, asked_after=(1, 2), hidden=16)
    path = tmp_path / "r.jsonl"
    from_scratch.run(path, RunSettings(threads=1), lambda line: None, sizes)
    study = results.read(path, from_scratch.KIND)
    assert [trial.run for trial in study.trials] == list(from_scratch.RUNS)
    for trial in study.trials:
        learned, extracted = (trial.end[name] for name in ("learned", "extracted"))
        assert not learned.keys() & extracted.keys() and learned.keys() | extracted.keys() == trial.end["text"].keys()
        assert [state.steps for state in trial.states] == [1, 2]
    from_scratch.run(path, RunSettings(threads=1), lambda line: None, sizes)  # nothing is left
    assert results.read(path, from_scratch.KIND) == study
    with pytest.raises(SettingsError):
        from_scratch.run(path, RunSettings(model=str(tmp_path)), lambda line: None, sizes)
