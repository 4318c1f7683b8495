"""Stored trials -> the figures of the page: recall by entries and rank, entries held, and bits per adapter parameter.

Knows no model and no sentence. What an adapter holds is estimated as recall x entries: a floor, because an entry that
is not said right may be stored in part.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies.capacity.trials import ASKED, ASKED_AFTER, BITS, COMMAND, DIGITS, EPOCHS, KEYS, RANKS, RUNS, Cell
from studies.chart import Bar, chart
from studies.estimates import of, share, unpaired
from studies.pages import Page
from studies.results import Stored, Trial

HALF = 0.5


def figures(study: Stored) -> dict[str, Any]:
    """What the templates place."""
    trials = study.complete(RUNS, COMMAND)
    rows = [_row(trials, keys, rank) for keys in KEYS for rank in RANKS]
    by_rank = {rank: [row for row in rows if row["rank"] == rank] for rank in RANKS}
    held = {rank: max(row["held"] for row in own) for rank, own in by_rank.items()}
    cliffs = {rank: _cliff(own) for rank, own in by_rank.items()}
    most = [[t.end["trained"] for t in of(trials, keys=KEYS[-1], rank=rank)] for rank in (RANKS[-1], RANKS[0])]
    return {
        "rows": rows, "by_rank": by_rank, "held": held, "cliffs": cliffs,
        "right": _moves_right([cliffs[rank] for rank in RANKS]),
        "wider": unpaired(*most),
        "best": max(rows, key=lambda row: row["bits"]),
        "chart": chart(("entries", "rank"), [Bar((str(r["entries"]), str(r["rank"])), r["recall"].estimate)
                                             for r in rows]),
        "before": share([study.sessions[0].references["base"]["trained"]]),
        "epochs": EPOCHS, "asked": ASKED, "digits": DIGITS, "bits": BITS, "after": ASKED_AFTER[:-1],
    }  # fmt: skip


def _row(trials: Sequence[Trial[Any]], keys: int, rank: int) -> dict[str, Any]:
    trial = of(trials, keys=keys, rank=rank)[0]
    recall = share([trial.end["trained"]])
    held = recall.value * keys
    on_the_way = [share([state.answers["trained"]]) for state in trial.states[:-1]]
    return {
        "entries": keys, "rank": rank, "trial": trial, "recall": recall, "way": on_the_way, "held": held,
        "bits": held * BITS / trial.trainable,
    }  # fmt: skip


def _cliff(rows: Sequence[dict[str, Any]]) -> int | None:
    """The first number of entries of which less than half is recalled, after one of which at least half was."""
    for before, row in itertools.pairwise(rows):
        if before["recall"].value >= HALF > row["recall"].value:
            return int(row["entries"])
    return None


def _moves_right(cliffs: Sequence[int | None]) -> bool:
    """Whether a larger rank's cliff never comes earlier, and the largest rank's later than the smallest's, or never."""
    far = [float("inf") if cliff is None else cliff for cliff in cliffs]
    return far == sorted(far) and far[0] < far[-1]


PAGE = Page(Path(__file__).resolve().parent, COMMAND, Trial[Cell], figures)
