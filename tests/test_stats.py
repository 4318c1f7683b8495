"""Estimates and differences: identities, edges, and the calibration that the naive test fails."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from kurabe import stats
from kurabe.stats import Cluster


def clusters(*pairs: tuple[float, int]) -> dict[str, Cluster]:
    return {f"e{i}": Cluster(*pair) for i, pair in enumerate(pairs)}


def same(value: float, items: int, n: int) -> dict[str, Cluster]:
    return clusters(*[(value, items)] * n)


@pytest.mark.parametrize("n", [5, 8, 10, 60])
@pytest.mark.parametrize("right", [0, 1])
def test_at_zero_and_hundred_percent_the_bounds_are_wilsons_with_examples_as_trials(n: int, right: int) -> None:
    estimate = stats.share(same(right * 4, 4, n))
    wilson = binomtest(right * n, n).proportion_ci(method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((wilson.low, wilson.high))
    assert estimate.method == "wilson" and estimate.n == n and estimate.items == 4 * n


def test_more_wordings_of_the_same_examples_do_not_narrow_the_interval_of_agreeing_ones() -> None:
    few, many = clusters(*[(1, 1), (0, 1)] * 10), clusters(*[(50, 50), (0, 50)] * 10)
    a, b = stats.share(few), stats.share(many)
    assert (a.low, a.high) == (b.low, b.high)


@pytest.mark.parametrize("n", [1, 4])
def test_too_little_data_has_a_value_and_no_interval(n: int) -> None:
    estimate = stats.share(clusters(*[(1, 2)] * n))
    assert estimate.value == 0.5 and estimate.low is None and estimate.high is None and estimate.method == "none"
    assert stats.smallest_detectable(same(1, 2, n), same(0, 2, n)) is None


def test_no_data_is_no_value() -> None:
    assert stats.share({}).value is None
    assert stats.share(same(0, 0, 9)).value is None
    assert stats.difference(same(1, 1, 9), {}).value is None


def test_a_mean_without_spread_has_no_interval_and_one_with_spread_has() -> None:
    assert stats.mean(same(0, 5, 20)).low is None
    spread = stats.mean(clusters(*[(k, 1) for k in range(12)]))
    assert spread.value == 5.5 and spread.low is not None and spread.low < 5.5 < (spread.high or 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=30))
def test_an_interval_holds_its_value_has_width_and_stays_a_share(pairs: list[tuple[int, int]]) -> None:
    estimate = stats.share(clusters(*[(min(r, n), n) for r, n in pairs]))
    if estimate.low is not None and estimate.high is not None and estimate.value is not None:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.high > estimate.low


def test_one_wrong_wording_does_not_make_a_nearly_perfect_arm_more_certain_than_a_perfect_one() -> None:
    perfect = stats.share(same(5, 5, 10))
    nearly = stats.share(clusters((4, 5), *[(5, 5)] * 9))
    assert nearly.low is not None and perfect.low is not None and nearly.low < perfect.low


def test_a_difference_is_antisymmetric_and_paired() -> None:
    a = clusters(*[(k % 3, 3) for k in range(12)])
    b = clusters(*[(k % 2, 3) for k in range(12)])
    forth, back = stats.difference(a, b), stats.difference(b, a)
    assert forth.value == pytest.approx(-(back.value or 0))
    # Equal noise in both arms cancels, however much the examples differ from each other.
    noisy = clusters(*[(k % 4, 4) for k in range(12)])
    lifted = {key: Cluster(c.total + (0.5 if key == "e0" else 0), c.items) for key, c in noisy.items()}
    width = stats.difference(lifted, noisy)
    assert width.method == "bootstrap" and width.value == pytest.approx(0.5 / 48)


def test_equal_arms_on_few_examples_are_not_shown_to_be_equal() -> None:
    tie = stats.difference(same(5, 5, 10), same(5, 5, 10))
    assert tie.value == 0 and tie.high == pytest.approx(stats.unseen(10)) and tie.low == pytest.approx(-(tie.high or 0))
    almost = stats.difference(clusters((4, 5), *[(5, 5)] * 9), same(5, 5, 10))
    assert almost.high is not None and almost.high > 0.2
    many = stats.difference(same(5, 5, 80), same(5, 5, 80))
    assert many.high is not None and many.high < 0.05


def test_room_for_the_unseen_never_hides_a_difference_that_the_resampling_shows() -> None:
    steady = stats.difference(clusters(*[(3 + k % 2, 5) for k in range(12)]), clusters(*[(2, 5)] * 12))
    assert steady.low is not None and steady.low > 0


def test_intervals_are_repeatable_and_follow_the_seed() -> None:
    data = clusters(*[(k % 6, 5 + k % 2) for k in range(15)])
    assert stats.share(data, seed=1) == stats.share(data, seed=1)
    assert stats.share(data, seed=1).low != stats.share(data, seed=2).low


def test_smallest_detectable_difference_is_the_one_shown_four_times_in_five() -> None:
    """The definition, simulated: shift a population by the smallest detectable difference and count the discoveries."""
    rng = numpy.random.default_rng(0)
    n, spread, shown = 25, 0.25, 0
    shift = stats.smallest_detectable(clusters(*[(x, 1) for x in _standard(n) * spread]), same(0, 1, n))
    assert shift is not None and 0.1 < shift < 0.2
    for trial in range(200):
        estimate = stats.difference(clusters(*[(x, 1) for x in rng.normal(shift, spread, n)]), same(0, 1, n), trial)
        shown += estimate.low is not None and estimate.low > 0
    assert 0.70 <= shown / 200 <= 0.90


def _standard(n: int) -> numpy.ndarray:
    """n numbers whose sample standard deviation is 1."""
    x = numpy.linspace(-1, 1, n)
    return x / x.std(ddof=1)


def test_the_needed_number_of_examples_makes_the_wanted_difference_detectable() -> None:
    a, b = clusters(*[(k % 5, 4) for k in range(20)]), clusters(*[(2, 4)] * 20)
    now = stats.smallest_detectable(a, b)
    assert now is not None
    assert stats.examples_needed(a, b, now) == 20
    assert stats.examples_needed(a, b, now / 2) == 80
    # Where nothing differs, the unseen decides: 73 examples leave room for 5 %.
    assert stats.examples_needed(same(1, 1, 10), same(1, 1, 10), 0.05) == 73
    assert stats.unseen(73) <= 0.05 < stats.unseen(72)


def test_calibration_the_cluster_bootstrap_holds_five_percent_where_the_row_test_does_not() -> None:
    """Twice the same arm (intra-class correlation 0.7, five wordings): how often is a difference "found"?"""
    rng = numpy.random.default_rng(7)
    n, wordings, simulations = 24, 5, 240
    false_alarms = naive_alarms = covered = 0
    for number in range(simulations):
        first, second = (rng.binomial(wordings, rng.beta(0.6 * 3 / 7, 0.4 * 3 / 7, n)) for _ in "ab")
        a, b = ({f"e{i}": Cluster(int(k), wordings) for i, k in enumerate(x)} for x in (first, second))
        estimate, recall = stats.difference(a, b, number), stats.share(a, number)
        false_alarms += not (estimate.low or 0) <= 0 <= (estimate.high or 0)
        covered += (recall.low or 0) <= 0.6 <= (recall.high or 0)
        p, q = first.sum() / (n * wordings), second.sum() / (n * wordings)
        naive_alarms += abs(p - q) > stats.Z * numpy.sqrt((p * (1 - p) + q * (1 - q)) / (n * wordings))
    assert false_alarms / simulations <= 0.10
    assert naive_alarms / simulations >= 0.20
    assert covered / simulations >= 0.90


@pytest.mark.parametrize("n", [8, 10])
def test_calibration_holds_with_the_fewest_examples_that_get_a_verdict(n: int) -> None:
    """The same arm twice, half of the examples wholly won or wholly lost: nothing smooth to resample from."""
    rng, alarms, simulations = numpy.random.default_rng(n), 0, 200
    for number in range(simulations):
        gains = rng.choice([-1, 0, 1], n, p=[0.25, 0.5, 0.25])
        first = clusters(*[(5 + 5 * int(gain), 10) for gain in gains])
        estimate = stats.difference(first, same(5, 10, n), number)
        alarms += not (estimate.low or 0) <= 0 <= (estimate.high or 0)
    assert alarms / simulations <= 0.10
