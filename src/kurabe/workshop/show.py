"""The show: a session, the run it is about, and the processes that work for it.

Knows no page. What a page may ask for is `act`; what has changed since is told by the session's version.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from kurabe import dataset
from kurabe.analysis import load_run
from kurabe.errors import SettingsError, UserError
from kurabe.runs import EVENTS, EXPORT, RunFolder
from kurabe.schema import Event, Parity, Results, RunInfo
from kurabe.servers import ollama_here
from kurabe.storage import MANIFEST
from kurabe.texts import Texts
from kurabe.workshop.jobs import Answering, Job
from kurabe.workshop.repairs import Repair, repair
from kurabe.workshop.script import Step
from kurabe.workshop.session import Session
from kurabe.workshop.watch import View, until, view

RECIPES = "fair,origin"  # the first one is the verdict's
ARMS = "base,prompt,lora,lora+prompt,ceiling"
FORMATS = "F16,Q8_0,Q4_K_M"
QUESTION_LIMIT = 500  # characters
REPLAY_SECONDS = 40.0  # a recording is played in at most so many
PULSE = 1.0  # seconds between two looks at a run that works
OLLAMA_PULSE = 3.0  # seconds between two looks for Ollama, on the steps that type its commands
OLLAMA_STEPS = ("prompt", "ship")


class Stage(NamedTuple):
    """What the show is about: the rows, the model, where runs go, the run that may stand in for a live one."""

    data: Path
    model: str
    why: Callable[[Texts], str]  # this model, in the language on screen
    runs: Path
    name: str  # of the live run
    recorded: Path | None
    own: bool = False  # the presenter's rows, not those that the commands of `workshop/` are about


class Asked(NamedTuple):
    """A question from the audience. `answers` is None while it is being answered."""

    question: str
    answers: list[dict[str, Any]] | None = None
    problem: str = ""


class Show:
    """One talk with its work. `tick` is called a few times a second; `close` ends every process."""

    def __init__(self, session: Session, stage: Stage, clock: Callable[[], float] = time.monotonic) -> None:
        self.session, self.stage, self._clock = session, stage, clock
        self._logs = Path(tempfile.mkdtemp(prefix="kurabe-show-"))
        self.jobs: dict[str, Job] = {}
        self.asked: Asked | None = None
        self.kept = False
        self._looked_in = ""  # the language in which the machine was asked what it is
        self.repaired: list[Repair] = []  # what the live run needed so far
        self.ollama: bool | None = None  # whether it answers here; None where nobody has looked, or it is elsewhere
        self._sought = -OLLAMA_PULSE
        self._given_up: list[Path] = []  # folders of attempts that a repair has replaced
        self._hopeless: Job | None = None  # a run that failed and that nothing here mends
        self._flags = {"--model": stage.model, "--recipes": RECIPES, "--arms": ARMS, "--runs": str(stage.runs)}
        self._answering: Answering | None = None
        self._replaying: float | None = None  # since when
        self._looked = (-1.0, -1)  # when, and at how many bytes of events
        self._events: Sequence[Event] = ()  # of the run that is shown, as they were then
        self.view = View()
        self._results: dict[Path, Results] = {}
        self._states: dict[str, str] = {}

    # --- the run -----------------------------------------------------------------------------------------------

    @property
    def live(self) -> Path:
        """Where the live run lies, whether it is begun or not."""
        return self.stage.runs / self.stage.name

    @property
    def begun(self) -> bool:
        """Whether there is anything of the live run."""
        return (self.live / MANIFEST).exists()

    @property
    def folders(self) -> list[Path]:
        """What this talk has stored: the live run, and attempts that ended before it."""
        return [path for path in (*self._given_up, self.live) if (path / MANIFEST).exists()]

    @cached_property
    def data(self) -> dataset.Dataset:
        """The rows that the show is about."""
        return dataset.read_examples(self.stage.data)

    def step(self, offset: int = 0) -> Step | None:
        """The step on screen, or one before or after it, with this talk's own rows and run in its words."""
        found = self.session.step(offset)
        return self._filled(found) if found else None

    def steps(self) -> list[Step]:
        """All steps of this talk, in these words."""
        every = self.session.scripts[self.session.language].steps
        return [self._filled(step) for step in every if step.id in self.session.spent]

    def _filled(self, step: Step) -> Step:
        # The commands about the ten rows are typed in `workshop/`.
        data = str(self.stage.data) if self.stage.own else f"../examples/{self.stage.data.name}"
        words = {"rows": str(len(self.data.examples)), "data": data, "run": str(self.live)}
        return step.filled(words, own=self.stage.own)

    @property
    def run(self) -> Path:
        """The run that the pages are about."""
        return self.stage.recorded if self.recorded and self.stage.recorded else self.live

    @property
    def recorded(self) -> bool:
        """Whether what is shown was recorded: it is labelled so everywhere."""
        return self.session.tempo != "live" and self.stage.recorded is not None

    @property
    def speed(self) -> float:
        """How many times faster than it was a recording is played."""
        return max(1.0, self._events[-1].elapsed / REPLAY_SECONDS) if self._events else 1.0

    @property
    def results(self) -> Results | None:
        """Results of the run that is shown, once it has come to its end on the page, too."""
        run = self.run  # once: the presenter may switch over while another window's thread is analysing
        if not self.view.finished:
            return None
        if run not in self._results:
            if not RunFolder.open(run).finished:
                return None
            # Analysed again, not read: a recording may have been made by an older kurabe, with other sentences.
            self._results[run] = load_run(run)
        return self._results[run]

    @property
    def info(self) -> RunInfo | None:
        """What was planned for the run that is shown; None before its plan stands."""
        folder = RunFolder(self.run)
        return folder.info() if self.run.is_dir() and folder.planned else None

    @property
    def parity(self) -> Parity | None:
        """What the exported files of this run came to, once each of them was asked."""
        return RunFolder(self.run).parity()

    # --- what a page asks for ----------------------------------------------------------------------------------

    def act(self, name: str, value: str = "") -> None:
        """Do one thing. Raises SettingsError for what there is not."""
        actions: dict[str, Callable[[], None]] = {
            "next": self._next, "back": self._back, "goto": lambda: self._go(value),
            "blank": lambda: self.session.toggle("blank"), "dark": lambda: self.session.toggle("dark"),
            "language": self._language, "clock": lambda: self.session.toggle("clock"),
            "tempo": self._tempo, "start": self._start, "ask": lambda: self._ask(value), "close": self._dismiss,
            "ship": self._ship, "doctor": self._doctor, "clean": self._clean, "keep": self._keep,
        }  # fmt: skip
        if name not in actions:
            raise SettingsError(f"There is no action {name!r}.", fix=f"Actions: {', '.join(actions)}")
        actions[name]()
        self.session.changed()

    def begin(self) -> None:
        """The first step comes on screen."""
        self._arrive()
        self.session.changed()

    def _next(self) -> None:
        if self.asked:
            self._dismiss()
        else:
            self.session.next()
            self._arrive()

    def _back(self) -> None:
        if self.asked:
            self._dismiss()
        else:
            self.session.back()
            self._arrive()

    def _go(self, step: str) -> None:
        self.asked = None
        self.session.go_to(step)
        self._arrive()

    def _arrive(self) -> None:
        """Some steps begin their work when they come on screen."""
        step = self.session.current
        if not self.session.running and self.session.at:
            self.session.toggle("clock")
        if step == "checklist" and self._looked_in != self.session.language:
            self._doctor()
        if step == "train" and self.session.tempo == "live" and "run" not in self.jobs:
            self._start()
        if step == "train" and self.session.tempo == "recorded" and self._replaying is None:
            self._replaying = self._clock()

    def _tempo(self) -> None:
        self.session.toggle("tempo")
        self._replaying = self._clock() if self.session.tempo == "recorded" else None
        self._looked = (-1.0, -1)
        self.look()

    def _start(self) -> None:
        """Begin the live run, or go on with one that was stopped or died."""
        if self.session.tempo != "live" or ("run" in self.jobs and self.jobs["run"].state == "running"):
            return
        if self.begun:
            words = ["resume", str(self.live), "--quiet"]
        else:
            flags = [word for flag in (self._flags | {"--name": self.stage.name}).items() for word in flag]
            words = ["run", str(self.stage.data), *flags, "--quiet"]
        self.jobs["run"] = Job(words, self._logs)

    def _mend(self) -> None:
        """Where the live run failed for a reason that another attempt avoids, begin that attempt, in a folder of its
        own: figures of one run come from one device and one model."""
        job = self.jobs.get("run")
        if job is None or job is self._hopeless or job.state != "failed" or self.session.tempo != "live":
            return
        found = repair(job.said, self._flags["--model"], self._flags.get("--device", ""))
        if found is None:
            self._hopeless = job
            return
        self.repaired.append(found)
        self._given_up.append(self.live)
        self._flags.update(found.words)
        name = self._given_up[0].name
        self.stage = self.stage._replace(name=f"{name}-{len(self.repaired) + 1}", model=self._flags["--model"])
        self._start()
        self.session.changed()

    def _seek(self) -> None:
        """Look for Ollama where its commands are typed: it may be started while the step is on screen."""
        if self.session.current in OLLAMA_STEPS and self._clock() - self._sought >= OLLAMA_PULSE:
            found = ollama_here(os.environ.get("OLLAMA_HOST", ""))
            self._sought = self._clock()
            if found != self.ollama:
                self.ollama = found
                self.session.changed()

    def _doctor(self) -> None:
        if "doctor" in self.jobs:
            self.jobs["doctor"].end()
        self._looked_in = self.session.language
        words = ["doctor", "--json", "--lang", self._looked_in, "--runs", str(self.stage.runs)]
        self.jobs["doctor"] = Job(words, self._logs)

    def _language(self) -> None:
        """What the machine says of itself is asked again in the other language, where it is on screen."""
        self.session.toggle("language")
        if self.session.current == "checklist":
            self._doctor()

    def _ship(self) -> None:
        if self.results and ("ship" not in self.jobs or self.jobs["ship"].state == "failed"):
            words = ["ship", str(self.run), "--arm", "lora", "--formats", FORMATS, "--quiet"]
            self.jobs["ship"] = Job(words, self._logs)

    def _ask(self, question: str) -> None:
        question = " ".join(question.split())[:QUESTION_LIMIT]
        if not question:
            raise SettingsError("The question is empty.", fix="Write one into the field.")
        if not self.results:
            raise SettingsError("Nobody can answer yet.", fix="Wait for the run, or switch to the recorded one (t).")
        if self._answering is None or not self._answering.alive or self._answering.run != self.run:
            if self._answering:
                self._answering.end()
            self._answering = Answering(self.run, self._answered)
        self.asked = Asked(question)
        self._answering.ask(question)

    def _answered(self, question: str, answers: list[dict[str, Any]], problem: str) -> None:
        if self.asked and self.asked.question == question:
            self.asked = Asked(question, answers, problem)
            self.session.changed()

    def _dismiss(self) -> None:
        self.asked = None

    def _keep(self) -> None:
        self.kept = True

    def _clean(self) -> None:
        """Remove the live run with all that was exported from it; a recorded one stays."""
        if self._answering:
            self._answering.end()
            self._answering = None
        if self.folders:
            self.jobs["clean"] = Job(["clean", *map(str, self.folders), "--yes"], self._logs)

    # --- time passes -------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look whether a process ended or the run went on; a change counts the version up."""
        states: dict[str, str] = {name: job.state for name, job in self.jobs.items()}
        if "ship" in self.jobs:
            states["files"] = " ".join(sorted(path.name for path in (self.run / EXPORT).glob("*.gguf")))
        if states != self._states:
            self._states = states
            self.session.changed()
        self._mend()
        self._seek()
        self.look()

    def look(self, *, at_once: bool = False) -> None:
        """The run as far as it has come, read again where there is more of it."""
        if self._clock() - self._looked[0] < PULSE and not at_once:
            return
        log = self.run / EVENTS
        size = log.stat().st_size if log.exists() else 0
        replaying = self.session.tempo == "recorded" and not self.view.finished
        if size == self._looked[1] and not replaying:
            self._looked = (self._clock(), size)
            return
        if size != self._looked[1]:
            self._events = RunFolder(self.run).events() if size else ()
        self._looked = (self._clock(), size)
        events = self._events
        if self.recorded and self.session.tempo == "recorded":
            since = self._replaying if self._replaying is not None else self._clock()
            events = until(events, (self._clock() - since) * self.speed)
        found = view(events)
        if found != self.view:
            self.view = found
            self.session.changed()

    def checks(self) -> list[dict[str, str]] | None:
        """What `kurabe doctor` found; None while it looks."""
        job = self.jobs.get("doctor")
        if job is None or job.state == "running":
            return None
        try:
            found: list[dict[str, str]] = json.loads(job.output)["checks"]
        except (ValueError, KeyError):
            return []
        return found

    def close(self) -> None:
        """End every process. What the live run has stored stays, and can be resumed."""
        for job in self.jobs.values():
            job.end()
        if self._answering:
            self._answering.end()
        shutil.rmtree(self._logs, ignore_errors=True)


def find_recorded(runs: Path, data_sha256: str) -> Path | None:
    """The newest finished run of the same rows, by both recipes; None where there is none."""
    found: list[tuple[str, Path]] = []
    for path in sorted(runs.iterdir()) if runs.is_dir() else ():
        with contextlib.suppress(UserError, ValueError, OSError):
            folder = RunFolder.open(path)
            request = folder.request()
            recipes = set(request.settings.get("recipes", ()))
            if request.data_sha256 == data_sha256 and folder.finished and recipes == set(RECIPES.split(",")):
                found.append((request.created, path))
    return max(found)[1] if found else None
