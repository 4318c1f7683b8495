"""Tallies of trials -> shares, differences and slopes with their intervals.

Knows no model and no page. The example is the cluster: its questions and the seeds are nested in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kurabe import stats
from kurabe.schema import Estimate, Record
from studies.results import Tally, Trial

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 2000


class Share(NamedTuple):
    """A share over all seeds, and seed by seed."""

    estimate: Estimate
    by_seed: tuple[float, ...]

    @property
    def value(self) -> float:
        """The share; no trial is stored that has nothing to count."""
        return self.estimate.value or 0.0


class Slope(NamedTuple):
    """A straight line through the shares at several x: its slope per unit of x with a 95 % interval, and how much of
    the shares' variance it explains."""

    value: float
    low: float
    high: float
    r2: float | None  # None where the shares do not vary


def clusters(tally: Tally) -> dict[str, stats.Cluster]:
    """Right values and all expected ones, by example."""
    return {name: stats.Cluster(counts.right, counts.items) for name, counts in tally.items()}


def share(tallies: Sequence[Tally]) -> Share:
    """Of one or several trials that differ in their seed."""
    runs = [clusters(tally) for tally in tallies]
    return Share(stats.pooled(runs), tuple(ratio(tally) for tally in tallies))


def ratio(tally: Tally) -> float:
    """Right values over all expected ones."""
    return sum(c.right for c in tally.values()) / max(1, sum(c.items for c in tally.values()))


def difference(first: Sequence[Tally], second: Sequence[Tally]) -> Estimate:
    """Share of `first` minus share of `second`, paired by example; the interval resamples examples."""
    one, other = (stats.merged([clusters(tally) for tally in side]) for side in (first, second))
    return stats.difference(one, other)


def unpaired(first: Sequence[Tally], second: Sequence[Tally]) -> Estimate:
    """Share of `first` minus share of `second` on other examples: both are resampled by themselves."""
    import numpy as np

    drawn = [_drawn([side], seed)[:, 0] for seed, side in enumerate((first, second))]
    value = share(first).value - share(second).value
    low, high = np.quantile(drawn[0] - drawn[1], stats.TAILS)
    n = min(len(first[0]), len(second[0]))
    return Estimate(value=value, low=float(low), high=float(high), n=n, method="bootstrap")


def slope(by_x: Mapping[float, Sequence[Tally]]) -> Slope:
    """Least squares over the points of `by_x`, drawn again with resampled examples and the luck of the seeds."""
    import numpy as np

    x = np.array(sorted(by_x))
    drawn_SX = _drawn([by_x[value] for value in sorted(by_x)], 0)
    measured = np.array([share(by_x[value]).value for value in sorted(by_x)])
    low, high = np.quantile(drawn_SX @ _weights(x), stats.TAILS)
    value = float(measured @ _weights(x))
    rest = measured - measured.mean() - value * (x - x.mean())
    spread = float(((measured - measured.mean()) ** 2).sum())
    r2 = 1 - float((rest**2).sum()) / spread if spread else None
    return Slope(value, float(low), float(high), r2)


def _weights(x: NDArray[Any]) -> NDArray[Any]:
    """What each point counts in the slope of the line through all of them."""
    centred = x - x.mean()
    weights: NDArray[Any] = centred / (centred**2).sum()
    return weights


def _drawn(points: Sequence[Sequence[Tally]], seed: int) -> NDArray[Any]:
    """Shares [resample, point]: the same examples are drawn at every point, other luck of the seeds at each."""
    import numpy as np

    random = np.random.default_rng(seed)
    names = sorted({name for tallies in points for tally in tallies for name in tally})
    weight_SE = random.multinomial(len(names), [1 / len(names)] * len(names), size=RESAMPLES).astype(float)
    shares = [stats.shares([clusters(tally) for tally in tallies], names, weight_SE, random) for tallies in points]
    return np.stack(shares, 1)


def of(trials: Iterable[Trial[Any]], **wanted: object) -> list[Trial[Any]]:
    """The trials whose cell has these values."""
    return [trial for trial in trials if matches(trial.cell, wanted)]


def matches(cell: Record, wanted: Mapping[str, object]) -> bool:
    """Whether a cell has these values."""
    return all(getattr(cell, name) == value for name, value in wanted.items())


def shown(estimate: Estimate) -> int:
    """Of a difference: 1 where its interval lies above 0, -1 below it, 0 where it holds 0."""
    if estimate.low is None or estimate.high is None:
        return 0
    return 1 if estimate.low > 0 else -1 if estimate.high < 0 else 0
