"""How a user names a model that a server runs: `ollama:NAME`, or `http(s)://HOST/v1#NAME` for OpenAI-compatible ones.

Knows no request. A name that is none of these is a folder's or a file's, and somebody else's matter.
"""

from __future__ import annotations

import http.client
import os
import re
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

from kurabe.errors import MissingError, SettingsError

OLLAMA_PORT = 11434
_OLLAMA = "ollama:"
_EXAMPLE = "Write ollama:NAME, or http://HOST:PORT/v1#NAME."
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Server(NamedTuple):
    """One model of one server."""

    kind: Literal["openai", "ollama"]
    url: str  # without a last slash; an OpenAI-compatible server's with its /v1
    model: str  # "": the only one that the server has

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        host = urlsplit(self.url).hostname or ""
        return host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None

    @property
    def named(self) -> str:
        """The name as a user would write it."""
        return f"{_OLLAMA}{self.model}" if self.kind == "ollama" else f"{self.url}#{self.model}"


def server(name: str) -> Server | None:
    """The server that the name speaks of, None where it speaks of none. Raises SettingsError for half a name.

    Ollama's address is OLLAMA_HOST, as for its own client. A path that is left out is /v1.
    """
    name = name.strip()
    if name.lower().startswith(_OLLAMA):
        model = name[len(_OLLAMA) :].strip()
        if not model:
            raise SettingsError("The model's name is missing.", where=name, fix="Write ollama:NAME; ollama list.")
        url = ollama_url(os.environ.get("OLLAMA_HOST", ""))
        return Server("ollama", url.replace("//0.0.0.0:", "//127.0.0.1:"), model)  # a server's "listen everywhere"
    if not re.match("https?://", name, re.IGNORECASE):
        return None
    address, _, model = name.partition("#")
    parts = _parts(address)
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return Server("openai", f"{parts.scheme}://{parts.netloc}{path}", model.strip())


def _parts(address: str) -> SplitResult:
    """An address without anything secret in it."""
    try:
        parts = urlsplit(address)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise SettingsError("The server's address is none.", where=address.rsplit("@", 1)[-1], fix=_EXAMPLE)
    if parts.username is not None or parts.query:
        raise SettingsError(
            "The server's address holds more than a place.", where=str(parts.hostname),
            why="A key in an address stays in the shell's history and in lists of processes.",
            fix="Put the key into an environment variable and name that one: --key-env NAME.",
        )  # fmt: skip
    return parts


def ollama_url(host: str) -> str:
    """OLLAMA_HOST as Ollama reads it: scheme and port may be left out."""
    host = host.strip().strip("\"'") or "127.0.0.1"
    url = urlsplit(host if "://" in host else f"http://{host}")
    try:
        port = url.port or (OLLAMA_PORT if "://" not in host else {"https": 443}.get(url.scheme, 80))
    except ValueError:
        port = OLLAMA_PORT
    name = url.hostname or "127.0.0.1"
    return f"{url.scheme}://{f'[{name}]' if ':' in name else name}:{port}"


def ollama_here(host: str) -> bool | None:
    """Whether Ollama answers on this machine: one HEAD, a second's patience.

    None for an address elsewhere, which is not asked.
    """
    address = urlsplit(ollama_url(host))
    # 0.0.0.0 is a server's "listen everywhere"; a client reaches it on this machine.
    name = {"0.0.0.0": "127.0.0.1"}.get(address.hostname or "", address.hostname or "")
    if name not in {"127.0.0.1", "localhost", "::1"}:
        return None
    connection = http.client.HTTPConnection(name, address.port, timeout=1)
    try:
        connection.request("HEAD", "/")
        connection.getresponse()
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def key_from(variable: str) -> str:
    """The key that this environment variable holds; "" where no variable is named.

    Raises SettingsError for what can be no variable's name and MissingError where it holds none. Neither repeats the
    name: somebody may have given the key itself.
    """
    if not variable:
        return ""
    if not _VARIABLE.fullmatch(variable):
        raise SettingsError(
            "--key-env takes the name of an environment variable, and never a key.",
            fix="export SERVER_KEY=..., then --key-env SERVER_KEY.",
        )
    key = os.environ.get(variable, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise MissingError(
            "The environment variable that --key-env names holds no key.",
            fix="Set it in this shell (export NAME=...), then run the command again.",
        )
    return key
