"""The figures of the coverage page: on average, in the worst cell, and by size.

Knows no draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scipy import stats as distributions

from studies import coverage
from studies.coverage.cells import CELLS, DRAWS, SIZES, Cell, Found, measure
from studies.simulation import Done, Simulation, Stored

KINDS = ("share", "difference", "seeds")


def held(cells: Sequence[Done]) -> float:
    """The share of intervals that held the truth."""
    kept: int = sum(done.found.held for done in cells)
    draws: int = sum(done.cell.draws for done in cells)
    return kept / draws


def values(stored: Stored) -> dict[str, Any]:
    """The figures of the page."""
    by_kind = {kind: [done for done in stored.done if done.cell.kind == kind] for kind in KINDS}
    sizes = [
        {"examples": n, **{kind: _summary([done for done in by_kind[kind] if done.cell.examples == n])
                           for kind in ("share", "difference")}}
        for n in SIZES
    ]  # fmt: skip
    return {
        "kinds": {kind: _summary(done) for kind, done in by_kind.items()},
        "sizes": sizes,
        "whole": _summary(stored.done),
        "draws": DRAWS,
        "usual": [k / DRAWS for k in distributions.binom.interval(0.95, DRAWS, 0.95)],
        "lowest": sorted(stored.done, key=lambda done: held([done]))[:8],
        "held": held,
    }


def _summary(cells: Sequence[Done]) -> dict[str, Any]:
    worst = min(cells, key=lambda done: held([done]))
    return {
        "cells": len(cells),
        "held": held(cells),
        "worst": held([worst]),
        "under": sum(done.found.below for done in cells) / sum(done.cell.draws for done in cells),
        "width": sum(done.found.width for done in cells) / len(cells),
    }


STUDY = Simulation(
    name="coverage", about=coverage.__doc__ or "", cells=CELLS, measure=measure, cell_type=Cell, found_type=Found,
    values=values, page_name="coverage",
)  # fmt: skip
