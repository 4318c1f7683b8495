"""Optimizer steps and the sum of the rates, by the trainers' own arithmetic, as far as they can be known.

Knows no judgement. Where the number of rows is only bounded from above, so are the steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from kurabe.auditing.configured import Configured, Rows

_STEPS_SUMMED = 1_000_000  # a longer schedule is summed in a million pieces


class Schedule(NamedTuple):
    """What a training comes to. `full`: the sum of the rates, in steps at the full rate; None where a part is unknown.

    `bound`: the steps are at most this many.
    """

    steps: int
    bound: bool
    warmup: int | None
    full: float | None


def schedule(c: Configured, rows: Rows | None) -> Schedule | None:
    """None where neither the steps nor what they follow from is known."""
    counted = _steps(c, rows)
    if counted is None:
        return None
    steps, bound = counted
    warmup = warmup_steps(c, steps)
    full = None if bound or warmup is None else _full_steps(steps, warmup, c.schedule)
    return Schedule(steps, bound, warmup, full)


def _steps(c: Configured, rows: Rows | None) -> tuple[int, bool] | None:
    """transformers' `Trainer`: batches per epoch over the accumulated ones, rounded up, times the epochs, rounded up.

    One device is assumed: more of them make fewer steps.
    """
    if c.steps is not None:
        iterations = c.accumulation if c.tool == "mlx-lm" and c.accumulation else 1  # there `iters` counts batches
        return c.steps // iterations, False
    known = rows.rows if rows else c.most_rows
    if known is None or c.epochs is None or not c.batch or not c.accumulation:
        return None
    if rows and c.most_rows:
        known = min(known, c.most_rows)
    per_epoch = max(1, math.ceil(math.ceil(known / c.batch) / c.accumulation))
    return math.ceil(c.epochs * per_epoch), rows is None or bool(c.packed)


def warmup_steps(c: Configured, steps: int) -> int | None:
    """Steps of warm-up; a share is rounded up, and axolotl's default share is capped."""
    if c.warmup_steps is not None:
        return c.warmup_steps
    if c.warmup_ratio is None:
        return None
    share = math.ceil(steps * c.warmup_ratio)
    return share if c.warmup_most is None else min(share, c.warmup_most)


def _full_steps(steps: int, warmup: int, name: str | None) -> float | None:
    """The sum of transformers' factors over all steps, which start at 0; None for a schedule not known here."""
    if name not in ("linear", "cosine", "constant", "constant_with_warmup"):
        return None
    if name == "constant":
        warmup = 0  # it has none, whatever is set
    stride = max(1, steps // _STEPS_SUMMED)
    return round(stride * sum(_factor(k, steps, warmup, name) for k in range(0, steps, stride)), 1)


def _factor(k: int, steps: int, warmup: int, name: str) -> float:
    if k < warmup:
        return k / warmup
    done = (k - warmup) / max(1, steps - warmup)
    return {"linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}.get(name, 1.0)
