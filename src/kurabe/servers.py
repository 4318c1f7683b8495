"""How a user names a model that a server runs: `ollama:NAME`, or `http(s)://HOST/v1#NAME` for OpenAI-compatible ones.

Knows no request. A name that is none of these is a folder's or a file's, and somebody else's matter.
"""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

from kurabe.errors import MissingError, SettingsError

OLLAMA_PORT = 11434
_OLLAMA = "ollama:"
_EXAMPLE = "Write ollama:NAME, or http://HOST:PORT/v1#NAME."
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CAPITALS = re.compile(r"[A-Z]{2,20}(_[A-Z]{2,20}){1,4}")  # OPENAI_API_KEY, and no key that anybody issues


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
    def root(self) -> str:
        """The address without the /v1 of an OpenAI-compatible server's: what is not of that protocol lies there."""
        return self.url.removesuffix("/v1")

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


def serving(name: str) -> Server:
    """The vLLM that answers for the run's own model. Raises SettingsError for what names none."""
    found = server(name)
    if found is None or found.kind != "openai":
        raise SettingsError("--answers-from takes the address of a vLLM.", where=name, fix="http://HOST:PORT/v1#NAME")
    return found


def others(names: Sequence[str]) -> tuple[Server, ...]:
    """The servers that these names speak of. Raises SettingsError for a name of none, and for one given twice."""
    found = []
    for name in names:
        one = server(name)
        if one is None:
            raise SettingsError("--beside takes a model that a server runs.", where=name, fix=_EXAMPLE)
        if one in found:
            raise SettingsError("--beside names the same model twice.", where=one.named, fix="Name it once.")
        found.append(one)
    return tuple(found)


def key_for(servers: Sequence[Server], variable: str) -> str:
    """The key of these servers, "" where no variable is named. It belongs to one address and is sent to no other.

    Raises SettingsError where they are several, or only Ollama, which takes no key; and as `key_from` does.
    """
    places = sorted({one.url for one in servers if one.kind == "openai"})
    if variable and len(places) != 1:
        raise SettingsError(
            "--key-env is for one OpenAI-compatible server.", why=f"Named are: {', '.join(places) or 'none'}.",
            fix="Name that one with --beside, and ask others in a run of their own; or leave out --key-env.",
        )  # fmt: skip
    return key_from(variable)


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

    Raises SettingsError for what can be no variable's name and MissingError where it holds none. The name is repeated
    only where it looks like no key: somebody may have given the key itself.
    """
    if not variable:
        return ""
    if not _VARIABLE.fullmatch(variable):
        raise SettingsError(
            "--key-env takes the name of an environment variable, and never a key.",
            fix="export SERVER_KEY=..., then --key-env SERVER_KEY.",
        )
    key = os.environ.get(variable, "").strip()
    named = variable if _CAPITALS.fullmatch(variable) else "NAME"
    if not key or not key.isascii() or not key.isprintable():
        raise MissingError(
            "The environment variable that --key-env names holds no key.",
            fix=f"Set it in this shell (export {named}=...), then run the command again.",
        )
    return key
