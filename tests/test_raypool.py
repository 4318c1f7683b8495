"""Ray itself, on this machine with two workers: equal runs, a worker that is killed, Ctrl-C. Skipped without ray."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import write_model
from killed_run import settings, write_data
from test_cluster import plain

from kurabe import experiment, raypool
from kurabe.errors import MissingError, SettingsError
from kurabe.runs import RunFolder
from kurabe.schema import Event
from kurabe.sizes import curve_over_models

WITH_RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason='needs ray: pip install "kurabe[ray]"')
CURVE: dict[str, Any] = {
    "over": ("rank",), "seeds": 1, "arms": ("base", "prompt", "lora"), "retention": 3, "exposures": 8, "wordings": 1,
    "threads": 1,
}  # fmt: skip


def test_a_client_address_is_refused_before_ray_is_looked_for() -> None:
    with pytest.raises(SettingsError, match="client protocol"), raypool.joined("ray://head:10001"):
        pass


def test_without_an_address_there_is_no_pool() -> None:
    with raypool.joined(None) as pool, raypool.joined("none") as none:
        assert pool is None and none is None


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_the_error_names_the_extra() -> None:
    with pytest.raises(MissingError, match="not installed"), raypool.joined("local"):
        pass


@pytest.fixture(scope="module")
def two_workers() -> Iterator[None]:
    """Ray on this machine, for all tests of this file; `joined` finds it and leaves it."""
    ray = raypool._imported(local=True)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> dict[str, Any]:
    """What counts of the same run in this process."""
    folder = tmp_path_factory.mktemp("alone")
    experiment.run(write_data(folder), settings(folder, model=str(tiny_folder), **CURVE))
    return plain(folder / "run")


@pytest.mark.slow
@WITH_RAY
def test_two_workers_make_the_run_of_one_process(
    tmp_path: Path, tiny_folder: Path, two_workers: None, alone: dict[str, Any]
) -> None:
    experiment.run(write_data(tmp_path), settings(tmp_path, model=str(tiny_folder), ray="auto", **CURVE))
    assert plain(tmp_path / "run") == alone
    listening = {
        connection.laddr.ip
        for process in psutil.Process().children(recursive=True)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening and listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.slow
@WITH_RAY
def test_a_worker_killed_in_training_costs_its_group_only(
    tmp_path: Path, tiny_folder: Path, two_workers: None, alone: dict[str, Any]
) -> None:
    killed: list[int] = []

    def emit(event: Event) -> None:
        if event.kind == "step" and event.values["step"] == 5 and not killed:
            busy = [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::_run")]
            killed.append(busy[0].pid)
            busy[0].kill()

    experiment.run(write_data(tmp_path), settings(tmp_path, model=str(tiny_folder), ray="auto", **CURVE), emit=emit)
    assert killed and plain(tmp_path / "run") == alone
    notes = [event.values["key"] for event in RunFolder.open(tmp_path / "run").events() if event.kind == "note"]
    assert notes.count("audit.note.worker-lost") == 1


@pytest.mark.slow
@WITH_RAY
def test_models_of_a_curve_are_tasks(tmp_path: Path, tiny_folder: Path, two_workers: None) -> None:
    """Two models at once, each on a worker: the runs are those of one process."""
    other = tmp_path / "other"
    shutil.copytree(tiny_folder, other)
    write_model(other, num_hidden_layers=3)
    data, same = write_data(tmp_path), {k: v for k, v in CURVE.items() if k not in ("over", "seeds")}
    for name, ray in (("together", "auto"), ("alone", None)):
        wanted = settings(tmp_path / name, model="tiny", ray=ray, **same)
        curve_over_models(data, [str(other), str(tiny_folder)], wanted)
    runs = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert runs == sorted(path.name for path in (tmp_path / "together").iterdir()) and len(runs) == 2
    for name in runs:
        assert plain(tmp_path / "together" / name) == plain(tmp_path / "alone" / name)


@pytest.mark.slow
@WITH_RAY
@pytest.mark.skipif(sys.platform == "win32", reason="no process groups there")
def test_ctrl_c_ends_the_tasks_and_the_run_goes_on_without_the_cluster(
    tmp_path: Path, tiny_folder: Path, alone: dict[str, Any]
) -> None:
    written = tmp_path / "settings.yaml"
    values = {name: ",".join(v) if isinstance(v, tuple) else v for name, v in CURVE.items()}
    values |= {"recipes": "fair,origin", "runs": str(tmp_path), "name": "run", "model": str(tiny_folder)}
    written.write_text("".join(f"{name}: {value}\n" for name, value in values.items()), encoding="utf-8")
    command = [sys.executable, "-m", "kurabe", "run", str(write_data(tmp_path)), "--settings", str(written)]
    started = subprocess.Popen([*command, "--ray", "local", "--json"], start_new_session=True, stdout=subprocess.PIPE)
    events = tmp_path / "run" / "events.jsonl"
    until = time.monotonic() + 240
    while not (events.exists() and b'"step"' in events.read_bytes()):
        assert started.poll() is None and time.monotonic() < until
        time.sleep(0.2)
    family = psutil.Process(started.pid).children(recursive=True)
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does: every process of the group hears it
    out, _ = started.communicate(timeout=120)
    assert (started.returncode, json.loads(out)["exit_code"]) == (130, 130)  # and stdout held nothing of Ray's
    assert psutil.wait_procs(family, timeout=30)[1] == []
    experiment.resume(tmp_path / "run", ray="none")
    assert plain(tmp_path / "run") == alone
