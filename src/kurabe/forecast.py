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
from typing import NamedTuple

from kurabe import arms, planning, storage
from kurabe.meter import Meter
from kurabe.model import Backend, TrialPlan
from kurabe.schema import AnswerKey, Reason, Request, RunPlan, TrialInfo
from kurabe.settings import RunSettings
from kurabe.trials import Trials

CALIBRATION_STEPS = 3  # of each trial; one more, the first, warms up and is not counted
CALIBRATION_ANSWERS = 8  # of each kind of prompt; then a whole batch, because together they are faster
PATIENCE = 60.0  # seconds that may be spent on trying one kind of work, once it is known how long it takes
PATIENCE_SHARE = 0.05  # the same as a share of the minutes that the user has
# Which arm's prompt and answer is most like that of another: a tuned model says as much as one told the right row.
ANSWERS_LIKE = {"lora": "ceiling", "lora+prompt": "prompt", "lora+rag": "rag", "shuffled": "ceiling"}
BYTES_PER_ANSWER = 4_000  # a line of answers.jsonl with its token ids, generously
SPACE_MARGIN = 1.3
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class Training(NamedTuple):
    """What a few steps of some trials showed."""

    per_position: float
    before: float  # seconds spent beside the steps: rows, fresh adapters, how many trials to train together


class Pace:
    """How fast this computer trains and answers. Each kind of work is measured once, when its price is first asked for;
    the adapters that were tried are forgotten. `slots` are the tasks of a cluster that run at a time, each as fast as
    this computer."""

    def __init__(self, material: arms.Material, backend: Backend, minutes: int | None = None, slots: int = 1) -> None:
        self.material, self.backend, self.slots, self.peak_memory = material, backend, slots, 0
        self._patience = min(PATIENCE, PATIENCE_SHARE * 60 * minutes) if minutes else PATIENCE
        self._trained: dict[Hashable, Training | None] = {}
        self._answered: dict[Hashable, float] = {}

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
            if kind not in self._answered:
                self._answered[kind] = self._try_answers(kind[0], keys, work)
        whole = sum(self._answered[kind] * len(keys) for kind, keys in kinds.items())
        return whole / max(1, min(self.slots, len(work.batches)))

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

    def _try_answers(self, arm: str, keys: Sequence[AnswerKey], work: planning.Work) -> float:
        """Seconds per answer of different questions that the model answers without an adapter: those of a whole batch,
        where a few of them don't take long."""
        make = planning.request_maker(self.material, work.questions, work.max_new_tokens)
        questions = {question.id: question for question in work.questions}
        different = {key.question: key.model_copy(update={"arm": arm, "trial": 0}) for key in keys}
        batch = _spread([make(key) for key in different.values()], planning.rows_per_batch(self.backend))
        per_answer = 0.0
        for tried in (_spread(batch, CALIBRATION_ANSWERS), batch):
            if per_answer * len(tried) <= self._patience:
                with Meter() as meter:
                    planning.carry_out(self.backend, tried, questions, work.alternatives)
                self.peak_memory = max(self.peak_memory, meter.peak_memory)
                per_answer = meter.seconds / len(tried)
        return per_answer


def _spread(requests: Sequence[Request], most: int) -> Sequence[Request]:
    """At most so many of them, evenly spread."""
    return requests[:: math.ceil(len(requests) / most)]


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
        memory=_memory(backend, work, max(lengths, default=0), pace.peak_memory),
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


def _memory(backend: Backend, work: planning.Work, longest_prompt: int, measured: int) -> dict[str, int | None]:
    """Bytes by their use. The cache is an upper bound (every head with its own keys); activations are part of what
    was measured, and not known apart."""
    info, width = backend.info, DTYPE_BYTES.get(backend.info.dtype)
    longest = longest_prompt + work.max_new_tokens
    cache = planning.rows_per_batch(backend) * longest * 2 * info.layers * info.hidden
    largest = max((trial.trainable for trial in work.trials), default=0)
    return {
        "weights": info.parameters * width if width else None,
        "adapters": adapter_bytes([*work.trials, *work.swept]),
        "optimiser": largest * 4 * 3,  # a gradient and AdamW's two moments, in float32
        "kv_cache": cache * width if width else None,
        "activations": None,
        "measured": measured,
    }


def _disk(settings: RunSettings, trials: Sequence[TrialInfo], answers: int) -> dict[str, int]:
    runs = Path(settings.runs).resolve()
    existing = next(path for path in (runs, *runs.parents) if path.exists())
    return {
        "adapters": adapter_bytes(trials), "answers": answers * BYTES_PER_ANSWER,
        "needed": disk_needed(trials, answers), "free": storage.free_space(existing),
    }  # fmt: skip
