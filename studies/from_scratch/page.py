"""Stored trials -> the figures of the page: what is known by heart, and what can be asked for, by wordings.

Knows no model and no sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studies import estimates
from studies.chart import Bar, chart
from studies.estimates import of, share
from studies.from_scratch.people import ATTRIBUTES, PEOPLE, chance, people
from studies.from_scratch.trials import COMMAND, EXPOSURES, RUNS, SEEDS, WORDINGS, Cell
from studies.pages import Page
from studies.results import Stored, Trial

NEAR_CHANCE = 3.0  # times chance: below, a value cannot be asked for


def figures(study: Stored) -> dict[str, Any]:
    """What the templates place."""
    trials = study.complete(RUNS, COMMAND)
    rows: dict[int, dict[str, Any]] = {
        count: {probe: share([t.end[probe] for t in of(trials, wordings=count)]) for probe in trials[0].end}
        | {"trial": of(trials, wordings=count)[0]}
        for count in WORDINGS
    }
    steps = [
        {"steps": state.steps, "wordings": count, "trial": of(trials, wordings=count)[0]}
        | {probe: share([t.states[n].answers[probe] for t in of(trials, wordings=count)])
           for probe in ("learned", "extracted")}
        for n, state in enumerate(trials[0].states) for count in WORDINGS
    ]  # fmt: skip
    one, several = (rows[count] for count in WORDINGS)
    by_chance = chance(people())
    return {
        "one": one, "several": several, "steps": steps, "chance": by_chance,
        "gap": estimates.difference(*([t.end["extracted"] for t in of(trials, wordings=count)]
                                      for count in reversed(WORDINGS))),
        "by_heart": min(row["text"].value for row in rows.values()) >= 0.9,
        "stuck": one["extracted"].value <= NEAR_CHANCE * by_chance,
        "chart": chart(("wordings",), [Bar((str(count),), row["extracted"].estimate, row["learned"].estimate)
                                       for count, row in rows.items()]),
        "people": PEOPLE, "attributes": len(ATTRIBUTES), "exposures": EXPOSURES, "seeds_each": len(SEEDS),
        "wordings": WORDINGS[1],
    }  # fmt: skip


PAGE = Page(Path(__file__).resolve().parent, COMMAND, Trial[Cell], figures)
