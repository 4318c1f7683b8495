"""A hub of one model on loopback, which misbehaves as a test asks. Knows what huggingface_hub asks of a hub, no more.

`write` makes the cache that this hub's files would come to, for tests that need no server.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from loopback import serving

REPO, COMMIT = "small/chat", "a" * 40
CARD = b"---\nlicense: apache-2.0\n---\nA random model.\n"


@dataclass
class Hub:
    """What the hub has, how it fails, and what it was asked."""

    files: dict[str, bytes]
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)
    status: Mapping[str, int] = field(default_factory=dict)  # "api", or a file's name -> status instead of an answer
    code: str = ""  # X-Error-Code beside that status
    cut: dict[str, int] = field(default_factory=dict)  # file -> bytes after which the connection ends, once
    slow: float = 0.0  # seconds before each answer
    wrong: set[str] = field(default_factory=set)  # files of which the first byte arrives changed
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # (method, path, Range)
    tokens: set[str] = field(default_factory=set)


def digests(raw: bytes, name: str) -> tuple[str, str]:
    """(git's name of the file, its SHA-256 where it is stored apart, else "")."""
    large = name.endswith(".safetensors")
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest(), hashlib.sha256(raw).hexdigest() if large else ""


class Handler(BaseHTTPRequestHandler):
    """The hub's three questions: what is the model, which files has it, give me one."""

    protocol_version = "HTTP/1.1"
    state: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        hub, path = self.state, self.path.partition("?")[0]
        hub.asked.append((self.command, path, self.headers.get("Range") or ""))
        hub.tokens.add(self.headers.get("Authorization") or "")
        if hub.slow and hub.over.wait(hub.slow):
            return
        file = re.fullmatch(rf"/{REPO}/resolve/[^/]+/(.+)", path)
        status = hub.status.get(file[1] if file else "api")
        if status:
            self.send({}, status=status, error=hub.code)
        elif file and file[1] in hub.files:
            self.send_file(file[1], body)
        elif re.fullmatch(rf"/api/models/{REPO}(/revision/(main|{COMMIT}))?", path):
            self.send(self.model())
        elif path == f"/api/models/{REPO}/tree/{COMMIT}":
            self.send([self.listed(name) for name in hub.files])
        else:
            self.send({}, status=404, error="RevisionNotFound" if "/revision/" in path else "RepoNotFound")

    def model(self) -> dict[str, Any]:
        siblings = [{"rfilename": n, "size": len(raw), **self.named(n)} for n, raw in self.state.files.items()]
        return {"id": REPO, "sha": COMMIT, "siblings": siblings, "cardData": {"license": "apache-2.0"}, "tags": []}

    def named(self, name: str) -> dict[str, Any]:
        git, sha256 = digests(self.state.files[name], name)
        size = len(self.state.files[name])
        return {"blobId": git} | ({"lfs": {"sha256": sha256, "size": size, "pointerSize": 130}} if sha256 else {})

    def listed(self, name: str) -> dict[str, Any]:
        git, sha256 = digests(self.state.files[name], name)
        entry = {"type": "file", "path": name, "size": len(self.state.files[name]), "oid": git}
        return entry | ({"lfs": {"oid": sha256, "size": entry["size"], "pointerSize": 130}} if sha256 else {})

    def send(self, data: Any, status: int = 200, error: str = "") -> None:
        raw = json.dumps(data).encode()
        self.send_response(status)
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(raw)

    def send_file(self, name: str, body: bool) -> None:
        hub, raw = self.state, self.state.files[name]
        start = int((re.match(r"bytes=(\d+)-", self.headers.get("Range") or "") or ("", "0"))[1])
        self.send_response(206 if start else 200)
        for header, value in {
            "X-Repo-Commit": COMMIT, "ETag": f'"{digests(raw, name)[1] or digests(raw, name)[0]}"',
            "Content-Length": str(len(raw) - start), "Accept-Ranges": "bytes",
            **({"Content-Range": f"bytes {start}-{len(raw) - 1}/{len(raw)}"} if start else {}),
        }.items():  # fmt: skip
            self.send_header(header, value)
        self.end_headers()
        if not body:
            return
        sent = bytes([raw[0] ^ 1]) + raw[1:] if name in hub.wrong else raw
        end = hub.cut.pop(name, len(raw))
        self.wfile.write(sent[start:end])
        if end < len(raw):
            self.close_connection = True

    def log_message(self, *_: Any) -> None: ...


def of_folder(folder: Path) -> Hub:
    """A hub that has the files of a model folder, and some that nobody shall fetch."""
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    unwanted = {"pytorch_model.bin": b"a pickle", "modeling_own.py": b"raise SystemExit", "model.gguf": b"GGUF"}
    return Hub(files | {"README.md": CARD} | unwanted)


@contextlib.contextmanager
def hub_at(hub: Hub, home: Path, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub on a free port, with a cache of its own, and no wait between two tries."""
    from huggingface_hub import constants

    with serving(Handler, hub):
        # As HF_ENDPOINT sets them when the library is imported.
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
        use_cache(home, patch)
        sleep = time.sleep
        patch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
        yield hub


def use_cache(home: Path, patch: pytest.MonkeyPatch) -> Path:
    """An empty cache, instead of the user's."""
    from huggingface_hub import constants

    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    patch.delenv("HF_TOKEN", raising=False)
    return home / "hub"


def write(folder: Path, cache: Path, repo: str = REPO, commit: str = COMMIT) -> Path:
    """The cache as a pull of this folder would leave it; the snapshot's path."""
    storage = cache / f"models--{repo.replace('/', '--')}"
    snapshot = storage / "snapshots" / commit
    for path in (snapshot, storage / "blobs", storage / "refs"):
        path.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        raw = path.read_bytes()
        blob = storage / "blobs" / (digests(raw, path.name)[1] or digests(raw, path.name)[0])
        blob.write_bytes(raw)
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", blob.name))
    (storage / "refs" / "main").write_text(commit, encoding="utf-8")
    return snapshot
