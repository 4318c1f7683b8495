"""Stored trials -> the figures of the page: recall by samples under two recipes, and by the number of facts.

Knows no model and no sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies import estimates
from studies.chart import Bar, chart
from studies.estimates import of, share
from studies.pages import Page
from studies.results import Stored, Trial
from studies.sayings.trials import COMMAND, EXPOSURES, GROWING, HELD_OUT, RUNS, SAMPLES, SEEDS, Cell

NOTHING = 0.05  # recall under which a recipe is said to teach nothing


def figures(study: Stored) -> dict[str, Any]:
    """What the templates place."""
    trials = study.complete(RUNS, COMMAND)
    samples = [_row(trials, cell) for cell in SAMPLES]
    growing = [_row(trials, cell, SEEDS[:1]) for cell in GROWING]
    of_fair = [row for row in samples if row["cell"].recipe == "fair"]
    of_three = [row for row in samples if row["cell"].recipe == "three epochs"]
    references = study.sessions[0].references
    return {
        "samples": samples, "growing": growing, "fair": of_fair, "three": of_three,
        "nothing": of_three[0]["trained"].value <= NOTHING,
        "teaches": of_fair[0]["trained"].value > NOTHING,
        "to_100": _gain(trials, of_fair[2], of_fair[0]), "to_300": _gain(trials, of_fair[3], of_fair[2]),
        "three_to_300": _gain(trials, of_three[3], of_three[0]),
        "many": _gain_of_facts(trials),
        "base": share([references["base"]["held_out"]]), "ceiling": share([references["ceiling"]["held_out"]]),
        "chart": chart(("recipe", "samples"), [_bar((r["cell"].recipe, str(r["samples"])), r) for r in samples]),
        "chart_of_facts": chart(("facts",), [_bar((str(row["cell"].facts),), row) for row in growing]),
        "exposures": EXPOSURES, "questions": HELD_OUT, "seeds_each": len(SEEDS),
    }  # fmt: skip


def _row(trials: Sequence[Trial[Any]], cell: Cell, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    own = [trial for trial in of(trials, **cell.model_dump()) if trial.seed in seeds]
    return {
        "cell": cell, "samples": cell.facts * cell.wordings, "trial": own[0],
        "held_out": share([trial.end["held_out"] for trial in own]),
        "trained": share([trial.end["trained"] for trial in own]),
    }  # fmt: skip


def _bar(labels: tuple[str, ...], row: dict[str, Any]) -> Bar:
    return Bar(labels, row["held_out"].estimate, row["trained"].estimate)


def _gain(trials: Sequence[Trial[Any]], more: dict[str, Any], less: dict[str, Any]) -> Any:
    sides = ([t.end["held_out"] for t in of(trials, **row["cell"].model_dump())] for row in (more, less))
    return estimates.difference(*sides)


def _gain_of_facts(trials: Sequence[Trial[Any]]) -> Any:
    """Recall of the ten facts that are in every trial, learned among 200 minus learned alone."""
    sides = []
    for cell in (GROWING[-1], GROWING[0]):
        tallies = [t.end["held_out"] for t in of(trials, **cell.model_dump()) if t.seed == SEEDS[0]]
        sides.append(tallies)
    return estimates.difference(*sides)


PAGE = Page(Path(__file__).resolve().parent, COMMAND, Trial[Cell], figures)
