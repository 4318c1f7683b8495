"""What a run does: requests and answers, training steps, metered work and events."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from kurabe.schema.base import Record
from kurabe.schema.data import Message, Probe

UsageKind: TypeAlias = Literal["loading", "preparation", "answering"]


class AnswerKey(Record):
    """Names one answer for good. Every part is present from version 1 so that later arms and hops need no migration."""

    model: str
    trial: int  # 0 = no adapter
    arm: str
    hop: str  # "live" = answered by the run's own model; "server" = by another one, on a server
    probe: Probe
    question: str  # "<example id>/h1", "<example id>/t1", "<general id>" ...
    sample: int = 0


class Request(Record):
    """One question for a backend. `key.trial` says which adapter answers."""

    key: AnswerKey
    messages: tuple[Message, ...]
    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0


class Answer(Record):
    """What a backend returned for one request. `finish` is "error" when no answer came: that is unscored, not wrong."""

    key: AnswerKey
    text: str
    token_ids: tuple[int, ...] = ()
    finish: Literal["stop", "length", "error"] = "stop"
    prompt_tokens: int = 0
    cached_tokens: int = 0  # prompt tokens that another row of the batch had already paid for
    new_tokens: int = 0
    seconds: float = 0.0  # this answer's share of its batch's time
    logprobs: tuple[float, ...] | None = None  # probe "weighed": of the expected answer, then of its alternatives
    error: str = ""


class Step(Record):
    """One optimizer step of one trial, as training yields it."""

    trial: int
    step: int  # 1-based
    steps: int
    epoch: float
    loss: float | None  # None where it was not finite
    rate: float
    grad_norm: float | None
    positions: int  # tokens of the step's rows, padding included; a beginning they share counts in each
    supervised: int  # positions with a label
    seconds: float
    at_once: int | None = None  # rows of one pass, where memory ended with more of them
    peak_memory: int | None = None  # bytes, of the process that trained it, where that is another one
    ended: Literal["broken", "learned"] | None = None  # why this is the trial's last step, though not its plan's


class Usage(Record):
    """Metered work. Loading belongs to no arm; preparation and answering are kept apart."""

    kind: UsageKind
    arm: str
    trial: int
    seconds: float
    tokens: int  # training positions, or prompt + new tokens
    peak_memory: int  # bytes, of the process


class Event(Record):
    """One line of events.jsonl; `seq` orders, `at` is for people, `elapsed` is monotonic seconds since the start."""

    seq: int
    at: str
    elapsed: float
    kind: str
    values: dict[str, Any]


class Batch(Record):
    """One line of plan.jsonl: answers that are asked for together, and stored or asked again together."""

    batch: int  # 1-based
    stage: Literal["base", "beside", "answer"]  # before training, of another model, after training
    keys: tuple[AnswerKey, ...]
