"""Stored trials -> docs/origin-ablation.md and docs/origin-ablation.ja.md, the same figures in both languages.

Knows no model. The sentences stand in the two templates and follow the figures: a cost that was not shown is told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kurabe import intake
from kurabe.report.markdown import inert
from kurabe.schema import Estimate
from kurabe.settings import RunSettings
from studies import pages
from studies.chart import Bar, chart
from studies.origin_ablation import cells, effects
from studies.origin_ablation.cells import FAULTS, GRID, MENDED, ORIGIN, RATES, SEEDS, Cell
from studies.origin_ablation.measure import DATA
from studies.origin_ablation.results import COMMAND, HERE, Study, Trial

DOCS = HERE.parents[1] / "docs"
NAMES = {"en": "origin-ablation.md", "ja": "origin-ablation.ja.md"}
PROBES = ("held_out", "trained")
HEAD = ("steps", "warm-up", "loss", "wordings")  # of the chart, in both languages


def write(study: Study, folder: Path = DOCS) -> list[Path]:
    """Both pages, from a finished study."""
    return pages.store(folder, NAMES, lambda language: page(study, language))


def page(study: Study, language: str) -> str:
    """One page as text. The same results give the same bytes."""
    trials = effects.complete(study)
    rows = _rows(trials)
    return pages.environment(HERE, cost=cost).get_template(f"page.{language}.md.jinja").render(
        command=COMMAND,
        study=study,
        seeds=len(SEEDS),
        probes=PROBES,
        effects={probe: effects.effects(trials, probe) for probe in PROBES},
        origin=_row(trials, ORIGIN),
        mended=_row(trials, MENDED),
        references={
            arm: {probe: effects.reference(tallies) for probe, tallies in probes.items()}
            for arm, probes in study.sessions[-1].references.items()
        },
        rows=rows,
        short=_ranked(rows, int(FAULTS["steps"].origin)),
        long=_ranked(rows, int(FAULTS["steps"].mended)),
        chart=chart(HEAD, [_bar(row) for row in rows]),
        rates=[_row(trials, cell) for cell in _by_rate()],
        schedules=[_row(trials, Cell(steps=steps, warmup=warmup, loss="answers", wordings=10))
                   for steps in (9, 150) for warmup in ("10 steps", "5 %")],
        seen={(row["cell"].steps, row["cell"].wordings): row["trial"].rows for row in rows},
        answers=_answers(trials),
        seconds=_seconds(trials),
    )  # fmt: skip


# --- what the templates place ----------------------------------------------------------------------------------------


def _row(trials: Sequence[Trial], cell: Cell) -> dict[str, Any]:
    own = effects.of(trials, [cell])
    return {"cell": cell, "trial": own[0]} | {probe: effects.recall(own, probe) for probe in PROBES}


def _rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The cells of the grid, best first; equal ones in the grid's order."""
    rows = [_row(trials, cell) for cell in GRID]
    return sorted(rows, key=lambda row: [-(row[probe].estimate.value or 0.0) for probe in PROBES])


def _ranked(rows: Sequence[dict[str, Any]], steps: int) -> list[Estimate]:
    """Held-out recall of the cells with so many steps, in the order of the rows."""
    return [row["held_out"].estimate for row in rows if row["cell"].steps == steps]


def _bar(row: dict[str, Any]) -> Bar:
    labels = tuple(str(getattr(row["cell"], name)) for name in FAULTS)
    return Bar(labels, row["held_out"].estimate, row["trained"].estimate)


def _by_rate() -> list[Cell]:
    """Both ends of the grid at all rates, the smallest first (at a width under 2048 the literal one is)."""
    order = ("literal", "half", "scaled", "twice")
    return sorted((ORIGIN, MENDED, *RATES), key=lambda cell: (cell.steps, order.index(cell.rate)))


def _answers(trials: Sequence[Trial]) -> dict[str, str]:
    """One question as it was answered, by the first seed; inert, for a model wrote it."""
    _, examples = intake.read(DATA, RunSettings())
    said = {
        name: effects.of(trials, [cell])[0].said
        for name, cell in (
            ("origin", ORIGIN),
            *((name, cells.with_fault(MENDED, name, mended=False)) for name in FAULTS),
            ("mended", MENDED),
        )
    }
    texts_of = {"question": examples[0].texts("held_out")[0], "expected": examples[0].answer, **said}
    return {name: inert(text) or "–" for name, text in texts_of.items()}


def _seconds(trials: Sequence[Trial]) -> dict[str, float]:
    """Training and answering of the grid's 48 trials, and of all."""

    def total(some: Sequence[Trial]) -> float:
        return sum(trial.train_seconds + trial.answer_seconds for trial in some)

    return {"grid": total(effects.of(trials, GRID)), "all": total(trials)}


# --- numbers ---------------------------------------------------------------------------------------------------------


def cost(found: effects.Difference | None) -> str:
    """ "+45 [+30, +55]", in points."""
    return pages.cost(None if found is None else found.estimate)
