"""The child that holds a GGUF in llama.cpp: reads one JSON object per line, answers each with one line.

Knows nothing of kurabe: it is run by its path, in isolation, with a limit on its memory, and may crash at any moment.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from typing import Any


def main() -> None:
    """Load what the first line names, then serve until the input ends."""
    # The answers have a stream of their own; what llama.cpp prints goes to stderr.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    settings = json.loads(sys.stdin.buffer.readline())
    _limit(settings["memory"])
    key = secrets.token_hex(16)
    server = _load(settings, key)
    _write(out, {"ready": True})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        path = request.pop("path")
        _write(out, _ask(server.listening_address + path, request, key))


def _limit(memory: int) -> None:
    """Address space in bytes where the system has such a limit; no core files."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _load(settings: dict[str, Any], key: str) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 1.0) for path in settings["loras"]]
    params.n_ctx = settings["context"]
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.fit_params = False
    params.warmup = False
    params.cache_ram_mib = 0
    params.n_threads_http = 1
    params.use_jinja = params.enable_chat_template = False  # the template is rendered elsewhere, in a sandbox
    params.ui = params.endpoint_slots = False
    params.verbosity = 0
    params.hostnames = ["127.0.0.1"]
    params.api_keys = [key]  # other users of this machine can reach the port
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.cpuparams.poll = params.cpuparams_batch.poll = 0  # waiting threads sleep: other programs need the cores too
    return xllamacpp.Server(params)


def _ask(url: str, body: dict[str, Any], key: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request) as answer:  # whoever started this child ends it when its time is over
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        try:
            return {"error": str(json.load(error)["error"]["message"])}
        except (ValueError, KeyError, TypeError):
            return {"error": f"llama.cpp answered {error.code}"}


def _write(out: Any, value: dict[str, Any]) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
