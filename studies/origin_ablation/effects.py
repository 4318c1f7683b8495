"""Stored trials -> recall of each cell, and what each fault costs: paired differences with their intervals.

Knows no model and no page. The example is the cluster: its questions and the seeds are nested in it, and whole examples
are resampled. The luck of training is not in the intervals; it shows in the values of the single seeds beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kurabe import stats
from kurabe.schema import Estimate
from studies import estimates
from studies.origin_ablation.cells import FAULTS, GRID, MENDED, ORIGIN, RUNS, SEEDS, Cell, with_fault
from studies.origin_ablation.results import COMMAND, Study, Tally, Trial

LONG = FAULTS["steps"].mended


class Recall(NamedTuple):
    """The share of values that came out right: over all seeds, and seed by seed."""

    estimate: Estimate
    by_seed: tuple[float, ...]


class Difference(NamedTuple):
    """Recall with a fault mended minus recall with it: the cost of the fault, as a share."""

    estimate: Estimate
    by_seed: tuple[float, ...]
    detectable: float | None  # the smallest true difference that these examples would have shown

    @property
    def shown(self) -> int:
        """1: the fault costs recall; -1: it helps; 0: the interval holds both."""
        return estimates.shown(self.estimate)


class Effect(NamedTuple):
    """One fault's cost, in four companies."""

    fault: str
    everywhere: Difference  # the main effect: the mean over all settings of the other three
    long: Difference | None  # the same among the cells with 150 steps; of the steps themselves there is none
    mended_alone: Difference  # the origin recipe with this one mended, minus the origin recipe
    put_back_alone: Difference  # all four mended, minus the same with this one put back


def complete(study: Study) -> Sequence[Trial]:
    """All trials of the study in its own order; raises `StoppedError` while some of them are missing."""
    return study.complete(RUNS, COMMAND)


def of(trials: Iterable[Trial], cells: Iterable[Cell]) -> list[Trial]:
    """The trials of these cells."""
    wanted = set(cells)
    return [trial for trial in trials if trial.cell in wanted]


def recall(trials: Sequence[Trial], probe: str) -> Recall:
    """Of one or several cells taken together."""
    by_seed = tuple(_value([trial for trial in trials if trial.seed == seed], probe) for seed in SEEDS)
    runs = [pooled([trial for trial in trials if trial.seed == seed], probe) for seed in SEEDS]
    return Recall(stats.pooled(runs), by_seed)


def reference(tallies: Tally) -> Estimate:
    """Recall of what was answered without training."""
    return stats.share({name: stats.Cluster(c.right, c.items) for name, c in tallies.items()})


def effects(trials: Sequence[Trial], probe: str) -> list[Effect]:
    """All four faults, the dearest first by its main effect."""
    found = [_effect(trials, name, probe) for name in FAULTS]
    return sorted(found, key=lambda effect: -(effect.everywhere.estimate.value or 0.0))


def difference(first: Sequence[Trial], second: Sequence[Trial], probe: str) -> Difference:
    """Recall of `first` minus recall of `second`. Both hold the same questions as often, so that they are paired."""
    one, other = pooled(first, probe), pooled(second, probe)
    if {name: c.items for name, c in one.items()} != {name: c.items for name, c in other.items()}:
        raise ValueError("the two sides were not asked the same questions")
    by_seed = tuple(
        (_value([t for t in first if t.seed == seed], probe) - _value([t for t in second if t.seed == seed], probe))
        for seed in SEEDS
    )
    return Difference(stats.difference(one, other), by_seed, stats.smallest_detectable(one, other))


def pooled(trials: Iterable[Trial], probe: str) -> dict[str, stats.Cluster]:
    """Per example, right values and all expected ones, over its questions and over the trials."""
    clusters: dict[str, stats.Cluster] = {}
    for trial in trials:
        for name, counts in trial.answers[probe].items():
            before = clusters.get(name, stats.Cluster(0, 0))
            clusters[name] = stats.Cluster(before.total + counts.right, before.items + counts.items)
    return clusters


def _effect(trials: Sequence[Trial], name: str, probe: str) -> Effect:
    long = [cell for cell in GRID if cell.steps == LONG]

    def mend(cells: Sequence[Cell]) -> Difference:
        """The cells that have the fault beside their mended twins."""
        faulty = [cell for cell in cells if cell == with_fault(cell, name, mended=False)]
        mended = [with_fault(cell, name, mended=True) for cell in faulty]
        return difference(of(trials, mended), of(trials, faulty), probe)

    return Effect(
        name,
        everywhere=mend(GRID),
        long=None if name == "steps" else mend(long),
        mended_alone=mend([ORIGIN]),
        put_back_alone=mend([with_fault(MENDED, name, mended=False)]),
    )


def _value(trials: Sequence[Trial], probe: str) -> float:
    clusters = pooled(trials, probe).values()
    return sum(c.total for c in clusters) / sum(c.items for c in clusters)
