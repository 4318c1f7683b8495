"""The run folder: what is published exists whole, journals survive torn tails, one writer at a time."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from kurabe import storage
from kurabe.errors import BusyError, DataError, MissingError, SettingsError, StoppedError
from kurabe.runs import RunFolder, RunWriter, check_name, new_name, slug
from kurabe.schema import (
    Answer,
    AnswerKey,
    Batch,
    Event,
    Example,
    ModelInfo,
    Provenance,
    RunInfo,
    RunRequest,
    TrialInfo,
    Usage,
    Wording,
)

REQUEST = RunRequest(
    name="r", created="", data="d.jsonl", data_sha256="", form="", language="en", settings={}, prompt=""
)
EXAMPLE = Example(
    id="e1", answer="It costs $5.", facts=(), wordings=(Wording(text="What? \u2028 \\ 料金", role="trained"),)
)
MODEL = ModelInfo(
    name="m", path="", sha256="0", stand_in=True, family="f", parameters=1, hidden=1, layers=1, context=1, vocabulary=1,
    dtype="float32", device="cpu", threads=1,
)  # fmt: skip
MACHINE = Provenance(
    kurabe="0", python="3", platform="", processor="", cores=1, memory=1, libraries={}, data_sha256=""
)  # fmt: skip
TRIAL = TrialInfo(
    trial=1, recipe="fair", examples=1, samples=1, steps=2, epochs=1, rank=8, rate=1.0, seed=0, trainable=1, positions=1
)  # fmt: skip
INFO = RunInfo(
    name="r", created="", data="d", form="", language="en", settings={}, model=MODEL, provenance=MACHINE,
    trials=(TRIAL,), max_new_tokens=1,
)  # fmt: skip


def key(question: str, trial: int = 0) -> AnswerKey:
    arm = "lora" if trial else "base"
    return AnswerKey(model="m", trial=trial, arm=arm, hop="live", probe="held_out", question=question)


def answer(question: str, text: str = "a") -> Answer:
    return Answer(key=key(question), text=text)


PLAN = (
    Batch(batch=1, stage="base", keys=(key("a"), key("b"))),
    Batch(batch=2, stage="base", keys=(key("c"), key("d"), key("e"))),
)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    with RunFolder.create(tmp_path, "r") as writer:
        writer.publish({"request.json": REQUEST, "examples.jsonl": [EXAMPLE]})
        writer.publish({"run.json": INFO, "plan.jsonl": PLAN, "questions.jsonl": [], "audit.json": []})
        yield writer


# --- published files -------------------------------------------------------------------------------------------


def test_what_was_published_is_read_back(writer: RunWriter) -> None:
    folder = RunFolder.open(writer.path)
    assert folder.request() == REQUEST
    assert folder.examples() == (EXAMPLE,)
    assert folder.plan() == PLAN
    assert folder.findings() == () and folder.results() is None and not folder.finished


def test_what_the_manifest_does_not_list_does_not_exist(writer: RunWriter) -> None:
    (writer.path / "results.json").write_text("{}", encoding="utf-8")
    assert RunFolder.open(writer.path).results() is None


def test_a_block_that_fails_publishes_nothing(writer: RunWriter) -> None:
    with pytest.raises(RuntimeError), writer.staged() as stage:
        (stage / "adapters").mkdir()
        (stage / "adapters" / "x").write_text("half", encoding="utf-8")
        raise RuntimeError
    assert not (writer.path / "adapters").exists()
    assert not list(writer.path.glob(storage.STAGING + "*"))


def test_published_files_are_never_overwritten(writer: RunWriter) -> None:
    with pytest.raises(ValueError, match="published already"):
        writer.publish({"request.json": REQUEST.model_copy(update={"name": "other"})})
    assert RunFolder.open(writer.path).request().name == "r"


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"\0" * len(data), lambda data: data + b" "])
def test_a_damaged_file_is_refused_by_name(writer: RunWriter, damage) -> None:  # type: ignore[no-untyped-def]
    path = writer.path / "examples.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as error:
        RunFolder.open(writer.path).examples()
    assert "examples.jsonl" in error.value.where


def put_adapter(writer: RunWriter, content: bytes = b"weights") -> Path:
    with writer.staged() as stage:
        (stage / "adapters" / "1-fair").mkdir(parents=True)
        (stage / "adapters" / "1-fair" / "model").write_bytes(content)
        (stage / "adapters" / "1-fair" / "config").write_bytes(b"{}")
    return writer.path / "adapters" / "1-fair"


def test_a_zeroed_adapter_does_not_exist_and_can_be_made_again(writer: RunWriter) -> None:
    path = put_adapter(writer)
    assert writer.adapter(1) == path and writer.adapter(2) is None
    (path / "model").write_bytes(b"\0" * len(b"weights"))  # the size is right: a length proves nothing
    assert writer.adapter(1) is None
    assert writer.forget_damaged("adapters/") == ["adapters/1-fair/model"]
    put_adapter(writer)
    assert writer.adapter(1) == path
    assert writer.request() == REQUEST


def test_an_adapter_renamed_but_not_listed_is_replaced(writer: RunWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(storage, "write_manifest", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "gone")))
        put_adapter(writer, b"first")
    assert writer.adapter(1) is None
    put_adapter(writer, b"second")
    path = writer.adapter(1)
    assert path and (path / "model").read_bytes() == b"second"


def test_a_newer_format_is_refused_with_the_upgrade(writer: RunWriter) -> None:
    manifest = json.loads((writer.path / "MANIFEST.json").read_text(encoding="utf-8"))
    manifest["version"] = storage.FORMAT_VERSION + 1
    (writer.path / "MANIFEST.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(MissingError) as error:
        RunFolder.open(writer.path)
    assert "upgrade" in error.value.fix


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(MissingError):
            RunFolder.open(path)


# --- journals --------------------------------------------------------------------------------------------------


def test_answers_count_by_whole_batches(writer: RunWriter) -> None:
    writer.append_answers(1, [answer("b"), answer("a")])
    writer.append_answers(2, [answer("c"), answer("d")])
    assert [a.key.question for a in writer.answers()] == ["a", "b"]


@pytest.mark.parametrize("tail", [b'{"seq": 3, "ba', b"\0\0\0\0", b'{"seq": 3}'[:-1], b"not json\n"])
def test_a_torn_tail_is_ignored_then_set_aside(writer: RunWriter, tail: bytes) -> None:
    writer.append_answers(1, [answer("a"), answer("b")])
    writer.close()
    path = writer.path / "answers.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert len(RunFolder.open(writer.path).answers()) == 2
    assert path.read_bytes() == whole + tail, "a reader changes nothing"
    with RunWriter.resume(writer.path) as again:
        assert again.torn == {"answers.jsonl": len(tail)}
        assert path.read_bytes() == whole
        assert tail.strip() in (writer.path / "answers.torn").read_bytes()
        again.append_answers(2, [answer("c"), answer("d"), answer("e")])
        assert len(again.answers()) == 5


def test_a_batch_that_lacks_answers_is_dropped_and_answered_again(writer: RunWriter) -> None:
    writer.append_answers(1, [answer("a"), answer("b")])
    writer.append_answers(2, [answer("c", "old"), answer("d", "old")])
    writer.close()
    with RunWriter.resume(writer.path) as again:
        again.append_answers(2, [answer("c"), answer("d"), answer("e")])
        texts = {a.key.question: a.text for a in again.answers()}
    assert texts == dict.fromkeys("abcde", "a")
    rows = storage.read_journal(writer.path / "answers.jsonl").rows
    assert [row["seq"] for row in rows] == [1, 2, 3, 4, 5]


def test_of_two_attempts_the_later_one_counts(writer: RunWriter) -> None:
    writer.append_answers(1, [answer("a", "old"), answer("b", "old")])
    writer.append_answers(1, [answer("a", "new"), answer("b", "new")])
    assert [a.text for a in writer.answers()] == ["new", "new"]


def test_damage_inside_a_journal_names_the_line(writer: RunWriter) -> None:
    writer.append_answers(1, [answer("a"), answer("b")])
    path = writer.path / "answers.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (lines[0][:-5] + b"\n" + lines[1], lines[1] + lines[0]):
        path.write_bytes(damaged)
        with pytest.raises(DataError) as error:
            writer.answers()
        assert error.value.where.endswith("answers.jsonl:1")


def usage(seconds: float, arm: str = "base", trial: int = 0, kind: str = "answering") -> Usage:
    return Usage.model_validate(
        {"kind": kind, "arm": arm, "trial": trial, "seconds": seconds, "tokens": 1, "peak_memory": 1}
    )


def test_usage_counts_once_its_work_is_stored_and_only_once(writer: RunWriter) -> None:
    writer.append_usage("batch-1", [usage(1)])
    writer.append_usage("batch-1", [usage(2)])  # the first attempt was killed before its answers
    writer.append_answers(1, [answer("a"), answer("b")])
    writer.append_usage("batch-2", [usage(4)])  # killed before its answers, too
    writer.append_usage("trial-1", [usage(8, "lora", 1, "preparation")])
    assert [u.seconds for u in writer.usages()] == [2]
    put_adapter(writer)
    assert [u.seconds for u in writer.usages()] == [2, 8]


def test_only_the_last_attempt_of_a_training_counts(writer: RunWriter) -> None:
    def tell(kind: str, **values: object) -> None:
        writer.append_event(Event(seq=0, at="", elapsed=0, kind=kind, values=values))

    def step(number: int, loss: float) -> None:
        tell("step", trial=1, step=number, steps=2, epoch=1, loss=loss, rate=1, grad_norm=1, positions=1, supervised=1,
             seconds=0)  # fmt: skip

    tell("trial", trial=1)
    step(1, 9)
    tell("trial", trial=1)
    step(1, 3)
    step(2, 2)
    assert [s.loss for s in writer.steps()] == [3, 2]
    assert [e.seq for e in writer.events(after=3)] == [4, 5]


# --- the disk --------------------------------------------------------------------------------------------------


def test_a_full_disk_stops_and_keeps_everything_before(writer: RunWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.append_answers(1, [answer("a"), answer("b")])
    before = (writer.path / "answers.jsonl").read_bytes()
    real, calls = os.write, []

    def nearly_full(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[: len(data) // 2])  # the first write takes a part: a torn tail

    with monkeypatch.context() as patch, pytest.raises(StoppedError) as error:
        patch.setattr(os, "write", nearly_full)
        writer.append_answers(2, [answer("c"), answer("d"), answer("e")])
    assert f"{calls[0]:,} bytes" in error.value.why and "kurabe resume" in error.value.fix
    assert error.value.exit_code == 5
    assert (writer.path / "answers.jsonl").read_bytes() == before
    writer.append_answers(2, [answer("c"), answer("d"), answer("e")])  # space was freed
    assert len(writer.answers()) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit there")
def test_a_file_size_limit_stops_and_keeps_everything_before(writer: RunWriter) -> None:
    import resource
    import signal

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer.append_answers(1, [answer("a"), answer("b")])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(StoppedError):
            writer.append_answers(2, [answer("c", "x" * 5000), answer("d"), answer("e")])
        with pytest.raises(StoppedError):
            put_adapter(writer, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert len(writer.answers()) == 2 and writer.adapter(1) is None
    assert not list(writer.path.glob(storage.STAGING + "*"))
    put_adapter(writer, b"x" * 5000)
    assert writer.adapter(1)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, "x"), OSError(errno.EROFS, "x"), FileNotFoundError(errno.ENOENT, "x"), PermissionError(13, "x"),
     RuntimeError("I/O error: No space left on device (os error 28)")],
)  # fmt: skip
def test_a_disk_that_fails_stops_the_run_with_the_reason(writer: RunWriter, error: Exception) -> None:
    with pytest.raises(StoppedError) as stopped, writer.staged():
        raise error
    assert stopped.value.why and f"kurabe resume {writer.path}" in stopped.value.fix


def test_an_error_that_is_not_the_disks_keeps_its_traceback(writer: RunWriter) -> None:
    with pytest.raises(KeyError), writer.staged():
        raise KeyError("trial 1")


def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(MissingError) as error:
        RunFolder.create(tmp_path / "file", "r")
    assert error.value.exit_code == 4 and "--runs" in error.value.fix

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(MissingError):
        RunFolder.create(tmp_path, "r")


@pytest.mark.parametrize(("number", "mended"), [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Make it writable")])
def test_a_run_that_cannot_be_gone_on_with_says_what_to_do_first(
    writer: RunWriter, monkeypatch: pytest.MonkeyPatch, number: int, mended: str
) -> None:
    writer.close()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(storage, "Journal", refuse)
    with pytest.raises(MissingError) as error:
        RunWriter.resume(writer.path)
    assert error.value.fix == f"{mended}, then: kurabe resume {writer.path}"


def test_a_command_to_copy_has_its_path_quoted() -> None:
    assert storage.go_on(Path("my runs/a")) == "kurabe resume 'my runs/a'"


def test_staging_left_by_a_killed_process_is_swept(writer: RunWriter) -> None:
    writer.close()
    left = writer.path / f"{storage.STAGING}dead"
    left.mkdir()
    (left / "model").write_bytes(b"full size, but never published")
    RunWriter.resume(writer.path).close()
    assert not left.exists()


# --- one writer ------------------------------------------------------------------------------------------------


def test_a_second_writer_is_told_who_holds_the_folder(writer: RunWriter) -> None:
    before = sorted(path.name for path in writer.path.iterdir())
    for attempt in (
        lambda: RunWriter.resume(writer.path).close(),
        lambda: RunFolder.create(writer.path.parent, "r").close(),
    ):
        with pytest.raises(BusyError) as error:
            attempt()
        assert str(os.getpid()) in error.value.why and error.value.exit_code == 8
    assert sorted(path.name for path in writer.path.iterdir()) == before


def test_the_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from kurabe.runs import RunFolder; w = RunFolder.create(sys.argv[1], 'r');"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert killed.returncode != 0
    RunFolder.create(tmp_path, "r").close()  # nothing was stored: the name is free


def test_another_processs_lock_is_respected(writer: RunWriter) -> None:
    code = (
        "import sys; from kurabe.runs import RunWriter; from kurabe.errors import BusyError\n"
        "try: RunWriter.resume(sys.argv[1])\n"
        "except BusyError as error: print(error.why)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(writer.path)], check=True, timeout=60, capture_output=True, text=True
    )
    assert f"process {os.getpid()} " in done.stdout


def test_old_results_and_foreign_folders_are_not_touched(writer: RunWriter) -> None:
    writer.close()
    with pytest.raises(SettingsError):
        RunFolder.create(writer.path.parent, "r")
    foreign = writer.path.parent / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(SettingsError):
        RunFolder.create(writer.path.parent, "thesis")
    assert [path.name for path in foreign.iterdir()] == ["chapter1.txt"]


def test_only_an_unplanned_run_can_be_discarded(tmp_path: Path, writer: RunWriter) -> None:
    with pytest.raises(ValueError, match="planned"):
        writer.discard()
    other = RunFolder.create(tmp_path, "other")
    other.publish({"request.json": REQUEST})
    other.discard()
    assert not (tmp_path / "other").exists()


# --- names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "A", "con", "nul.txt", "com1", "a.", "-a", "a b", "料金", "x" * 65, "a\n"],
)
def test_names_that_are_no_folder_everywhere_are_refused(name: str) -> None:
    with pytest.raises(SettingsError) as error:
        check_name(name)
    check_name(error.value.fix.split("--name ")[1])


def test_names_come_from_file_and_time(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, 18, 0, 0)  # noqa: DTZ001  (a label)
    assert new_name(tmp_path, "My Shop (1).jsonl", now) == "my-shop-1-20261122-180000"
    assert slug("よくある質問") == "run" and slug("CON") == "run"
    (tmp_path / "run-20261122-180000").mkdir()
    assert new_name(tmp_path, "質問.jsonl", now) == "run-20261122-180000-2"


# --- old runs --------------------------------------------------------------------------------------------------


def test_a_run_of_the_first_format_opens_and_gives_its_results() -> None:
    """Stored by kurabe 0.1.0 and never written again: an old run opens in every newer kurabe."""
    from kurabe.analysis import load_run

    folder = RunFolder.open(Path(__file__).parent / "data" / "run-v1")
    assert folder.finished and folder.adapter(1)
    assert len(folder.examples()) == 8 and len(folder.steps()) == folder.info().trials[0].steps
    stored, analysed = folder.results(), load_run(folder.path)
    assert stored is not None
    assert {arm.label: arm.recall.value for arm in stored.arms} == {a.label: a.recall.value for a in analysed.arms}
    assert not (folder.path / "lock").exists(), "a reader takes no lock"
