"""Kill a run at any moment and resume it: the results are those of a run that was not killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from killed_run import ROWS, backend, begin, settings, what_counts, write_data

from kurabe import experiment, storage
from kurabe.analysis import analyse, load_run
from kurabe.errors import BusyError, InterruptedRun, MissingError, StoppedError, TerminatedRun
from kurabe.fake import FAKE_INFO, FakeBackend
from kurabe.report import render
from kurabe.runs import RunFolder
from kurabe.schema import Event, Reason, Results

SCRIPT = Path(__file__).with_name("killed_run.py")
unix = pytest.mark.skipif(sys.platform == "win32", reason="no fork and no SIGKILL there")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What counts of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    begin(folder)
    return what_counts(folder / "run")


def killed(verb: str, folder: Path, *numbers: int) -> dict[str, Any]:
    """What the script found."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), verb, str(folder), *map(str, numbers)],
        check=True, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@unix
def test_killed_between_file_operations(tmp_path: Path) -> None:
    found = killed("everywhere", tmp_path / "lab", 29)
    assert found["bad"] == [] and found["kills"] >= 10


@unix
@pytest.mark.slow
def test_killed_before_each_file_operation(tmp_path: Path) -> None:
    found = killed("everywhere", tmp_path / "lab", 1)
    assert found["bad"] == [] and found["kills"] == found["operations"]


@unix
def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    found = killed("randomly", tmp_path / "lab", 10, 1)
    assert found["same"] and found["killed"] == 10 and found["ended"] >= 1, found


@unix
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
def test_many_kills_at_random_moments_change_nothing(tmp_path: Path, seed: int) -> None:
    found = killed("randomly", tmp_path / "lab", 40, seed)
    assert found["same"] and found["killed"] == 40, found


@unix
@pytest.mark.slow
def test_a_real_model_killed_in_every_stage_ends_with_equal_results(tmp_path: Path, tiny_folder: Path) -> None:
    def run(folder: Path, kind: str = "never", number: int = 0) -> int:
        command = [sys.executable, str(SCRIPT), "real", str(folder), str(tiny_folder), kind, str(number)]
        return subprocess.run(command, check=False, timeout=600).returncode

    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    assert run(tmp_path / "whole") == 0
    # Among the first answers; in training, and at its last step; among the answers after it.
    for kind, number in (("batch", 2), ("step", 3), ("step", 4), ("batch", 1)):
        assert run(tmp_path / "killed", kind, number) == -signal.SIGKILL, kind
    assert run(tmp_path / "killed") == 0
    begun = [e.values["from_step"] for e in RunFolder.open(tmp_path / "killed" / "run").events() if e.kind == "trial"]
    assert begun == [0, 2, 4], "cut in the third step and in the last; a state is stored after every second one"
    assert what_counts(tmp_path / "killed" / "run") == what_counts(tmp_path / "whole" / "run")


# --- stopped by a signal ---------------------------------------------------------------------------------------


def interrupted(folder: Path, kind: str, number: int, times: int = 1) -> None:
    """A run that gets a signal while it tells its first event of this kind."""
    data, left = write_data(folder), times

    def emit(event: Event) -> None:
        nonlocal left
        if event.kind == kind and left:
            while left:
                left -= 1
                signal.raise_signal(number)

    experiment.run(data, settings(folder), backend=backend(data), emit=emit)


@pytest.mark.parametrize("kind", ["step", "batch", "trial", "plan"])
@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGINT, InterruptedRun, 130), (signal.SIGTERM, TerminatedRun, 143)]
)
def test_once_stops_where_everything_is_stored(
    tmp_path: Path, whole: dict[str, object], kind: str, number: int, error: type[StoppedError], code: int
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(error) as stopped:
        interrupted(tmp_path, kind, number)
    assert stopped.value.exit_code == code and "kurabe resume" in stopped.value.fix
    assert signal.getsignal(number) == before
    kinds = [event.kind for event in RunFolder.open(tmp_path / "run").events()]
    assert kinds.count("step") <= 1, "it stops at the next step"
    experiment.resume(tmp_path / "run", backend=backend(tmp_path / "data.jsonl"))
    assert what_counts(tmp_path / "run") == whole


def test_twice_stops_at_once_and_is_still_consistent(tmp_path: Path, whole: dict[str, object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path, "step", signal.SIGINT, times=2)
    experiment.resume(tmp_path / "run", backend=backend(tmp_path / "data.jsonl"))
    assert what_counts(tmp_path / "run") == whole


# --- stopped by the disk, the model, another run ---------------------------------------------------------------


@pytest.mark.parametrize("failing", ["answers.jsonl", "events.jsonl", "usage.jsonl", "adapters", "results.json"])
def test_a_disk_that_fills_up_stops_the_run_and_space_lets_it_go_on(
    tmp_path: Path, whole: dict[str, object], monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    full = OSError(28, "No space left on device")
    real_write, real_sync = storage.write_all, storage.sync_file

    def write_all(descriptor: int, content: bytes) -> None:
        if failing in {"answers.jsonl": b'"finish"', "events.jsonl": b'"step"', "usage.jsonl": b'"unit"'} and (
            {"answers.jsonl": b'"finish"', "events.jsonl": b'"step"', "usage.jsonl": b'"unit"'}[failing] in content
        ):
            raise full
        real_write(descriptor, content)

    def sync_file(path: Path) -> None:
        if failing in path.parts:
            raise full
        real_sync(path)

    data = write_data(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_all", write_all)
        patch.setattr(storage, "sync_file", sync_file)
        with pytest.raises(StoppedError) as stopped:
            experiment.run(data, settings(tmp_path), backend=backend(data))
    assert stopped.value.exit_code == 5 and str(tmp_path / "run") in stopped.value.fix
    experiment.resume(tmp_path / "run", backend=backend(data))
    assert what_counts(tmp_path / "run") == whole


def test_a_disk_without_room_for_the_rest_is_told_before_the_work(
    tmp_path: Path, whole: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(StoppedError) as stopped:
        patch.setattr(storage, "free_space", lambda _: 1000)
        experiment.run(data, settings(tmp_path), backend=backend(data))
    assert "1,000 are free" in stopped.value.why
    assert RunFolder.open(tmp_path / "run").answers() == ()
    experiment.resume(tmp_path / "run", backend=backend(data))
    assert what_counts(tmp_path / "run") == whole


def test_a_damaged_adapter_is_trained_again(tmp_path: Path, whole: dict[str, object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_until(tmp_path, lambda event: event.kind == "stage" and event.values["name"] == "answer")
    (weights,) = (tmp_path / "run" / "adapters" / "1-fair").glob("*.safetensors")
    weights.write_bytes(b"\0" * weights.stat().st_size)
    experiment.resume(tmp_path / "run", backend=backend(tmp_path / "data.jsonl"))
    folder = RunFolder.open(tmp_path / "run")
    assert what_counts(tmp_path / "run") == whole
    assert "audit.note.file-damaged" in [event.values.get("key") for event in folder.events()]


def run_until(folder: Path, stop) -> None:  # type: ignore[no-untyped-def]
    """A run that ends, as by a crash, at the first event that `stop` accepts."""
    data = write_data(folder)

    def emit(event: Event) -> None:
        if stop(event):
            raise KeyboardInterrupt

    experiment.run(data, settings(folder), backend=backend(data), emit=emit)


def test_a_run_that_another_version_finished_gives_its_results_in_the_words_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def before(folder: RunFolder) -> Results:
        results = analyse(folder)
        reason = Reason(key="verdict.reason.undecided", values={"other_words": 1})
        return results.model_copy(update={"verdict": results.verdict.model_copy(update={"reasons": (reason,)})})

    monkeypatch.setattr(experiment, "analyse", before)
    begin(tmp_path)
    results = experiment.resume(tmp_path / "run")
    assert results.verdict == analyse(RunFolder.open(tmp_path / "run")).verdict
    assert render(results, "html", "en") and render(results, "md", "ja")


def test_another_model_is_refused_on_resume(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_until(tmp_path, lambda event: event.kind == "batch")
    other = FakeBackend(info=FAKE_INFO.model_copy(update={"sha256": "f" * 64}))
    with pytest.raises(MissingError) as error:
        experiment.resume(tmp_path / "run", backend=other)
    assert "ffffffffffff" in error.value.why


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    begin(tmp_path)
    before = (tmp_path / "run" / "events.jsonl").read_bytes()
    results = experiment.resume(tmp_path / "run", backend=FakeBackend(lambda _: "different"))
    assert results == load_run(tmp_path / "run")
    assert (tmp_path / "run" / "events.jsonl").read_bytes() == before


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    seen: list[BusyError] = []

    def emit(event: Event) -> None:
        if event.kind == "batch" and not seen:
            with pytest.raises(BusyError) as error:
                experiment.resume(tmp_path / "run", backend=backend(data))
            seen.append(error.value)

    experiment.run(data, settings(tmp_path), backend=backend(data), emit=emit)
    assert seen and len(ROWS) == 8
