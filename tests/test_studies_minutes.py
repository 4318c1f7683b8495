"""How long studies took is read from their records: whole sessions, cut ones, cells, and none at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from studies import __main__ as studies
from studies import minutes

TRIAL = {"kind": "trial", "train_seconds": 100.0, "answer_seconds": 20.0}
END = {"kind": "end", "seconds": 300.0, "load": 2.5}
SESSION = {"kind": "session"}


def took(folder: Path, *rows: dict[str, Any]) -> minutes.Took:
    path = folder / "results.jsonl"
    path.write_text("".join(json.dumps({"seq": n} | row) + "\n" for n, row in enumerate(rows, 1)), encoding="utf-8")
    return minutes.took("one", path)


def test_a_whole_session_took_what_its_end_says(tmp_path: Path) -> None:
    found = took(tmp_path, SESSION, TRIAL, TRIAL, END)
    assert found == minutes.Took("one", lines=2, minutes=5.0, processor=None, load=2.5)
    assert took(tmp_path, SESSION, TRIAL, END | {"processor": 240.0}).processor == 4.0


def test_where_a_session_was_cut_off_the_trials_are_added_up(tmp_path: Path) -> None:
    assert took(tmp_path, SESSION, TRIAL, SESSION, TRIAL, END).minutes == 4.0
    assert took(tmp_path, SESSION, TRIAL).minutes == 2.0


def test_cells_record_processor_time_and_runs_their_own(tmp_path: Path) -> None:
    cells = took(tmp_path, SESSION, {"kind": "cell", "seconds": 30.0}, {"kind": "cell", "seconds": 30.0})
    assert (cells.minutes, cells.processor) == (1.0, 1.0)
    runs = took(tmp_path, {"seconds": 60.0}, {"seconds": 120.0})
    assert (runs.minutes, runs.processor, runs.lines) == (3.0, None, 2)


def test_the_table_sums_up_and_names_what_takes_too_long(tmp_path: Path) -> None:
    assert minutes.took("none", tmp_path / "nothing.jsonl").minutes is None
    one = minutes.Took("one", 1, 39.0, None, None)
    assert "Longer" not in minutes.table([one]) and minutes.table([one]).splitlines()[-1].split() == [
        "together",
        "1",
        "39.0",
    ]
    slow = minutes.table([one._replace(name="slow", minutes=41.0), *[one] * 6])
    assert "Longer than 40 minutes: slow." in slow and "Together longer than 240 minutes." in slow


def test_every_stored_study_is_in_the_record_and_together_they_take_less_than_four_hours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert studies.main(["--minutes"]) == 0
    table = capsys.readouterr().out
    assert all(f"\n{name} " in table for name in studies.names())
    assert "Together longer" not in table
