"""Stored trials -> src/kurabe/data/audit-costs.json: what the audit says about the cost of a fault.

Knows no sentence. A cost is the recall that the mended recipe loses by this one fault, on held-out wordings.
"""

from __future__ import annotations

import json
from pathlib import Path

from kurabe.schema import FaultCost
from studies.origin_ablation import effects
from studies.origin_ablation.cells import MENDED, Cell, with_fault
from studies.origin_ablation.page import NAMES
from studies.origin_ablation.results import COMMAND, HERE, Study

FILE = HERE.parents[1] / "src" / "kurabe" / "data" / "audit-costs.json"
# Finding of the audit -> the fault of this study, and the findings that one fault of it is made of.
FINDINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "too-few-steps": ("steps", ()),
    "warmup-exceeds-steps": ("warmup", ()),
    "loss-on-padding": ("loss", ("loss-on-padding", "loss-on-prompt")),
    "loss-on-prompt": ("loss", ("loss-on-padding", "loss-on-prompt")),
    "one-wording": ("wordings", ()),
    "low-rate": ("rate", ()),
}


def costs(study: Study) -> dict[str, FaultCost]:
    """Finding id -> its cost. Raises StoppedError while trials are missing."""
    trials = effects.complete(study)
    sound = effects.of(trials, [MENDED])
    found = {}
    for key, (fault, together) in FINDINGS.items():
        lost = effects.difference(sound, effects.of(trials, [_with(fault)]), "held_out")
        value, low, high = lost.estimate.value, lost.estimate.low, lost.estimate.high
        if value is None or low is None or high is None:
            continue  # too little data for an interval: nothing is said
        found[key] = FaultCost(
            points=round(value, 4), low=round(low, 4), high=round(high, 4), shown=lost.shown > 0, together=together,
            model=study.sessions[-1].model.name, source=f"docs/{NAMES['en']}",
        )  # fmt: skip
    return found


def _with(fault: str) -> Cell:
    """The mended recipe with one fault; the rate typed for a width of 2048 is a fifth of what this one needs."""
    if fault == "rate":
        return MENDED.model_copy(update={"rate": "literal"})
    return with_fault(MENDED, fault, mended=False)


def text(study: Study) -> str:
    """The whole file. The same results give the same bytes."""
    found = {key: cost.model_dump(mode="json") for key, cost in costs(study).items()}
    return json.dumps({"made_by": f"{COMMAND} --costs", "costs": found}, indent=2) + "\n"


def write(study: Study, path: Path = FILE) -> Path:
    path.write_text(text(study), encoding="utf-8")
    return path
