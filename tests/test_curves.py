"""Curves of known counts: values, crossings where two lines meet, predictions on the line, intervals that hold them."""

from __future__ import annotations

import math
from random import Random

import numpy
import pytest

from kurabe import stats
from kurabe.curves import curves
from kurabe.schema import Point
from kurabe.stats import Cluster

EXAMPLES = [f"row{n}" for n in range(12)]


def trial(share: float, seed: int, spread: float = 0.0) -> dict[str, dict[str, Cluster]]:
    """A trial that gets this share of 100 values per example right, give or take a spread that differs by example."""
    random = Random(f"{share}/{seed}")
    right = {e: Cluster(round(100 * min(1, max(0, share + random.uniform(-spread, spread)))), 100) for e in EXAMPLES}
    return {"recall": right}


def swept(
    shares: dict[float, float], seeds: int = 1, spread: float = 0.0, unseen: float | None = None
) -> tuple[list[Point], dict[int, dict[str, dict[str, Cluster]]]]:
    points, measured = [], {}
    for x, share in shares.items():
        for seed in range(seeds):
            number = len(points) + 1
            points.append(Point(axis="wordings", x=x, trial=number, unseen=x == unseen))
            measured[number] = trial(share, seed, spread)
    return points, measured


def prompt(share: float) -> dict[str, Cluster]:
    return {e: Cluster(round(100 * share), 100) for e in EXAMPLES}


def test_points_are_the_shares() -> None:
    points, measured = swept({1: 0.2, 10: 0.6}, seeds=3)
    found = curves(points, measured, prompt(0.5), "fair", 0)
    assert {(p.x, p.measure): (p.value, p.seeds) for p in found.points} == {
        (1, "recall"): (0.2, 3), (1, "prompt"): (0.5, 3), (10, "recall"): (0.6, 3), (10, "prompt"): (0.5, 3),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shares", "at"),
    [
        ({1: 0.25, 100: 0.75}, 10.0),  # half of the way, on a logarithmic axis
        ({1: 0.1, 10: 0.4, 100: 0.6}, 10**1.5),
        ({1: 0.5, 10: 0.6}, 1.0),
        ({1: 0.1, 10: 0.49}, None),
    ],
)
def test_lora_reaches_the_prompt_where_the_lines_meet(shares: dict[float, float], at: float | None) -> None:
    (crossing,) = curves(*swept(shares), prompt(0.5), "fair", 0).crossings
    assert (crossing.least, crossing.most) == (min(shares), max(shares))
    assert (crossing.at is None) == (at is None)
    if at is not None:
        assert crossing.at == pytest.approx(at)
        assert crossing.low is not None and crossing.low <= crossing.at + 1e-9


def test_an_interval_of_the_crossing_holds_it_and_widens_with_the_spread() -> None:
    widths = []
    for spread in (0.05, 0.25):
        (crossing,) = curves(*swept({1: 0.2, 10: 0.5, 100: 0.8}, 3, spread), prompt(0.5), "fair", 0).crossings
        assert crossing.at and crossing.low and crossing.high and crossing.low <= crossing.at <= crossing.high
        widths.append(math.log(crossing.high / crossing.low))
    assert 0 < widths[0] < widths[1]


def test_a_crossing_that_some_resamples_never_reach_is_open() -> None:
    points, measured = swept({1: 0.2, 10: 0.52}, 1, 0.25)
    (crossing,) = curves(points, measured, prompt(0.5), "fair", 0).crossings
    assert crossing.high is None


def test_where_both_know_nothing_nothing_is_reached() -> None:
    (crossing,) = curves(*swept({1: 0.0, 10: 0.0, 100: 0.4}), prompt(0.0), "fair", 0).crossings
    assert crossing.at == pytest.approx(100)
    (never,) = curves(*swept({1: 0.0, 10: 0.0}), prompt(0.0), "fair", 0).crossings
    assert never.at is None


def test_a_point_whose_examples_have_nothing_to_score_lies_on_no_line() -> None:
    points, measured = swept({1: 0.0, 5: 0.2, 10: 0.9, 100: 0.6}, seeds=2, unseen=10)
    for point in points:
        if point.x == 1:
            measured[point.trial] = {"recall": {}}
    found = curves(points, measured, prompt(0.4), "fair", 0)
    assert [(c.least, c.most) for c in found.crossings] == [(5, 100)]
    assert [p.x for p in found.predictions] == [10]
    assert {p.x for p in found.points if p.measure == "recall"} == {5, 10, 100}
    nothing = curves(points, {trial: {"recall": {}} for trial in measured}, prompt(0.4), "fair", 0)
    assert nothing == ((), (), ())


def test_a_prompt_without_answers_at_one_point_spoils_neither_the_line_nor_the_prediction() -> None:
    points, measured = swept({1: 0.2, 5: 0.3, 10: 0.9, 100: 0.6}, unseen=10)
    measured[1] = {"recall": {"another": Cluster(1, 1), **measured[1]["recall"]}}
    only = curves(points, measured, {"another": Cluster(1, 1)}, "fair", 0)
    assert only.crossings == () and [p.x for p in only.predictions] == [10]


def test_no_crossing_without_a_prompt() -> None:
    assert curves(*swept({1: 0.2, 10: 0.8}), {}, "fair", 0).crossings == ()


def test_a_prediction_lies_on_the_line_of_the_others_and_has_not_seen_its_point() -> None:
    points, measured = swept({1: 0.2, 10: 0.9, 100: 0.6}, seeds=2, unseen=10)
    (made,) = curves(points, measured, {}, "fair", 0).predictions
    assert made.predicted.value == pytest.approx(0.4) and made.measured.value == pytest.approx(0.9)


def test_a_prediction_at_an_end_of_the_scale_is_not_certain() -> None:
    (made,) = curves(*swept({1: 1.0, 10: 1.0, 100: 1.0}, unseen=10), {}, "fair", 0).predictions
    assert made.predicted.high == 1 and made.predicted.low == pytest.approx(1 - stats.unseen(len(EXAMPLES)))
    assert made.predicted.low == pytest.approx(made.measured.low)


def test_an_interval_between_points_of_few_examples_is_none() -> None:
    """Twelve examples in all say nothing about what happens between one and four of them."""
    points, measured = [], {}
    for x, share in ((1, 0.2), (2, 0.4), (4, 0.8), (12, 0.9)):
        points.append(Point(axis="examples", x=x, trial=x, unseen=x == 2))
        measured[x] = {"recall": {e: Cluster(round(100 * share), 100) for e in EXAMPLES[:x]}}
    found = curves(points, measured, prompt(0.5), "fair", 0)
    (crossing,), (made,) = found.crossings, found.predictions
    assert crossing.at == pytest.approx(2) and crossing.low is None and crossing.high is None
    assert made.predicted.low is None and made.predicted.n == 1
    (later,) = curves(points, measured, prompt(0.95), "fair", 0).crossings
    assert later.at is None and later.low is None


def test_examples_that_a_trial_did_not_learn_are_not_its_own() -> None:
    measured = {
        1: {"recall": {e: Cluster(50, 100) for e in EXAMPLES[:6]}},
        2: {"recall": {e: Cluster(70, 100) for e in EXAMPLES}},
    }
    points = [Point(axis="examples", x=6, trial=1), Point(axis="examples", x=12, trial=2)]
    facts = {e: Cluster(100 if n < 6 else 0, 100) for n, e in enumerate(EXAMPLES)}
    found = {(p.x, p.measure): p.value for p in curves(points, measured, facts, "fair", 0).points}
    assert found == {(6, "recall"): 0.5, (6, "prompt"): 1.0, (12, "recall"): 0.7, (12, "prompt"): 0.5}


def test_one_trial_pooled_is_its_share() -> None:
    clusters = trial(0.5, 1, 0.3)["recall"]
    assert stats.pooled([clusters], 3) == stats.share(clusters, 3)


def test_trials_that_differ_widen_the_interval() -> None:
    def width(shares: tuple[float, float]) -> float:
        estimate = stats.pooled([trial(share, 1, 0.2)["recall"] for share in shares])
        assert estimate.low is not None and estimate.high is not None and estimate.n == len(EXAMPLES)
        return estimate.high - estimate.low

    assert width((0.5, 0.5)) < width((0.25, 0.75))


def test_trials_that_differ_on_every_example_alike_are_not_certain() -> None:
    """Half right on each example, because one trial knows all and the other nothing."""
    none, every = ({e: Cluster(right, 2) for e in EXAMPLES} for right in (0, 2))
    estimate = stats.pooled([none, every])
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.0, 1.0) and estimate.method == "bootstrap"
    assert stats.pooled([every, every]).method == "wilson"


def test_too_few_examples_have_no_interval() -> None:
    few = [{e: Cluster(k, 2) for e in EXAMPLES[:4]} for k in (1, 2)]
    estimate = stats.pooled(few)
    assert estimate.value == 0.75 and estimate.low is None


def simulated(
    seeds: int, examples: int, luck: float, random: numpy.random.Generator
) -> tuple[list[stats.Clusters], float]:
    """Trials with examples and seeds from a world where both differ (and meet: luck with single examples), four values
    each; and the recall of the first trial on all the examples there could be."""
    ease_E = random.normal(1.0, 1.5, examples)
    good_R = random.normal(0.0, luck, seeds)
    logit_RE = ease_E + good_R[:, None] + random.normal(0.0, 0.7, (seeds, examples))
    right_RE = random.binomial(4, 1 / (1 + numpy.exp(-logit_RE)))
    runs = [{f"row{e}": Cluster(int(k), 4) for e, k in enumerate(right_E)} for right_E in right_RE]
    return runs, true_recall(good_R[0], numpy.hypot(1.5, 0.7))


def true_recall(shift: float, spread: float) -> float:
    """The mean of logistic(1 + shift + spread x normal), over normal quantiles."""
    normal = numpy.sqrt(2) * numpy.polynomial.hermite.hermgauss(40)[0]
    weight = numpy.polynomial.hermite.hermgauss(40)[1] / numpy.sqrt(numpy.pi)
    return float((weight / (1 + numpy.exp(-(1 + shift + spread * normal)))).sum())


def covered(seeds: int, examples: int, luck: float, of_the_trial: bool = False) -> float:
    """How often the interval holds the recall that it is about."""
    random, times = numpy.random.default_rng([seeds, examples, round(10 * luck)]), 120
    everywhere, held = true_recall(0.0, float(numpy.sqrt(1.5**2 + 0.7**2 + luck**2))), 0
    for number in range(times):
        runs, own = simulated(seeds, examples, luck, random)
        estimate = stats.pooled(runs, number)
        assert estimate.low is not None and estimate.high is not None
        held += estimate.low <= (own if of_the_trial else everywhere) <= estimate.high
    return held / times


def test_calibration_where_resampled_seeds_would_be_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "RESAMPLES", 600)
    assert min(covered(seeds, 60, 0.8) for seeds in (2, 3)) >= 0.88


@pytest.mark.slow
def test_calibration_over_examples_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "RESAMPLES", 600)
    found = {
        (seeds, examples, luck): covered(seeds, examples, luck)
        for seeds in (2, 3, 5) for examples in (10, 60, 150) for luck in (0.3, 0.8)
    }  # fmt: skip
    print(found)  # shown by -rP
    assert min(found.values()) >= 0.88 and sum(found.values()) / len(found) >= 0.93, found


def test_one_seed_is_about_its_own_trial_and_leaves_out_the_luck_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "RESAMPLES", 600)
    assert covered(1, 60, 0.8, of_the_trial=True) >= 0.90
    assert covered(1, 60, 0.8) < 0.8
