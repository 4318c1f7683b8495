"""A model in parts over two processes of torchrun (gloo, CPU) computes what one process computes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from killed_run import settings, write_data
from sharded import work

from kurabe import backends, experiment
from kurabe.runs import RunFolder
from kurabe.settings import RunSettings
from kurabe.shards import PartEngine

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
unix = pytest.mark.skipif(sys.platform == "win32", reason="torchrun and its signals were not tried there")


def part(rank: int, of: int) -> PartEngine:
    """An engine that only knows which one it is."""
    engine = object.__new__(PartEngine)
    engine.processes, engine._rank = of, rank
    return engine


@pytest.mark.parametrize(("passes", "of"), [(1, 2), (2, 2), (5, 2), (7, 3), (3, 4)])
def test_each_pass_counts_once_and_all_take_as_many(passes: int, of: int) -> None:
    taken = [list(part(rank, of).mine(list(range(passes)))) for rank in range(of)]
    assert len({len(own) for own in taken}) == 1
    assert sorted(number for own in taken for number, counts in own if counts) == list(range(passes))


def test_rows_are_spread_so_that_every_process_has_some() -> None:
    assert [part(0, 4).spread(100, rows) for rows in (1, 4, 5, 16)] == [1, 1, 2, 4]
    assert part(0, 4).spread(2, 16) == 2  # what fits is a limit all the same


@unix
@pytest.mark.slow
def test_two_processes_train_and_answer_as_one(tiny_folder: Path) -> None:
    script = [str(Path(__file__).with_name("sharded.py")), str(tiny_folder)]
    done = subprocess.run([*TORCHRUN, *script], check=True, stdout=subprocess.PIPE, text=True, timeout=500)
    two, one = json.loads(done.stdout), work(backends.load(RunSettings(model=str(tiny_folder), threads=1)))
    assert two.pop("held") == pytest.approx(0.5, abs=0.02) and two.pop("device") == "cpu x 2"
    for name in ("first", "losses"):
        assert two.pop(name) == pytest.approx(one.pop(name), rel=1e-4)
    assert two == one


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> list[str]:
    folder = tmp_path_factory.mktemp("sharded")
    flags = {
        "--runs": folder, "--model": tiny_folder, "--recipes": "fair,origin", "--arms": "base,prompt,lora",
        "--retention": 3, "--exposures": 6, "--wordings": 1, "--threads": 1, "--device": "cpu",
    }  # fmt: skip
    return ["-m", "kurabe", "run", str(write_data(folder)), *(str(x) for pair in flags.items() for x in pair)]


@unix
@pytest.mark.slow
def test_a_whole_run_in_two_processes_is_the_run_of_one(tmp_path: Path, command: list[str], tiny_folder: Path) -> None:
    done = subprocess.run(
        [*TORCHRUN, *command, "--name", "run", "--json", "--runs", str(tmp_path)],
        check=True, stdout=subprocess.PIPE, text=True, timeout=500,
    )  # fmt: skip
    assert json.loads(done.stdout)["run"] == "run"  # one process speaks
    wanted: dict[str, Any] = {"arms": ("base", "prompt", "lora"), "exposures": 6, "wordings": 1, "threads": 1}
    experiment.run(write_data(tmp_path), settings(tmp_path, model=str(tiny_folder), **wanted | {"name": "one"}))
    two, one = RunFolder.open(tmp_path / "run"), RunFolder.open(tmp_path / "one")
    assert [step.loss for step in two.steps()] == pytest.approx([step.loss for step in one.steps()], rel=1e-4)
    assert [(s.trial, s.step, s.positions, s.supervised) for s in two.steps()] == [
        (s.trial, s.step, s.positions, s.supervised) for s in one.steps()
    ]
    assert [(a.key, a.text) for a in two.answers()] == [(a.key, a.text) for a in one.answers()]


@unix
@pytest.mark.slow
def test_ctrl_c_in_two_processes_leaves_a_run_that_one_can_finish(tmp_path: Path, command: list[str]) -> None:
    started = subprocess.Popen(
        [*TORCHRUN, *command, "--name", "run", "--runs", str(tmp_path)], start_new_session=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    events, until = tmp_path / "run" / "events.jsonl", time.monotonic() + 240
    while not (events.exists() and b'"step"' in events.read_bytes()):
        assert started.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGINT)
    assert started.wait(timeout=120) != 0
    run = RunFolder.open(tmp_path / "run")
    assert not run.finished
    assert experiment.resume(run.path).arms


@unix
@pytest.mark.slow
def test_a_mistake_in_the_command_ends_all_processes(tmp_path: Path) -> None:
    done = subprocess.run(
        [*TORCHRUN, "-m", "kurabe", "run", str(tmp_path / "none.jsonl")],
        check=False, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode != 0 and "none.jsonl" in done.stderr
