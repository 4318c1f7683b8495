"""A scripted vLLM on loopback: a real model behind its protocol; it does what the documents say, or one thing wrong.

Knows no chat: prompts come as token ids. `fault` names what it does wrong.
"""

from __future__ import annotations

import functools
import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import loopback

from kurabe.engine import Row
from kurabe.hf import HFBackend

Record = dict[str, Any]
REQUIRED = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_p": 1.0, "top_k": -1}


class Scripted:
    """The server's state. `root` is where it says that its weights come from."""

    def __init__(self, model: HFBackend, root: str = "org/model", fault: str = "", longest: int = 2048) -> None:
        self.model, self.root, self.fault, self.longest = model, root, fault, longest
        self.script: list[str] = []  # what it does with the next requests: a status, "abort"
        self.adapters: dict[str, str] = {}  # name -> path
        self.numbers: dict[str, int] = {}  # name -> the trial under which the model knows it
        self.loads: list[Record] = []
        self.bodies: list[Record] = []
        self.key = self.url = ""
        self.lock = threading.Lock()
        self.over = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Scripted

    def log_message(self, format: str, *args: Any) -> None: ...

    def send(self, status: int, value: Any) -> None:
        body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, message: str) -> None:
        self.send(status, {"error": {"message": message, "type": "BadRequestError", "code": status}})

    def do_GET(self) -> None:
        state = self.state
        if state.key and self.headers.get("Authorization") != f"Bearer {state.key}":
            self.refuse(401, "Unauthorized")
        elif self.path == "/v1/models":
            cards: list[Record] = [{"id": "base", "root": state.root, "max_model_len": state.longest}]
            cards += [{"id": n, "root": path, "parent": "base"} for n, path in state.adapters.items()]
            self.send(200, {"object": "list", "data": cards})
        elif self.path == "/version":
            self.send(200, {"version": "0.99.0"})
        else:
            self.send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.state.lock:
            step = self.state.script.pop(0) if self.state.script else ""
            if step.isdigit():
                self.refuse(int(step), "sorry")
                return
            work = {
                "/v1/completions": self.complete, "/v1/load_lora_adapter": self.load,
                "/v1/unload_lora_adapter": self.unload,
            }[self.path]  # fmt: skip
            work(body, step) if work == self.complete else work(body)  # type: ignore[operator]

    # --- adapters ----------------------------------------------------------------------------------------------

    def load(self, body: Record) -> None:
        state, name = self.state, body["lora_name"]
        state.loads.append(body)
        if state.fault == "no adapters":
            self.send(404, {"detail": "Not Found"})
        elif name in state.adapters:
            self.refuse(400, f"The lora adapter '{name}' has already been loaded.")
        elif not (Path(body["lora_path"]) / "adapter_config.json").is_file():
            self.refuse(404, f"No adapter found for {name}")
        else:
            number = 1001 + len(state.numbers)
            state.model.load_adapter(number, Path(body["lora_path"]))
            state.adapters[name], state.numbers[name] = body["lora_path"], number
            self.send(200, f"Success: LoRA adapter '{name}' added successfully.")

    def unload(self, body: Record) -> None:
        self.state.adapters.pop(body["lora_name"])
        self.send(200, "Success")

    # --- completions -------------------------------------------------------------------------------------------

    def complete(self, body: Record, step: str) -> None:
        state = self.state
        state.bodies.append(body)
        wrong = [name for name, value in REQUIRED.items() if body.get(name) != value]
        if wrong or body["model"] not in ("base", *state.adapters):
            self.refuse(400, f"unexpected: {wrong} {body['model']}")
            return
        trial = state.numbers[body["model"]] if body["model"] != "base" and state.fault != "ignores adapters" else 0
        ids = [7, *body["prompt"]] if state.fault == "adds a token" else body["prompt"]
        row = Row(ids, trial, body["max_tokens"], body["temperature"], body.get("seed", 0))
        state.model.engine.answer([row])
        ended = [min(state.model.chat.end_ids)] if row.ended else []
        choice: Record = {
            "index": 0, "text": state.model.chat.text(row.new), "finish_reason": "stop" if row.ended else "length",
        }  # fmt: skip
        if step == "abort":
            choice |= {"text": choice["text"][:3], "finish_reason": "abort"}
        if state.fault != "old":
            choice |= {"token_ids": [*row.new, *ended], "prompt_token_ids": ids}
        if "prompt_logprobs" in body and state.fault not in ("old", "silent"):
            choice["prompt_logprobs"] = self.likely(ids, trial)
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(row.new) + len(ended)}
        self.send(200, {"model": body["model"], "choices": [choice], "usage": usage})

    def likely(self, ids: list[int], trial: int) -> list[Any]:
        rows = [Row(ids[:k], trial, 0, target=ids[k : k + 1]) for k in range(1, len(ids))]
        self.state.model.engine.score(rows)
        return [None, *({str(row.target[0]): {"logprob": row.logprob, "rank": 1}} for row in rows)]


serving = functools.partial(loopback.serving, Handler)
