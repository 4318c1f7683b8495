"""What a fault costs, where it was measured: `data/audit-costs.json`.

The file is written by `python -m studies.origin_ablation.costs`.
Knows no configuration. All of it was measured on the stand-in model and says so; a fault without a figure has no cost
here, which does not mean that it is harmless.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from kurabe.schema import FaultCost


@cache
def costs() -> dict[str, FaultCost]:
    """Finding id -> its measured cost."""
    text = resources.files("kurabe").joinpath("data/audit-costs.json").read_text(encoding="utf-8")
    return {key: FaultCost.model_validate(value) for key, value in json.loads(text)["costs"].items()}


def cost_of(key: str, values: Mapping[str, Any]) -> FaultCost | None:
    """The cost of a finding, where the setting is about the measured one. Loss on the prompt was measured together with
    loss on padding, never alone; and what 9 steps cost says little about 90."""
    cost = costs().get(key)
    if key == "loss-on-prompt" and not values.get("with_padding"):
        return None
    if key == "too-few-steps" and cost is not None and values.get("steps", 0) > 2 * cost.faulty:
        return None
    return cost
