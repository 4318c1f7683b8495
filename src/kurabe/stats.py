"""Counts per example -> shares and paired differences with their intervals, and what the data could have shown.

Knows no answers, arms or verdicts: an example is a cluster, a sum over its items. scipy is imported when called.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from kurabe.schema import Estimate

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

CONFIDENCE = 0.95
TAILS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
POWER = 0.80  # the chance of showing a true difference of the smallest detectable size
RESAMPLES = 4000
MOST_KEPT = 2_000_000  # numbers of resamples that are kept for the next estimate: 16 MB
MIN_FOR_INTERVAL = 5  # with fewer examples there are too few distinct resamples for an interval to mean anything
Z = 1.959963984540054  # the 97.5 % point of the normal distribution


class Cluster(NamedTuple):
    """One example: the sum over its items (for a share: how many are right), and how many items were scored."""

    total: float
    items: int


Clusters: TypeAlias = Mapping[str, Cluster]


def share(clusters: Clusters, seed: int = 0) -> Estimate:
    """Items that count over all items; the interval resamples examples.

    n examples cannot exclude a kind of example that none of them is: where no example went wholly wrong, the lower
    bound leaves room for Wilson's share of such ones, and likewise the upper bound. At 0 % and 100 % this is exactly
    Wilson's interval with examples as trials, and near them the interval does not jump.
    """
    kept = _scored(clusters)
    estimate = _resampled(kept, seed)
    if estimate.low is None or estimate.high is None:
        return estimate
    bounds = roomy(estimate, _ratios(kept), (0.0, 1.0))
    return estimate.model_copy(update={"low": bounds[0], "high": bounds[1]})


def pooled(runs: Sequence[Clusters], seed: int = 0) -> Estimate:
    """The same share over several trials that differ in their seed: the interval rests on examples and on trials.

    More trials are no more examples: with one trial this is `share`, which leaves out the luck of training, and where
    no trial differs it is `share`'s interval, too.
    """
    import numpy

    items = merged(runs)
    estimate = share(items, seed)
    if len(runs) == 1 or estimate.low is None or estimate.high is None:
        return estimate
    examples, random = [example for example, c in items.items() if c.items], numpy.random.default_rng([seed])
    drawn = [shares(runs, examples, weight_SE, random) for weight_SE in resamples(len(examples), seed)]
    low, high = numpy.nanquantile(numpy.concatenate(drawn), TAILS).clip(0.0, 1.0)
    if estimate.low <= low and high <= estimate.high:
        return estimate
    bounds = {"low": min(estimate.low, float(low)), "high": max(estimate.high, float(high))}
    return estimate.model_copy(update=bounds | {"method": "bootstrap"})


def merged(runs: Sequence[Clusters]) -> dict[str, Cluster]:
    """Each example with the items of all trials."""
    items: dict[str, Cluster] = {}
    for run in runs:
        for example, cluster in run.items():
            before = items.get(example, Cluster(0, 0))
            items[example] = Cluster(before.total + cluster.total, before.items + cluster.items)
    return items


def mean(clusters: Clusters, seed: int = 0) -> Estimate:
    """The mean per item of something that is no share (unexpected values per answer). No spread, no interval."""
    estimate = _resampled(_scored(clusters), seed)
    return estimate if estimate.method == "bootstrap" else _without_interval(estimate)


def difference(first: Clusters, second: Clusters, seed: int = 0) -> Estimate:
    """Share of `first` minus share of `second`, on the examples of both; the interval resamples examples.

    The caller pairs the items: for one example both sides hold the same questions. Room for unseen kinds of example is
    left as in `share`, but never so that an interval which excludes 0 would include it: whether two arms differ stays
    a test at 5 %, that they do *not* differ by much has to be shown by numbers.
    """
    kept = _scored(_paired(first, second))
    estimate = _resampled(kept, seed)
    if estimate.low is None or estimate.high is None:
        return estimate
    low, high = roomy(estimate, _ratios(kept), (-1.0, 1.0))
    if estimate.method == "bootstrap":
        low = estimate.low if estimate.low > 0 else low
        high = estimate.high if estimate.high < 0 else high
    return estimate.model_copy(update={"low": low, "high": high})


def smallest_detectable(first: Clusters, second: Clusters) -> float | None:
    """The smallest true difference that this many examples, varying as these do, would show with 80 % power.

    (t(1 - alpha/2) + t(power)) x standard error of the paired difference, both with n - 1 degrees of freedom: Bloom's
    minimum detectable effect (Evaluation Review 19(5), 1995), as Miller uses it for model evaluation (arXiv
    2411.00640, section 5). The standard error is the linearised one of a ratio of sums. Never less than `unseen(n)`:
    where hardly any example differs, the variance that was seen says little.
    """
    kept = _scored(_paired(first, second))
    if len(kept) < MIN_FOR_INTERVAL:
        return None
    return max(_detectable_by_variance(kept), unseen(len(kept)))


def examples_needed(first: Clusters, second: Clusters, wanted: float) -> int | None:
    """How many examples in all would make `wanted` the smallest detectable difference: the variance falls by n."""
    kept = _scored(_paired(first, second))
    if len(kept) < MIN_FOR_INTERVAL:
        return None
    by_variance = len(kept) * (_detectable_by_variance(kept) / wanted) ** 2
    by_unseen = Z * Z * (1 - wanted) / wanted  # unseen(n) = wanted
    return math.ceil(max(by_variance, by_unseen) - 1e-9)


def unseen(n: int) -> float:
    """The largest share of a kind that n examples may have missed: Wilson's upper bound for 0 of n; 10 -> 0.278."""
    return Z * Z / (n + Z * Z)


@cache
def level(n: int) -> float:
    """What to ask percentiles for, so that n resampled examples give a 95 % interval.

    Plain percentiles are too narrow for small n; the level at which normal bounds of the resampled spread equal
    Student's bounds mends it (Hesterberg, The American Statistician 69(4), 2015).
    """
    from scipy import special  # a third of the time that scipy.stats takes to import

    return float(1 - 2 * special.ndtr(-Z * widening(n)))


@cache
def widening(n: int) -> float:
    """How much further than their plain percentiles n resampled examples have to reach; of one, nothing is known."""
    from scipy import special

    return float(math.sqrt(n / (n - 1)) * special.stdtrit(n - 1, (1 + CONFIDENCE) / 2) / Z) if n > 1 else 1.0


def roomy(estimate: Estimate, ratios: list[float], span: tuple[float, float]) -> tuple[float, float]:
    """The bounds, with room for examples at an end of the scale where none was seen there."""
    assert estimate.value is not None and estimate.low is not None and estimate.high is not None
    (bottom, top), value, room = span, estimate.value, unseen(estimate.n)
    low = estimate.low if min(ratios) <= bottom else min(estimate.low, value - (value - bottom) * room)
    high = estimate.high if max(ratios) >= top else max(estimate.high, value + (top - value) * room)
    return low, high


def _scored(clusters: Clusters) -> list[Cluster]:
    return [c for c in clusters.values() if c.items]


def _ratios(clusters: list[Cluster]) -> list[float]:
    return [c.total / c.items for c in clusters]


def _paired(first: Clusters, second: Clusters) -> dict[str, Cluster]:
    return {
        example: Cluster(first[example].total - second[example].total, first[example].items)
        for example in first
        if example in second
    }


def _detectable_by_variance(clusters: list[Cluster]) -> float:
    """Student's multiplier times the linearised standard error of sum(total) / sum(items)."""
    n, items = len(clusters), sum(c.items for c in clusters)
    ratio = sum(c.total for c in clusters) / items
    squares = sum((c.total - ratio * c.items) ** 2 for c in clusters)
    error = math.sqrt(squares * n / (n - 1)) / items
    return _multiplier(n) * error


@cache
def _multiplier(n: int) -> float:
    """Standard errors that a difference must have to be shown with POWER, with n - 1 degrees of freedom."""
    from scipy import special

    return float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2) + special.stdtrit(n - 1, POWER))


def _resampled(clusters: list[Cluster], seed: int) -> Estimate:
    """The ratio of sums with its bootstrap interval; with method "wilson" and no width where no example differs."""
    n, items = len(clusters), sum(c.items for c in clusters)
    if not n:
        return Estimate(value=None)
    value = sum(c.total for c in clusters) / items
    if n < MIN_FOR_INTERVAL:
        return Estimate(value=value, n=n, items=items)
    if len(set(_ratios(clusters))) == 1:
        return Estimate(value=value, low=value, high=value, n=n, items=items, method="wilson")
    low, high = _bootstrap(clusters, seed)
    return Estimate(value=value, low=low, high=high, n=n, items=items, method="bootstrap")


def _without_interval(estimate: Estimate) -> Estimate:
    return Estimate(value=estimate.value, n=estimate.n, items=estimate.items)


def _bootstrap(clusters: list[Cluster], seed: int) -> tuple[float, float]:
    """Percentile interval over resampled examples, widened for few of them."""
    import numpy

    n = len(clusters)
    total_E, items_E = numpy.array(clusters, float).T
    share_S = numpy.concatenate([(w @ total_E) / (w @ items_E) for w in resamples(n, seed)])
    low, high = numpy.quantile(share_S, [(1 - level(n)) / 2, (1 + level(n)) / 2])
    return float(low), float(high)


def resamples(n: int, seed: int) -> tuple[NDArray[Any], ...] | Iterator[NDArray[Any]]:
    """How often each of RESAMPLES resamples draws each of n examples, in blocks of shape (resamples, n).

    They depend on n and the seed alone: all estimates of a run that rest on as many examples are resampled alike, and
    up to MOST_KEPT numbers are drawn once. More come in blocks, so that thousands of examples take no more memory.
    """
    return _kept_resamples(n, seed) if n * RESAMPLES <= MOST_KEPT else _drawn(n, seed)


@lru_cache(maxsize=4)
def _kept_resamples(n: int, seed: int) -> tuple[NDArray[Any], ...]:
    return tuple(_drawn(n, seed))


def _drawn(n: int, seed: int) -> Iterator[NDArray[Any]]:
    import numpy

    random, rows = numpy.random.default_rng(seed), max(1, MOST_KEPT // n)
    for start in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - start)
        drawn = random.integers(n, size=(size, n)) + n * numpy.arange(size)[:, None]
        yield numpy.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(float)


def shares(
    runs: Sequence[Clusters], examples: Sequence[str], weight_SE: NDArray[Any], random: Generator
) -> NDArray[Any]:
    """The share over all runs in each of S resamples, which draw example E so many times; NaN where nothing was drawn
    that has items. Not cut at 0 and 1. TAILS of them are the bounds of a 95 % interval.

    Two terms, each as wide as Student's interval for its own number: the resampled share, its distance from the whole
    stretched by `widening`; and t(R - 1) x standard error of the R runs' shares, because two or three seeds are too
    few to be resampled (their resamples spread by (R - 1) / R of the variance, and have no tails). Adding both terms up
    is Fisher's solution of the Behrens-Fisher problem; what it covers here is measured, not cited (`studies/coverage`).
    What examples and seeds do together is in the second term.
    """
    import numpy

    items = merged(runs)
    total_E, items_E = numpy.array([items.get(example, Cluster(0, 0)) for example in examples], float).T
    total_S, items_S = weight_SE @ total_E, weight_SE @ items_E
    share_S: NDArray[Any] = numpy.full_like(total_S, numpy.nan)
    numpy.divide(total_S, items_S, out=share_S, where=items_S > 0)
    if items_E.any():
        whole = total_E.sum() / items_E.sum()
        share_S = whole + widening(int((items_E > 0).sum())) * (share_S - whole)
    share_S += _luck(runs, len(share_S), random)
    return share_S


def _luck(runs: Sequence[Clusters], size: int, random: Generator) -> NDArray[Any]:
    """What other seeds could have changed: Student's t times the standard error of the runs' mean share."""
    import numpy

    kept = [cluster for cluster in map(_summed, runs) if cluster.items]
    if len(kept) < 2:
        return numpy.zeros(size)
    error = float(numpy.std(_ratios(kept), ddof=1)) / math.sqrt(len(kept))
    luck_S: NDArray[Any] = error * random.standard_t(len(kept) - 1, size)
    return luck_S


def _summed(run: Clusters) -> Cluster:
    return Cluster(sum(c.total for c in run.values()), sum(c.items for c in run.values()))
