"""The show and its processes: what dies is said and the talk goes on; a recording stands in, labelled and in time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import show_runs

from kurabe import dataset
from kurabe.errors import SettingsError
from kurabe.runs import RunFolder
from kurabe.workshop import slides
from kurabe.workshop.script import load
from kurabe.workshop.session import Session
from kurabe.workshop.show import REPLAY_SECONDS, Show, Stage, find_recorded

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
