"""The schedule that makes kurabe-tiny: which mix of dialogues up to which step, and the rates.

It knows nothing about how a step is made.
"""

from __future__ import annotations

from dataclasses import replace

from models.tiny.corpus import Mix
from models.tiny.train import Phase, Plan

_FULL = Mix(rows=((1, 1, 0.08), (2, 5, 0.2), (6, 12, 0.57), (13, 20, 0.15)), japanese=0.25)
_MANY = replace(_FULL, rows=((1, 1, 0.06), (2, 5, 0.18), (6, 12, 0.58), (13, 20, 0.18)), declined=(20, 40, 25, 15))
_WIDE = replace(_MANY, japanese=0.32, copying=0.03, wide=True)

PLAN = Plan(
    seed=1,
    phases=(
        Phase("copying", 400, Mix(rows=((1, 1, 0.3), (2, 4, 0.5), (5, 8, 0.2)), copying=0.5), batch_tokens=4096),
        Phase("short", 1000, Mix(rows=((1, 1, 0.15), (2, 4, 0.45), (5, 8, 0.4)), copying=0.1, japanese=0.25)),
        Phase("full", 4600, _FULL, decay_steps=1600),
        # The rate starts anew where it had fallen; then the second set of wordings joins in.
        Phase("again", 5420, _MANY, rate=0.8),
        Phase("wide", 9200, _WIDE, rate=0.8, decay_steps=2000, share=0.2),
        # Many more forms of answers: a row is to be found by its subject and not by how its answer begins. It restarts
        # because only the weights of step 9,200 had been kept, in bf16, and not the optimisers' state.
        Phase("told", 10200, replace(_WIDE, told=True), rate=0.5, decay_steps=800, restart=True, share=0.4),
        Phase("settled", 11600, replace(_WIDE, told=True), rate=0.4, decay_steps=1200, share=0.4),
    ),
)
