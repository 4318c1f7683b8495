"""Stored runs -> docs/distil.md and docs/distil.ja.md, the same figures in both languages.

Knows no model. The sentences stand in the two templates and follow the figures: a gain that was not shown is told so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from kurabe import stats
from kurabe.errors import StoppedError
from kurabe.schema import Estimate
from studies import estimates, pages
from studies.distil.results import COMMAND, EXPOSURES, HERE, RECIPES, RUNS, SEEDS, Counts, Run, Trial, clusters, left

DOCS = HERE.parents[1] / "docs"
NAMES = {"en": "distil.md", "ja": "distil.ja.md"}
MEASURES: dict[str, Callable[[Trial], Counts]] = {
    "held_out": lambda trial: trial.held_out,
    "trained": lambda trial: trial.trained,
    "general": lambda trial: trial.general,
    "reading": lambda trial: trial.reading,
}


class Row(NamedTuple):
    """One recipe at one length, all seeds together."""

    recipe: str
    exposures: int
    steps: int
    positions: float
    seconds: float
    shares: dict[str, Estimate]
    by_seed: dict[str, tuple[float, ...]]
    gains: dict[str, Estimate]  # minus `fair` at the same length, paired; empty for `fair`

    def shown(self, measure: str) -> int:
        """1: more than `fair`, -1: less, 0: neither was shown."""
        return estimates.shown(self.gains[measure])


def write(runs: Sequence[Run], folder: Path = DOCS) -> list[Path]:
    """Both pages, from a finished study."""
    return pages.store(folder, NAMES, lambda language: page(runs, language))


def page(runs: Sequence[Run], language: str) -> str:
    """One page as text; raises `StoppedError` while runs are missing. The same results give the same bytes."""
    missing = left(runs)
    if missing:
        raise StoppedError(f"{len(missing)} of {len(RUNS)} runs are missing.", fix=COMMAND)
    rows = {exposures: [row(runs, recipe, exposures) for recipe in RECIPES] for exposures in EXPOSURES}
    return pages.environment(HERE).get_template(f"page.{language}.md.jinja").render(
        command=COMMAND, last=runs[-1], seeds=len(SEEDS), rows=rows, measures=list(MEASURES),
        long={found.recipe: found for found in rows[EXPOSURES[-1]]}, exposures=EXPOSURES[-1],
        shorter=EXPOSURES[0],
        base=stats.share(clusters(runs[-1].base)), ceiling=stats.share(clusters(runs[-1].ceiling)),
        teacher=stats.share(clusters(runs[-1].teacher)), seconds=sum(run.seconds for run in runs),
    )  # fmt: skip


def row(runs: Sequence[Run], recipe: str, exposures: int) -> Row:
    """A recipe's figures beside those of `fair` at the same length."""
    own, fair = _trials(runs, recipe, exposures), _trials(runs, "fair", exposures)
    found = {name: [_counts(name, seed, trial) for seed, trial in own] for name in MEASURES}
    other = {name: [_counts(name, seed, trial) for seed, trial in fair] for name in MEASURES}
    return Row(
        recipe, exposures, own[0][1].steps, statistics.fmean(trial.positions for _, trial in own),
        statistics.fmean(trial.seconds for _, trial in own),
        shares={name: stats.pooled(mine) for name, mine in found.items()},
        by_seed={name: tuple(stats.share(one).value or 0.0 for one in mine) for name, mine in found.items()},
        gains={
            name: stats.difference(stats.merged(mine), stats.merged(other[name]))
            for name, mine in found.items()
            if recipe != "fair"
        },
    )  # fmt: skip


def _trials(runs: Sequence[Run], recipe: str, exposures: int) -> list[tuple[int, Trial]]:
    ordered = sorted((run for run in runs if run.exposures == exposures), key=lambda run: run.seed)
    return [(run.seed, next(trial for trial in run.trials if trial.recipe == recipe)) for run in ordered]


def _counts(name: str, seed: int, trial: Trial) -> dict[str, stats.Cluster]:
    """Clusters of one measure. Each seed invents shops of its own, under the same names."""
    found = clusters(MEASURES[name](trial))
    return {f"{seed}/{shop}": cluster for shop, cluster in found.items()} if name == "reading" else found
