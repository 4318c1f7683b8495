"""What the tests of all studies share: answers decided by a rule, a study run on them, the figures of a page."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from studies import bench, results
from studies.bench import Plan, Task
from studies.results import Stored

from kurabe import backends
from kurabe.fake import FakeBackend
from kurabe.schema import Request
from kurabe.settings import RunSettings

ROOT = Path(__file__).resolve().parents[1]

# The share of a task's questions that come out right: by the task, the probe, and the step that was done last.
Learned = Callable[[Task, str, int], float]


def nothing(task: Task, probe: str, step: int) -> float:
    """A model that learns nothing."""
    return 0.0


class Pupil(FakeBackend):
    """A backend that learns as it is told; untrained it answers the share `known` of all questions."""

    def __init__(self, plan: Plan, learned: Learned, known: float = 0.0, **info: Any) -> None:
        super().__init__(self._said)
        self.info = self.info.model_copy(update=info)
        self.tasks: dict[int, Task] = {}
        self.steps: dict[int, int] = {}
        self._learned, self._known = learned, known
        self._answers_of = {q.id: q for arm in plan.references.values() for own in arm.values() for q in own}
        self._plan = plan._replace(task=self._noted(plan))

    @property
    def plan(self) -> Plan:
        """The plan, watched."""
        return self._plan

    def _noted(self, plan: Plan) -> Callable[..., Task]:
        def task(run: Any, number: int, *rest: Any) -> Task:
            self.tasks[number] = plan.task(run, number, *rest)
            return self.tasks[number]

        return task

    def train(self, trials: Any, stopped: Any = None) -> Any:
        for step in super().train(trials, stopped):
            self.steps[step.trial] = step.step
            yield step

    def _said(self, request: Request) -> str:
        key = request.key
        share, asked = self._known, self._answers_of
        if key.trial:
            task = self.tasks[key.trial]
            probe = next(p for p, own in task.questions.items() if any(q.id == key.question for q in own))
            share = self._learned(task, probe, self.steps[key.trial])
            asked = {q.id: q for q in task.questions[probe]}
        drawn = int.from_bytes(hashlib.sha256(key.question.encode()).digest()[:4], "big") / 2**32
        question = asked[key.question]
        return (question.accept[0] if question.accept else question.expected) if drawn < share else "I don't know."


def measured(plan: Plan, learned: Learned, path: Path, monkeypatch: pytest.MonkeyPatch, known: float = 0.0) -> Stored:
    """The whole study on a `Pupil`."""
    pupil = Pupil(plan, learned, known)
    monkeypatch.setattr(backends, "load", lambda settings: pupil)
    bench.run(pupil.plan, path, RunSettings(), lambda line: None)
    return results.read(path, plan.kind)


def real(plan: Plan, folder: Path, path: Path) -> Stored:
    """Some runs of a study on real, random weights: nothing is learned, but every part works."""
    bench.run(plan, path, RunSettings(model=str(folder), threads=1), lambda line: None)
    return results.read(path, plan.kind)


def figures(text: str) -> list[str]:
    """Shares and costs with their intervals, wherever they stand."""
    return sorted(re.findall(r"\d+ % \(\d+–\d+ %\)|[+-]\d+ \[[+-]\d+, [+-]\d+\]", text))


def tables(text: str) -> Iterator[list[str]]:
    """The figures of each table line, but for its first column and its head; the chart's lines whole."""
    lines = text.splitlines()
    for line, after in itertools.pairwise(lines):
        if line.startswith("|") and not after.startswith("|---"):
            yield re.findall(r"[+-]?\d[\d.]*", line.split("|", 2)[2])
        elif line.endswith("|") and not line.startswith("|"):
            yield [line]
