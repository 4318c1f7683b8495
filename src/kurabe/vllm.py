"""The run's own model, answered for by a vLLM that serves the same weights; its adapters are loaded there by name.

Knows no arm. Training, counting and scoring stay with the loaded model; prompts go out as token ids, so that template
and tokenizer are the run's own. A server whose weights are seen to be others is refused before it answers.
Protocol: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html and .../features/lora/
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, Field

from kurabe import hub
from kurabe.chat import Chat
from kurabe.connection import AGAIN, Connection, Failed, Limits, at_once
from kurabe.dialects import NotAnAnswer, complaint, read, refuse_errors, version
from kurabe.errors import MissingError, SettingsError, StoppedError
from kurabe.model import Backend, Capabilities, Score, Stopped, TrialPlan
from kurabe.schema import Answer, AnswerKey, Message, Reason, Request, Step
from kurabe.servers import Server, key_from

KEY = "VLLM_API_KEY"  # the variable from which vLLM itself takes the key that it asks for
ROWS = 256  # answers that are asked for, and stored, together
ALIKE = 0.1  # nats per token: what another precision may change; docs/servers.md says what was seen
START = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve MODEL --enable-lora --max-lora-rank 64"
# What every model has an opinion about: how likely it finds these answers is compared here and there.
_PROBES = (
    ("When are you open?", "We are open from 9:00 to 18:00 on weekdays, and we are closed on Sundays."),
    ("送料はいくらですか。", "通常の送料は500円で、3日から5日で届きます。"),
)


class Rendering(Backend, Protocol):
    """A backend whose prompts can be had as token ids."""

    chat: Chat


class Proof(NamedTuple):
    """Why the served weights are taken for the run's own."""

    by: Literal["hash", "likelihood", "word"]
    difference: float | None  # of two mean log-likelihoods, in nats per token


class _Entry(BaseModel):
    id: str
    root: str | None = None
    parent: str | None = None  # of an adapter: its base
    max_model_len: int | None = None


class _Entries(BaseModel):
    data: list[_Entry]


class _Likely(BaseModel):
    logprob: float


class _Choice(BaseModel):
    text: str
    finish_reason: str | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    prompt_logprobs: list[dict[int, _Likely] | None] | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(0, ge=0)
    completion_tokens: int = Field(0, ge=0)


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage = _Usage()


class VLLMBackend:
    """`own`, with the answers of a server. Use it in a `with` block, or `close` it: what it loaded there is unloaded.

    Raises SettingsError for a model whose prompts are no token ids, and MissingError for a server that is not there,
    wants another key, or serves other weights. An adapter answers there once it was loaded with `load_adapter`.
    """

    def __init__(self, own: Backend, server: Server, limits: Limits) -> None:
        if not isinstance(getattr(own, "chat", None), Chat):
            raise SettingsError("--answers-from needs a model folder.", fix="Name it with --model.")
        self.own: Rendering = own  # type: ignore[assignment]
        self.info, self.limits = own.info, limits
        self.capabilities = Capabilities(
            own.capabilities.train, own.capabilities.score, own.capabilities.adapters, ROWS
        )
        self._connection = Connection(server, key_from(KEY if KEY in os.environ else ""), limits, complaint)
        self._names: dict[int, str] = {}  # trial -> the adapter's name on the server
        self._loaded: set[str] = set()  # by this process
        try:
            self._entry = self._find(server)
            self.proof = self._prove()
            told: dict[str, Any] = {"place": server.url, "model": self._entry.id, "version": self._version() or "?"}
        except BaseException:
            self._connection.close()
            raise
        # Which server answers, and how far it is known to have the same weights.
        told |= {"difference": self.proof.difference}
        self.note = Reason(key=f"audit.note.served-{self.proof.by}", values=told)

    def __enter__(self) -> VLLMBackend:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Unload the adapters that were loaded, and end the connections."""
        for name in self._loaded:
            with contextlib.suppress(Failed):
                self._connection.call("POST", "/unload_lora_adapter", {"lora_name": name})
        self._connection.close()

    # --- answers -----------------------------------------------------------------------------------------------

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """The answers in the order of the requests; under an adapter that was not loaded there yet, those of the loaded
        model, which sees it as it is. Raises StoppedError when the server answers no more: a batch of unscored answers
        would be taken for the model's."""
        self._connection.hope()
        far = [not request.key.trial or request.key.trial in self._names for request in requests]
        served = at_once(self._answer, list(itertools.compress(requests, far)), self.limits.at_once)
        own = self.own.answer([request for request, away in zip(requests, far, strict=True) if not away])
        for away in far:
            answer = next(served if away else own)
            if away and answer.finish == "error" and self._connection.given_up:
                raise StoppedError(
                    "The server that answers for the model does not answer any more.",
                    where=self._connection.server.url, why=answer.error, fix="When it does: kurabe resume RUN",
                )  # fmt: skip
            yield answer

    def _answer(self, request: Request) -> Answer:
        start = time.monotonic()
        ids = self.own.chat.prompt(request.messages)
        try:
            choice, new = self._connection.persist(lambda: self._complete(request, ids))
        except Failed as failed:
            said, seconds = self._connection.safe(str(failed)), time.monotonic() - start
            return Answer(key=request.key, text="", finish="error", error=said, seconds=seconds)
        made = choice.token_ids or []
        made = made[:-1] if made and made[-1] in self.own.chat.end_ids else made
        return Answer(
            key=request.key, text=choice.text.strip() if choice.token_ids is None else self.own.chat.text(made),
            token_ids=tuple(made), finish="length" if choice.finish_reason == "length" else "stop",
            prompt_tokens=len(ids), new_tokens=len(made) or new, seconds=time.monotonic() - start,
        )  # fmt: skip

    def _complete(self, request: Request, ids: list[int]) -> tuple[_Choice, int]:
        """One try. Raises Failed."""
        if len(ids) + request.max_new_tokens > self.info.context:
            raise Failed(
                f"The prompt has {len(ids)} tokens; with {request.max_new_tokens} for the answer it does not fit the "
                f"model's context of {self.info.context}."
            )
        told = {
            "max_tokens": request.max_new_tokens, "temperature": request.temperature, "seed": request.seed,
            "stop_token_ids": sorted(self.own.chat.end_ids),
        }  # fmt: skip
        got = self._ask(self._names.get(request.key.trial, self._entry.id), ids, told)
        choice = got.choices[0]
        if choice.finish_reason not in ("stop", "length"):
            raise Failed(f"The answer ended with {choice.finish_reason!r}.", again=True)
        return choice, got.usage.completion_tokens

    def _ask(self, model: str, ids: list[int], told: dict[str, Any]) -> _Completion:
        """Raises Failed, also where the server read other tokens than were sent."""
        # What is not told, vLLM takes from the model's generation_config.json: a repetition penalty is in some of them.
        body = {
            "model": model, "prompt": ids, "return_token_ids": True, "stream": False, "repetition_penalty": 1.0,
            "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, **told,
        }  # fmt: skip
        reply = self._connection.call("POST", "/completions", body)
        try:
            refuse_errors(reply)
            got = read(_Completion, reply)
        except NotAnAnswer as error:
            raise Failed(str(error), status=error.status, again=error.status in AGAIN | {0}) from None
        seen = got.choices[0].prompt_token_ids
        if (seen is not None and seen != ids) or got.usage.prompt_tokens not in (0, len(ids)):
            raise Failed("The server read other tokens than were sent.")
        return got

    # --- the same weights --------------------------------------------------------------------------------------

    def _find(self, server: Server) -> _Entry:
        """The base model that was named, or the only one there is. Raises MissingError."""
        try:
            bases = [e for e in read(_Entries, self._connection.call("GET", "/models")).data if e.parent is None]
        except (Failed, NotAnAnswer) as error:
            raise self._connection.unusable(error, error.status, KEY) from None
        found = [entry for entry in bases if entry.id == server.model] if server.model else bases
        if len(found) != 1:
            has = self._connection.safe(", ".join(entry.id for entry in bases) or "none")
            raise MissingError(
                f"The server has no base model {server.model!r}." if server.model else "The server has several models.",
                where=server.url, why=f"It has: {has}.", fix=f"Name one of them: {server.url}#NAME",
            )  # fmt: skip
        if found[0].max_model_len is not None and found[0].max_model_len < self.info.context:
            self.info = self.info.model_copy(update={"context": found[0].max_model_len})
        return found[0]

    def _prove(self) -> Proof:
        """By the files' hash where the server read them on this machine, and by how likely both find the same answers
        where it tells that; else it is the server's word. Raises MissingError where either speaks against it."""
        folder = Path(self._entry.root or "")
        same = folder.is_absolute() and self._connection.server.local and folder.is_dir()
        if same and hub.verify(folder).sha256 != self.own.info.sha256:
            raise self._others(f"The files in {folder} have another hash than those of {self.own.info.name}.")
        differences = [abs(d) for d in self._differences(0) if d is not None]
        largest = max(differences, default=None)
        if largest is not None and not largest <= ALIKE:
            raise self._others(f"The log-likelihood of the same answer differs by {largest:.2f} per token.")
        return Proof("hash" if same else "word" if largest is None else "likelihood", largest)

    def _differences(self, trial: int) -> Iterator[float | None]:
        """Mean log-likelihood per token of each probe's answer, there minus here; None where the server tells none."""
        for question, answer in _PROBES:
            asked = (Message(role="user", content=question),)
            key = AnswerKey(model="", trial=trial, arm="", hop="live", probe="ask", question="probe")
            request = Request(key=key, messages=asked, max_new_tokens=1)
            whole = self.own.chat.sample([*asked, Message(role="assistant", content=answer)])
            (here,) = self.own.score([request], [answer])
            there = self._likelihood(whole.ids, here.tokens, trial)
            yield None if there is None or here.logprob is None else (there - here.logprob) / here.tokens

    def _likelihood(self, ids: list[int], last: int, trial: int) -> float | None:
        """The sum of the log-likelihoods of the `last` tokens; None where the server does not tell it."""
        told = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
        name = self._names.get(trial, self._entry.id)
        try:
            got = self._connection.persist(lambda: self._ask(name, ids, told)).choices[0].prompt_logprobs
        except Failed:
            return None
        if got is None or len(got) != len(ids):
            return None
        pairs = zip(ids[-last:], got[-last:], strict=True)
        found = [likely[token].logprob for token, likely in pairs if likely is not None and token in likely]
        return math.fsum(found) if len(found) == last else None

    def _others(self, why: str) -> MissingError:
        return MissingError(
            "The server has other weights than the run.", where=f"{self._connection.server.url}#{self._entry.id}",
            why=why, fix=f"Serve the folder that --model names: vllm serve {self.own.info.path} --enable-lora",
        )  # fmt: skip

    def _version(self) -> str:
        try:
            return self._connection.safe(version(self._connection.call("GET", "/version", root=True)))
        except Failed:
            return ""

    # --- adapters ----------------------------------------------------------------------------------------------

    def load_adapter(self, trial: int, folder: Path) -> None:
        """Load it here and there. It is named by its content, so that a name can never stand for another one. Raises
        MissingError where the server does not take it, or does something else with it."""
        self.own.load_adapter(trial, folder)
        digest = hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()
        name = f"kurabe-{digest[:24]}"
        asked = {"lora_name": name, "lora_path": str(folder.resolve())}
        try:
            self._connection.persist(lambda: self._connection.call("POST", "/load_lora_adapter", asked))
            self._loaded.add(name)
        except Failed as failed:
            if "already" not in str(failed):
                raise MissingError(
                    f"The server does not load the adapter of trial {trial}.", where=self._connection.server.url,
                    why=self._connection.safe(str(failed)), fix=f"It must see the run's folder. Start it so: {START}",
                ) from None  # fmt: skip
        self._names[trial] = name
        largest = max((abs(d) for d in self._differences(trial) if d is not None), default=0.0)
        if not largest <= ALIKE:
            raise MissingError(
                f"The server does something else with the adapter of trial {trial}.",
                where=self._connection.server.url,
                why=f"The log-likelihood of the same answer differs by {largest:.2f} per token.",
                fix="Run again without --answers-from, or with another version of vLLM.",
            )  # fmt: skip

    def forget(self, trials: Sequence[int]) -> None:
        """Drop the adapters of these trials: they were only tried."""
        self.own.forget(trials)
        for trial in trials:
            self._names.pop(trial, None)

    # --- what stays here ---------------------------------------------------------------------------------------

    def count(self, messages: Sequence[Message]) -> int:
        return self.own.count(messages)

    def trainable(self, rank: int) -> int:
        return self.own.trainable(rank)

    def score(self, requests: Sequence[Request], targets: Sequence[str]) -> Iterator[Score]:
        return self.own.score(requests, targets)

    def train(self, trials: Sequence[TrialPlan], stopped: Stopped | None = None) -> Iterator[Step]:
        return self.own.train(trials, stopped)

    def save_state(self, trial: int, folder: Path) -> None:
        self.own.save_state(trial, folder)

    def save_adapter(self, trial: int, folder: Path) -> None:
        self.own.save_adapter(trial, folder)
