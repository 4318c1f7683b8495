"""Stored trials -> the figures of the page: recall by epoch, when each fact is first recalled, and who comes first.

Knows no model and no sentence. The hazard is the chance, per fact and epoch, that a fact which was never right before
comes out right: events / (facts x epochs at risk), for the facts whose answers were likely before training and for the
others.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kurabe import stats
from kurabe.schema import Estimate
from studies.chart import Bar, chart
from studies.estimates import share
from studies.first_recall.trials import COMMAND, EPOCHS, FACTS, RUNS, SEEDS, Cell
from studies.pages import Page
from studies.results import Stored, Trial

RESAMPLES = 2000
SHOWN = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, EPOCHS)
COMPARED = 20  # the epoch that the published figure is from


class First(NamedTuple):
    """One fact under one seed: the epochs it was at risk, and whether it came out right in the last of them."""

    epochs: int
    recalled: bool


def figures(study: Stored) -> dict[str, Any]:
    """What the templates place."""
    trials = study.complete(RUNS, COMMAND)
    by_epoch = {
        epoch: share([t.states[epoch - 1].answers["trained"] for t in trials]) for epoch in range(1, EPOCHS + 1)
    }
    first = firsts(trials)
    likely = {question.rsplit("/", 1)[0]: value for question, value in study.sessions[0].likely.items()}
    middle = statistics.median(likely.values())
    halves = [{f for f, value in likely.items() if (value > middle) == upper} for upper in (True, False)]
    every = [own for seeds in first.values() for own in seeds]
    return {
        "curve": [{"epoch": epoch, "recall": by_epoch[epoch], "first": _so_far(every, epoch)} for epoch in SHOWN],
        "chart": chart(("epoch",), [Bar((str(epoch),), by_epoch[epoch].estimate) for epoch in SHOWN]),
        "at": by_epoch[COMPARED], "compared": COMPARED, "last": by_epoch[EPOCHS], "begin": by_epoch[1],
        "steepest": max(range(2, EPOCHS + 1), key=lambda e: by_epoch[e].value - by_epoch[e - 1].value),
        "half": next((epoch for epoch in by_epoch if by_epoch[epoch].value >= 0.5), None),
        "ratio": hazard_ratio(first, *halves),
        "upper": share([_half(t, halves[0]) for t in trials]), "lower": share([_half(t, halves[1]) for t in trials]),
        "before": share([study.sessions[0].references["base"]["trained"]]),
        "facts": FACTS, "epochs": EPOCHS, "seeds_each": len(SEEDS), "steps": trials[0].steps // EPOCHS,
    }  # fmt: skip


def firsts(trials: Sequence[Trial[Any]]) -> dict[str, list[First]]:
    """Fact -> under each seed, when all its values came out right for the first time."""
    found: dict[str, list[First]] = {}
    for trial in trials:
        for name in trial.states[0].answers["trained"]:
            right = [state.answers["trained"][name] for state in trial.states]
            epoch = next((n for n, counts in enumerate(right, start=1) if counts.right == counts.items), None)
            found.setdefault(name, []).append(First(epoch or len(right), epoch is not None))
    return found


def hazard_ratio(first: Mapping[str, Sequence[First]], upper: set[str], lower: set[str]) -> Estimate:
    """Hazard of the likely facts over that of the others; the interval resamples facts within each half."""
    import numpy as np

    random = np.random.default_rng(0)

    def hazard(names: Sequence[str]) -> float:
        own = [one for name in names for one in first[name]]
        return sum(one.recalled for one in own) / sum(one.epochs for one in own)

    def ratio(one: Sequence[str], other: Sequence[str]) -> float:
        below = hazard(other)
        return hazard(one) / below if below else float("inf")

    sides = [sorted(upper), sorted(lower)]
    if not all(hazard(side) for side in sides):
        return Estimate(value=None)
    drawn = [ratio(*(list(random.choice(side, len(side))) for side in sides)) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, stats.TAILS, method="nearest")
    return Estimate(value=ratio(*sides), low=float(low), high=float(high), n=min(map(len, sides)), method="bootstrap")


def _half(trial: Trial[Any], names: set[str]) -> dict[str, Any]:
    """Recall of some facts at the epoch that is compared."""
    return {name: counts for name, counts in trial.states[COMPARED - 1].answers["trained"].items() if name in names}


def _so_far(first: Sequence[First], epoch: int) -> float:
    return sum(one.recalled and one.epochs <= epoch for one in first) / len(first)


PAGE = Page(Path(__file__).resolve().parent, COMMAND, Trial[Cell], figures)
