"""What a run would do and take, told before it starts: steps, answers, tokens, seconds, memory, disk.

Knows no run folder. Counts are exact or upper bounds; seconds are measured on a few steps and one batch of answers of
each kind; what is not known is None, with a note that says why.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from kurabe import arms, footprint, planning, storage
from kurabe.memory import Plan
from kurabe.meter import Meter
from kurabe.model import Backend, TrialPlan
from kurabe.schema import AnswerKey, Reason, RunPlan, TrialInfo
from kurabe.settings import RunSettings
from kurabe.trials import Trials

T = TypeVar("T")
CALIBRATION_STEPS = 3  # of each trial; one more, the first, warms up and is not counted
CALIBRATION_ANSWERS = 8  # of each kind of prompt; then a whole batch, because together they are faster
PATIENCE = 60.0  # seconds that may be spent on trying one kind of work, once it is known how long it takes
PATIENCE_SHARE = 0.05  # the same as a share of the minutes that the user has
ANSWERING_SHARE = 0.1  # what trying all kinds of answers may take of them; the others are worked out from these
# Which arm's prompt and answer is most like that of another: a tuned model says as much as one told the right row.
ANSWERS_LIKE = {"lora": "ceiling", "lora+prompt": "prompt", "lora+rag": "rag", "shuffled": "ceiling"}
KINDS_TRIED = 2  # of answers, at least
BYTES_PER_ANSWER = 4_000  # a line of answers.jsonl with its token ids, generously
SPACE_MARGIN = 1.3


class Training(NamedTuple):
    """What a few steps of some trials showed."""

    per_position: float
    before: float  # seconds spent beside the steps: rows, fresh adapters, how many trials to train together


class Tried(NamedTuple):
    """What answers of one kind showed, per answer: seconds, and prompt tokens that had to be computed."""

    seconds: float
    computed: float


class Pace:
    """How fast this computer trains and answers. Each kind of work is measured once, when its price is first asked for;
    the adapters that were tried are forgotten. `slots` are the tasks of a cluster that run at a time, each as fast as
    this computer."""

    def __init__(self, material: arms.Material, backend: Backend, minutes: int | None = None, slots: int = 1) -> None:
        self.material, self.backend, self.slots, self.peak_memory = material, backend, slots, 0
        self._patience = min(PATIENCE, PATIENCE_SHARE * 60 * minutes) if minutes else PATIENCE
        self._left = ANSWERING_SHARE * 60 * minutes if minutes else math.inf
        self._trained: dict[Hashable, Training | None] = {}
        self._answered: dict[tuple[str, str], Tried] = {}

    def training(self, work: planning.Work) -> float | None:
        """Seconds of all trainings, by their positions; None where one has too few steps to be measured."""
        positions = {info.trial: info.positions for info in (*work.trials, *work.swept)}
        times, longest = [], 0.0
        for trials in trained_together(work.trainings):
            kind = (_shape(trials[0]), frozenset(t.plan.recipe.rank for t in trials), len(trials).bit_length())
            if kind not in self._trained:
                self._trained[kind] = self._try_steps(trials)
            pace = self._trained[kind]
            total = sum(positions[trial.trial] for trial in trials)
            times.append(None if pace is None else pace.before + pace.per_position * total)
            if pace:  # a trial is never shared out
                longest = max(longest, pace.per_position * max(positions[trial.trial] for trial in trials))
        whole = sum_known(times)
        return whole if whole is None or self.slots == 1 else max(whole / self.slots, longest)

    def answering(self, work: planning.Work) -> float:
        """Seconds of all answers, by the kind of their prompt."""
        kinds: dict[tuple[str, str], list[AnswerKey]] = {}
        for batch in work.batches:
            for key in batch.keys:
                kinds.setdefault(_kind(key), []).append(key)
        for kind, keys in kinds.items():
            if kind not in self._answered and (self._left > 0 or len(self._answered) < KINDS_TRIED):
                start = time.monotonic()
                self._answered[kind] = self._try_answers(kind[0], keys, work)
                self._left -= time.monotonic() - start
        whole = sum(self._seconds(kind, keys, work) * len(keys) for kind, keys in kinds.items())
        return whole / max(1, min(self.slots, len(work.batches)))

    def _seconds(self, kind: tuple[str, str], keys: Sequence[AnswerKey], work: planning.Work) -> float:
        """Seconds per answer: as tried, or by what a prompt token and an answer took where others were."""
        if kind in self._answered:
            return self._answered[kind].seconds
        from scipy.optimize import nnls

        tried = list(self._answered.values())
        per_token, per_answer = nnls([[t.computed, 1.0] for t in tried], [t.seconds for t in tried])[0]
        make = planning.request_maker(self.material, work.questions, work.max_new_tokens)
        asked = [
            make(key.model_copy(update={"arm": kind[0], "trial": 0})) for key in _spread(keys, CALIBRATION_ANSWERS)
        ]
        tokens = sum(self.backend.count(request.messages) for request in asked) / len(asked)
        return float(per_token * tokens + per_answer)

    def _try_steps(self, trials: Sequence[TrialPlan]) -> Training | None:
        """The first steps of each trial, in batches as the run would train them; fewer where they take long."""
        taken: Counter[int] = Counter()
        seconds = counted = positions = 0.0
        start = time.monotonic()

        def enough(trial: int) -> bool:
            late = positions > 0 and time.monotonic() - start > self._patience
            return late or taken[trial] > CALIBRATION_STEPS

        with Meter() as meter:
            for step in self.backend.train(trials, enough):
                taken[step.trial] += 1
                seconds += step.seconds
                if step.step > 1:
                    counted += step.seconds
                    positions += step.positions
            self.backend.forget([trial.trial for trial in trials])
        self.peak_memory = max(self.peak_memory, meter.peak_memory)
        return Training(counted / positions, max(0.0, meter.seconds - seconds)) if positions else None

    def _try_answers(self, arm: str, keys: Sequence[AnswerKey], work: planning.Work) -> Tried:
        """Answers to different questions without an adapter: a whole batch of them, first a few where it is a large
        one, and only those where they take long."""
        make = planning.request_maker(self.material, work.questions, work.max_new_tokens)
        questions = {question.id: question for question in work.questions}
        different = {key.question: key.model_copy(update={"arm": arm, "trial": 0}) for key in keys}
        batch = _spread([make(key) for key in different.values()], planning.rows_per_batch(self.backend))
        few = [_spread(batch, CALIBRATION_ANSWERS)] if len(batch) > 2 * CALIBRATION_ANSWERS else []
        found = Tried(0.0, 0.0)
        for tried in (*few, batch):
            if found.seconds * len(tried) <= self._patience:
                with Meter() as meter:
                    answers = planning.carry_out(self.backend, tried, questions, work.alternatives)
                self.peak_memory = max(self.peak_memory, meter.peak_memory)
                computed = sum(answer.prompt_tokens - answer.cached_tokens for answer in answers)
                found = Tried(meter.seconds / len(tried), computed / len(tried))
        return found


def _spread(items: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of them, evenly spread."""
    return items[:: math.ceil(len(items) / most)]


def forecast(
    work: planning.Work, settings: RunSettings, pace: Pace, loading_seconds: float, notes: Sequence[Reason] = ()
) -> RunPlan:
    """The plan of a run with what it would take."""
    backend = pace.backend
    make = planning.request_maker(pace.material, work.questions, work.max_new_tokens)
    lengths = [backend.count(make(key).messages) for batch in work.batches for key in batch.keys]
    seconds = {"load": loading_seconds, "train": pace.training(work), "answer": pace.answering(work)}
    unknown = [Reason(key="audit.note.time-unknown", values={})] if None in seconds.values() else []
    return RunPlan(
        trials=work.trials, steps=sum(training.trial.plan.steps for training in work.trainings.trainings),
        positions=sum(trial.positions for trial in (*work.trials, *work.swept)), answers=len(lengths),
        prompt_tokens=sum(lengths),
        new_tokens=len(lengths) * work.max_new_tokens, seconds=seconds,
        memory=_memory(footprint.plan(work, pace.material, backend), work, pace.peak_memory),
        disk=_disk(settings, [*work.trials, *work.swept], len(lengths)), audit=work.findings,
        notes=(*notes, Reason(key="audit.note.calibrated", values={"steps": CALIBRATION_STEPS}), *unknown),
    )  # fmt: skip


def disk_needed(trials: Sequence[TrialInfo], answers: int) -> int:
    """Bytes that these adapters and so many answers take, with a margin."""
    return round((adapter_bytes(trials) + answers * BYTES_PER_ANSWER) * SPACE_MARGIN)


def adapter_bytes(trials: Sequence[TrialInfo]) -> int:
    """Adapters are stored in float32."""
    return sum(trial.trainable * 4 for trial in trials)


def sum_known(values: Sequence[float | None]) -> float | None:
    """The sum, or None if a part of it is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def trained_together(trials: Trials) -> Iterator[list[TrialPlan]]:
    """Trials that one call trains and that shape their batches alike: those of the table one by one."""
    yield from ([training.trial] for training in trials.compared)
    alike: dict[Hashable, list[TrialPlan]] = {}
    for training in trials.swept:
        alike.setdefault(_shape(training.trial), []).append(training.trial)
    yield from alike.values()


def _shape(trial: TrialPlan) -> Hashable:
    recipe = trial.plan.recipe
    return recipe.batch * recipe.accumulation, recipe.pad_to, recipe.loss_on, recipe.dropout > 0


def _kind(key: AnswerKey) -> tuple[str, str]:
    """The arm that an answer takes as long as; for retention what is asked, which brings prompts of its own; and
    whether likelihoods are asked for instead."""
    if key.probe in (*planning.RETENTION, "mix"):
        return "base", key.probe
    arm = ANSWERS_LIKE.get(key.arm, key.arm)
    # On what the data does not answer there is no right row to be told.
    arm = "base" if key.probe == "unknown" and arm == "ceiling" else arm
    return arm, "weighed" if key.probe == "weighed" else ""


def _memory(found: Plan | None, work: planning.Work, measured: int) -> dict[str, int | None]:
    """Bytes by their use, as planned, and what was measured while a few steps and answers were tried."""
    planned = dict.fromkeys(Plan._fields) if found is None else found._asdict() | {"peak": found.peak}
    return {**planned, "adapters": adapter_bytes([*work.trials, *work.swept]), "measured": measured}


def _disk(settings: RunSettings, trials: Sequence[TrialInfo], answers: int) -> dict[str, int]:
    runs = Path(settings.runs).resolve()
    existing = next(path for path in (runs, *runs.parents) if path.exists())
    return {
        "adapters": adapter_bytes(trials), "answers": answers * BYTES_PER_ANSWER,
        "needed": disk_needed(trials, answers), "free": storage.free_space(existing),
    }  # fmt: skip
