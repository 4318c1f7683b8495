"""The backend that runs a GGUF file in llama.cpp, in a child process: what others wrote cannot take kurabe with it.

Knows no arms and no scores. The header is checked by kurabe's own bounded reader before llama.cpp opens the file. Token
ids go in and come out, so that the words are rendered and cut as everywhere else.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import psutil

from kurabe import llamacpp_child
from kurabe.chat import Chat, Template
from kurabe.errors import COPY_AGAIN, MissingError
from kurabe.export.header import Header, read_header
from kurabe.model import Capabilities
from kurabe.provenance import cores
from kurabe.schema import Answer, Message, ModelInfo, Request

CONTEXT_LIMIT = 8192  # tokens; the cache of a longer context takes more memory than a small machine has
OVERHEAD = 3 << 30  # bytes of address space for the program, its libraries, threads and work buffers
CRASHES = 3  # then the file is given up
FILE_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 7: "Q8_0", 12: "Q3_K_M", 14: "Q4_K_S", 15: "Q4_K_M", 17: "Q5_K_M",
              18: "Q6_K", 32: "BF16"}  # fmt: skip


class Limits(NamedTuple):
    """Seconds that llama.cpp may take. `load` is for a small file; 30 more are given per gigabyte."""

    load: float = 60
    answer: float = 600


class ChildError(Exception):
    """The child crashed, was silent for too long, or could not do what it was asked: unscored, not wrong."""


class GGUFBackend:
    """One GGUF file. Use it in a `with` block, or `close` it: the child ends with it.

    `chat` gives the tokenizer and template of the model's own folder; without it the file's template is rendered and
    llama.cpp cuts the text into tokens. `stop` are words that end an answer, `options` further fields of llama.cpp's
    requests (temperature and seed are the request's own); `lora` is an adapter's file that lies over this one. Raises
    MissingError for a file that cannot be run.
    """

    capabilities = Capabilities()

    def __init__(
        self, path: Path, *, chat: Chat | None = None, sha256: str = "", limits: Limits = Limits(),  # noqa: B008
        stop: Sequence[str] = (), options: Mapping[str, Any] | None = None, lora: Path | None = None,
    ) -> None:  # fmt: skip
        self.header = read_header(path)
        self.lora = read_header(lora) if lora else None
        if find_spec("xllamacpp") is None:
            raise MissingError("llama.cpp is not installed.", fix='pip install "kurabe[gguf]"')
        self.info = _info(self.header, sha256)
        self.chat, self.limits, self.stop, self.options = chat, limits, tuple(stop), dict(options or {})
        self._prompt = None if chat else Prompt(self.header)
        self._child: _Child | None = None
        self.crashes = 0
        try:
            self._ask("/tokenize", {"content": "a"}, limits.answer)
        except ChildError as error:
            self.close()
            raise MissingError(
                "llama.cpp cannot run this file.", where=str(path), why=str(error), fix=COPY_AGAIN
            ) from None

    def __enter__(self) -> GGUFBackend:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        if self._child:
            self._child.end()
            self._child = None

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation up to and with the header of the answer. Raises ChildError."""
        if self._prompt is None:
            assert self.chat is not None
            return self.chat.prompt(messages)
        return self._prompt.begun(self.token_ids(self._prompt.render(messages)))

    def token_ids(self, text: str) -> list[int]:
        """Token ids of a text by the file's own vocabulary, with nothing put around it. Raises ChildError."""
        asked = {"content": text, "add_special": False, "parse_special": True}
        ids = self._ask("/tokenize", asked, self.limits.answer).get("tokens")
        if not isinstance(ids, list):
            raise ChildError("llama.cpp returned no tokens.")
        return [int(i) for i in ids]

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of these messages as they are rendered."""
        return self.chat.count(messages) if self.chat else len(self.prompt_ids(messages))

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Answer one request after another; each of them alone, so that none depends on those before it."""
        for request in requests:
            start = time.monotonic()
            try:
                yield self._answer(request, start)
            except ChildError as error:
                yield Answer(key=request.key, text="", finish="error", error=str(error))

    def _answer(self, request: Request, start: float) -> Answer:
        if request.key.trial:
            raise ChildError(f"Trial {request.key.trial} has no adapter: a GGUF file holds merged weights.")
        ids = self.prompt_ids(request.messages)
        if len(ids) + request.max_new_tokens > self.info.context:
            raise ChildError(
                f"The prompt has {len(ids)} tokens; with {request.max_new_tokens} for the answer it does not fit the "
                f"context of {self.info.context}."
            )
        asked = self.options | {
            "prompt": ids, "n_predict": request.max_new_tokens, "temperature": request.temperature,
            "seed": request.seed, "return_tokens": True, "cache_prompt": False, "stop": list(self.stop),
        }  # fmt: skip
        got = self._ask("/completion", asked, self.limits.answer)
        new, text = got.get("tokens"), got.get("content")
        if not isinstance(new, list) or not isinstance(text, str):
            raise ChildError("llama.cpp returned no tokens.")
        return Answer(
            key=request.key, text=self.chat.text(new) if self.chat and not self.stop else text.strip(),
            token_ids=tuple(int(i) for i in new), finish="length" if got.get("stop_type") == "limit" else "stop",
            prompt_tokens=len(ids), new_tokens=len(new), seconds=time.monotonic() - start,
        )  # fmt: skip

    def _ask(self, path: str, body: dict[str, Any], seconds: float) -> dict[str, Any]:
        """One call to the child, which is started where none runs. Raises ChildError."""
        try:
            if self._child is None:
                if self.crashes >= CRASHES:
                    raise ChildError(f"llama.cpp crashed {self.crashes} times on this file; it is given up.")
                self._child = _Child(self.header, self.lora, self.info, self.limits)
            got = self._child.call({"path": path, **body}, seconds)
        except _Dead as error:
            self.crashes += 1
            self.close()
            raise ChildError(str(error)) from None
        if "error" in got:
            raise ChildError(str(got["error"])[:500])
        return got


class Prompt:
    """The file's own chat template, and whether a prompt begins with BOS."""

    def __init__(self, header: Header) -> None:
        template = header.text("tokenizer.chat_template")
        if template is None:
            raise MissingError(
                "The GGUF file has no chat template.", where=str(header.path),
                fix="Use a file of the chat (instruct) version of the model.",
            )  # fmt: skip
        wanted = {name: header.number(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "unknown")}
        tokens = header.elements("tokenizer.ggml.tokens", max((i or 0 for i in wanted.values()), default=0) + 1)
        names = {"unknown": "unk_token"}
        special = {
            names.get(name, f"{name}_token"): str(tokens[i])
            for name, i in wanted.items() if i is not None and 0 <= i < len(tokens)
        }  # fmt: skip
        self.template = Template(template, special, str(header.path))
        adds = header.flag("tokenizer.ggml.add_bos_token")
        # Without the field llama.cpp goes by the kind of vocabulary.
        adds = header.text("tokenizer.ggml.model") == "llama" if adds is None else adds
        self._bos = wanted["bos"] if adds else None
        self.begins = special.get("bos_token", "") if adds else ""  # what llama.cpp puts first by itself

    def render(self, messages: Sequence[Message]) -> str:
        return self.template.render(messages, answer_next=True)

    def begun(self, ids: list[int]) -> list[int]:
        """With exactly one BOS where the model wants one; a BOS that the template wrote is not doubled."""
        return ids if self._bos is None or ids[:1] == [self._bos] else [self._bos, *ids]


def _info(header: Header, sha256: str) -> ModelInfo:
    family = header.text("general.architecture") or ""

    def number(name: str) -> int:
        value = header.number(f"{family}.{name}")
        if value is None or value < 1:
            raise MissingError(
                "The GGUF file does not describe a language model.", where=str(header.path),
                why=f"The field {family or '?'}.{name} is missing or below 1.", fix=COPY_AGAIN,
            )  # fmt: skip
        return value

    vocabulary = header.fields.get("tokenizer.ggml.tokens")
    return ModelInfo(
        name=header.path.stem, path=str(header.path), sha256=sha256, stand_in=False, family=family,
        parameters=sum(math.prod(tensor.shape) for tensor in header.tensors), hidden=number("embedding_length"),
        layers=number("block_count"), context=min(number("context_length"), CONTEXT_LIMIT),
        vocabulary=getattr(vocabulary.value, "length", 0) if vocabulary else 0,
        dtype=FILE_TYPES.get(header.number("general.file_type") or 0, "mixed"), device="cpu", threads=cores(),
    )  # fmt: skip


class _Dead(Exception):
    """The child is gone, or was ended because its time was over."""


class _Child:
    """The process and its two pipes. A thread reads its answers, because a pipe has no time limit on every system."""

    def __init__(self, header: Header, lora: Header | None, info: ModelInfo, limits: Limits) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(llamacpp_child.__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._lines: queue.Queue[bytes] = queue.Queue()
        assert self._process.stdout is not None
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()
        files = [part.path for part in (header, lora) if part]
        size = sum(path.stat().st_size for path in files)
        cache = 2 * 4 * info.layers * info.hidden * info.context  # keys and values, in no more than four bytes each
        settings = {
            "model": str(files[0].resolve()), "loras": [str(path.resolve()) for path in files[1:]],
            "context": info.context, "threads": info.threads,
            "memory": min(OVERHEAD + 2 * size + cache, OVERHEAD + 2 * psutil.virtual_memory().total),
        }  # fmt: skip
        try:
            self.call(settings, limits.load + 30 * size / (1 << 30))
        except BaseException:
            self.end()
            raise

    def _listen(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put(b"")

    def call(self, value: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Write one line and wait for one. Raises _Dead."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=seconds)
        except OSError:
            line = b""
        except queue.Empty:
            raise _Dead(f"llama.cpp gave no answer within {seconds:g} seconds and was ended.") from None
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            raise _Dead(f"llama.cpp crashed (exit code {self._process.returncode}).")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
