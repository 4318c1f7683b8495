"""Points of a sweep -> curves with intervals over examples and seeds, where LoRA reaches the prompt, and predictions.

Knows no answers and no model: it is given what each trial came to, example by example. Shapes in names: X values of the
axis, R trials (seeds) at each of them, E examples, S resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from kurabe import stats
from kurabe.schema import Axis, Crossing, CurvePoint, Estimate, Point, Prediction
from kurabe.stats import Cluster, Clusters
from kurabe.sweeps import GROWING

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

RESAMPLES = 2000
MEASURES = ("recall", "trained", "wrong", "extra", "general")

# trial -> measure -> example -> what its items came to
Measured: TypeAlias = Mapping[int, Mapping[str, Clusters]]


class Curves(NamedTuple):
    """What a sweep comes to."""

    points: tuple[CurvePoint, ...]
    crossings: tuple[Crossing, ...]
    predictions: tuple[Prediction, ...]


def curves(points: Sequence[Point], measured: Measured, prompt: Clusters, recipe: str, seed: int) -> Curves:
    """Every axis by itself. `prompt` is what the prompt arm came to on each example; {} where it was not asked."""
    drawn: list[CurvePoint] = []
    crossings, predictions = [], []
    for axis in dict.fromkeys(point.axis for point in points):
        by_x = _by_x([point for point in points if point.axis == axis])
        for x, trials in by_x.items():
            drawn.extend(_points(axis, x, [t.trial for t in trials], measured, prompt, recipe, seed))
        # A point whose examples have nothing to score lies on no line.
        scored = {x: trials for x, trials in by_x.items() if any(_counts(_recalls(trials, measured)))}
        seen = {x: trials for x, trials in scored.items() if not trials[0].unseen}
        paired = {x: t for x, t in seen.items() if any(_counts(_on(prompt, run) for run in _recalls(t, measured)))}
        if axis in GROWING and len(paired) > 1:
            crossings.append(_crossing(axis, Sampled(paired, measured, prompt, seed)))
        for x, trials in scored.items():
            if trials[0].unseen and len(seen) > 1 and min(seen) < x < max(seen):
                predictions.append(_prediction(axis, x, trials, Sampled(seen, measured, {}, seed), measured, seed))
    return Curves(tuple(drawn), tuple(crossings), tuple(predictions))


def _by_x(points: Sequence[Point]) -> dict[float, list[Point]]:
    ordered = sorted(points, key=lambda point: point.x)
    return {x: list(trials) for x, trials in groupby(ordered, key=lambda point: point.x)}


def _recalls(trials: Sequence[Point], measured: Measured) -> list[Clusters]:
    return [measured[point.trial]["recall"] for point in trials]


def _counts(runs: Iterable[Clusters]) -> Iterator[int]:
    """How many items each example of each run has."""
    return (cluster.items for run in runs for cluster in run.values())


def _points(
    axis: Axis, x: float, trials: Sequence[int], measured: Measured, prompt: Clusters, recipe: str, seed: int
) -> list[CurvePoint]:
    """One point per measure; the prompt's recall on the same examples beside the LoRA's."""
    runs = {name: [measured[trial].get(name, {}) for trial in trials] for name in MEASURES}
    runs["prompt"] = [_on(prompt, run) for run in runs["recall"]]
    found = []
    for name, clusters in runs.items():
        # Unexpected values are counted per answer: that is no share.
        estimate = stats.mean(stats.merged(clusters), seed) if name == "extra" else stats.pooled(clusters, seed)
        if estimate.value is not None:
            found.append(CurvePoint(
                axis=axis, x=x, measure=name, trial=0, recipe=recipe, value=estimate.value, low=estimate.low,
                high=estimate.high, seeds=len(trials),
            ))  # fmt: skip
    return found


def _on(prompt: Clusters, run: Clusters) -> dict[str, Cluster]:
    """The prompt's counts on the examples of a trial."""
    return {example: prompt[example] for example in run if example in prompt}


class Sampled:
    """Recall of LoRA and of the prompt along one axis, as measured and in resamples of examples and seeds."""

    def __init__(self, seen: Mapping[float, Sequence[Point]], measured: Measured, prompt: Clusters, seed: int) -> None:
        import numpy as np

        self.x = np.array(sorted(seen))
        runs_XR = [_recalls(seen[x], measured) for x in sorted(seen)]
        self.items_X = [{e: c for e, c in stats.merged(runs).items() if c.items} for runs in runs_XR]
        examples = sorted({example for items in self.items_X for example in items})
        n = len(examples)
        random = np.random.default_rng(seed)
        weight_SE = random.multinomial(n, [1 / n] * n, size=RESAMPLES).astype(float)
        lora, fact = [], []
        for runs in runs_XR:
            lora.append(_measured_and_drawn(runs, examples, weight_SE, random))
            if prompt:  # it is not trained, so that seeds only choose the examples that it is asked about
                asked = stats.merged([_on(prompt, run) for run in runs])
                fact.append(_measured_and_drawn([asked], examples, weight_SE, random))
        # Row 0 is what was measured, the others are resamples; one that drew nothing at some x says nothing.
        whole = ~np.isnan(np.stack([*lora, *fact], 1)).any(1)
        self.lora = np.stack(lora, 1)[whole]
        self.prompt = np.stack(fact, 1)[whole] if fact else None

    def at(self, x: float) -> NDArray[Any]:
        """LoRA's recall at x, between its neighbours on a straight line over log x."""
        import numpy as np

        return np.array([np.interp(np.log(x), np.log(self.x), row) for row in self.lora])

    def around(self, x: float) -> list[dict[str, Cluster]]:
        """What the points on both sides of x rest on, example by example; beyond the range, the last one."""
        import numpy as np

        right = min(int(np.searchsorted(self.x, x)), len(self.x) - 1)
        left = right if self.x[right] <= x else max(0, right - 1)
        return [self.items_X[k] for k in sorted({left, right})]

    def crossing(self) -> NDArray[Any]:
        """Where LoRA first reaches the prompt, as measured and per resample; infinite where it does not. Where both
        know nothing, nothing is reached."""
        import numpy as np

        assert self.prompt is not None, "there is nothing to cross"
        ahead = self.lora - self.prompt
        log_x = np.log(self.x)
        found = np.full(len(ahead), np.inf)
        for row, gap in enumerate(ahead):
            reached = np.flatnonzero((gap >= 0) & (self.lora[row] > 0))
            if len(reached):
                k = reached[0]
                behind = -gap[k - 1] if k else 0.0
                back = gap[k] / (gap[k] + behind) if behind > 0 else 0.0  # share of the way back to the point before
                found[row] = np.exp(log_x[k] - back * (log_x[k] - log_x[max(0, k - 1)]))
        return found


def _measured_and_drawn(
    runs: Sequence[Clusters], examples: Sequence[str], weight_SE: NDArray[Any], random: Generator
) -> NDArray[Any]:
    """The share over all runs: first as it is, then in each resample."""
    import numpy as np

    every = stats.merged(runs).values()
    items = sum(cluster.items for cluster in every)
    measured = sum(cluster.total for cluster in every) / items if items else np.nan
    return np.concatenate([[measured], stats.shares(runs, examples, weight_SE, random)])


def _crossing(axis: Axis, sampled: Sampled) -> Crossing:
    import numpy as np

    found = sampled.crossing()
    at, low, high = _bounds(found, _examples(sampled.around(found[0])))
    within = [float(value) if value is not None and np.isfinite(value) else None for value in (at, low, high)]
    return Crossing(
        axis=axis, at=within[0], low=within[1], high=within[2], least=float(sampled.x[0]), most=float(sampled.x[-1])
    )


def _prediction(
    axis: Axis, x: float, trials: Sequence[Point], sampled: Sampled, measured: Measured, seed: int
) -> Prediction:
    around = sampled.around(x)
    n = _examples(around)
    value, low, high = _bounds(sampled.at(x).clip(0.0, 1.0), n)
    method: Literal["bootstrap", "none"] = "none" if low is None else "bootstrap"
    predicted = Estimate(value=value, low=low, high=high, n=n, method=method)
    if low is not None:  # at an end of the scale no resample differs
        low, high = stats.roomy(predicted, [c.total / c.items for items in around for c in items.values()], (0.0, 1.0))
        predicted = predicted.model_copy(update={"low": low, "high": high})
    return Prediction(axis=axis, x=x, predicted=predicted, measured=stats.pooled(_recalls(trials, measured), seed))


def _examples(around: Sequence[Clusters]) -> int:
    """What an interval between two points rests on: the examples of the one that has fewer."""
    return min(map(len, around))


def _bounds(values: Any, n: int) -> tuple[float, float | None, float | None]:
    """(as measured, lower, upper bound): order statistics, because some resamples may be infinite."""
    import numpy as np

    if n < stats.MIN_FOR_INTERVAL:
        return float(values[0]), None, None
    low, high = np.quantile(values[1:], stats.TAILS, method="nearest")
    return float(values[0]), float(low), float(high)
