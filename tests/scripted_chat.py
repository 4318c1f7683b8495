"""A scripted chat server on loopback, OpenAI-compatible and Ollama at once: it answers well, or does one thing wrong.

Knows no model: an answer is the last message with a mark, or what `speak` makes of it.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import loopback

Body = dict[str, Any]


class Scripted:
    """The server's state. `script` names what it does with the next requests; after its end it answers well."""

    def __init__(
        self, *script: str, models: tuple[str, ...] = ("m",), key: str = "", listing: str = "",
        speak: Callable[[Body], str] | None = None, version: str = "", calls: str = "",
    ) -> None:  # fmt: skip
        self.version, self.calls, self.digest = version, calls, "ab" * 32
        self.script, self.models, self.key, self.listing = list(script), models, key, listing
        self.speak = speak or (lambda body: f"<{body['messages'][-1]['content']}>")
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.open = self.most_open = 0
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.gate: threading.Barrier | None = None

    def step(self) -> str:
        with self.lock:
            return self.script.pop(0) if self.script else "good"


_HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "drip": (_HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "drip of a head": (_HEAD + b"X-Long: ", b"x"),
    "drip of interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "drip of a chunk's head": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5", b";x"),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Scripted

    def log_message(self, format: str, *args: Any) -> None: ...

    def send(self, status: int, body: bytes, missing: int = 0, **headers: str) -> None:
        """`missing`: bytes that are promised and never come."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body) + missing), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)
        if missing:
            self.close_connection = True

    def authorised(self) -> bool:
        self.state.headers.append(dict(self.headers))
        if self.state.key and self.headers.get("Authorization") != f"Bearer {self.state.key}":
            said = self.headers.get("Authorization", "nothing")
            self.send(401, json.dumps({"error": {"message": f"Incorrect key: {said}"}}).encode())
            return False
        return True

    def do_GET(self) -> None:
        if not self.authorised():
            return
        if self.state.listing:
            self.misbehave(self.state.listing, b"")
        elif self.path == "/v1/models":
            self.send(
                200, json.dumps({"object": "list", "data": [{"id": name} for name in self.state.models]}).encode()
            )
        elif self.path == "/api/tags":
            tags = [{"name": name, "model": name, "digest": self.state.digest} for name in self.state.models]
            self.send(200, json.dumps({"models": tags}).encode())
        elif self.path in ("/version", "/api/version") and self.state.version:
            self.send(200, json.dumps({"version": self.state.version}).encode())
        else:
            self.send(404, b"")

    def do_POST(self) -> None:
        state = self.state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            state.bodies.append(body)
            state.open += 1
            state.most_open = max(state.most_open, state.open)
        try:
            if not self.authorised():
                return
            if state.gate:
                state.gate.wait(20)
            step, text = state.step(), state.speak(body)
            text, finish = ENDS.get(step, lambda text: (text, "length" if "cut short" in text else "stop"))(text)
            good = {"/v1/chat/completions": completion, "/api/chat": chat}[self.path](text, finish)
            if state.calls:
                good["model"] = state.calls
            self.misbehave("good" if step in ENDS else step, json.dumps(good, ensure_ascii=False).encode())
        finally:
            with state.lock:
                state.open -= 1

    def misbehave(self, step: str, good: bytes) -> None:
        """`good` as it is, or what the step says instead."""
        pages = {
            "html": b"<html>gateway</html>", "half": good[: len(good) // 2], "a list": b"[1, 2]", "null": b"null",
            "no choice": b'{"choices": []}', "no text": b'{"choices": [{"message": {}}], "message": {}, "done": true}',
            "deep": b"[" * 100_000, "not utf-8": b'{"choices": "\xff"}', "negative": good.replace(b": 7", b": -7"),
            "error in 200": b'{"error": {"message": "overloaded", "code": 503}}',
            "refused in 200": b'{"error": {"message": "no credit", "code": 402}}',
            "error text in 200": b'{"error": "model runner has unexpectedly stopped"}',
            "half a stream": b'data: {"choices": [{"delta": {"content": "It co',
            "huge": b'{"choices": "' + b"x" * 300_000 + b'"}',
        }  # fmt: skip
        if step == "slow":
            self.state.over.wait(0.05)
        if step in ("good", "slow"):
            self.send(200, good)
        elif step in pages:
            self.send(200, pages[step])
        elif step == "cut":
            self.send(200, good, missing=10)
        elif step == "drop":
            self.close_connection = True
        elif step == "packed":
            self.send(200, gzip.compress(good), Content_Encoding="gzip")
        elif step == "silent":
            self.state.over.wait(30)
        elif step in DRIPS:
            self.drip(DRIPS[step])
        elif step.startswith("redirect "):
            self.send(307, b"", Location=step.removeprefix("redirect "))
        else:  # "429", "429 after 0", "400 the message"
            status, _, words = step.partition(" ")
            wait = {"Retry_After": words.removeprefix("after ")} if words.startswith("after ") else {}
            self.send(int(status), json.dumps({"error": {"message": words or "sorry"}}).encode(), **wait)

    def drip(self, said: tuple[bytes, bytes]) -> None:
        """A beginning, then a piece now and then, for ever."""
        begin, piece = said
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(begin)
            while not self.state.over.wait(0.02):
                self.wfile.write(piece)


# How an answer ends that is not whole: its text, and the server's word for the end.
ENDS: dict[str, Callable[[str], tuple[str, str]]] = {
    "cut short": lambda text: (text[: len(text) // 2], "length"),
    "aborted": lambda text: (text[: len(text) // 2], "abort"),
    "only thoughts": lambda text: (f"<think>The customer asks for it: {text}", "length"),
    "thoughts": lambda text: (f"<think>Not $1.23 and not $4.56.</think>\n\n{text}", "stop"),
    "nothing said": lambda text: ("", "length"),  # a server that keeps the thoughts apart
}


def completion(text: str, finish: str) -> Body:
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}], "usage": usage}


def chat(text: str, finish: str) -> Body:
    return {
        "message": {"role": "assistant", "content": text}, "done": True, "done_reason": finish,
        "prompt_eval_count": 11, "eval_count": 7,
    }  # fmt: skip


serving = functools.partial(loopback.serving, Handler)
