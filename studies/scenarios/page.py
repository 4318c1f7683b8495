"""The figures of the page of scenarios: how often the right choice came out, family by family.

Knows no draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studies import scenarios
from studies.aa.page import STUDY as AA
from studies.coverage.page import STUDY as COVERAGE
from studies.scenarios import families, whole_runs
from studies.scenarios.cells import CELLS, SEED, Cell, Found, measure
from studies.simulation import Done, Simulation, Stored

FAMILIES: dict[str, families.Family | whole_runs.Family] = {**families.FAMILIES, **whole_runs.FAMILIES}


def right(done: Done) -> int:
    """Draws of a family whose choice was right."""
    return sum(count for choice, count in done.found.choices.items() if choice in FAMILIES[done.cell.family].right)


def values(stored: Stored) -> dict[str, Any]:
    """The figures of the page."""
    kinds = {kind: [done for done in stored.done if done.cell.kind == kind] for kind in ("simulated", "whole run")}
    untaught = [done for done in stored.done if not FAMILIES[done.cell.family].taught]
    return {
        "rows": {kind: [_row(done) for done in found] for kind, found in kinds.items()},
        "simulated": _share(kinds["simulated"]),
        "runs": _share(kinds["whole run"]),
        "untaught": {"families": len(untaught), "draws": sum(done.cell.draws for done in untaught),
                     "tuned": sum(done.found.choices.get("fine-tune", 0) for done in untaught)},
        "session_seed": SEED,
        "aa_page": AA.pages,
        "coverage_page": COVERAGE.pages,
        "worst": min(right(done) / done.cell.draws for done in kinds["simulated"]),
    }  # fmt: skip


def _row(done: Done) -> dict[str, Any]:
    family = FAMILIES[done.cell.family]
    found = sorted(done.found.choices.items(), key=lambda item: -item[1])
    return {
        "family": done.cell.family, "want": " / ".join(family.right), "right": right(done), "draws": done.cell.draws,
        "found": ", ".join(f"{choice} {count}" for choice, count in found), "taught": family.taught,
    }  # fmt: skip


def _share(cells: Sequence[Done]) -> dict[str, Any]:
    draws = sum(done.cell.draws for done in cells)
    return {"families": len(cells), "draws": draws, "right": sum(map(right, cells)) / draws}


STUDY = Simulation(
    name="scenarios", about=scenarios.__doc__ or "", cells=CELLS, measure=measure, cell_type=Cell, found_type=Found,
    values=values, page_name="scenarios", also=("*.py", "auditing/*.py"),  # some of its families are run whole
)  # fmt: skip
