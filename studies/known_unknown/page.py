"""Stored trials -> the figures of the page: fit by epoch, what is kept, and Gekhman's regression on our points.

Knows no model and no sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kurabe import stats
from kurabe.schema import Estimate
from studies import estimates
from studies.chart import Bar, chart
from studies.estimates import of, ratio, share
from studies.known_unknown.trials import ASKED_AFTER, COMMAND, EPOCHS, ROWS, RUNS, SEEDS, UNKNOWN, Cell
from studies.pages import Page
from studies.results import State, Stored, Tally, Trial

RESAMPLES = 2000
EARLY = 3  # the epoch at which both kinds are compared


class Regression(NamedTuple):
    """retention = constant + known x (fitted known rows / all rows) + unknown x (fitted unknown rows / all rows)."""

    constant: float
    known: Estimate
    unknown: Estimate
    r2: float | None


def figures(study: Stored) -> dict[str, Any]:
    """What the templates place."""
    trials = study.complete(RUNS, COMMAND)
    mixed = of(trials, unknown=UNKNOWN[len(UNKNOWN) // 2])
    known, unknown = (_at(mixed, probe, EARLY) for probe in ("known", "unknown"))
    ends: list[dict[str, Any]] = [
        {"unknown": count, "trial": own[0], "retention": share([t.end["retention"] for t in own]),
         "best": _best(own), "fit": share([_both(t) for t in own])}
        for count, own in ((count, of(trials, unknown=count)) for count in UNKNOWN)
    ]  # fmt: skip
    line = regression(trials)
    curve = [_row(mixed, epoch) for epoch in ASKED_AFTER]
    general = study.sessions[0].references["base"]["general"]
    return {
        "curve": curve, "dip": min(curve, key=lambda row: row["retention"].value), "few": ROWS - UNKNOWN[-2],
        "jump": estimates.difference(*([t.end["retention"] for t in of(trials, unknown=count)]
                                       for count in (UNKNOWN[-1], UNKNOWN[-2]))),
        "ends": ends, "line": line,
        "early": EARLY, "known": share(known), "unknown": share(unknown),
        "ahead": estimates.unpaired(known, unknown),
        "lost": estimates.difference(*([t.end["retention"] for t in of(trials, unknown=count)]
                                       for count in (UNKNOWN[-1], UNKNOWN[0]))),
        "chart": chart(("unknown rows",), [Bar((str(row["unknown"]),), row["retention"].estimate) for row in ends]),
        "rows": ROWS, "epochs": EPOCHS, "tested": len(trials[0].end["retention"]), "trials": len(trials),
        "general": share([general]), "by_heart": sum(one.right for one in general.values()),
        "before": share([study.sessions[0].references["base"]["unknown"]]), "seeds_each": len(SEEDS),
    }  # fmt: skip


def regression(trials: Sequence[Trial[Any]]) -> Regression:
    """Least squares over every state of every trial; the intervals resample whole trials."""
    import numpy as np

    points = [np.array([_point(state) for state in trial.states]) for trial in trials]

    def fitted(some: Sequence[Any]) -> Any:
        every = np.concatenate(some)
        return np.linalg.lstsq(every[:, :3], every[:, 3], rcond=None)[0]

    found = fitted(points)
    every = np.concatenate(points)
    rest = ((every[:, 3] - every[:, :3] @ found) ** 2).sum()
    spread = ((every[:, 3] - every[:, 3].mean()) ** 2).sum()
    random = np.random.default_rng(0)
    drawn = np.array([fitted([points[i] for i in random.integers(len(points), size=len(points))])
                      for _ in range(RESAMPLES)])  # fmt: skip
    low, high = np.quantile(drawn, stats.TAILS, axis=0)
    known, unknown = (
        Estimate(value=float(found[k]), low=float(low[k]), high=float(high[k]), n=len(points), method="bootstrap")
        for k in (1, 2)
    )
    return Regression(float(found[0]), known, unknown, float(1 - rest / spread) if spread else None)


def _point(state: State) -> tuple[float, float, float, float]:
    """One, both shares that are fitted, and what is kept."""
    fit = [_fitted(state.answers.get(probe)) for probe in ("known", "unknown")]
    return 1.0, fit[0], fit[1], ratio(state.answers["retention"])


def _fitted(tally: Tally | None) -> float:
    """Rows whose values all came out right, as a share of all training rows."""
    return sum(c.right == c.items for c in (tally or {}).values()) / ROWS


def _at(trials: Sequence[Trial[Any]], probe: str, epoch: int) -> list[Tally]:
    return [s.answers[probe] for t in trials for s in t.states if round(s.epochs) == epoch]


def _row(trials: Sequence[Trial[Any]], epoch: int) -> dict[str, Any]:
    return {"epoch": epoch} | {probe: share(_at(trials, probe, epoch)) for probe in ("known", "unknown", "retention")}


def _best(trials: Sequence[Trial[Any]]) -> dict[str, Any]:
    """The epoch at which most was kept: where it would have been right to stop."""
    rows = [{"epoch": epoch, "retention": share(_at(trials, "retention", epoch))} for epoch in ASKED_AFTER]
    return max(rows, key=lambda row: row["retention"].value)


def _both(trial: Trial[Any]) -> Tally:
    """All training rows, known and unknown."""
    return trial.end.get("known", {}) | trial.end.get("unknown", {})


PAGE = Page(Path(__file__).resolve().parent, COMMAND, Trial[Cell], figures)
