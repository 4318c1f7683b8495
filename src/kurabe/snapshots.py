"""Models of the Hugging Face cache by their name, ORG/NAME or ORG/NAME@REVISION: which are there, and whole.

Knows no network: nothing is fetched here, and what is missing is named together with the command that fetches it.
`HF_HOME` and the cache's other variables are obeyed, because the library that keeps the cache is asked.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import yaml

from kurabe import chat, hub, storage
from kurabe.errors import MissingError, SettingsError
from kurabe.schema import Message
from kurabe.settings import YAML_ERRORS

_NAME = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>(?!.*\.\.)\w[\w./-]*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
CARD_LIMIT = 1 << 16  # bytes of a card that are read for its licence
SHORT = 12  # digits of a commit that are shown


class Name(NamedTuple):
    """A model of the hub. Without a revision it is the one that the cache last fetched as `main`."""

    repo: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" if self.revision else self.repo

    @property
    def pull(self) -> str:
        """The command that fetches it."""
        return f"kurabe models pull {self.repo}" + (f" --revision {self.revision}" if self.revision else "")


class Snapshot(NamedTuple):
    """One commit of one model in the cache, whole or not."""

    repo: str
    commit: str
    path: Path

    @property
    def name(self) -> Name:
        """This very commit by name."""
        return Name(self.repo, self.commit)


def parse(text: str) -> Name | None:
    """The hub's model that a text names; None where it is a folder that exists, or no such name."""
    found = _NAME.fullmatch(text)
    if found is None or Path(os.path.expanduser(text)).exists():
        return None
    return Name(found["repo"], found["revision"] or "")


def named(text: str) -> Name:
    """The hub's model that a text names, whatever lies in the working folder; SettingsError for any other text."""
    found = _NAME.fullmatch(text)
    if found is None:
        raise SettingsError(
            f"{text!r} is not the name of a model of the hub.",
            fix="Give it as the hub writes it: ORG/NAME, as in HuggingFaceTB/SmolLM2-135M-Instruct.",
        )
    return Name(found["repo"], found["revision"] or "")


def cache() -> Path:
    """The folder in which the Hugging Face libraries keep what they fetched."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def found() -> Iterator[Snapshot]:
    """Every commit of every model in the cache, in the order of their names; other repositories are left out."""
    for folder in sorted(cache().glob("models--*--*"), key=lambda path: path.name.lower()):
        repo = folder.name.removeprefix("models--").replace("--", "/", 1)
        for path in sorted((folder / "snapshots").glob("*")):
            if _COMMIT.fullmatch(path.name) and path.is_dir():
                yield Snapshot(repo, path.name, path)


def of(folder: Path) -> Snapshot | None:
    """Which model and commit a folder is, where it lies in a cache of the hub's libraries."""
    repository = folder.parent.parent
    if folder.parent.name != "snapshots" or not repository.name.startswith("models--"):
        return None
    return Snapshot(repository.name.removeprefix("models--").replace("--", "/", 1), folder.name, folder)


def locate(text: str) -> Path:
    """The folder of a model: of a name of the hub its whole snapshot in the cache, else the folder that it names.

    Raises MissingError at once where the cache does not hold all of it, with what is missing.
    """
    name = parse(text)
    if name is None:
        return Path(os.path.expanduser(text))
    snapshot = look_up(name)
    missing = hub.absent(snapshot.path)
    if missing:
        _refuse(name, f"The model {name} is not whole in the cache.", f"{_listed(missing)} missing.", snapshot.path)
    return snapshot.path


def pinned(text: str) -> str:
    """The name of a model with the commit that the cache holds for it now, so that a later look finds the same one;
    any other text as it is."""
    return text if parse(text) is None else str(look_up(parse(text) or named(text)).name)


def look_up(name: Name) -> Snapshot:
    """The snapshot of that name in the cache, whole or not; MissingError where there is none."""
    there = [snapshot for snapshot in found() if snapshot.repo == name.repo]
    commit = name.revision or "main"
    reference = cache() / f"models--{name.repo.replace('/', '--')}" / "refs" / commit
    if not _COMMIT.fullmatch(commit) and reference.is_file():
        commit = reference.read_text(encoding="utf-8").strip()
    chosen = [s for s in there if s.commit == commit or (len(commit) >= SHORT and s.commit.startswith(commit))]
    if len(chosen) == 1:
        return chosen[0]
    if not there:
        _refuse(name, f"The model {name} is not on this machine.", f"No folder and no cache holds it ({cache()}).")
    commits = ", ".join(snapshot.commit[:SHORT] for snapshot in there)
    raise MissingError(
        f"The cache has no {name.revision or 'main'} of {name.repo}.", where=str(there[0].path.parent),
        why=f"It has {commits}.", fix=f"{name.pull}, or name one that is there: {name.repo}@{there[0].commit[:SHORT]}",
    )  # fmt: skip


class Described(NamedTuple):
    """What a model folder holds. `fault` says why it could not be run as it is: "" where it could, by headers and
    lengths."""

    size: int  # bytes on disk
    parameters: int  # numbers in the weight files; 0 where they are not whole
    licence: str
    fault: str
    fix: str = ""

    @property
    def memory(self) -> int:
        """Bytes that the weights take when they are loaded, in float32; training and answering come on top."""
        return 4 * self.parameters


def describe(folder: Path, name: Name | None = None) -> Described:
    """Size, parameters, licence and usability of a model folder, by headers alone. `name` fetches what it lacks."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    parameters, fault, fix = 0, "", ""
    missing = hub.absent(folder)
    try:
        if missing:
            raise MissingError(f"{_listed(missing)} missing.", fix=name.pull if name else "")
        weights = hub.examine(folder)
        chat.find_template(folder)
        tensors = [entry for file in weights.files for entry in hub.check_safetensors(file).values()]
        parameters = sum(math.prod(entry["shape"]) for entry in tensors)
    except MissingError as error:
        fault, fix = error.what, error.fix
    return Described(size, parameters, licence(folder), fault, fix)


def refuse(folder: Path, described: Described) -> NoReturn:
    """The fault of a model folder as an error."""
    raise MissingError(described.fault, where=str(folder), fix=described.fix)


def licence(folder: Path) -> str:
    """The licence that a model's card names at its head, as the hub writes it; "" without one."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    with card.open("rb") as file:
        text = file.read(CARD_LIMIT).decode("utf-8", "replace")
    head = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    try:
        data = yaml.safe_load(head[1]) if head else None
    except YAML_ERRORS:  # whatever a stranger's card holds
        return ""
    named = data.get("license") if isinstance(data, dict) else None
    return named if isinstance(named, str) else ""


def prove(folder: Path) -> Iterator[tuple[str, bool | None]]:
    """(file, whether its bytes have the hash that the cache knows for it) of every file of a model folder; None where
    no hash is known, which is so for every file outside a cache and on systems without links."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = Path(os.readlink(file)).name if file.is_symlink() else ""
        known = re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", digest)
        yield file.relative_to(folder).as_posix(), has_digest(file, digest) if known else None


def has_digest(file: Path, digest: str) -> bool:
    """Whether a file has this SHA-256 or, of 40 digits, this hash by which git names it."""
    if len(digest) == 64:
        return storage.sha256(file) == digest
    raw = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest() == digest


def rehearse(folder: Path) -> int:
    """Load the tokenizer and render one question with its answer by the chat template, as training would; the tokens
    that this takes. MissingError where one of them does not work."""
    asked = [Message(role="user", content="What does it cost?"), Message(role="assistant", content="$6.99.")]
    return chat.load(folder).count(asked)


def _refuse(name: Name, what: str, why: str, where: Path | None = None) -> NoReturn:
    raise MissingError(what, where=str(where or ""), why=why, fix=name.pull)


def _listed(names: list[str]) -> str:
    verb = " is" if len(names) == 1 else " are"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") + verb
