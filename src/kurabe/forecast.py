"""What a run would do and take, told before it starts: steps, answers, tokens, seconds, memory, disk.

Knows no run folder. Counts are exact or upper bounds; seconds are measured on a few steps and one batch; what is not
known is None, with a note that says why.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from kurabe import arms, planning, storage
from kurabe.meter import Meter
from kurabe.model import Backend, TrialPlan
from kurabe.schema import Batch, Reason, Request, RunPlan, TrialInfo
from kurabe.settings import RunSettings

CALIBRATION_STEPS = 3  # the first one warms up and is not counted
CALIBRATION_ANSWERS = 16
BYTES_PER_ANSWER = 4_000  # a line of answers.jsonl with its token ids, generously
SPACE_MARGIN = 1.3
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def forecast(
    material: arms.Material,
    settings: RunSettings,
    backend: Backend,
    loading_seconds: float,
    notes: Sequence[Reason] = (),
) -> RunPlan:
    """The plan of a run with what it would take. `backend` is used up: it keeps the adapter that was tried."""
    work = planning.plan_work(material, settings, backend)
    make = planning.request_maker(material, work.questions, work.max_new_tokens)
    requests = [make(key) for batch in work.batches for key in batch.keys]
    lengths = [backend.count(request.messages) for request in requests]
    with Meter() as meter:
        train = _training_seconds(backend, work)
        answer = _answering_seconds(backend, work.batches, requests)
    seconds = {"load": loading_seconds, "train": train, "answer": answer}
    values = {"steps": CALIBRATION_STEPS, "answers": CALIBRATION_ANSWERS}
    unknown = [Reason(key="audit.note.time-unknown", values={})] if None in seconds.values() else []
    return RunPlan(
        trials=work.trials, steps=sum(training.trial.plan.steps for training in work.trainings.trainings),
        positions=sum(trial.positions for trial in (*work.trials, *work.swept)), answers=len(requests),
        prompt_tokens=sum(lengths),
        new_tokens=len(requests) * work.max_new_tokens, seconds=seconds,
        memory=_memory(backend, work, max(lengths, default=0), meter.peak_memory),
        disk=_disk(settings, [*work.trials, *work.swept], len(requests)), audit=work.findings,
        notes=(*notes, *work.notes, Reason(key="audit.note.calibrated", values=values), *unknown),
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


def _training_seconds(backend: Backend, work: planning.Work) -> float | None:
    """The time of all trainings: the first steps of one of each shape, the others by their positions."""
    pace: dict[tuple[object, ...], float | None] = {}
    infos = {info.trial: info for info in (*work.trials, *work.swept)}
    times = []
    for trial, _ in work.trainings.trainings:
        recipe = trial.plan.recipe
        shape = (recipe.rank, recipe.batch, recipe.accumulation, recipe.pad_to, recipe.loss_on, recipe.dropout > 0)
        if shape not in pace:
            pace[shape] = _seconds_per_position(backend, trial)
        per_position = pace[shape]
        times.append(None if per_position is None else per_position * infos[trial.trial].positions)
    return sum_known(times)


def _seconds_per_position(backend: Backend, trial: TrialPlan) -> float | None:
    """From a trial's first steps; None where it has too few of them."""
    short = trial.plan.model_copy(update={"rates": trial.plan.rates[: CALIBRATION_STEPS + 1]})
    steps = list(itertools.islice(backend.train([trial._replace(plan=short)]), CALIBRATION_STEPS + 1))
    positions = sum(step.positions for step in steps[1:])
    return sum(step.seconds for step in steps[1:]) / positions if positions else None


def _answering_seconds(backend: Backend, batches: Sequence[Batch], requests: Sequence[Request]) -> float:
    """Time of all answers from a few of each kind of prompt, asked without an adapter."""
    by_key = {request.key: request for request in requests}
    groups: dict[str, list[Request]] = {}
    for batch in batches:
        groups.setdefault(_prompted_as(batch), []).extend(by_key[key] for key in batch.keys)
    total = 0.0
    for group in groups.values():
        tried = [_without_adapter(request) for request in group[:: max(1, len(group) // CALIBRATION_ANSWERS)]]
        with Meter() as meter:
            list(backend.answer(tried))
        total += len(group) * meter.seconds / len(tried)
    return total


def _prompted_as(batch: Batch) -> str:
    """The kind of prompt that decides what an answer takes: an adapter adds little."""
    arm, _ = planning.metered_as(batch)
    return {"lora": "base", "lora+prompt": "prompt"}.get(arm, arm)


def _without_adapter(request: Request) -> Request:
    return request.model_copy(update={"key": request.key.model_copy(update={"trial": 0})})


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
