"""The studies: cells are what they say, a stopped study goes on, effects come out as they were put in, pages agree.

Knows no real result: those of the full study are checked against the page that was made of them, once they are there.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from studies.bench import rows_seen
from studies.chart import Bar, chart
from studies.origin_ablation import __main__, cells, costs, effects, measure, page, results
from studies.origin_ablation.cells import FAULTS, GRID, MENDED, ORIGIN, RATES, RUNS, SEEDS, Cell, Run
from studies.origin_ablation.results import Counts, End, Session, Study, Trial
from study_runs import figures, tables

from kurabe import backends, provenance, recipes
from kurabe.dataset import read_examples
from kurabe.errors import EXIT_RESUMABLE, DataError, StoppedError
from kurabe.fake import FAKE_INFO, FakeBackend, rehearsal
from kurabe.model import TrialPlan
from kurabe.recipes import RECIPES, scaled_rate
from kurabe.schema import Step
from kurabe.settings import RunSettings

WIDTH = FAKE_INFO.hidden
EXAMPLES = read_examples(measure.DATA).examples
SHORT = [Run(cell, seed) for cell in GRID if cell.steps == 9 and cell.loss == "answers" for seed in SEEDS]  # 12 of them


def model(share: float = 0.5, **changes: str) -> FakeBackend:
    return FakeBackend(rehearsal(EXAMPLES, {"lora": share, "ceiling": 1.0}), FAKE_INFO.model_copy(update=changes))


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    loaded = model()
    monkeypatch.setattr(backends, "load", lambda settings: loaded)
    return loaded


# --- cells -----------------------------------------------------------------------------------------------------------


def test_the_grid_is_the_full_factorial_in_three_seeds() -> None:
    assert len(set(GRID)) == 16 and len(set(RUNS)) == 48 + 18
    for name, fault in FAULTS.items():
        for one, other in itertools.product(fault, repeat=2):
            assert sum(getattr(cell, name) == one for cell in GRID) == 8
            assert one == other or {cells.with_fault(c, name, mended=False) for c in GRID} == {
                c for c in GRID if getattr(c, name) == fault.origin
            }
    assert {run.seed for run in RUNS} == {0, 1, 2} and {cell.rate for cell in GRID} == {"scaled"}
    assert {(cell.steps, cell.rate) for cell in RATES} == set(itertools.product((9, 150), cells.OTHER_RATES))


def test_the_origin_cell_is_the_origin_recipe() -> None:
    ours, theirs = cells.plan(ORIGIN, 10, 10, WIDTH), recipes.plan(RECIPES["origin"], 10, 10, WIDTH)
    assert ours.rates == theirs.rates and (ours.epochs, ours.steps_per_epoch) == (theirs.epochs, theirs.steps_per_epoch)
    counted = {"epochs", "min_steps"}  # two ways to say nine steps
    assert ours.recipe.model_dump(exclude=counted) == theirs.recipe.model_dump(exclude=counted)


@pytest.mark.parametrize("cell", [*GRID, *RATES], ids=str)
def test_a_cell_changes_what_it_names_and_nothing_else(cell: Cell) -> None:
    samples = 10 * cell.wordings
    plan = cells.plan(cell, samples, 10, WIDTH)
    recipe = plan.recipe
    assert plan.steps == cell.steps and plan.samples == samples
    assert (plan.epochs - 1) * plan.steps_per_epoch < cell.steps <= plan.epochs * plan.steps_per_epoch
    warmup = 10 if cell.warmup == "10 steps" else {9: 1, 150: 8}[cell.steps]
    assert plan.rates[:warmup] == pytest.approx([plan.rate * k / warmup for k in range(min(warmup, cell.steps))])
    if cell.steps > warmup:
        assert plan.rates[warmup] == plan.rate == max(plan.rates) and plan.rates[-1] < plan.rate
    assert (recipe.loss_on, recipe.pad_to) == {"everywhere": ("everything", 512), "answers": ("answer", None)}[
        cell.loss
    ]
    assert recipe.wordings == cell.wordings
    factor = {"scaled": 1.0, "half": 0.5, "twice": 2.0, "literal": 2e-4 / scaled_rate(RECIPES["origin"], WIDTH)}
    assert plan.rate == pytest.approx(factor[cell.rate] * 2e-4 * (2048 / WIDTH) ** 0.781)
    kept = ("name", "rank", "alpha", "dropout", "schedule", "batch", "accumulation", "clip")
    assert [getattr(recipe, name) for name in kept] == [getattr(RECIPES["origin"], name) for name in kept]


def test_the_samples_are_the_wordings_of_the_cell(backend: FakeBackend) -> None:
    bench = measure.prepare(backend)
    assert {q.probe for q in bench.questions} == {"held_out", "trained"}
    for wordings in (1, 10):
        trial = cells.trial_plan(Run(MENDED.model_copy(update={"wordings": wordings}), 2), 7, bench.material, WIDTH)
        users = [sample.messages[1].content for sample in trial.samples]
        assert len(users) == len(set(users)) == trial.plan.samples == 10 * wordings
        assert (trial.trial, trial.seed) == (7, 2)
        asked = {q.text for q in bench.questions if q.probe == "trained"}
        assert asked <= set(users)  # what is asked as trained was trained in every cell
        assert {q.text for q in bench.questions if q.probe == "held_out"}.isdisjoint(users)


@pytest.mark.parametrize(("steps", "wordings", "rows"), [(9, 1, 30), (9, 10, 36), (150, 1, 500), (150, 10, 600)])
def test_rows_seen(steps: int, wordings: int, rows: int, backend: FakeBackend) -> None:
    """Counted by the training itself: its answers-only labels are those of the rows it saw."""
    bench = measure.prepare(backend)
    cell = MENDED.model_copy(update={"steps": steps, "wordings": wordings, "loss": "everywhere"})
    trial = cells.trial_plan(Run(cell, 0), 1, bench.material, WIDTH)
    assert rows_seen(trial.plan) == rows
    assert sum(step.positions for step in backend.train([trial])) == rows * 512


# --- measuring, storing, going on ------------------------------------------------------------------------------------


def test_trials_of_one_shape_go_to_the_backend_in_one_call() -> None:
    cut = measure.groups(RUNS)
    assert sorted(map(str, itertools.chain(*cut))) == sorted(map(str, RUNS))
    assert [{(run.cell.steps, run.cell.loss) for run in group} for group in cut] == [
        {(9, "answers")}, {(9, "everywhere")}, {(150, "answers")}, {(150, "everywhere")}
    ]  # fmt: skip


def test_a_stopped_study_goes_on_where_it_was(
    tmp_path: Path, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.jsonl"
    trained: list[int] = []
    train = backend.train

    def counted(trials: Sequence[TrialPlan], *rest: Any) -> Iterator[Step]:
        trained.append(len(trials))
        return train(trials, *rest)

    def stop_after_eight(line: str) -> None:
        if line.lstrip().startswith("8/12 "):
            raise KeyboardInterrupt

    monkeypatch.setattr(backend, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        measure.run(path, RunSettings(), stop_after_eight, SHORT)
    first = results.read(path)
    assert [trial.run for trial in first.trials] == SHORT[:8] and trained == [1, 12]  # one is tried for the forecast

    path.write_bytes(path.read_bytes()[:-20])  # the kill cut the last line off
    assert results.read(path).trials == first.trials[:7]
    measure.run(path, RunSettings(), ignore, SHORT)
    study = results.read(path)
    assert trained == [1, 12, 1, 5]
    assert study.trials[:7] == first.trials[:7] and [trial.run for trial in study.trials] == SHORT
    assert (len(study.sessions), [end.trials for end in study.ends]) == (2, [5])

    measure.run(path, RunSettings(), ignore, SHORT)  # nothing is left
    assert len(trained) == 4 and results.read(path) == study


def ignore(line: str) -> None:
    """Nobody looks."""


def test_a_trial_holds_what_was_counted(tmp_path: Path, backend: FakeBackend) -> None:
    path = tmp_path / "new folder" / "results.jsonl"
    measure.run(path, RunSettings(), ignore, SHORT[:2])
    study = results.read(path)
    assert study.sessions[0].references["ceiling"].keys() == {"held_out", "trained"}
    assert effects.reference(study.sessions[0].references["ceiling"]["held_out"]).value == 1.0
    assert effects.reference(study.sessions[0].references["base"]["held_out"]).value == 0.0
    trial = study.trials[0]
    assert (trial.samples, trial.rows, trial.not_finite) == (10, 30, 0)
    assert trial.full_steps == pytest.approx(sum(range(9)) / 10)
    assert len(trial.answers["held_out"]) == len(EXAMPLES)
    for tally in trial.answers.values():
        assert 0 < sum(c.right for c in tally.values()) < sum(c.items for c in tally.values())


def test_answers_that_did_not_come_are_stored_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FakeBackend(lambda request: None if request.key.arm == "lora" else "Yes.")
    monkeypatch.setattr(backends, "load", lambda settings: backend)
    with pytest.raises(StoppedError, match="did not come"):
        measure.run(tmp_path / "results.jsonl", RunSettings(), ignore, SHORT[:2])
    assert results.read(tmp_path / "results.jsonl").trials == ()


def test_trials_of_two_models_never_meet_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sha256 in ("a" * 64, "a" * 64, "b" * 64):
        monkeypatch.setattr(backends, "load", lambda settings, sha256=sha256: model(sha256=sha256))
        if sha256[0] == "b":
            with pytest.raises(DataError, match="another model"):
                measure.run(tmp_path / "results.jsonl", RunSettings(), ignore, SHORT[:3])
        else:
            measure.run(tmp_path / "results.jsonl", RunSettings(), ignore, SHORT[:2])
    assert len(results.read(tmp_path / "results.jsonl").trials) == 2


def test_a_real_model_is_trained_and_asked(tmp_path: Path, tiny_folder: Path) -> None:
    """Random weights: nothing is learned, but every part works, padded rows and packed ones."""
    said: list[str] = []
    runs = [Run(cell, 0) for cell in (ORIGIN, cells.with_fault(ORIGIN, "loss", mended=True))]
    measure.run(tmp_path / "results.jsonl", RunSettings(model=str(tiny_folder), threads=1), said.append, runs)
    study = results.read(tmp_path / "results.jsonl")
    padded, packed = sorted(study.trials, key=lambda trial: -trial.positions)
    assert padded.positions == 30 * 512 > 3 * packed.positions > 0
    assert study.sessions[0].predicted_seconds > 0 and "about" in said[1]


# --- effects ---------------------------------------------------------------------------------------------------------

Learned = Callable[[Cell, int], float]  # a cell and the number of an example -> right values of 20
EFFECTS = {"steps": 8, "warmup": 0, "loss": 4, "wordings": 2}  # of 20


def added(cell: Cell, example: int) -> float:
    """Each mend adds its part, to every second example a little more than to the others."""
    mends = [name for name in EFFECTS if getattr(cell, name) == FAULTS[name].mended]
    return 2 + sum(EFFECTS[name] + (1, -1)[example % 2] for name in mends)


def gated(cell: Cell, example: int) -> float:
    """Nothing without the steps; then the loss is worth 10 of 20, and the wordings do harm."""
    if cell.steps == 9:
        return 0
    more = example % 2
    return 8 + (9 + 2 * more) * (cell.loss == "answers") - (3 + 2 * more) * (cell.wordings == 10)


def synthetic(learned: Learned, said: str = "It is $6.99.") -> Study:
    def trial(run: Run) -> Trial:
        tally = {
            f"e{i}": Counts(right=max(0, min(20, round(learned(run.cell, i)))), wrong=0, items=20) for i in range(10)
        }
        plan = cells.plan(run.cell, 10 * run.cell.wordings, 10, WIDTH)
        return Trial(
            cell=run.cell, seed=run.seed, samples=plan.samples, rate=plan.rate, full_steps=cells.full_steps(plan),
            rows=rows_seen(plan), positions=1000, first_loss=4.0, last_loss=0.01, not_finite=0,
            train_seconds=1.0, answer_seconds=0.5, answers={"held_out": tally, "trained": tally}, said=said,
        )  # fmt: skip

    nothing = {f"e{i}": Counts(right=0, wrong=0, items=20) for i in range(10)}
    session = Session(
        began=datetime(2026, 1, 1, tzinfo=timezone.utc).isoformat(), model=FAKE_INFO,
        provenance=provenance.describe("0" * 64), data="support-en.jsonl", max_new_tokens=90, predicted_seconds=100.0,
        references={arm: {"held_out": nothing, "trained": nothing} for arm in measure.REFERENCES},
    )  # fmt: skip
    return Study((session,), tuple(map(trial, RUNS)), (End(trials=66, seconds=101.0, load=1.0),))


def test_added_effects_come_out_wherever_they_are_looked_for() -> None:
    found = effects.effects(synthetic(added).trials, "held_out")
    assert [effect.fault for effect in found] == ["steps", "loss", "wordings", "warmup"]
    for effect in found:
        wanted = EFFECTS[effect.fault] / 20
        for difference in (effect.everywhere, effect.long, effect.mended_alone, effect.put_back_alone):
            if difference is not None:
                assert difference.estimate.value == pytest.approx(wanted)
                assert difference.by_seed == pytest.approx([wanted] * 3)
                assert difference.shown == (effect.fault != "warmup")
        assert effect.everywhere.estimate.n == 10  # examples, not answers or trials
    assert found[0].long is None


def test_a_fault_behind_another_one_is_seen_where_that_one_is_mended() -> None:
    found = {effect.fault: effect for effect in effects.effects(synthetic(gated).trials, "held_out")}
    loss, wordings = found["loss"], found["wordings"]
    assert loss.everywhere.estimate.value == pytest.approx(0.25)  # half of the cells are behind the gate
    assert loss.long is not None and loss.long.estimate.value == pytest.approx(0.5)
    assert loss.mended_alone.estimate.value == 0 and loss.put_back_alone.estimate.value == pytest.approx(0.5)
    assert wordings.everywhere.shown == -1 and wordings.mended_alone.shown == 0


def test_seeds_are_told_apart_and_pooled() -> None:
    trials = [t for t in synthetic(added).trials if t.cell == MENDED]
    lucky = {name: c.model_copy(update={"right": 20}) for name, c in trials[0].answers["held_out"].items()}
    trials[0] = trials[0].model_copy(update={"answers": {"held_out": lucky}})
    recall = effects.recall(trials, "held_out")
    assert recall.by_seed == pytest.approx([1.0, 0.8, 0.8])
    assert recall.estimate.value == pytest.approx(2.6 / 3) and recall.estimate.n == 10


def test_sides_that_were_asked_other_questions_are_not_compared() -> None:
    trials = synthetic(added).trials
    with pytest.raises(ValueError, match="same questions"):
        effects.difference(trials[:3], trials[3:5], "held_out")


# --- the chart and the page ------------------------------------------------------------------------------------------


def test_the_chart_shows_where_a_value_lies() -> None:
    recall = effects.recall([t for t in synthetic(gated).trials if t.cell == GRID[-1]], "held_out").estimate
    lines = chart(("a", "long"), [Bar(("1", "x"), recall, recall.model_copy(update={"value": 1.0}))]).splitlines()
    assert lines[0].startswith("a  long  0 %") and lines[0].endswith("100 %")
    drawn = lines[1].split("|")[1]
    assert len(drawn) == 51 and drawn.index("o") == round((recall.value or 0) * 50) and drawn.endswith("x")
    assert drawn.count("-") + 1 >= round(((recall.high or 0) - (recall.low or 0)) * 50) > 1


@pytest.mark.parametrize("learned", [added, gated])
def test_both_pages_say_the_same(learned: Learned) -> None:
    english, japanese = (page.page(synthetic(learned), language) for language in ("en", "ja"))
    assert list(tables(english)) == list(tables(japanese)) and len(list(tables(english))) > 50
    assert figures(english) == figures(japanese)
    headings = [[line.split()[0] for line in text.splitlines() if line.startswith("#")] for text in (english, japanese)]
    assert headings[0] == headings[1]
    for text in (english, japanese):
        assert not re.search(r"\{\{|\{%|None|nan", text)
        assert results.COMMAND in text and provenance.processor() in text
        for link in re.findall(r"\]\(([^)#]+)", text):
            assert (page.DOCS / link).exists() or link in page.NAMES.values()


def test_the_page_says_what_was_shown_and_what_was_not() -> None:
    text = " ".join(page.page(synthetic(added), "en").split())
    assert re.search(r"\*\*9 steps instead of 150\*\*: \+40 \[.*?\]; put back alone, \+40 \[", text)
    assert "**a warm-up of 10 steps instead of 5 %**: no cost could be shown, +0 [" in text
    text = " ".join(page.page(synthetic(gated), "en").split())
    assert "**1 wording instead of 10**: no cost but a gain, mending it gives -10 [" in text
    assert "Of the eight cells with 9 steps the best recalls 0 %" in text
    assert "stand-in" in text


def test_what_a_model_wrote_is_inert() -> None:
    for language in page.NAMES:
        text = page.page(synthetic(added, said="a | b\n# <b>[x](http://e.org)</b>"), language)
        assert "a \\| b \\# \\<b\\>\\[x\\](http\\://e.org)\\</b\\>" in text


def test_the_page_command_writes_both_languages_or_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.jsonl"
    study = synthetic(added)
    arguments = ["--page", "--results", str(path), "--docs", str(tmp_path)]
    assert __main__.main(arguments) == EXIT_RESUMABLE
    assert "66 of 66 trials are missing" in (said := capsys.readouterr().err) and results.COMMAND in said
    with results.Writer(path, FAKE_INFO, "0" * 64) as writer:
        writer.append(*study.sessions, *study.trials, *study.ends)
    assert __main__.main(arguments) == 0
    for language, name in page.NAMES.items():
        assert (tmp_path / name).read_text(encoding="utf-8") == page.page(study, language)


@pytest.mark.skipif(not results.FILE.exists(), reason="the full study has not been run")
def test_the_pages_are_those_of_the_stored_results() -> None:
    for language, name in page.NAMES.items():
        stored = (page.DOCS / name).read_text(encoding="utf-8")
        assert stored == page.page(results.read(results.FILE), language), f"run: {results.COMMAND} --page"


# --- costs -----------------------------------------------------------------------------------------------------------


def test_the_costs_in_the_package_are_those_of_the_stored_trials() -> None:
    """After a new measurement: python -m studies.origin_ablation.costs"""
    assert costs.FILE.read_text(encoding="utf-8") == costs.text(results.read(results.FILE))


def test_a_cost_is_what_the_page_calls_put_back_alone() -> None:
    study = results.read(results.FILE)
    found, faults = costs.costs(study), {e.fault: e for e in effects.effects(effects.complete(study), "held_out")}
    for key, cost in found.items():
        if cost.fault != "rate":
            alone = faults[cost.fault].put_back_alone
            assert (cost.points, cost.shown) == (pytest.approx(alone.estimate.value, abs=1e-4), alone.shown > 0), key
    assert found["low-rate"].mended / found["low-rate"].faulty == pytest.approx((2048 / 256) ** 0.781, rel=0.01)
