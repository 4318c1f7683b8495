"""The rehearsal: every step's work done once on this machine, timed, and kept as the recording of the show.

Knows no screen. It drives the same `Show` that the pages drive.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kurabe.report import answers
from kurabe.workshop.jobs import Job
from kurabe.workshop.show import Show

PULSE = 0.2  # seconds between two looks
PATIENCE = 3600.0  # seconds after which a rehearsal gives up on one piece of work
# Piece of work -> the step that waits for it.
WAITS = {"doctor": "checklist", "run": "train", "ask": "prompt", "ship": "ship"}


class Timed(NamedTuple):
    """One step: its minutes by the script, the computing it waits for, and the larger of the two."""

    step: str
    minutes: float
    computing: float  # seconds

    @property
    def expected(self) -> float:
        """Minutes."""
        return max(self.minutes, self.computing / 60)


class Rehearsal(NamedTuple):
    """How long the show will be here, and what is missing: (what, how to mend it)."""

    steps: tuple[Timed, ...]
    length: float  # minutes that there are
    run: Path  # the recording
    missing: tuple[tuple[str, str], ...]

    @property
    def minutes(self) -> float:
        return sum(step.expected for step in self.steps)

    @property
    def fits(self) -> bool:
        return self.minutes <= self.length


def rehearse(show: Show, length: float, tell: Callable[[str], None] = lambda what: None) -> Rehearsal:
    """Do the work of every step of this show. `tell` hears the name of each piece of work as it begins."""
    seconds: dict[str, float] = {}
    missing: list[tuple[str, str]] = []
    for name in ("doctor", "run", "ask", "ship"):
        if WAITS[name] not in show.session.spent or (name in ("ask", "ship") and show.results is None):
            continue
        tell(name)
        began = time.monotonic()
        problem = _ask(show) if name == "ask" else _job(show, name)
        seconds[WAITS[name]] = time.monotonic() - began
        missing += problem
    script = show.session.scripts[show.session.language]
    steps = tuple(
        Timed(step.id, step.minutes, seconds.get(step.id, 0.0))
        for step in script.steps
        if step.id in show.session.spent
    )
    return Rehearsal(steps, length, show.live, tuple(missing))


def _job(show: Show, name: str) -> list[tuple[str, str]]:
    """Start a job as its button does and wait for it; what is missing afterwards."""
    show.act({"run": "start"}.get(name, name))
    job = show.jobs.get(name)
    if job is None:
        return [(name, "kurabe doctor")]
    _wait(show, lambda: job.state != "running")
    show.tick()
    if name == "doctor":
        return [(check["text"], check["fix"]) for check in show.checks() or [] if check["level"] == "fail"]
    if name == "ship" and show.parity is not None:
        return []  # a file that lost answers is a finding of the show, not a fault of the machine
    return [(job.last_words or f"kurabe {job.words[0]}: {job.code}", _again(job))] if job.state == "failed" else []


def _ask(show: Show) -> list[tuple[str, str]]:
    """One question as the room would ask it: the first of the data."""
    assert show.results is not None
    show.act("ask", answers.shown(show.results.questions)[0].text)
    _wait(show, lambda: show.asked is None or show.asked.answers is not None or bool(show.asked.problem))
    problem = show.asked.problem if show.asked else ""
    show.act("close")
    return [(problem, "kurabe doctor")] if problem else []


def _wait(show: Show, over: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not over() and time.monotonic() < until:
        show.tick()
        time.sleep(PULSE)
    show.look(at_once=True)


def _again(job: Job) -> str:
    return f"kurabe {' '.join(job.words)}"
