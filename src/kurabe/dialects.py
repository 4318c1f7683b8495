"""The two protocols in which servers answer chats: OpenAI's, and Ollama's own. What is sent, and what came back.

Knows no connection. Answers are asked for whole, not as streams: a body that ends early is then no JSON, and half an
answer can never pass for one. Ollama's own protocol is spoken because its OpenAI-compatible one cannot set the
context, and cuts a longer prompt without a word.
Protocols: https://platform.openai.com/docs/api-reference/chat and https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel, Field, ValidationError

from kurabe.schema import Request

LEAST_CONTEXT = 4096  # tokens; Ollama loads the model anew for each other size, so that few sizes are asked for
_Form = TypeVar("_Form", bound=BaseModel)
# What ends a whole answer, and what ends one that is cut; anything else ends none. Servers differ in their words.
_ENDED = {None, "", "stop", "eos", "eos_token", "end_turn", "stop_sequence"}
_CUT = {"length", "max_tokens", "model_length"}
_BROKEN_OFF = {"abort", "cancelled", "error", "insufficient_system_resource", "load", "unload"}  # may come whole again
_THOUGHT = re.compile(r"\s*<think>.*?(?:</think>|\Z)", re.DOTALL)


class NotAnAnswer(Exception):
    """What came is no answer of this protocol. `status`: the HTTP status that the server meant, 0 for none."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


class Reply(NamedTuple):
    """One answer as the server gave it. Tokens are the server's own count, 0 where it gives none."""

    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    cached_tokens: int
    new_tokens: int
    model: str = ""  # what the server calls the model that answered, where it says so: a name may stand for a newer one


class Known(NamedTuple):
    """One model that the server lists; 0 and "" are "it does not say"."""

    name: str
    sha256: str = ""
    context: int = 0


class Dialect(Protocol):
    """Paths and bodies of one protocol. Each reading method raises NotAnAnswer."""

    listing: str
    asking: str
    versions: tuple[str, ...]  # where the server may tell its own version

    def known(self, body: bytes) -> list[Known]: ...

    def body(self, model: str, request: Request, context: int) -> dict[str, Any]:
        """`context`: the longest that the model takes, in tokens; 0 where it is not known."""
        ...

    def adapt(self, complaint: str, sent: Mapping[str, Any]) -> bool:
        """Whether what the server complains about in a body can be said otherwise; from now on it is."""
        ...

    def reply(self, body: bytes) -> Reply: ...


# --- OpenAI ----------------------------------------------------------------------------------------------------


class _Details(BaseModel):
    cached_tokens: int | None = Field(None, ge=0)


class _Usage(BaseModel):
    prompt_tokens: int | None = Field(None, ge=0)
    completion_tokens: int | None = Field(None, ge=0)
    prompt_tokens_details: _Details | None = None


class _Said(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Said
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None


class _Entry(BaseModel):
    id: str
    max_model_len: int | None = None  # vLLM's


class _Entries(BaseModel):
    data: list[_Entry]


class _Version(BaseModel):
    version: str | None = None
    build_info: str | None = None  # llama-server's


class _Error(BaseModel):
    message: str | None = None
    code: int | str | None = None


class _Failure(BaseModel):
    error: _Error | str | None = None
    message: str | None = None
    detail: str | None = None


class OpenAI:
    """Chat completions. `spelling`: what this server wants said otherwise: the other name, or None to leave it out."""

    listing, asking = "/models", "/chat/completions"
    versions: tuple[str, ...] = ("/version", "/props")
    # Both names mean the same; newer hosted models refuse the old one, older servers do not know the new one. A seed
    # that a server does not take makes its answers no worse, only not repeatable; and a server that knows no arguments
    # of templates has no other way to switch thinking off.
    _OTHERWISE = {"max_tokens": "max_completion_tokens", "seed": None, "chat_template_kwargs": None}  # noqa: RUF012

    def __init__(self) -> None:
        self.spelling: dict[str, str | None] = {}

    def known(self, body: bytes) -> list[Known]:
        return [Known(entry.id, context=entry.max_model_len or 0) for entry in read(_Entries, body).data]

    def body(self, model: str, request: Request, context: int) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "model": model, "messages": _messages(request), "max_tokens": request.max_new_tokens,
            "temperature": request.temperature, "seed": request.seed, "stream": False,
            "chat_template_kwargs": {"enable_thinking": False},  # as Ollama's `think`; vLLM, SGLang, llama-server
        }  # fmt: skip
        spelled = {self.spelling.get(name, name): value for name, value in wanted.items()}
        return {name: value for name, value in spelled.items() if name is not None}

    def adapt(self, complaint: str, sent: Mapping[str, Any]) -> bool:
        for name, other in self._OTHERWISE.items():
            if name in sent and re.search(rf"\b{name}\b", complaint):
                self.spelling[name] = other
                return True
        return False

    def reply(self, body: bytes) -> Reply:
        refuse_errors(body)
        got = read(_Completion, body)
        choice, usage = got.choices[0], got.usage or _Usage()
        text, finish = _said(choice.message.content, choice.finish_reason)
        named = " ".join(filter(None, (got.model, got.system_fingerprint)))
        return Reply(
            text, finish, usage.prompt_tokens or 0, (usage.prompt_tokens_details or _Details()).cached_tokens or 0,
            usage.completion_tokens or 0, named,
        )  # fmt: skip


# --- Ollama ----------------------------------------------------------------------------------------------------


class _Chat(BaseModel):
    message: _Said
    done: bool
    done_reason: str | None = None
    prompt_eval_count: int | None = Field(None, ge=0)
    eval_count: int | None = Field(None, ge=0)


class _Tag(BaseModel):
    name: str
    digest: str = ""


class _Tags(BaseModel):
    models: list[_Tag]


class Ollama:
    """Ollama's own chat."""

    listing, asking = "/api/tags", "/api/chat"
    versions: tuple[str, ...] = ("/api/version",)

    def known(self, body: bytes) -> list[Known]:
        return [Known(tag.name, tag.digest.removeprefix("sha256:")) for tag in read(_Tags, body).models]

    def body(self, model: str, request: Request, context: int) -> dict[str, Any]:
        options = {
            "num_predict": request.max_new_tokens, "temperature": request.temperature, "seed": request.seed,
            "num_ctx": _enough(request, context),
        }  # fmt: skip
        # A prompt that does not fit is an error then, and not another prompt.
        return {
            "model": model, "messages": _messages(request), "stream": False, "think": False, "truncate": False,
            "shift": False, "options": options,
        }  # fmt: skip

    def adapt(self, complaint: str, sent: Mapping[str, Any]) -> bool:
        return False

    def reply(self, body: bytes) -> Reply:
        refuse_errors(body)
        got = read(_Chat, body)
        if not got.done:
            raise NotAnAnswer("The answer is not finished.")
        text, finish = _said(got.message.content, got.done_reason)
        return Reply(text, finish, got.prompt_eval_count or 0, 0, got.eval_count or 0)


def _enough(request: Request, longest: int) -> int:
    """A context that holds prompt and answer whatever the tokenizer, for no token is shorter than a byte; rounded up to
    a power of two."""
    said = sum(len(message.content.encode()) + 32 for message in request.messages)
    needed = max(LEAST_CONTEXT, 1 << (said + request.max_new_tokens - 1).bit_length())
    return min(needed, longest) if longest else needed


# --- both ------------------------------------------------------------------------------------------------------


def _messages(request: Request) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in request.messages]


def _said(content: str | None, ended: str | None) -> tuple[str, Literal["stop", "length"]]:
    """The answer without the thoughts before it, and how it ended. Raises NotAnAnswer for what is not an answer, whole
    or cut: a text that was broken off would be scored as if the model had meant it so."""
    ended = ended.lower() if ended else ended
    if content is None or ended not in _ENDED | _CUT:
        raise NotAnAnswer(f"The answer ended without a text ({ended}).", 503 if ended in _BROKEN_OFF else 422)
    text = _THOUGHT.sub("", content, count=1).strip()
    if not text and (ended in _CUT or content.strip()):
        raise NotAnAnswer(
            "The token limit was reached before the first word of the answer: the model thinks first. Switch that off "
            "in the server, or raise --max-new-tokens.", 422,
        )  # fmt: skip
    return text, "length" if ended in _CUT else "stop"


def version(body: bytes) -> str:
    """The version that a server tells; "" where this is no answer to that."""
    try:
        told = _Version.model_validate_json(body)
    except ValidationError:
        return ""
    return told.version or told.build_info or ""


def refuse_errors(body: bytes) -> None:
    """Raise NotAnAnswer for an error in a body that came with status 200: gateways and busy servers do that."""
    try:
        failure = _Failure.model_validate_json(body)
    except ValidationError:
        return
    if failure.error is not None:
        code = failure.error.code if isinstance(failure.error, _Error) else None
        raise NotAnAnswer(complaint(body) or "The answer is an error.", code if isinstance(code, int) else 500)


def complaint(body: bytes) -> str:
    """The server's own words about what went wrong; "" where they can't be read."""
    try:
        failure = _Failure.model_validate_json(body)
    except ValidationError:
        return ""
    error = failure.error
    said = error.message if isinstance(error, _Error) else error
    return said or failure.message or failure.detail or ""


def read(form: type[_Form], body: bytes) -> _Form:
    """The body in this form. Raises NotAnAnswer where it has another one."""
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise NotAnAnswer(f"The answer has another form ({f'{place}: ' if place else ''}{first['msg']}).") from None


DIALECTS: dict[str, type[Dialect]] = {"openai": OpenAI, "ollama": Ollama}
