"""Stored trials -> src/kurabe/data/audit-costs.json: what the audit says about the cost of a fault.

Knows no sentence. A cost is the recall that the mended recipe loses by this one fault, on held-out wordings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from kurabe.recipes import RECIPES
from kurabe.schema import FaultCost
from studies.origin_ablation import effects, results
from studies.origin_ablation.cells import FAULTS, MENDED, Cell, with_fault
from studies.origin_ablation.page import NAMES
from studies.origin_ablation.results import COMMAND, HERE, Study, Trial

Fault = Literal["steps", "warmup", "loss", "wordings", "rate"]
FILE = HERE.parents[1] / "src" / "kurabe" / "data" / "audit-costs.json"
# Finding of the audit -> the fault of this study that it is, or is a part of: the two losses were put back at once.
FINDINGS: dict[str, Fault] = {
    "too-few-steps": "steps", "warmup-exceeds-steps": "warmup", "loss-on-padding": "loss", "loss-on-prompt": "loss",
    "one-wording": "wordings", "low-rate": "rate",
}  # fmt: skip


def costs(study: Study) -> dict[str, FaultCost]:
    """Finding id -> its cost. Raises StoppedError while trials are missing."""
    trials = effects.complete(study)
    sound = effects.of(trials, [MENDED])
    found = {}
    for key, fault in FINDINGS.items():
        faulty = effects.of(trials, [_with(fault)])
        lost = effects.difference(sound, faulty, "held_out")
        value, low, high = lost.estimate.value, lost.estimate.low, lost.estimate.high
        if value is None or low is None or high is None:
            continue  # too little data for an interval: nothing is said
        values = _values(fault, sound, faulty)
        found[key] = FaultCost(
            points=round(value, 4), low=round(low, 4), high=round(high, 4), shown=lost.shown > 0,
            fault=fault, faulty=values.origin, mended=values.mended,
            model=study.sessions[-1].model.name, source=f"docs/{NAMES['en']}",
        )  # fmt: skip
    return found


class Values(NamedTuple):
    """What the fault is, and what mends it, in numbers."""

    origin: float
    mended: float


def _values(fault: Fault, sound: Sequence[Trial], faulty: Sequence[Trial]) -> Values:
    """Steps, steps and percent of warm-up, positions that rows are padded to and 0 for none, wordings, rates."""
    if fault == "rate":
        return Values(float(f"{faulty[0].rate:.3g}"), float(f"{sound[0].rate:.3g}"))
    if fault == "loss":
        return Values(RECIPES["origin"].pad_to or 0, 0)
    origin, mended = (float(str(value).split()[0]) for value in FAULTS[fault])
    return Values(origin, mended)


def _with(fault: Fault) -> Cell:
    """The mended recipe with one fault; the rate typed for a width of 2048 is a fifth of what this one needs."""
    if fault == "rate":
        return MENDED.model_copy(update={"rate": "literal"})
    return with_fault(MENDED, fault, mended=False)


def text(study: Study) -> str:
    """The whole file. The same results give the same bytes."""
    found = {key: cost.model_dump(mode="json") for key, cost in costs(study).items()}
    return json.dumps({"made_by": f"{COMMAND}.costs", "costs": found}, indent=2) + "\n"


def write(study: Study, path: Path = FILE) -> Path:
    path.write_text(text(study), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write(results.read(results.FILE)))
