"""A scripted Ollama on loopback: it does what the real one's documents say, or one thing of it wrong.

Knows no weights: a model is its digest and its words. `old` servers (< 0.30) have a template layer.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import loopback

Record = dict[str, Any]


class Scripted:
    """The server's state. `fault` names what it does wrong."""

    def __init__(self, version: str = "0.33.0", fault: str = "", sleep: float = 5.0) -> None:
        self.version, self.fault, self.sleep = version, fault, sleep
        self.blobs: dict[str, int] = {}
        self.models: dict[str, Record] = {}
        self.asked: list[str] = []
        self.created: list[Record] = []
        self.url = ""
        self.over = threading.Event()

    def hang(self) -> None:
        self.over.wait(self.sleep)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Scripted

    def log_message(self, format: str, *args: Any) -> None: ...

    def answer(self, code: int, value: Any = None, raw: bytes | None = None) -> None:
        body = raw if raw is not None else b"" if value is None else json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            raise AssertionError("the client knows the size and must say it")
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def note(self) -> None:
        self.state.asked.append(f"{self.command} {self.path.split('sha256:')[0]}")

    def do_GET(self) -> None:
        self.note()
        if self.state.fault == "silent":
            self.state.hang()
            return
        if self.path == "/api/version":
            faults = {"not json": b"<html>proxy</html>", "a list": b"[1]", "no version": b"{}"}
            self.answer(200, {"version": self.state.version}, faults.get(self.state.fault))
        elif self.path == "/api/tags":
            self.answer(200, {"models": [{"name": name, "model": name} for name in self.state.models]})
        else:
            self.answer(404, {"error": "not found"})

    def do_HEAD(self) -> None:
        self.note()
        self.answer(200 if self.path.rsplit(":", 1)[-1] in self.state.blobs else 404)

    def do_DELETE(self) -> None:
        self.note()
        name = json.loads(self.body())["model"]
        if self.state.models.pop(name, None) is None:
            self.answer(404, {"error": f"model '{name}' not found"})
        else:
            self.answer(200)

    def do_POST(self) -> None:
        self.note()
        if self.path.startswith("/api/blobs/sha256:"):
            self.blob(self.path.rsplit(":", 1)[-1])
        elif self.path == "/api/show":
            name = json.loads(self.body())["model"]
            model = self.state.models.get(name if ":" in name else f"{name}:latest")
            self.answer(
                *((200, {"modelfile": shown(model), "model_info": {}}) if model else (404, {"error": "absent"}))
            )
        elif self.path == "/api/create":
            self.create(json.loads(self.body()))
        else:
            self.answer(404, {"error": "not found"})

    def blob(self, digest: str) -> None:
        data = self.body()
        if self.state.fault == "full disk":
            self.answer(500, {"error": "no space left on device"})
        elif hashlib.sha256(data).hexdigest() != digest:
            self.answer(400, {"error": "digest mismatch"})
        else:
            self.state.blobs[digest] = len(data)
            self.answer(201)

    def create(self, request: Record) -> None:
        state = self.state
        state.created.append(request)
        if state.fault == "refuses":
            self.answer(400, {"error": "invalid model name"})
            return
        if state.fault == "hangs before":
            state.hang()
            return
        lines: list[Record] = [{"status": "parsing GGUF"}, {"status": "creating new layer", "total": 9, "completed": 9}]
        if state.fault == "error in 200":
            lines += [{"error": "invalid file magic"}]
        elif state.fault == "error after success":
            lines += [{"status": "success"}, {"error": "could not write manifest"}]
        elif state.fault == "another last line":
            lines += [{"status": "success"}, {"status": "cleaning up"}]
        elif state.fault != "no success":
            lines += [{"status": "success"}]
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        if state.fault == "cut in a character":
            text = '{"status": "できあ'.encode()[:-1]
        self.stream(text)
        if not state.fault or state.fault == "slow":
            state.models[request["model"]] = request

    def stream(self, text: bytes) -> None:
        """In chunks that do not end where lines end."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(text), 7):
            piece = text[start : start + 7]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
            if self.state.fault == "hangs between" and start > 20:
                self.state.hang()
            if self.state.fault in ("slow", "for ever"):
                time.sleep(0.01)
        if self.state.fault == "drops":
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")


def shown(model: Record) -> str:
    """A model as `ollama show --modelfile` prints it."""
    digest = next(iter(model.get("files", {}).values()), "sha256:" + "0" * 64)
    lines = ['# Modelfile generated by "ollama show"', f"FROM /models/blobs/{digest.replace(':', '-')}"]
    adapters = model.get("adapters") or {}
    lines += [f"ADAPTER /models/blobs/{adapter.replace(':', '-')}" for adapter in adapters.values()]
    lines += [f'{key.upper()} """{model[key]}"""' for key in ("template", "system") if model.get(key)]
    for key, value in (model.get("parameters") or {}).items():
        lines += [f"PARAMETER {key} {v}" for v in (value if isinstance(value, list) else [value])]
    lines += [f"MESSAGE {m['role']} {m['content']}" for m in model.get("messages") or []]
    return "\n".join(lines) + "\n"


serving = functools.partial(loopback.serving, Handler)
