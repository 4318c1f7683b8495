"""The schedule that makes kurabe-tiny: which mix of dialogues up to which step, and the rates.

It knows nothing about how a step is made.
"""

from __future__ import annotations

from models.tiny.corpus import Mix
from models.tiny.train import Phase, Plan

PLAN = Plan(
    seed=1,
    phases=(
        Phase("copying", 400, Mix(rows=((1, 1, 0.3), (2, 4, 0.5), (5, 8, 0.2)), copying=0.5), batch_tokens=4096),
        Phase("short", 1000, Mix(rows=((1, 1, 0.15), (2, 4, 0.45), (5, 8, 0.4)), copying=0.1, japanese=0.25)),
        Phase(
            "full",
            4600,
            Mix(rows=((1, 1, 0.08), (2, 5, 0.2), (6, 12, 0.57), (13, 20, 0.15)), japanese=0.25),
            decay_steps=1600,
        ),
    ),
)
