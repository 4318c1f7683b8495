"""Stored trials -> the figures of the page: both directions, by what was trained.

Knows no model and no sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studies import estimates
from studies.chart import Bar, chart
from studies.estimates import of, share
from studies.pages import Page
from studies.results import Stored, Trial
from studies.reversal.trials import COMMAND, EPOCHS, PAIRS, RUNS, SEEDS, TRAINED, Cell, pairs


def figures(study: Stored) -> dict[str, Any]:
    """What the templates place."""
    trials = study.complete(RUNS, COMMAND)
    rows: dict[str, dict[str, Any]] = {
        way: {probe: share([t.end[probe] for t in of(trials, trained=way)]) for probe in ("forward", "reverse")}
        | {"trial": of(trials, trained=way)[0]}
        for way in ("forward", "reverse", "both")
    }
    forward = of(trials, trained="forward")
    base = study.sessions[0].references["base"]
    return {
        "rows": rows,
        "gap": estimates.difference([t.end["forward"] for t in forward], [t.end["reverse"] for t in forward]),
        "back": estimates.difference(
            [t.end["reverse"] for t in of(trials, trained="reverse")],
            [t.end["forward"] for t in of(trials, trained="reverse")],
        ),
        "base": {probe: share([tally]) for probe, tally in base.items()},
        "chance": 1 / PAIRS, "pairs": PAIRS, "exposures": EPOCHS * TRAINED, "seeds_each": len(SEEDS),
        "chart": chart(
            ("trained", "asked"),
            [Bar((way, probe), row[probe].estimate) for way, row in rows.items() for probe in ("forward", "reverse")],
        ),
        "example": pairs()[0],
    }  # fmt: skip


PAGE = Page(Path(__file__).resolve().parent, COMMAND, Trial[Cell], figures)
