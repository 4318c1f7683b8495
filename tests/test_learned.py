"""The learned point: when a training may end, what is stored then, and that nothing else is changed by looking."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from killed_run import ROWS, settings

from kurabe import experiment
from kurabe.fake import FakeBackend
from kurabe.learned import IN_A_ROW, LOOKS
from kurabe.model import Stopped
from kurabe.runs import RunFolder
from kurabe.schema import Request, Results, Step


def write_data(folder: Path) -> Path:
    """Rows with five wordings of the user's own: two of them become check wordings."""
    more = ("What would I pay for number {}?", "Number {}: its price, please.")
    rows = [
        row | {"wordings": [*row["wordings"], *(text.format(n) for text in more)]}
        for n, row in enumerate(ROWS, start=1)
    ]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder / "data.jsonl"


class Learning(FakeBackend):
    """Answers its check wordings right from a given step of its training on, all of them or all but one."""

    def __init__(self, data: Path, from_step: int, misses: str = "") -> None:
        rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
        self.expected = {row["id"]: row["answer"] for row in rows}
        self.at: Counter[int] = Counter()
        self.from_step, self.misses = from_step, misses
        self.looks: list[tuple[int, int]] = []
        super().__init__(self._say)

    def train(self, trials: Any, stopped: Stopped | None = None) -> Iterator[Step]:
        for step in super().train(trials, stopped):
            self.at[step.trial] = step.step
            yield step

    def _say(self, request: Request) -> str:
        example = request.key.question.rsplit("/", 1)[0]
        if request.key.probe == "check":
            self.looks.append((request.key.trial, self.at[request.key.trial]))
        learned = self.at[request.key.trial] >= self.from_step and example != self.misses
        return self.expected.get(example, "") if learned and request.key.trial else "I don't have that information."


def run(folder: Path, backend_of: Any, **changes: Any) -> tuple[Results, RunFolder, Learning]:
    data = write_data(folder)
    backend = backend_of(data)
    asked = settings(folder, **{"arms": "base,lora", "recipes": "fair", "stop": "learned"} | changes)
    return experiment.run(data, asked, backend=backend), RunFolder.open(folder / "run"), backend


def test_a_training_ends_where_three_looks_were_as_good_as_the_best(tmp_path: Path) -> None:
    results, folder, backend = run(tmp_path, lambda data: Learning(data, 40))
    steps = folder.steps()
    every = steps[0].steps // LOOKS
    first = -(-40 // every) * every  # the first look at which they are right
    assert steps[-1].step == first + (IN_A_ROW - 1) * every < steps[-1].steps
    assert {trial for trial, _ in backend.looks} == {1} and {at % every for _, at in backend.looks} == {0}
    (note,) = [note for note in results.notes if note.key == "audit.note.trial-learned"]
    assert note.values == {"trial": 1, "step": steps[-1].step, "steps": steps[-1].steps}
    assert folder.adapter(1) is not None
    assert {arm.label: arm.recall.value for arm in results.arms} == {"base": 0, "lora": 1}


def test_one_wording_that_stays_wrong_does_not_hold_it_up(tmp_path: Path) -> None:
    results, folder, _ = run(tmp_path, lambda data: Learning(data, 40, "row1"))
    assert folder.steps()[-1].step < folder.steps()[-1].steps
    assert results.arms[-1].recall.value == 7 / 8


def test_nothing_learned_is_no_best_and_without_leave_nobody_looks(tmp_path: Path) -> None:
    for name, from_step, changes in (("never", 10_000, {}), ("unasked", 1, {"stop": "plan"})):
        (tmp_path / name).mkdir()
        results, folder, backend = run(tmp_path / name, lambda data, n=from_step: Learning(data, n), **changes)
        assert folder.steps()[-1].step == folder.steps()[-1].steps
        assert not [note for note in results.notes if note.key == "audit.note.trial-learned"]
        assert bool(backend.looks) == (not changes)


def test_held_out_wordings_are_never_looked_at_on_the_way(tmp_path: Path) -> None:
    asked: list[tuple[str, bool]] = []

    class Watched(Learning):
        training = False

        def train(self, trials: Any, stopped: Stopped | None = None) -> Iterator[Step]:
            self.training = True
            yield from super().train(trials, stopped)
            self.training = False

        def _say(self, request: Request) -> str:
            asked.append((request.key.probe, self.training))
            return super()._say(request)

    run(tmp_path, lambda data: Watched(data, 10_000))
    assert {probe for probe, training in asked if training} == {"check"}
    assert "check" not in {probe for probe, training in asked if not training}


def test_a_curve_of_epochs_keeps_its_states(tmp_path: Path) -> None:
    _, folder, _ = run(tmp_path, lambda data: Learning(data, 1), over="epochs", seeds=1)
    info = folder.info()
    whole = {step.trial: step.step for step in folder.steps()}
    assert all(folder.adapter(trial.trial) for trial in (*info.trials, *info.swept))
    for trial in info.swept:
        if trial.of:
            assert whole[trial.of] >= trial.steps
