"""What a person sees while a run works: the model, the recipes, loss and answers as they come, the time left.

Knows no file but the run folder that it reads when the plan stands; everything else comes from events. On a terminal
a bar moves; elsewhere a plain line appears every ten seconds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from kurabe import texts
from kurabe.cli.screen import Screen, plain
from kurabe.cli.shape import TINYLLAMA
from kurabe.report import sentences
from kurabe.runs import RunFolder
from kurabe.schema import Event, Finding, ModelInfo, Reason, RunInfo, Step, TrialInfo

STAGES = ("load", "base", "train", "answer", "analyse")
PULSE = 10.0  # seconds between plain lines where there is no terminal
LOSS_LINES = 5  # lines of loss per trial
BARS = "▁▂▃▄▅▆▇█"
TINYLLAMA_RANK = 16


class Follower:
    """The listener of one run: `with Follower(screen, folder) as follow: run(..., emit=follow)`."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self._screen, self._t, self._folder = screen, screen.t, folder
        self._trials: dict[int, TrialInfo] = {}
        self._compared: tuple[TrialInfo, ...] = ()  # the arms of the table; of the others only the end is told
        self._losses: dict[int, list[float | None]] = {}  # of each trial in training
        self._pace = Pace()
        self._spoke = 0.0
        self._bar: TaskID | None = None
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24),
            TextColumn("{task.fields[rest]}"), console=screen.err, transient=True,
            disable=screen.quiet or not screen.err.is_terminal,
        )  # fmt: skip

    def __enter__(self) -> Follower:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show one event. A kind that is not known here is stored in the folder all the same, and passed over."""
        shown = {
            "stage": self._stage, "plan": self._plan, "trial": self._trial, "step": self._step, "batch": self._batch,
            "note": self._note,
        }.get(event.kind)  # fmt: skip
        if shown:
            shown(event)

    # --- one method per kind of event -------------------------------------------------------------------------

    def _stage(self, event: Event) -> None:
        name, values = event.values["name"], event.values
        number = f"{STAGES.index(name) + 1}/{len(STAGES)}" if name in STAGES else ""
        words = f"{number} {self._t(f'stage.{name}')}".strip()  # only some runs have the stages without a number
        if values["state"] == "start":
            self._pace = Pace(event.elapsed)
            self._spoke = event.elapsed
            self._start_bar(words)
        else:
            self._end_bar()
            self._screen.say(f"{words}  {texts.seconds(values['seconds'])}", style="dim")

    def _plan(self, event: Event) -> None:
        folder = RunFolder.open(self._folder)
        info = folder.info()
        self._compared = info.trials
        self._trials = {trial.trial: trial for trial in (*info.trials, *info.swept)}
        for label, words in introduction(info, folder.findings(), self._t):
            self._screen.say_beside(label, words)

    def _trial(self, event: Event) -> None:
        number, begun = event.values["trial"], event.values.get("from_step", 0)
        earlier = RunFolder.open(self._folder).steps() if begun else ()
        self._losses[number] = [step.loss for step in earlier if step.trial == number]
        before = sum(t.positions for t in self._trials.values() if t.trial < number)
        if before > self._pace.done and len(self._losses) == 1:  # trained in an earlier session
            self._pace.skip_to(before, event.elapsed)
        if begun:
            done = sum(step.positions for step in earlier if step.trial == number)
            self._pace.skip_to(self._pace.done + done, event.elapsed)

    def _step(self, event: Event) -> None:
        step = Step.model_validate(event.values)
        losses = self._losses.setdefault(step.trial, [])
        losses.append(step.loss)
        self._pace.reach(self._pace.done + step.positions, event.elapsed)
        trial = self._trials.get(step.trial)
        name = trial.name if trial in self._compared else _name(trial, self._t) if trial else str(step.trial)
        words = self._t("cli.follow.step", recipe=name, step=step.step, steps=step.steps, loss=_loss(step.loss))
        total = sum(trial.positions for trial in self._trials.values())
        if step.step == step.steps:
            self._tell(event, self._t(
                "cli.follow.trained", recipe=name, steps=step.steps, first=_loss(losses[0]),
                last=_loss(step.loss), line=sparkline(losses, 24),
            ))  # fmt: skip
        elif trial in self._compared and (step.step == 1 or step.step % math.ceil(step.steps / LOSS_LINES) == 0):
            self._tell(event, f"{words}  {self._t('cli.follow.rate', rate=texts.rate(step.rate))}", style="dim")
        self._advance(event, total, f"{words} {sparkline(losses, 16)}")

    def _batch(self, event: Event) -> None:
        done, total = event.values["done"], event.values["total"]
        # The first batch of a session says how much was there before it as well.
        (self._pace.reach if self._pace.done else self._pace.skip_to)(done, event.elapsed)
        self._advance(event, total, self._t("cli.follow.answers", done=done, total=total))

    def _note(self, event: Event) -> None:
        words = sentences.sentence(Reason.model_validate(event.values), self._t)
        self._screen.say_beside(self._t("cli.follow.note"), plain(words))

    # --- the bar, or the plain line instead ---------------------------------------------------------------------

    def _start_bar(self, words: str) -> None:
        self._bar = self._progress.add_task(words, total=None, rest="")

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None

    def _advance(self, event: Event, total: float, words: str) -> None:
        left = self._pace.left(total)
        rest = words if left is None or left < 1 else f"{words}  {self._t('cli.follow.left', time=texts.seconds(left))}"
        if not self._progress.disable:
            if self._bar is not None:
                self._progress.update(self._bar, total=total, completed=self._pace.done, rest=rest)
        elif event.elapsed - self._spoke >= PULSE:
            self._tell(event, rest)

    def _tell(self, event: Event, words: str, style: str = "") -> None:
        self._spoke = event.elapsed
        self._screen.say(words, style)


class Pace:
    """How fast units of work get done, and how long the rest will take at that pace.

    What an earlier session did is skipped: it took no time in this one.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._start = self._now = start
        self._skipped = self.done = 0.0

    def skip_to(self, done: float, now: float) -> None:
        """Everything up to `done` was there already: the pace is measured from here on."""
        self._skipped = self.done = done
        self._start = self._now = now

    def reach(self, done: float, now: float) -> None:
        """So much is done now."""
        self.done, self._now = done, now

    def left(self, total: float) -> float | None:
        """Seconds for the rest; None while nothing was measured. Never negative."""
        spent, worked = self._now - self._start, self.done - self._skipped
        return max(0.0, total - self.done) * spent / worked if worked > 0 and spent > 0 else None


def _name(trial: TrialInfo, t: texts.Texts) -> str:
    """A point of a curve by what may set it apart."""
    return t(
        "cli.follow.trial", recipe=trial.recipe, trial=trial.trial, examples=trial.examples, wordings=trial.wordings,
        rank=trial.rank, rate=texts.rate(trial.rate), seed=trial.seed,
    )  # fmt: skip


def introduction(info: RunInfo, findings: Sequence[Finding], t: texts.Texts) -> list[tuple[str, str]]:
    """(label, words) of what will be done: data, model, device, the stand-in's caveat, each recipe and its flaws."""
    model = info.model
    lines = [
        (t("cli.follow.data"), t("cli.follow.data_is", data=plain(info.data), form=info.form)),
        (t("cli.follow.model"), t("cli.follow.model_is", name=plain(model.name), family=model.family,
                                  parameters=texts.count(model.parameters))),
        (t("cli.follow.device"), device_line(model, info.provenance.processor, t)),
    ]  # fmt: skip
    if info.memory:
        lines.append((t("cli.plan.memory"), memory_line(info.memory, t)))
    if model.stand_in:
        lines.append((t("cli.follow.stand_in"), t("verdict.stand_in")))
    for trial in info.trials:
        lines.append((trial.name, recipe_line(trial, info, t)))
        found = [finding for finding in findings if finding.recipe == trial.name]
        lines.extend(("", f"{'·' if f.level == 'info' else '✗'} {sentences.finding(f, t)[0]}") for f in found)
    if info.trials:
        lines.append(("TinyLlama", tinyllama_line(t)))
    return lines


def device_line(model: ModelInfo, processor: str, t: texts.Texts) -> str:
    """Where the model runs and in which numbers, and why there."""
    place = t(
        "cli.follow.device_is", device=model.device, dtype=model.dtype, threads=model.threads,
        processor=plain(processor),
    )  # fmt: skip
    return (
        t("cli.follow.device_why", device=place, why=plain(sentences.sentence(model.chosen, t)))
        if model.chosen
        else place
    )


def memory_line(memory: Mapping[str, int | None], t: texts.Texts) -> str:
    """The peak that was planned, and what it is made of; what was measured, where it was."""
    parts = [f"{t(f'cli.plan.{name}')} {texts.size(n)}" for name, n in memory.items() if n and name != "peak"]
    peak = memory.get("peak")
    return t("cli.plan.peak", peak=texts.size(peak), parts=t("comma").join(parts)) if peak else t("comma").join(parts)


def recipe_line(trial: TrialInfo, info: RunInfo, t: texts.Texts) -> str:
    """Steps and trainable parameters of one trial, and their share of the model."""
    return t(
        "cli.follow.recipe_is", steps=trial.steps, samples=trial.samples, rank=trial.rank, rate=texts.rate(trial.rate),
        trainable=texts.count(trial.trainable), share=texts.percent(trial.trainable / info.model.parameters, 1),
    )  # fmt: skip


def tinyllama_line(t: texts.Texts) -> str:
    """What the same LoRA comes to on the model that most tutorials use."""
    trainable, parameters = TINYLLAMA.adapter(TINYLLAMA_RANK), TINYLLAMA.parameters
    return t(
        "cli.follow.tinyllama_is", rank=TINYLLAMA_RANK, trainable=texts.count(trainable),
        parameters=texts.count(parameters), share=texts.percent(trainable / parameters, 1),
    )  # fmt: skip


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The course of some numbers in at most `width` characters; a gap where a number was not finite."""
    if len(values) > width:
        edges = [round(k * len(values) / width) for k in range(width + 1)]
        values = [_mean(values[a:b]) for a, b in itertools.pairwise(edges)]
    finite = [v for v in values if v is not None]
    if not finite:
        return ""
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    return "".join(" " if v is None else BARS[round((v - low) / span * (len(BARS) - 1))] for v in values)


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [v for v in values if v is not None]
    return sum(finite) / len(finite) if finite else None


def _loss(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"
