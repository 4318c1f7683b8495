"""The rehearsal: the work of every step done once through the show's own actions, timed against the talk's minutes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kurabe.workshop import rehearsal
from kurabe.workshop.rehearsal import Rehearsal, Timed, rehearse
from kurabe.workshop.script import load


class Scripted:
    """A show whose work takes no time. `faults` names jobs that fail."""

    def __init__(self, steps: tuple[str, ...], faults: tuple[str, ...] = ()) -> None:
        script = load("en")
        self.session = SimpleNamespace(spent=dict.fromkeys(steps, 0.0), scripts={"en": script}, language="en")
        self.live, self.faults, self.did = Path("runs/rehearsal"), faults, []  # type: ignore[var-annotated]
        self.jobs: dict[str, Any] = {}
        self.results: Any = None
        self.parity: Any = None
        self.asked: Any = None

    def act(self, name: str, value: str = "") -> None:
        self.did.append(name)
        job = {"start": "run"}.get(name, name)
        if name == "ask":
            self.asked = SimpleNamespace(answers=[1], problem="it broke" if "ask" in self.faults else "")
        elif job in ("run", "ship", "doctor"):
            state = "failed" if job in self.faults else "done"
            self.jobs[job] = SimpleNamespace(state=state, code=1, last_words="broken", words=(job,))
            question = SimpleNamespace(probe="held_out", example="a", text="What?")
            if job == "run" and state == "done":
                self.results = SimpleNamespace(questions=[question])

    def checks(self) -> list[dict[str, str]]:
        level = "fail" if "doctor" in self.faults else "ok"
        return [{"level": level, "text": "disk", "fix": "free some"}, {"level": "warn", "text": "x", "fix": "y"}]

    def tick(self) -> None: ...

    def look(self, *, at_once: bool = False) -> None: ...


EVERY = tuple(step.id for step in load("en").steps)


def run(show: Scripted, length: float = 20) -> Rehearsal:
    return rehearse(show, length)  # type: ignore[arg-type]


def test_all_work_is_done_once_through_the_shows_own_actions() -> None:
    show = Scripted(EVERY)
    found = run(show)
    assert show.did == ["doctor", "start", "ask", "close", "ship"]
    assert found.missing == () and found.fits and found.minutes == 20
    assert [step.step for step in found.steps] == list(EVERY)


def test_work_of_steps_that_are_left_out_is_not_done() -> None:
    show = Scripted(("verdict", "summary"))
    assert run(show).minutes == 1.5 and show.did == []


def test_computing_longer_than_the_talk_makes_the_step_longer() -> None:
    assert Timed("train", 2, 30).expected == 2 and Timed("train", 2, 300).expected == 5
    late = Rehearsal((Timed("train", 2, 300), Timed("verdict", 1, 0)), 5, Path("runs"), ())
    assert late.minutes == 6 and not late.fits
    assert late._replace(length=6).fits


@pytest.mark.parametrize("fault", ["doctor", "run", "ask", "ship"])
def test_what_fails_is_named_with_its_mend(fault: str) -> None:
    show = Scripted(EVERY, (fault,))
    found = run(show)
    assert len(found.missing) == 1 and all(found.missing[0])
    if fault == "run":
        assert "ask" not in show.did and "ship" not in show.did, "nothing can be asked of no run"


def test_files_that_lost_answers_are_a_finding_and_no_fault() -> None:
    show = Scripted(EVERY, ("ship",))
    show.parity = object()
    assert run(show).missing == ()


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "PATIENCE", 0.0)
    rehearsal._wait(Scripted(EVERY), lambda: False)  # type: ignore[arg-type]
