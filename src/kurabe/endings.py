"""When a training ends before its plan does, wherever it is trained: its loss has not been a number for too long, or
it has learned what it is checked by.

Knows no file and no order of steps. What it decides stands in the step, so that nobody has to decide it again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from kurabe.learned import LearnedPoint
from kurabe.model import Backend, TrialPlan
from kurabe.schema import Step

NOT_FINITE_STEPS = 3  # in a row; after that a training does not recover


class Endings:
    """The rule for some trials. It can be sent to another process before it has seen a step."""

    def __init__(self, learned: LearnedPoint | None = None) -> None:
        self._learned = learned
        self._not_finite: Counter[int] = Counter()
        self._ended: set[int] = set()

    def seen(self, trial: int) -> dict[str, Any]:
        """What the rule has seen of a trial, to be stored beside the trial's state."""
        looks = self._learned.looks(trial) if self._learned else []
        return {"not_finite": self._not_finite[trial], "looks": looks}

    def recall(self, trial: int, seen: Mapping[str, Any]) -> None:
        """Go on from what `seen` gave."""
        self._not_finite[trial] = seen["not_finite"]
        if self._learned:
            self._learned.recall(trial, seen["looks"])

    def steps(self, backend: Backend, trials: Sequence[TrialPlan]) -> Generator[Step, None, None]:
        """Train these trials; the last step of one that the rule ends says why."""
        for step in backend.train(trials, self._ended.__contains__):
            yield self._judged(step, backend)

    def _judged(self, step: Step, backend: Backend) -> Step:
        self._not_finite[step.trial] = self._not_finite[step.trial] + 1 if step.loss is None else 0
        if self._not_finite[step.trial] >= NOT_FINITE_STEPS:
            self._ended.add(step.trial)
            return step.model_copy(update={"ended": "broken"})
        if self._learned is None:
            return step
        # The time of looking counts as training's.
        began, reached = time.monotonic(), self._learned.reached(step, backend)
        told: dict[str, Any] = {"seconds": step.seconds + time.monotonic() - began}
        if reached and step.step < step.steps:
            self._ended.add(step.trial)
            told["ended"] = "learned"
        return step.model_copy(update=told)
