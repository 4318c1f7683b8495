"""The show and its processes: what dies is said and the talk goes on; a recording stands in, labelled and in time."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import show_runs
import torch

from kurabe import dataset, load_run
from kurabe.errors import SettingsError
from kurabe.events import Recorder
from kurabe.runs import RunFolder, RunWriter
from kurabe.schema import Results
from kurabe.texts import Texts
from kurabe.workshop import slides
from kurabe.workshop.script import load
from kurabe.workshop.session import Session
from kurabe.workshop.show import OLLAMA_PULSE, REPLAY_SECONDS, Show, Stage, find_recorded

ROWS = Path(__file__).parents[1] / "examples" / "support-en.jsonl"
SCRIPTS = {language: load(language) for language in ("en", "ja")}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return show_runs.write(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Show]]:
    made: list[Show] = []

    def begin(recorded: Path | None, clock: Callable[[], float] = time.monotonic) -> Show:
        stage = Stage(ROWS, "tiny", lambda t: "", tmp_path / "runs", "show-1", recorded)
        made.append(Show(Session(SCRIPTS, "en", clock=clock), stage, clock))
        return made[-1]

    yield begin
    for show in made:
        show.close()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_training_that_is_killed_leaves_the_talk_alive(make: Callable[..., Show], finished: Path) -> None:
    show = make(finished)
    show.act("goto", "train")
    job = show.jobs["run"]
    assert "fair,origin" in job.words
    os.kill(job.pid, signal.SIGKILL)
    until(lambda: job.state == "failed")
    before = show.session.version
    show.tick()
    assert show.session.version > before and slides.slide(show)["failed"] == -signal.SIGKILL
    show.act("next")
    assert show.session.current == "compare" and slides.slide(show)["missing"]
    show.act("tempo")
    show.act("tempo")
    assert not slides.slide(show)["missing"] and show.recorded
    show.act("tempo")
    show.act("start")
    assert show.jobs["run"] is not job, "s begins again"


class Ended:
    """A job that is over at once: its state, and what it said."""

    def __init__(self, words: Sequence[str], said: str) -> None:
        self.words, self.said, self.last_words = tuple(words), said, said
        self.state, self.code, self.pid = ("failed", 1, 0) if said else ("running", None, 0)

    def end(self) -> None: ...


@pytest.mark.parametrize(
    ("said", "flag", "value", "key"),
    [
        ("torch.AcceleratorError: CUDA error: device-side assert triggered", "--device", "cpu", "device"),
        ("The memory is too small to train this model.", "--model", "tiny", "model"),
    ],
)
def test_a_fault_on_stage_begins_another_attempt_once_and_says_so(
    make: Callable[..., Show], monkeypatch: pytest.MonkeyPatch, said: str, flag: str, value: str, key: str
) -> None:
    begun: list[Ended] = []

    def begin(words: Sequence[str], logs: Path) -> Ended:
        begun.append(Ended(words, said))
        return begun[-1]

    monkeypatch.setattr("kurabe.workshop.show.Job", begin)
    monkeypatch.setattr("sys.platform", "linux")
    show = make(None)
    show.stage = show.stage._replace(model="/models/large")
    show._flags["--model"] = "/models/large"
    show.act("goto", "train")
    for _ in range(4):
        show.tick()
    first, second = (job.words for job in begun)  # the attempt fails as well, and is left as it is
    assert "--device" not in first and second[second.index(flag) + 1] == value
    assert first[first.index("--name") + 1] == "show-1" and second[second.index("--name") + 1] == "show-1-2"
    ((words, fix),) = slides.slide(show)["banners"]
    assert words == Texts("en")(f"workshop.repair.{key}", **show.repaired[0].values) and not fix
    show.act("tempo")
    assert slides.slide(show)["banners"] == [], "a recording needed no repair"


@pytest.mark.slow
def test_a_device_that_is_not_there_is_mended_before_the_room(
    make: Callable[..., Show], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Provoked in the real process: the settings ask for a device that this machine lacks, as a tutorial would."""
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    monkeypatch.setenv("KURABE_DEVICE", "cuda")
    show = make(None)
    show.act("goto", "train")
    broken = show.jobs["run"]
    until(lambda: broken.state == "failed", 600)
    show.tick()
    mended = show.jobs["run"]
    assert mended is not broken and mended.words[mended.words.index("--device") + 1] in ("cpu", "mps")
    until(lambda: bool(show.view.stage) or bool(show.look(at_once=True)), 600)
    assert mended.state == "running" and show.live.name == "show-1-2"
    mended.end()
    assert show.folders == [show.live], "the attempt that could not begin left nothing"
    show.act("clean")
    until(lambda: show.jobs["clean"].state == "done", 600)
    assert show.folders == []


def test_memory_that_ended_in_training_is_said_with_the_rows_that_are_left(
    make: Callable[..., Show], tmp_path: Path
) -> None:
    """The engine halves its batches and says so in each step's event; here the event is written by hand."""
    show = make(None)
    with RunWriter.begin(show.stage.runs, show.stage.name) as folder:
        record = Recorder(folder)
        trial = {"trial": 1, "recipe": "fair", "steps": 2}
        record("trial", **trial)
        record("step", trial=1, step=1, loss=2.0, seconds=1.0, at_once=None)
        show.session.go_to("train")
        show.look(at_once=True)
        assert slides.slide(show)["banners"] == []
        record("step", trial=1, step=2, loss=1.0, seconds=1.0, at_once=4)
    show.look(at_once=True)
    ((words, _),) = slides.slide(show)["banners"]
    assert "4 rows at a time" in words


def test_ollama_is_looked_for_where_its_commands_are_typed(
    make: Callable[..., Show], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real port: nobody listens, then somebody does, as when the presenter types the command on the page."""
    clock = Clock()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{listener.getsockname()[1]}")
    show = make(finished, clock)
    show.act("tempo")
    show.act("tempo")
    show.session.go_to("compare")
    show.tick()
    assert show.ollama is None, "nobody looks where it is not needed"
    show.session.go_to("prompt")
    show.tick()
    ((words, fix),) = slides.slide(show)["banners"]
    assert "not running" in words and "ollama serve" in fix
    listener.listen()
    answering = threading.Thread(target=answer_once, args=(listener,))
    answering.start()
    clock.now += OLLAMA_PULSE
    before = show.session.version
    show.tick()
    answering.join()
    listener.close()
    assert show.ollama and slides.slide(show)["banners"] == [] and show.session.version > before


def answer_once(listener: socket.socket) -> None:
    with listener.accept()[0] as caller:
        caller.recv(1000)
        caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_the_talk_is_about_the_rows_at_hand(tmp_path: Path) -> None:
    """Rows of the presenter's own: their number and file in the words, and no command about the ten rows."""
    own = tmp_path / "own.jsonl"
    own.write_text("".join(ROWS.read_text(encoding="utf-8").splitlines(keepends=True)[:9]), encoding="utf-8")
    for rows, mine in ((ROWS, False), (own, True)):
        show = Show(Session(SCRIPTS, "en"), Stage(rows, "tiny", lambda t: "", tmp_path / "runs", "show-1", None, mine))
        typed = [command.line for step in show.steps() for command in step.commands]
        said = " ".join(part for step in show.steps() for part in (step.title, step.lead, *step.track))
        assert f"the same {9 if mine else 10} rows" in said and "{" not in said
        assert any("demo-modelfile" in line for line in typed) is not mine
        assert any(str(show.live) in line for line in typed) is mine
        data = rows if mine else "../examples/support-en.jsonl"
        assert f"kurabe run {data} --recipes fair,origin" in typed
        show.close()


def test_a_recording_is_played_within_its_time_and_then_has_results(make: Callable[..., Show], finished: Path) -> None:
    clock = Clock()
    show = make(finished, clock)
    show.act("tempo")
    seen = []
    for _ in range(12):
        seen.append(show.view.elapsed)
        clock.now += REPLAY_SECONDS / 10
        show.look()
    assert seen == sorted(seen) and show.view.finished and show.results is not None
    assert show.view.elapsed == RunFolder.open(finished).events()[-1].elapsed


def test_results_that_come_late_stay_those_of_their_run(
    make: Callable[..., Show], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The presenter switches back while a window's thread still analyses the recording."""
    show = make(finished)
    show.act("tempo")
    show.act("tempo")
    analyse = load_run

    def slowly(path: Path) -> Results:
        found = analyse(path)
        show.session.toggle("tempo")
        return found

    monkeypatch.setattr("kurabe.workshop.show.load_run", slowly)
    assert show.results is not None and list(show._results) == [finished]


def test_without_a_recording_the_tempo_shows_nothing_as_one(make: Callable[..., Show]) -> None:
    show = make(None)
    show.act("tempo")
    assert not show.recorded and show.results is None


def test_nobody_answers_before_there_is_a_run(make: Callable[..., Show]) -> None:
    with pytest.raises(SettingsError, match="Nobody can answer yet") as refused:
        make(None).act("ask", "What does it cost?")
    assert refused.value.fix


def test_a_question_that_no_process_answers_is_not_left_waiting(make: Callable[..., Show], finished: Path) -> None:
    """The synthetic run's weights are nobody's: the answering process says so. Killed, it is said, too."""
    show = make(finished)
    show.act("tempo")
    show.act("tempo")
    show.act("ask", "  What   does it cost? ")
    assert show.asked and show.asked.question == "What does it cost?" and show.asked.answers is None
    until(lambda: bool(show.asked and show.asked.problem))
    assert "model" in show.asked.problem
    show.act("ask", "Again?")
    assert show._answering
    os.kill(show._answering._process.pid, signal.SIGKILL)
    until(lambda: bool(show.asked and show.asked.problem))
    show.act("next")
    assert show.asked is None and show.session.at == 0, "the next key closes the question first"


def test_the_checklist_looks_at_this_machine(make: Callable[..., Show]) -> None:
    show = make(None)
    show.begin()
    assert show.checks() is None
    until(lambda: show.jobs["doctor"].state != "running")
    assert {"python", "model"} <= {check["part"] for check in show.checks() or []}
    first = show.jobs["doctor"]
    show.act("next")
    show.act("back")
    assert show.jobs["doctor"] is first, "one look is enough"
    show.act("language")
    assert "ja" in show.jobs["doctor"].words and show.checks() is None


def test_closing_ends_every_process(make: Callable[..., Show]) -> None:
    show = make(None)
    show.act("goto", "train")
    pid = show.jobs["run"].pid
    show.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_newest_finished_run_of_the_same_rows_is_the_recording(tmp_path: Path, finished: Path) -> None:
    assert find_recorded(finished.parent, "d" * 64) == finished
    assert find_recorded(finished.parent, dataset.read_examples(ROWS).sha256) is None
    assert find_recorded(tmp_path / "nowhere", "d" * 64) is None


def test_an_unknown_action_is_refused(make: Callable[..., Show]) -> None:
    with pytest.raises(SettingsError, match="no action") as refused:
        make(None).act("explode")
    assert refused.value.fix
