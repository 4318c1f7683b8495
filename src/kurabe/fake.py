"""A backend without a model: scripted answers, training that only looks like it. For rehearsals, dry runs and tests.

Knows no torch. It is deterministic, and its adapters are small real files in PEFT's layout.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from kurabe.errors import MissingError
from kurabe.model import Capabilities, Score, Stopped, TrialPlan
from kurabe.prompts import DECLINE
from kurabe.schema import Answer, Example, Message, ModelInfo, Request, Step

Script = Callable[[Request], str | None]

FAKE_INFO = ModelInfo(
    name="fake", path="", sha256=hashlib.sha256(b"fake").hexdigest(), stand_in=True, family="scripted",
    parameters=3_000_000, hidden=256, layers=4, context=4096, vocabulary=1536, dtype="float32", device="cpu", threads=1,
)  # fmt: skip

_PIECE = re.compile(r"\s*(?:[A-Za-z0-9']+|\S)")

UNKNOWN = DECLINE


def know_nothing(request: Request) -> str:
    """The script of a model that never knows."""
    return DECLINE["en"]


def rehearsal(examples: Sequence[Example], shares: Mapping[str, float], language: str = "en") -> Script:
    """A script that gives an arm's expected answer to this share of its questions, and else says it does not know.

    Which ones is decided by a hash of the answer's key. Questions of no example (retention) are never known.
    """
    answers = {example.id: example.answer for example in examples}

    def script(request: Request) -> str:
        key = request.key
        expected = answers.get(key.question.rsplit("/", 1)[0])
        drawn = int.from_bytes(_digest(f"{key.trial} {key.arm} {key.question}")[:4], "big") / 2**32
        return expected if expected is not None and drawn < shares.get(key.arm, 0.0) else DECLINE[language]

    return script


class FakeBackend:
    """Answers by `answers(request)`; None there is a failed answer. `delay` is slept per answer and per step."""

    capabilities = Capabilities(train=True, score=True, adapters=True)

    def __init__(
        self,
        answers: Script = know_nothing,
        info: ModelInfo = FAKE_INFO,
        *,
        losses: Callable[[int, int], float | None] | None = None,
        delay: float = 0.0,
    ) -> None:
        self.info = info
        self._answers = answers
        self._losses = losses or _falling
        self._delay = delay
        self._adapters: dict[int, bytes] = {0: b""}
        self._taken: dict[int, int] = {}  # steps of each trial

    def count(self, messages: Sequence[Message]) -> int:
        """Words and punctuation marks (Japanese: characters), and four tokens around each message."""
        pieces = sum(len(re.findall(r"[A-Za-z0-9']+|\S", message.content)) + 4 for message in messages)
        return pieces + (4 if messages and messages[-1].role == "user" else 0)

    def trainable(self, rank: int) -> int:
        """Seven square linears per layer."""
        return 7 * self.info.layers * rank * 2 * self.info.hidden

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        for request in requests:
            time.sleep(self._delay)
            yield self._answer(request)

    def _answer(self, request: Request) -> Answer:
        prompt_tokens = self.count(request.messages)
        adapter = self._adapters.get(request.key.trial)
        if adapter is None:
            return Answer(key=request.key, text="", finish="error", error=f"no adapter for trial {request.key.trial}")
        text = self._answers(request)
        if text is None:
            return Answer(key=request.key, text="", finish="error", error="the script has no answer")
        pieces = _PIECE.findall(text)
        cut = len(pieces) > request.max_new_tokens
        kept = pieces[: request.max_new_tokens]
        return Answer(
            key=request.key, text="".join(kept) if cut else text, finish="length" if cut else "stop",
            token_ids=tuple(_digest(piece + adapter.hex())[0] for piece in kept), prompt_tokens=prompt_tokens,
            new_tokens=len(kept), seconds=self._delay,
        )  # fmt: skip

    def score(self, requests: Sequence[Request], targets: Sequence[str]) -> Iterator[Score]:
        """What the script would answer is likely, any other text is not."""
        for request, target in zip(requests, targets, strict=True):
            answer = self._answer(request)
            pieces = len(_PIECE.findall(target)) + 1  # and the end token
            if answer.finish == "error":
                yield Score(None, pieces, answer.error)
            else:
                yield Score(pieces * (-0.1 if target == self._answers(request) else -2.0), pieces)

    def train(self, trials: Sequence[TrialPlan], stopped: Stopped | None = None) -> Iterator[Step]:
        """Step by step in turn, as if all trials shared a batch."""
        training = [self._train(trial, stopped) for trial in trials]
        while training:
            taken = [(steps, next(steps, None)) for steps in training]
            yield from (step for _, step in taken if step is not None)
            training = [steps for steps, step in taken if step is not None]

    def _train(self, trial: TrialPlan, stopped: Stopped | None) -> Iterator[Step]:
        recipe, plan = trial.plan.recipe, trial.plan
        lengths = [self.count(sample.messages) for sample in trial.samples]
        answers = [
            length - self.count(sample.messages[:-1]) for length, sample in zip(lengths, trial.samples, strict=True)
        ]
        widths = [max(length, recipe.pad_to or 0) for length in lengths]
        size = recipe.batch * recipe.accumulation
        content = [plan.model_dump_json(), str(trial.seed), *(sample.model_dump_json() for sample in trial.samples)]
        self._adapters[trial.trial] = _digest("\n".join(content))
        self._taken[trial.trial] = int(trial.state["taken"]) if trial.state else 0
        for k, rate in list(enumerate(plan.rates))[self._taken[trial.trial] :]:
            if stopped is not None and stopped(trial.trial):
                return
            time.sleep(self._delay)
            loss = self._losses(trial.trial, k + 1)
            start = k % plan.steps_per_epoch * size
            rows = slice(start, start + size)
            supervised = (widths if recipe.loss_on == "everything" else answers)[rows]
            self._adapters[trial.trial] = _digest("\n".join([*content, str(k + 1)]))
            self._taken[trial.trial] = k + 1
            yield Step(
                trial=trial.trial, step=k + 1, steps=plan.steps, epoch=(k + 1) / plan.steps_per_epoch, loss=loss,
                rate=rate, grad_norm=None if loss is None else loss / 2, positions=sum(widths[rows]),
                supervised=sum(supervised), seconds=self._delay,
            )  # fmt: skip

    def save_state(self, trial: int, folder: Path) -> None:
        """The number of steps: the rest follows from the plan."""
        (folder / "taken").write_text(str(self._taken[trial]), encoding="utf-8")

    def save_adapter(self, trial: int, folder: Path) -> None:
        config = {"peft_type": "LORA", "base_model_name_or_path": self.info.name, "r": 1}
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        header = json.dumps({"fake": {"dtype": "U8", "shape": [32], "data_offsets": [0, 32]}}).encode()
        data = struct.pack("<Q", len(header)) + header + self._adapters[trial]
        (folder / "adapter_model.safetensors").write_bytes(data)

    def load_adapter(self, trial: int, folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        if not path.is_file():
            raise MissingError("The adapter's weights are missing.", where=str(path), fix="Run again in a new folder.")
        self._adapters[trial] = path.read_bytes()[-32:]

    def forget(self, trials: Sequence[int]) -> None:
        """Drop the adapters of these trials: they were only tried."""
        for trial in trials:
            self._adapters.pop(trial, None)


def _falling(trial: int, step: int) -> float:
    """A loss that falls from 4 towards a small rest, with a little noise that is the same each time."""
    noise = _digest(f"{trial} {step}")[0] / 255 - 0.5
    return round(0.05 + 3.95 * 0.96**step * (1 + 0.1 * noise), 6)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
