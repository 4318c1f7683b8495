"""A run's events -> what can be seen of it: stage, answers so far, loss of each recipe, time left.

Pure: the same events give the same view, whether they come in live or were recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kurabe.schema import CurvePoint, Event

PACE = 20  # steps over which the pace is taken


class Trained(NamedTuple):
    """One recipe's training as far as it has come."""

    trial: int
    recipe: str
    step: int
    steps: int
    losses: tuple[float | None, ...]
    left: float | None  # seconds; None where nothing was measured yet
    at_once: int | None = None  # rows that memory still allows in one pass; None: it has not ended yet

    @property
    def share(self) -> float:
        return self.step / self.steps if self.steps else 0.0


class View(NamedTuple):
    """The run as far as it has come. `stage` is "" before the first one and "end" after the last."""

    stage: str = ""
    done: int = 0  # answers of this stage
    total: int = 0
    trained: tuple[Trained, ...] = ()
    elapsed: float = 0.0  # seconds of work

    @property
    def finished(self) -> bool:
        return self.stage == "end"

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        """The losses as points of curves."""
        return tuple(
            CurvePoint(axis="step", x=n, measure="loss", trial=t.trial, recipe=t.recipe, value=loss)
            for t in self.trained
            for n, loss in enumerate(t.losses, start=1)
        )


def view(events: Sequence[Event]) -> View:
    """What these events, in their order, tell."""
    stage, done, total = "", 0, 0
    trials: dict[int, tuple[str, int]] = {}
    losses: dict[int, list[float | None]] = {}
    seconds: dict[int, list[float]] = {}
    at_once: dict[int, int | None] = {}
    for event in events:
        values = event.values
        if event.kind == "stage" and values["state"] == "start":
            stage, done, total = values["name"], 0, 0
        elif event.kind == "batch":
            done, total = values["done"], values["total"]
        elif event.kind == "trial" and not values.get("shuffled"):  # a control is none of the recipes that are shown
            trials[values["trial"]] = (values["recipe"], values["steps"])
            trial, before = values["trial"], slice(values.get("from_step", 0))  # a cut training may go on from a step
            losses[trial], seconds[trial] = losses.get(trial, [])[before], seconds.get(trial, [])[before]
        elif event.kind == "step" and values["trial"] in trials:
            losses[values["trial"]].append(values["loss"])
            seconds[values["trial"]].append(values["seconds"])
            at_once[values["trial"]] = values.get("at_once")
        elif event.kind == "end":
            stage = "end"
    trained = tuple(
        Trained(trial, recipe, len(losses[trial]), steps, tuple(losses[trial]), _left(seconds[trial], steps),
                at_once.get(trial))
        for trial, (recipe, steps) in trials.items()
    )  # fmt: skip
    return View(stage, done, total, trained, events[-1].elapsed if events else 0.0)


def until(events: Sequence[Event], elapsed: float) -> Sequence[Event]:
    """The events of the first `elapsed` seconds of work: a recording as far as it was played."""
    return [event for event in events if event.elapsed <= elapsed]


def _left(seconds: Sequence[float], steps: int) -> float | None:
    recent = seconds[-PACE:]
    return (steps - len(seconds)) * sum(recent) / len(recent) if recent else None
