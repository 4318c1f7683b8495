"""Stored trials -> the figures of the page: recall by the number of wordings, and the line through them.

Knows no model and no sentence.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from studies import estimates
from studies.chart import Bar, chart
from studies.estimates import of, share
from studies.pages import Page
from studies.results import Stored, Trial
from studies.wordings.trials import COMMAND, EXPOSURES, FACTS, HELD_OUT, RUNS, WORDINGS, Cell

STRAIGHT = 0.8  # share of the variance that a line must explain to be called one


def figures(study: Stored) -> dict[str, Any]:
    """What the templates place."""
    trials = study.complete(RUNS, COMMAND)
    by_count = {count: of(trials, wordings=count) for count in WORDINGS}
    rows: list[dict[str, Any]] = [
        {
            "wordings": count,
            "trial": own[0],
            "held_out": share([trial.end["held_out"] for trial in own]),
            "trained": share([trial.end["trained"] for trial in own]),
        }
        for count, own in by_count.items()
    ]
    held_out = {count: [trial.end["held_out"] for trial in own] for count, own in by_count.items()}
    line = estimates.slope({math.log2(count): tallies for count, tallies in held_out.items()})
    references = study.sessions[0].references
    return {
        "rows": rows, "line": line, "straight": (line.r2 or 0.0) >= STRAIGHT,
        "gain": estimates.difference(held_out[WORDINGS[-1]], held_out[1]),
        "late": estimates.difference(held_out[WORDINGS[-1]], held_out[5]),
        "base": share([references["base"]["held_out"]]), "ceiling": share([references["ceiling"]["held_out"]]),
        "chart": chart(("wordings",), [Bar((str(r["wordings"]),), r["held_out"].estimate, r["trained"].estimate)
                                       for r in rows]),
        "exposures": EXPOSURES, "facts": FACTS, "questions": HELD_OUT,
    }  # fmt: skip


PAGE = Page(Path(__file__).resolve().parent, COMMAND, Trial[Cell], figures)
