"""Stored trials -> the figures of the page: recall and likelihood by rate, at each rank and at each batch size.

Knows no model and no sentence. The best rate is the one at which the expected answers to the held-out questions are
most likely: recall has many ties at 100 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kurabe.schema import Estimate
from studies import estimates
from studies.chart import Bar, chart
from studies.estimates import of, share
from studies.pages import Page
from studies.rates.trials import (
    BATCH,
    BATCHES,
    BY_BATCH,
    BY_RANK,
    COMMAND,
    EPOCHS,
    FACTS,
    HELD_OUT,
    RANK,
    RANKS,
    RUNS,
    SEEDS,
    WORDINGS,
    Cell,
)
from studies.results import Stored, Trial

STEP = 2.0  # the rates stand so far apart: what lies within one step is the same as far as this grid can tell


def figures(study: Stored) -> dict[str, Any]:
    """What the templates place."""
    trials = study.complete(RUNS, COMMAND)
    ranks = {rank: [_row(trials, cell) for cell in BY_RANK if cell.rank == rank] for rank in RANKS}
    batches = {batch: [_row(trials, cell) for cell in BY_BATCH if cell.batch == batch] for batch in BATCHES}
    best_rank = {rank: _best(rows) for rank, rows in ranks.items()}
    best_batch = {batch: _best(rows) for batch, rows in batches.items()}
    factors = [best["cell"].factor for best in best_rank.values()]
    usual = [_at(batches[batch], 1.0) for batch in (BATCHES[-1], BATCHES[0])]
    return {
        "ranks": ranks, "batches": batches, "best_rank": best_rank, "best_batch": best_batch,
        "independent": max(factors) <= STEP * min(factors), "spread": max(factors) / min(factors),
        "inside": all(rows[0]["cell"].factor < best_rank[rank]["cell"].factor < rows[-1]["cell"].factor
                      for rank, rows in ranks.items()),
        "at_usual": _gap(trials, *usual),
        "at_best": _gap(trials, best_batch[BATCHES[-1]], best_batch[BATCHES[0]]),
        "chart": chart(("rank", "rate x"), [_bar(r["cell"].rank, r) for rows in ranks.values() for r in rows]),
        "chart_of_batches": chart(("batch", "rate x"),
                                  [_bar(r["cell"].batch, r) for rows in batches.values() for r in rows]),
        "base": share([study.sessions[0].references["base"]["held_out"]]),
        "ceiling": share([study.sessions[0].references["ceiling"]["held_out"]]),
        "facts": FACTS, "wordings": WORDINGS, "epochs": EPOCHS, "questions": HELD_OUT, "seeds_each": len(SEEDS),
        "rank": RANK, "batch": BATCH, "small": BATCHES[0], "large": BATCHES[-1],
    }  # fmt: skip


def _row(trials: Sequence[Trial[Any]], cell: Cell) -> dict[str, Any]:
    own = of(trials, **cell.model_dump())
    return {
        "cell": cell, "trial": own[0],
        "held_out": share([trial.end["held_out"] for trial in own]),
        "trained": share([trial.end["trained"] for trial in own]),
        "likely": statistics.fmean(trial.likely for trial in own if trial.likely is not None),
    }  # fmt: skip


def _best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return max(rows, key=lambda row: row["likely"] if math.isfinite(row["likely"]) else -math.inf)


def _at(rows: Sequence[dict[str, Any]], factor: float) -> dict[str, Any]:
    return next(row for row in rows if row["cell"].factor == factor)


def _gap(trials: Sequence[Trial[Any]], one: dict[str, Any], other: dict[str, Any]) -> Estimate:
    sides = ([t.end["held_out"] for t in of(trials, **row["cell"].model_dump())] for row in (one, other))
    return estimates.difference(*sides)


def _bar(label: int, row: dict[str, Any]) -> Bar:
    return Bar((str(label), f"{row['cell'].factor:g}"), row["held_out"].estimate, row["trained"].estimate)


PAGE = Page(Path(__file__).resolve().parent, COMMAND, Trial[Cell], figures)
