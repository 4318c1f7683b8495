"""Puts a model into Ollama: its file by digest, then a model of that file or of another model.

Knows no weights and no run. The official client makes the calls that it has; it has none for the server's version and
for a file's presence, which go by httpx, the library that it stands on. Every wait has an end: the client's default
has none. The protocol: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kurabe.errors import DataError, MissingError, SettingsError
from kurabe.export.modelfile import Modelfile, parse
from kurabe.schema import Message
from kurabe.servers import ollama_url
from kurabe.storage import sha256

OLDEST = (0, 17, 1)
EMBEDDED_TEMPLATE = (0, 30, 0)  # from here on the file's own chat template is used
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,79}"
_NAME = re.compile(
    rf"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.:\-]{{0,349}})/)?(?:(?P<space>[A-Za-z0-9_][A-Za-z0-9_\-]{{0,79}})/)?"
    rf"(?P<model>{_PART})(?::(?P<tag>{_PART}))?"
)


class Limits(NamedTuple):
    """How long to wait, in seconds."""

    connect: float = 3
    first: float = 60  # for the first byte of an answer
    between: float = 30  # between two pieces of it, either way
    total: float = 3600  # for one call


class Model(NamedTuple):
    """What is to be created: from a file or from a model that the server has, and what is said before each question."""

    file: Path | None = None
    adapter: Path | None = None  # a LoRA that lies over the file
    base: str | None = None
    conversation: tuple[Message, ...] = ()  # a system message may come first
    parameters: Mapping[str, Any] = {}
    template: str | None = None  # Go; for servers that do not use the file's own
    stop: tuple[str, ...] = ()

    @property
    def system(self) -> str | None:
        first = self.conversation[:1]
        return first[0].content if first and first[0].role == "system" else None

    @property
    def messages(self) -> tuple[Message, ...]:
        return self.conversation if self.system is None else self.conversation[1:]


def full_name(name: str) -> str:
    """A model's name with its tag, checked by the server's rules: [host/][namespace/]model[:tag].

    Raises SettingsError. `library` and the registry's own host are left out, as the server lists them.
    """
    found = _NAME.fullmatch(name)
    if found and found["host"] and not found["space"]:  # a single part before the slash is the namespace
        found = None if re.search(r"[.:]", found["host"]) or len(found["host"]) > 80 else found
    if found is None:
        raise SettingsError(
            f"{name!r} is no name for a model in Ollama.",
            why="A name is [host/][namespace/]model[:tag]; each part begins with a letter, a digit or _ and goes on "
            "with these, - or . (a namespace without .), up to 80 characters.",
            fix="Choose another name: letters, digits, - and _.",
        )  # fmt: skip
    parts = name.split("/")
    if parts[0].lower() == "registry.ollama.ai" and len(parts) == 3:
        parts = parts[1:]
    if parts[0].lower() == "library" and len(parts) == 2:
        parts = parts[1:]
    return "/".join(parts) + ("" if found["tag"] else ":latest")


class Ollama:
    """One server that answered and is new enough. Raises MissingError for what the server does wrong or does not do."""

    def __init__(self, host: str | None = None, limits: Limits = Limits()) -> None:  # noqa: B008  (it is immutable)
        try:
            import httpx
            import ollama
        except ImportError:
            raise MissingError("The client of Ollama is not installed.", fix='pip install "kurabe[ollama]"') from None
        self.url = ollama_url(os.environ.get("OLLAMA_HOST", "") if host is None else host).replace(
            "//0.0.0.0:",
            "//127.0.0.1:",  # a server's "listen everywhere"
        )
        self.limits = limits

        def shorten(response: httpx.Response) -> None:
            # The first byte is here; httpx takes the limit for the rest when the body begins to be read.
            response.request.extensions["timeout"]["read"] = limits.between

        local = urlsplit(self.url).hostname in {"127.0.0.1", "localhost", "::1"}
        options: dict[str, Any] = {
            "timeout": httpx.Timeout(limits.between, connect=limits.connect, read=limits.first),
            "event_hooks": {"response": [shorten]}, "follow_redirects": False,
            "trust_env": not local,  # no proxy stands between this machine and itself
        }  # fmt: skip
        self._http = httpx.Client(base_url=self.url, **options)
        self._client = ollama.Client(self.url, **options)
        self._failures = (httpx.HTTPError, httpx.StreamError, ollama.ResponseError, ConnectionError)
        self._absent = ollama.ResponseError
        try:
            self.version = self._version()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._http.close()
        self._client.close()  # type: ignore[no-untyped-call]

    def __enter__(self) -> Ollama:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(
        self, name: str, model: Model, *, replace: bool = False, progress: Callable[[str], None] | None = None
    ) -> bool:
        """Create the model; False where the server has exactly this one already.

        A model of that name that is another one is left alone without `replace`: SettingsError. Success is the
        server's final line saying so; a stream that ends without it, or with an error in it, raises MissingError.
        """
        name = full_name(name)
        if (model.file is None) == (model.base is None):
            raise ValueError("a model is made of a file or of a base")
        files, adapters = _digests(model.file), _digests(model.adapter)
        there = self._same_name(name)
        if there is not None:
            if self._identical(there, model, files, adapters):
                return False
            if not replace:
                raise SettingsError(
                    f"Ollama has a model {there} already, and it is another one.", where=self.url,
                    fix="Give --replace, or another name.",
                )  # fmt: skip
        for path, digests in ((model.file, files), (model.adapter, adapters)):
            if path is not None:
                self._send(path, digests[path.name], progress)
        last = ""
        with self._talk("creates the model") as alive:
            for part in self._client.create(
                name, from_=model.base, files=files or None, adapters=adapters or None,
                template=self._template(model), system=model.system, parameters=self._parameters(model) or None,
                messages=[m.model_dump() for m in model.messages] or None, stream=True,
            ):  # fmt: skip
                alive()
                last = part.status or ""
                if progress and last:
                    progress(last)
        if last != "success":
            raise self._wrong("creates the model", f"Its answer ended with {last!r} and not with success.")
        return True

    def delete(self, name: str) -> bool:
        """Delete the model of that name; False where there is none."""
        there = self._same_name(full_name(name))
        if there is None:
            return False
        with self._talk("deletes the model"):
            try:
                self._client.delete(there)
            except self._absent as error:
                if error.status_code != 404:
                    raise
                return False
        return True

    def holds(self, name: str, digest: str) -> bool:
        """Whether the server's model of that name is made of the file with this SHA-256."""
        shown = self._shown(full_name(name))
        return shown is not None and (shown.last("FROM") or "").endswith(f"sha256-{digest}")

    def names(self) -> list[str]:
        """Every model's name with its tag."""
        with self._talk("lists its models"):
            return [model.model for model in self._client.list().models if model.model]

    def _same_name(self, name: str) -> str | None:
        """The server's own spelling: it takes names that differ in capitals for the same one."""
        return next((known for known in self.names() if known.lower() == name.lower()), None)

    def _version(self) -> tuple[int, int, int]:
        with self._talk("says its version"):
            answer = self._http.get("/api/version")
            answer.raise_for_status()
            text = str(answer.json()["version"])
        found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
        version = (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
        if version < OLDEST:
            raise MissingError(
                f"This Ollama is too old: {text}.", where=self.url,
                why="Before 0.17.1 a crafted model file makes it read and give away memory (CVE-2026-7482).",
                fix="Install Ollama 0.17.1 or newer from https://ollama.com/download",
            )  # fmt: skip
        return version

    def _send(self, file: Path, digest: str, progress: Callable[[str], None] | None) -> None:
        """The file under its digest, unless the server has it."""
        path = f"/api/blobs/{digest}"
        with self._talk("takes the file") as alive:
            present = self._http.head(path)
            if present.status_code == 200:
                return
            if present.status_code != 404:
                present.raise_for_status()
                raise ValueError(f"It answered {present.status_code} when it was asked for the file.")
            if progress:
                progress("upload")
            size = {"Content-Length": str(file.stat().st_size)}
            answer = self._http.post(path, content=_pieces(file, alive), headers=size)
            if answer.status_code not in (200, 201):
                raise ValueError(f"It answered {answer.status_code}: {answer.text[:200].strip()}")

    def _template(self, model: Model) -> str | None:
        return model.template if self.version < EMBEDDED_TEMPLATE else None

    def _parameters(self, model: Model) -> dict[str, Any]:
        stop = self.version < EMBEDDED_TEMPLATE and model.stop
        return {**model.parameters, **({"stop": list(model.stop)} if stop else {})}

    def _identical(self, name: str, model: Model, files: Mapping[str, str], adapters: Mapping[str, str]) -> bool:
        """Whether the server's model is what would be created: same weights, words and parameters. Stop words that the
        server added by itself are no difference."""
        theirs = self._shown(name)
        base = None if model.base is None else self._shown(model.base)
        weights = base.last("FROM") if base else _blob(files)
        if theirs is None or not weights or not (theirs.last("FROM") or "").endswith(weights):
            return False
        if bool(theirs.last("ADAPTER")) != bool(adapters) or not (theirs.last("ADAPTER") or "").endswith(
            _blob(adapters)
        ):
            return False
        known = dict(base.parameters) if base else {}
        wanted = known | {key: _listed(value) for key, value in self._parameters(model).items()}
        differing = {key for key in wanted.keys() | theirs.parameters.keys() if
                     _numbers(wanted.get(key, [])) != _numbers(theirs.parameters.get(key, []))}  # fmt: skip
        if "stop" not in wanted:
            differing.discard("stop")
        system = model.system if model.system is not None or base is None else base.last("SYSTEM")
        template = self._template(model)
        return (
            not differing
            and (theirs.last("SYSTEM") or "") == (system or "")
            and [m for m in theirs.messages if m.role != "system"] == [m for m in model.messages if m.role != "system"]
            and template in (None, theirs.last("TEMPLATE"))
        )

    def _shown(self, name: str) -> Modelfile | None:
        """The model as a Modelfile; None where its texts cannot stand in one or the server does not know the name."""
        with self._talk("shows the model"):
            try:
                text = self._client.show(name).modelfile or ""
            except self._absent as error:
                if error.status_code != 404:
                    raise
                return None
        try:
            return parse(text, name)
        except DataError:
            return None

    @contextmanager
    def _talk(self, doing: str) -> Iterator[Callable[[], None]]:
        """Turn whatever goes wrong between here and the server into one MissingError. What is yielded is called
        between pieces; it ends a call that goes on piece by piece for ever."""
        import httpx

        end = time.monotonic() + self.limits.total

        def alive() -> None:
            if time.monotonic() > end:
                raise TimeoutError

        try:
            yield alive
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
            raise MissingError(
                "Ollama does not answer.", where=self.url, why=str(error).split("\n")[0].split(". ")[0],
                fix="Start it (ollama serve), or name another address in OLLAMA_HOST.",
            ) from None  # fmt: skip
        except (httpx.TimeoutException, TimeoutError) as error:
            kind = type(error).__name__
            raise self._wrong(doing, f"It was silent or busy for too long ({kind}).") from None
        except (*self._failures, ValueError, TypeError, AttributeError, KeyError) as error:
            # The last four: an answer that is not JSON, or JSON of another form.
            raise self._wrong(doing, getattr(error, "error", None) or str(error) or type(error).__name__) from None

    def _wrong(self, doing: str, why: Any) -> MissingError:
        return MissingError(
            f"Ollama failed while it {doing}.", where=self.url, why=str(why)[:500],
            fix="Look at Ollama's log, then run the command again.",
        )  # fmt: skip


def _pieces(file: Path, alive: Callable[[], None]) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            alive()
            yield piece


def _digests(file: Path | None) -> dict[str, str]:
    """A file's digest under its name as the server takes it: without folders. Empty for none."""
    return {} if file is None else {file.name: f"sha256:{sha256(file)}"}


def _blob(digests: Mapping[str, str]) -> str:
    """What the server calls the file on its disk; "" for none."""
    return next(iter(digests.values()), "").replace(":", "-")


def _listed(value: Any) -> list[str]:
    return [
        str(v).lower() if isinstance(v, bool) else str(v)
        for v in (value if isinstance(value, (list, tuple)) else [value])
    ]


def _numbers(values: Sequence[str]) -> list[float | str]:
    """Values that compare as the server means them: 0 and 0.0 are the same, the order of stop words does not count."""

    def number(text: str) -> float | str:
        try:
            return float(text)
        except ValueError:
            return text

    return sorted((number(value) for value in values), key=str)
