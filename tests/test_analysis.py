"""Analysis: identities between answers and numbers, what is left out of them, and folders that are not finished."""

from __future__ import annotations

from pathlib import Path

import pytest
import synthetic

import kurabe
from kurabe import analysis
from kurabe.errors import StoppedError
from kurabe.runs import ANSWERS, RunFolder
from kurabe.schema import ArmResult, Results
from kurabe.settings import Prices, RunSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return synthetic.write_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def results(folder: RunFolder) -> Results:
    return analysis.analyse(folder)


def arm(results: Results, label: str) -> ArmResult:
    return next(a for a in results.arms if a.label == label)


def test_analysing_twice_gives_the_same_results_and_the_library_gives_them_too(
    folder: RunFolder, results: Results
) -> None:
    assert analysis.analyse(folder) == results
    assert kurabe.load_run(folder.path) == results
    assert Results.model_validate_json(results.model_dump_json()) == results


def test_arms_stand_in_the_designs_order_with_further_recipes_last(results: Results) -> None:
    assert [a.label for a in results.arms] == ["base", "prompt", "lora", "lora+prompt", "ceiling", "lora (origin)"]
    assert [a.recipe for a in results.arms] == ["", "", "fair", "fair", "", "origin"]


def test_recall_is_right_values_over_scored_ones(results: Results) -> None:
    expected = sum(len(e.facts) * 3 for e in synthetic.examples())
    for result in results.arms:
        counts = result.outcomes
        assert sum(counts.values()) == expected
        scored = expected - counts["unscored"]
        assert result.recall.items == scored
        assert result.recall.value == pytest.approx(counts["right"] / scored)
        assert result.wrong.value == pytest.approx(counts["wrong"] / scored)
        assert result.answers == 30


def test_an_answer_that_never_came_is_unscored_and_not_wrong(results: Results) -> None:
    lora = arm(results, "lora")
    lost = next(e for e in synthetic.examples() if e.id == "abroad")
    assert lora.unscored == 1 and lora.outcomes["unscored"] == len(lost.facts)


def test_unexpected_values_are_counted_beside_recall(results: Results) -> None:
    assert arm(results, "lora").extra.value == pytest.approx(1 / 29)
    assert arm(results, "prompt").extra.value == 0 and arm(results, "prompt").extra.low is None


def test_pairs_leave_out_questions_that_one_side_did_not_answer(results: Results) -> None:
    items = {(d.label, d.other): d.estimate.items for d in results.differences}
    missing = len(next(e for e in synthetic.examples() if e.id == "abroad").facts)
    assert items["lora", "prompt"] == items["prompt", "base"] - missing
    paired = next(d for d in results.differences if (d.label, d.other) == ("prompt", "base"))
    assert paired.estimate.value == pytest.approx(
        (arm(results, "prompt").recall.value or 0) - (arm(results, "base").recall.value or 0)
    )


def test_trained_wordings_are_scored_apart(results: Results) -> None:
    assert arm(results, "lora").trained.value == 1.0 and arm(results, "lora").trained.n == 10
    assert arm(results, "prompt").trained.value is None


def test_examples_without_held_out_wordings_never_enter_recall(tmp_path: Path) -> None:
    results = analysis.analyse(synthetic.write_run(tmp_path, trained_only=("returns", "bulk")))
    assert arm(results, "base").recall.n == 8
    assert arm(results, "base").trained.n == 10
    assert "returns" not in {q.example for q in results.questions if q.probe == "held_out"}


def test_retention_counts_what_was_right_before(results: Results) -> None:
    kept = {(r.recipe, r.probe): r for r in results.retention}
    assert kept["fair", "general"].right_before == 20
    lost = sum(sum(ord(c) for c in f"reading-{n}") % 3 == 0 for n in range(20))
    assert kept["fair", "reading"].kept.value == pytest.approx(1 - lost / 20)
    assert (kept["fair", "general"].kept.n, kept["fair", "reading"].kept.n) == (20, 10), "a shop's prompt is the unit"
    assert kept["fair", "reading"].kept.items == 20


def test_questions_that_were_wrong_before_cannot_be_lost(tmp_path: Path) -> None:
    wrong_before = {("base", 0, f"general-{n}"): "no" for n in range(5)}
    results = analysis.analyse(synthetic.write_run(tmp_path, overrides=wrong_before))
    general = next(r for r in results.retention if r.probe == "general")
    assert (general.asked, general.right_before, general.kept.n) == (20, 15, 15)


def test_loss_curves_are_the_steps(folder: RunFolder, results: Results) -> None:
    points = [(c.trial, c.x, c.value) for c in results.curves if c.measure == "loss"]
    assert points == [(s.trial, s.step, s.loss) for s in folder.steps()]
    assert {c.recipe for c in results.curves} == {"fair", "origin"}


def test_the_control_has_no_cost_and_stages_have_their_seconds(results: Results) -> None:
    assert "ceiling" not in {c.arm for c in results.costs}
    assert results.seconds == {"load": 3.0, "base": 6.0, "train": 60.0, "answer": 8.0}


def test_prices_of_the_settings_reach_the_costs(tmp_path: Path) -> None:
    settings = RunSettings(recipes=("fair", "origin"), prices=Prices(input_per_million=1, output_per_million=4))
    results = analysis.analyse(synthetic.write_run(tmp_path, settings=settings))
    prompt = next(c for c in results.costs if c.label == "prompt")
    assert prompt.money_per_thousand == pytest.approx((prompt.prompt_tokens + 4 * prompt.new_tokens) / 1000)


def test_side_by_side_holds_every_arms_answer_and_no_retention_question(results: Results) -> None:
    assert {q.probe for q in results.questions} == {"held_out", "trained"}
    assert len(results.questions) == 40
    for question in results.questions:
        labels = {a.label for a in question.answers}
        assert {"base", "lora", "lora (origin)"} <= labels
        assert ("prompt" in labels) == (question.probe == "held_out")


def test_too_few_examples_give_no_verdict(tmp_path: Path) -> None:
    verdict = analysis.analyse(synthetic.write_run(tmp_path, count=7)).verdict
    assert verdict.choice == "cannot-tell" and verdict.reasons[0].key == "verdict.reason.few_examples"
    assert (verdict.add_examples or 0) >= 1


def test_failed_answers_above_the_limit_give_no_verdict(tmp_path: Path) -> None:
    failed = {("lora", 1, f"{name}/h1"): None for name in ("shipping", "track")}
    verdict = analysis.analyse(synthetic.write_run(tmp_path, overrides=failed)).verdict
    assert verdict.choice == "cannot-tell" and verdict.reasons[0].key == "verdict.reason.unscored"


def test_an_arm_that_did_not_fit_the_window_is_known_to_the_verdict(tmp_path: Path) -> None:
    results = analysis.analyse(synthetic.write_run(tmp_path, left_out=("prompt", "lora+prompt")))
    assert (results.verdict.choice, results.verdict.reasons[0].key) == ("fine-tune", "verdict.reason.no_room_lora")


def test_an_arm_that_was_not_asked_for_leaves_nothing_to_compare(tmp_path: Path) -> None:
    settings = RunSettings(arms=("base", "lora"), recipes=("fair", "origin"))
    results = analysis.analyse(synthetic.write_run(tmp_path, settings=settings))
    assert results.verdict.reasons[0].key == "verdict.reason.no_comparison"


def test_an_unfinished_run_is_refused_with_the_command_that_finishes_it(tmp_path: Path) -> None:
    folder = synthetic.write_run(tmp_path)
    lines = (folder.path / ANSWERS).read_bytes().splitlines(keepends=True)
    (folder.path / ANSWERS).write_bytes(b"".join(lines[:-3]))
    with pytest.raises(StoppedError) as error:
        analysis.load_run(folder.path)
    assert error.value.fix == f"kurabe resume {folder.path}"


def test_the_stand_in_is_marked_and_another_model_is_not(tmp_path: Path, results: Results) -> None:
    assert results.stand_in and results.verdict.stand_in
    own = analysis.analyse(synthetic.write_run(tmp_path, stand_in=False))
    assert not own.stand_in and not own.verdict.stand_in
    assert own.verdict.choice == results.verdict.choice
