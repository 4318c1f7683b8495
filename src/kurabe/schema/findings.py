"""What the audit finds, and what it costs."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field

from kurabe.schema.base import Record

Level: TypeAlias = Literal["refuse", "warn", "info"]


class FaultCost(Record):
    """What one fault costs in recall on held-out wordings: a sound recipe minus the same with the fault put back."""

    points: float
    low: float
    high: float
    shown: bool  # whether the interval leaves out 0
    fault: Literal["steps", "warmup", "loss", "wordings", "rate"]  # what was put back, and its two values
    faulty: float = Field(gt=0)
    mended: float
    model: str  # what it was measured on
    source: str


class Finding(Record):
    """One thing the audit found; `id` is stable, `values` fill its sentence (`form` picks one of several)."""

    id: str
    level: Level
    recipe: str  # the recipe, or the library of somebody else's configuration
    values: dict[str, Any]
    repaired: dict[str, Any] = {}  # setting -> the value that mends it, in the words of that configuration
    where: str = ""  # the line, or the library whose default it is
    cost: FaultCost | None = None
