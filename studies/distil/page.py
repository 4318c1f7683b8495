"""Stored runs -> docs/distil.md and docs/distil.ja.md, the same figures in both languages.

Knows no model. The sentences stand in the two templates and follow the figures: a gain that was not shown is told so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kurabe import stats, texts
from kurabe.errors import StoppedError
from kurabe.schema import Estimate
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
        low, high = self.gains[measure].low, self.gains[measure].high
        return 0 if low is None or high is None else 1 if low > 0 else -1 if high < 0 else 0


def write(runs: Sequence[Run], folder: Path = DOCS) -> list[Path]:
    """Both pages, from a finished study."""
    paths = [folder / name for name in NAMES.values()]
    for language, path in zip(NAMES, paths, strict=True):
        path.write_text(page(runs, language), encoding="utf-8")
    return paths


def page(runs: Sequence[Run], language: str) -> str:
    """One page as text; raises `StoppedError` while runs are missing. The same results give the same bytes."""
    missing = left(runs)
    if missing:
        raise StoppedError(f"{len(missing)} of {len(RUNS)} runs are missing.", fix=COMMAND)
    rows = {exposures: [row(runs, recipe, exposures) for recipe in RECIPES] for exposures in EXPOSURES}
    environment = Environment(
        loader=FileSystemLoader(HERE, encoding="utf-8"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,  # Markdown of figures alone
    )  # fmt: skip
    environment.filters.update(share=share, gain=gain, seeds=seeds, seconds=texts.seconds, count=texts.count)
    return environment.get_template(f"page.{language}.md.jinja").render(
        command=COMMAND, last=runs[-1], seeds=len(SEEDS), rows=rows, measures=list(MEASURES),
        long={found.recipe: found for found in rows[EXPOSURES[-1]]}, exposures=EXPOSURES[-1],
        short={found.recipe: found for found in rows[EXPOSURES[0]]}, shorter=EXPOSURES[0],
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


def share(estimate: Estimate) -> str:
    """ "45 % (30–60 %)"."""
    span = texts.interval(estimate.low, estimate.high)
    return texts.percent(estimate.value) + (f" ({span})" if span else "")


def gain(estimate: Estimate | None) -> str:
    """ "+45 [+30, +55]", in points."""
    if estimate is None:
        return "–"
    low, high = estimate.low, estimate.high
    return _points(estimate.value) + ("" if low is None or high is None else f" [{_points(low)}, {_points(high)}]")


def seeds(values: Sequence[float]) -> str:
    """The single seeds: "44, 47, 45 %"."""
    return ", ".join(f"{value * 100:.0f}" for value in values) + " %"


def _points(value: float | None) -> str:
    """A difference in points; what rounds to nothing has no minus before it."""
    return texts.points(None if value is None else round(value, 2) + 0.0)
