"""The backend protocol: what the experiment may ask of a model, whoever runs it.

Knows no torch. Capabilities are declared, not probed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from kurabe.recipes import Plan
from kurabe.schema import Answer, Message, ModelInfo, Reason, Request, Sample, Step


class Capabilities(NamedTuple):
    """What a backend can do beside answering."""

    train: bool = False
    score: bool = False
    adapters: bool = False
    rows: int = 0  # answers that it is best asked for together; 0: by the model's size and device


@runtime_checkable
class Noted(Protocol):
    """A backend of which something has to be said beside the results."""

    note: Reason


class TrialPlan(NamedTuple):
    """One training run to be done: which rows, by which plan, from which seed."""

    trial: int  # 1-based; 0 is the base without an adapter
    plan: Plan
    samples: tuple[Sample, ...]
    seed: int
    alone: bool = False  # in no batch with other trials: its time and memory are told apart
    keep: tuple[int, ...] = ()  # steps after which its adapter will be saved, beside the last one
    state: Mapping[str, bytes] | None = None  # the files that `save_state` wrote: the training goes on from there


# Asked before each optimizer step of each trial, by its number: shall it end now?
Stopped = Callable[[int], bool]


class Score(NamedTuple):
    """How likely a text is as the whole answer: its tokens and the end token, given the prompt."""

    logprob: float | None  # the sum over all tokens, natural logarithm; None where it could not be computed
    tokens: int
    error: str = ""


class Answering(Protocol):
    """A model that answers, and may do no more: a server's, or a GGUF file's."""

    info: ModelInfo
    capabilities: Capabilities

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Answer all requests, in their order, one answer per request whatever happens; a failed one is an `Answer`
        with finish "error"."""
        ...


class Backend(Answering, Protocol):
    """One loaded model, whose tokens are counted here, and which can be trained."""

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of these messages as they are rendered: with the answer's header when the last one is a user's,
        with the end token when it is an assistant's."""
        ...

    def trainable(self, rank: int) -> int:
        """Adapter parameters that a LoRA of this rank has on this model."""
        ...

    def score(self, requests: Sequence[Request], targets: Sequence[str]) -> Iterator[Score]:
        """How likely `targets[i]` is as the answer to `requests[i]`, without decoding, in the order of the requests.
        Several targets after one prompt share it: repeat the request. Capability `score`."""
        ...

    def train(self, trials: Sequence[TrialPlan], stopped: Stopped | None = None) -> Iterator[Step]:
        """Train adapters for these trials, several of them in one batch where that is faster; they stay loaded.

        A trial that `stopped` ends takes no further step; the others go on unchanged. After a trial's last step (the
        last of its plan, or the one after which it was stopped) its adapter can be saved, loaded again and used at
        once, while others still train; before, answers see the adapter as it is. No adapter of another trial can be
        loaded meanwhile. Stop iterating and training stops: whoever reads the steps decides how many without a finite
        loss are too many.
        """
        ...

    def save_state(self, trial: int, folder: Path) -> None:
        """Write what a trial that has begun and not ended has come to, between two steps of its training, into an
        existing empty folder. A plan with these files goes on from there, to the same adapter."""
        ...

    def save_adapter(self, trial: int, folder: Path) -> None:
        """Write one trial's adapter in PEFT's format into an existing empty folder."""
        ...

    def load_adapter(self, trial: int, folder: Path) -> None:
        """Load an adapter that `save_adapter` or PEFT wrote and answer with it as `trial`."""
        ...

    def forget(self, trials: Sequence[int]) -> None:
        """Drop the adapters of these trials: they were only tried."""
        ...
