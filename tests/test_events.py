"""Events are numbered, timed by a monotonic clock, stored before they are handed on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from test_runs import REQUEST

from kurabe import events
from kurabe.events import Recorder
from kurabe.runs import RunFolder, RunWriter
from kurabe.schema import Event


def make(path: Path) -> RunWriter:
    writer = RunFolder.create(path, "r")
    writer.publish({"request.json": REQUEST})
    return writer


def test_events_are_stored_and_handed_on_in_order(tmp_path: Path) -> None:
    seen: list[Event] = []
    with make(tmp_path) as writer:
        record = Recorder(writer, seen.append)
        with record.stage("load"):
            record("note", key="k", values={"kind": "anything", "n": 1})
        assert tuple(seen) == writer.events()
    assert [e.seq for e in seen] == [1, 2, 3]
    assert [(e.kind, e.values.get("state")) for e in seen] == [("stage", "start"), ("note", None), ("stage", "end")]
    assert seen[2].values["seconds"] >= 0


def test_a_stage_that_fails_has_no_end(tmp_path: Path) -> None:
    with make(tmp_path) as writer:
        record = Recorder(writer)
        with pytest.raises(RuntimeError), record.stage("train"):
            raise RuntimeError
        assert [e.values["state"] for e in writer.events()] == ["start"]


def test_elapsed_goes_on_after_a_resume_and_numbers_too(tmp_path: Path) -> None:
    with make(tmp_path) as writer:
        Recorder(writer)("note", key="one")
        Recorder(writer)("note", key="two")
        path, last = writer.path, writer.last_elapsed
    with RunWriter.resume(path) as writer:
        Recorder(writer)("note", key="three")
        stored = writer.events()
    assert [e.seq for e in stored] == [1, 2, 3]
    assert stored[-1].elapsed >= last


@pytest.mark.parametrize("jump", [-10 * 365 * 86400, 10 * 365 * 86400])
def test_a_jumping_wall_clock_changes_neither_order_nor_durations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    class Jumping(events.datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return events.datetime.fromtimestamp(time.time() + jump, tz)

    with make(tmp_path) as writer:
        record = Recorder(writer)
        with record.stage("load"), monkeypatch.context() as patch:
            patch.setattr(events, "datetime", Jumping)
            record("note", key="k")
        stored = writer.events()
    assert [e.seq for e in stored] == [1, 2, 3]
    assert 0 <= stored[0].elapsed <= stored[1].elapsed <= stored[2].elapsed < 60
    assert 0 <= stored[2].values["seconds"] < 60
    assert abs(int(stored[1].at[:4]) - int(stored[0].at[:4])) >= 9, "the wall clock did jump"
