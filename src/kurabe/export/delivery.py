"""An exported file into Ollama, under a name, with the message it was measured under.

Knows no conversion: the server is asked before it begins, so that an hour's work does not end at a closed door.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kurabe.chat import load
from kurabe.errors import SettingsError
from kurabe.export import deliveries
from kurabe.export.gotemplate import GoTemplate, translate
from kurabe.export.header import read_header
from kurabe.export.ollama import EMBEDDED_TEMPLATE, Model, Ollama, full_name
from kurabe.llamacpp import Prompt
from kurabe.schema import Delivered, Message
from kurabe.storage import sha256


def target(text: str, default: str) -> str:
    """The model's name in `ollama` or `ollama:NAME`. Raises SettingsError for another place or a bad name."""
    place, _, name = text.partition(":")
    if place != "ollama":
        raise SettingsError(f"There is no place {place!r} to ship to.", fix="--to ollama, or --to ollama:NAME")
    return full_name(name or re.sub(r"[^a-z0-9._-]", "-", default.lower()))


def check(server: Ollama, source: Path) -> None:
    """Raises MissingError where this server could not speak to the model as it was trained, before any work.

    Before 0.30 Ollama takes no chat template from a file, but the nearest of those it knows: it has to be told one.
    `source` is the model folder or the GGUF file.
    """
    if server.version < EMBEDDED_TEMPLATE:
        _template(source)


def _template(source: Path) -> GoTemplate:
    of = load(source) if source.is_dir() else Prompt(read_header(source))
    return translate(of.template, of.begins)


class Parcel(NamedTuple):
    """What is delivered: a file, the adapter that lies over it where there is one, and the message before each
    question."""

    file: Path
    lora: Path | None = None
    system: str = ""


def deliver(
    server: Ollama, name: str, parcel: Parcel, *, replace: bool, tell: Callable[[str], None] | None = None
) -> bool:
    """Create the model; False where the server has exactly this one already. Another one of that name is not
    overwritten without `replace`. What was created is noted, so that `kurabe clean` can find it."""
    words = (Message(role="system", content=parcel.system),) if parcel.system else ()
    told = _template(parcel.file) if server.version < EMBEDDED_TEMPLATE else GoTemplate("", ())
    model = Model(
        file=parcel.file, adapter=parcel.lora, conversation=words, parameters={"temperature": 0},
        template=told.text or None, stop=told.stop,
    )  # fmt: skip
    fresh = server.create(name, model, replace=replace, progress=tell)
    if fresh:
        deliveries.note(parcel.file.parent, Delivered(url=server.url, model=name, sha256=sha256(parcel.file)))
    return fresh


def start_command(name: str) -> str:
    """What a person types next."""
    host = os.environ.get("OLLAMA_HOST")
    return f"{f'OLLAMA_HOST={host} ' if host else ''}ollama run {name}"
