"""What a training has come to, stored on its way: when, what a resumed run takes up of it, what is left at the end."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from killed_run import backend, settings, what_counts, write_data
from test_learned import Learning
from test_learned import write_data as write_checked

from kurabe import checkpoints, experiment
from kurabe.checkpoints import EVERY, Checkpoints, Progress
from kurabe.errors import InterruptedRun
from kurabe.fake import FakeBackend
from kurabe.runs import RunFolder
from kurabe.schema import Event, Step
from kurabe.workshop.watch import view


class Cut(Exception):
    """The process ends here, without a chance to store anything."""


def begin(folder: Path, data: Path, model: FakeBackend, at: int, **changes: Any) -> None:
    """A run that ends at its n-th step of training."""
    left = at

    def emit(event: Event) -> None:
        nonlocal left
        left -= event.kind == "step"
        if left == 0:
            raise Cut

    with pytest.raises(Cut):
        experiment.run(data, settings(folder, **changes), backend=model, emit=emit)


@pytest.fixture
def every_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[int, Iterator[int]] = {}

    def due(self: Checkpoints) -> bool:
        return next(asked.setdefault(id(self), itertools.count(1))) % 10 == 0

    monkeypatch.setattr(Checkpoints, "due", due)


def states(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "run" / "states").glob("*"))


def test_a_cut_training_goes_on_from_its_last_state(tmp_path: Path, every_tenth: None) -> None:
    data = write_data(tmp_path)
    experiment.run(data, settings(tmp_path, name="whole"), backend=backend(data))
    begin(tmp_path, data, backend(data), 35)
    assert states(tmp_path) == ["1-30"], "the older ones are gone"
    results = experiment.resume(tmp_path / "run", backend=backend(data))
    events = RunFolder.open(tmp_path / "run").events()
    assert [(e.values["trial"], e.values["from_step"]) for e in events if e.kind == "trial"] == [
        (1, 0),
        (1, 30),
        (2, 0),
    ]
    told = [e.values["values"] for e in events if e.values.get("key") == "audit.note.training-goes-on"]
    assert told == [{"trial": 1, "step": 30, "steps": results.trials[0].steps}]
    assert [t.step for t in RunFolder.open(tmp_path / "run").steps() if t.trial == 1] == [
        *range(1, results.trials[0].steps + 1)
    ]
    assert view(events).trained[0].share == 1
    expected, found = what_counts(tmp_path / "whole"), what_counts(tmp_path / "run")
    assert found["records"] == expected["records"]
    assert not (tmp_path / "run" / "states").exists()


def test_a_state_that_is_not_what_was_stored_is_none(tmp_path: Path, every_tenth: None) -> None:
    data = write_data(tmp_path)
    begin(tmp_path, data, backend(data), 35)
    (tmp_path / "run" / "states" / "1-30" / "taken").write_text("31", encoding="utf-8")
    experiment.resume(tmp_path / "run", backend=backend(data))
    events = RunFolder.open(tmp_path / "run").events()
    assert [e.values["from_step"] for e in events if e.kind == "trial"] == [0, 0, 0]
    assert [e.values["values"] for e in events if e.values.get("key") == "audit.note.file-damaged"] == [
        {"file": "states/1-30/taken"}
    ]


def test_looks_at_check_wordings_are_kept(tmp_path: Path, every_tenth: None) -> None:
    """Cut between two looks that were right, it ends at the step at which it would have ended."""
    data, asked = write_checked(tmp_path), {"arms": "base,lora", "recipes": "fair", "stop": "learned"}
    experiment.run(data, settings(tmp_path, name="whole", **asked), backend=Learning(data, 40))
    last = RunFolder.open(tmp_path / "whole").steps()[-1]
    begin(tmp_path, data, Learning(data, 40), last.step - 1, **asked)
    again = Learning(data, 40)
    experiment.resume(tmp_path / "run", backend=again)
    assert RunFolder.open(tmp_path / "run").steps()[-1].model_dump(exclude={"seconds"}) == last.model_dump(
        exclude={"seconds"}
    )
    assert 0 < len({at for _, at in again.looks}) < 3


def test_a_state_that_waits_for_its_turn_is_left_alone(tmp_path: Path, every_tenth: None) -> None:
    """Two trials of a curve were cut together; one of them goes on later, in a batch of its own."""

    class InTurn(FakeBackend):
        def train(self, trials: Any, stopped: Any = None) -> Iterator[Step]:
            for trial in trials:
                yield from super().train([trial], stopped)

        def save_state(self, trial: int, folder: Path) -> None:
            assert self._taken[trial], "it has not begun in this session"
            super().save_state(trial, folder)

    data = write_data(tmp_path)
    asked: dict[str, Any] = {"arms": "base,lora", "recipes": "fair", "over": ("rank",), "seeds": 1, "retention": 0}
    experiment.run(data, settings(tmp_path, name="whole", **asked), backend=backend(data))
    first = RunFolder.open(tmp_path / "whole").info().trials[0].steps
    begin(tmp_path, data, backend(data), first + 85, **asked)
    waiting = states(tmp_path)
    assert len(waiting) > 2
    experiment.resume(tmp_path / "run", backend=InTurn())
    begun = [e.values["from_step"] for e in RunFolder.open(tmp_path / "run").events() if e.kind == "trial"]
    assert sum(step > 0 for step in begun) == len(waiting) and states(tmp_path) == []
    assert what_counts(tmp_path / "run")["records"][2] == what_counts(tmp_path / "whole")["records"][2]


def test_a_trial_that_was_stored_in_this_round_is_not_stored_again(tmp_path: Path) -> None:
    saved: list[int] = []

    def save(trial: int, place: Path) -> None:
        saved.append(trial)
        (place / "state").write_text("x", encoding="utf-8")

    with RunFolder.create(tmp_path, "run") as folder:
        kept = Checkpoints(folder)
        kept.store({1: Progress(step=9), 2: Progress(step=8)}, save, 1)
        kept.store({1: Progress(step=9), 2: Progress(step=9)}, save, 1)
        assert saved == [1, 2, 2] and states(tmp_path) == ["1-9", "2-9"]


def test_a_disk_that_refuses_a_state_stops_no_training(tmp_path: Path) -> None:
    def save(trial: int, place: Path) -> None:
        raise OSError(28, "No space left on device")

    with RunFolder.create(tmp_path, "run") as folder:
        Checkpoints(folder).store({1: Progress(step=9)}, save, 1)
        assert Checkpoints(folder).find(1) is None


def test_a_state_whose_adapter_is_there_goes(
    tmp_path: Path, every_tenth: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill came between the two."""

    def cut(self: Checkpoints, trials: Collection[int]) -> None:
        if trials and self.find(next(iter(trials))):
            raise Cut

    data = write_data(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(Checkpoints, "drop", cut)
        experiment.run(data, settings(tmp_path), backend=backend(data))
    assert states(tmp_path) and RunFolder.open(tmp_path / "run").adapter(1) is not None
    experiment.resume(tmp_path / "run", backend=backend(data))
    assert states(tmp_path) == []


def test_a_state_from_another_device_is_none(tmp_path: Path, every_tenth: None) -> None:
    """Its generator of dropout could not go on there."""
    data = write_data(tmp_path)
    begin(tmp_path, data, backend(data), 35)
    elsewhere = backend(data)
    elsewhere.info = elsewhere.info.model_copy(update={"device": "cuda"})
    experiment.resume(tmp_path / "run", backend=elsewhere)
    events = RunFolder.open(tmp_path / "run").events()
    assert [e.values["from_step"] for e in events if e.kind == "trial"] == [0, 0, 0]


def test_a_run_that_is_stopped_stores_what_it_has(tmp_path: Path) -> None:
    """Ctrl-C once costs nothing."""
    data = write_data(tmp_path)

    def emit(event: Event) -> None:
        if event.kind == "step" and event.values["step"] == 13:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRun):
        experiment.run(data, settings(tmp_path), backend=backend(data), emit=emit)
    assert states(tmp_path) == ["1-13"]


def test_the_clock_and_the_disk_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    with RunFolder.create(tmp_path, "run") as folder:
        kept = Checkpoints(folder, lambda: now[0])
        assert not kept.due()
        now[0] = EVERY

        def slowly(trial: int, place: Path) -> None:
            now[0] += 30
            (place / "state").write_text("7", encoding="utf-8")

        assert kept.due()
        kept.store({7: Progress(step=5)}, slowly, 100)
        assert kept.find(7) is not None and not kept.due()
        now[0] += 30 / checkpoints.SHARE - 40
        assert not kept.due(), "half a minute is stored in half an hour at most"
        now[0] += 40
        assert kept.due()
        monkeypatch.setattr(checkpoints.storage, "free_space", lambda place: 799)
        kept.store({7: Progress(step=6)}, slowly, 100)
        found = kept.find(7)
        assert found is not None and found.progress.step == 5 and found.files == {"state": b"7"}
        kept.drop([7])
        assert kept.find(7) is None
