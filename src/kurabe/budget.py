"""`--minutes`: the settings of a run that fit into the time that the user has.

Knows no screen and measures nothing itself (`forecast.py` does). It only takes away, in the order that costs the
least truth: seeds of a curve, retention questions, held-out wordings (an interval comes from the examples, and the
wordings of one say much the same), exposures, trained wordings. Arms and examples are never cut, and what it chooses
are ordinary settings: the same run can be typed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from kurabe import arms, planning, trials
from kurabe.forecast import Pace, sum_known
from kurabe.recipes import RECIPES
from kurabe.schema import Reason
from kurabe.settings import RunSettings

RETENTION = (40, 20)
HELD_OUT = (3, 2)
EXPOSURES = (75, 50, 35, 25)
WORDINGS = (10, 5, 3)
WORTH = 0.01  # a cut that saves less than this share of the time is not made


class Fitted(NamedTuple):
    """What was chosen, what it comes to, and what has to be said about it."""

    settings: RunSettings
    work: planning.Work
    planned: dict[str, float | None]
    notes: tuple[Reason, ...]


def fit(material: arms.Material, settings: RunSettings, pace: Pace, spent: float) -> Fitted:
    """The richest settings that fit into `settings.minutes`, of which `spent` seconds are gone; where none do, the
    poorest. Without minutes, or where the training is impossible, they stay as they are and nothing is measured."""
    start = time.monotonic()
    asked = settings.model_copy(update={"minutes": None})
    chosen, work = asked, planning.plan_work(material, asked, pace.backend)
    flaws = _flaws(work)
    if settings.minutes is None or any(finding.level == "refuse" for finding in work.findings):
        return Fitted(chosen, work, {}, ())
    limit = settings.minutes * 60
    takes = _seconds(work, pace)
    for cut in _cuts(asked, material):
        if spent + time.monotonic() - start + takes <= limit:
            break
        poorer = chosen.model_copy(update=cut)
        smaller = planning.plan_work(material, poorer, pace.backend)
        then = _seconds(smaller, pace)
        if then < (1 - WORTH) * takes:
            chosen, work, takes = poorer, smaller, then
    planned = {"load": spent + time.monotonic() - start, "train": pace.training(work), "answer": pace.answering(work)}
    notes = [*_notes(settings, chosen, planned, material), *_too_far(_flaws(work) - flaws)]
    return Fitted(chosen, work, planned, tuple(notes))


def _seconds(work: planning.Work, pace: Pace) -> float:
    """Training and answers; a training too short to be measured counts nothing."""
    return (pace.training(work) or 0.0) + pace.answering(work)


def _flaws(work: planning.Work) -> set[tuple[str, str]]:
    """(recipe, finding) of everything that the audit warns of."""
    return {(finding.recipe, finding.id) for finding in work.findings if finding.level == "warn"}


def _too_far(flaws: set[tuple[str, str]]) -> Iterator[Reason]:
    """Cuts that make a recipe too short to teach anything: its run says nothing about fine-tuning."""
    recipes = sorted({recipe for recipe, _ in flaws})
    if recipes:
        yield Reason(key="audit.note.cut-too-far", values={"recipes": ", ".join(recipes)})


def _cuts(asked: RunSettings, material: arms.Material) -> Iterator[dict[str, int]]:
    """One setting at a time, each a little poorer than before."""
    usual = _usual(asked, material)
    values = {
        "seeds": range(asked.seeds - 1, 0, -1) if asked.over else (),
        "retention": RETENTION,
        "held_out": HELD_OUT,
        "exposures": EXPOSURES,
        "wordings": () if {"wordings", "samples"} & set(asked.over) else WORDINGS,  # the curve is over them
    }
    for name, poorer in values.items():
        yield from ({name: value} for value in poorer if value < usual[name])


def _usual(asked: RunSettings, material: arms.Material) -> dict[str, int]:
    """What these settings come to when nothing is cut; 0 where there is nothing to cut."""
    counting = [RECIPES[name] for name in trials.trained_recipes(asked) if RECIPES[name].exposures]
    most, held_out = (
        max((len(example.texts(role)) for example in material.examples), default=0) for role in ("trained", "held_out")
    )
    return {
        "seeds": asked.seeds,
        "retention": asked.retention,
        "held_out": min(held_out, asked.held_out or held_out),
        "exposures": max((asked.exposures or recipe.exposures for recipe in counting), default=0),
        "wordings": min(most, asked.wordings or most) if counting else 0,
    }


def _notes(
    asked: RunSettings, chosen: RunSettings, planned: dict[str, float | None], material: arms.Material
) -> Iterator[Reason]:
    """The plan, and each thing that was left out for it."""
    total = sum(value for value in planned.values() if value is not None)
    values = {"minutes": asked.minutes, "planned": total / 60, "load": (planned["load"] or 0.0) / 60}
    fits = total <= (asked.minutes or 0) * 60
    yield Reason(key="audit.note.minutes-fit" if fits else "audit.note.minutes-exceeded", values=values)
    for name, usual in _usual(asked, material).items():
        if getattr(chosen, name) != getattr(asked, name):
            yield Reason(key=f"audit.note.cut-{name}", values={"chosen": getattr(chosen, name), "of": usual})
    if sum_known(list(planned.values())) is None:
        yield Reason(key="audit.note.time-unknown", values={})
