"""The figures of the A/A page: shares of false verdicts, of intervals and of row tests that claim a difference.

Knows no draw.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from scipy import stats as distributions

from studies import aa
from studies.aa.cells import CELLS, CLAIMS, Cell, Found, measure
from studies.simulation import Done, Simulation, Stored


def false_verdicts(cells: Sequence[Done]) -> float:
    """The share of claims in these cells."""
    claims: int = sum(done.found.choices.get(name, 0) for done in cells for name in CLAIMS)
    draws: int = sum(done.cell.draws for done in cells)
    return claims / draws


def values(stored: Stored) -> dict[str, Any]:
    """The figures of the page, by group and by size."""
    groups = {name: [done for done in stored.done if done.cell.group == name] for name in ("grid", "all arms")}
    grid, published = groups["grid"], next(done for done in stored.done if done.cell.group == "published")
    rows = [
        {"examples": n, "agreement": agreement, **_rates([
            done for done in grid if (done.cell.examples, done.cell.agreement) == (n, agreement)
        ])}
        for n, agreement in itertools.product(
            sorted({done.cell.examples for done in grid}), sorted({done.cell.agreement for done in grid})
        )
    ]  # fmt: skip
    return {
        "grid": _rates(grid),
        "rows": rows,
        "pooled": len(grid) // len(rows),
        "usual": [k / rows[0]["draws"] for k in distributions.binom.interval(0.95, rows[0]["draws"], 0.05)],
        "published": _rates([published]),
        "cell": published.cell,
        "all_arms": [{"examples": done.cell.examples, **_rates([done]), "choices": done.found.choices}
                     for done in groups["all arms"]],
        "together": _rates(groups["all arms"]),
        "experiments": sum(done.cell.draws for done in stored.done),
    }  # fmt: skip


def _rates(cells: Sequence[Done]) -> dict[str, Any]:
    draws = sum(done.cell.draws for done in cells)
    return {
        "draws": draws,
        "false": false_verdicts(cells),
        "excluded": sum(done.found.excluded for done in cells) / draws,
        "by_rows": sum(done.found.by_rows for done in cells) / draws,
        **{name.replace("-", "_").replace(", ", "_"): sum(done.found.choices.get(name, 0) for done in cells) / draws
           for name in CLAIMS},
    }  # fmt: skip


STUDY = Simulation(
    name="aa", about=aa.__doc__ or "", cells=CELLS, measure=measure, cell_type=Cell, found_type=Found,
    values=values, page_name="aa",
)  # fmt: skip
