"""`load(settings)`: the one place that turns settings into a loaded model; `answering(name)`: any model that answers.

Knows the names of the backends and imports them lazily; what they do is theirs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from kurabe import devices, hub, snapshots
from kurabe.connection import Limits
from kurabe.errors import MissingError, SettingsError
from kurabe.model import Noted
from kurabe.provenance import cores
from kurabe.schema import Reason
from kurabe.servers import key_from, server, serving
from kurabe.settings import RunSettings

if TYPE_CHECKING:
    from kurabe.model import Answering, Backend

TINY = "tiny"


def embedded() -> Path:
    """The folder of the embedded stand-in."""
    return Path(str(resources.files("kurabe"))) / TINY


def find(model: str) -> Path:
    """The folder of a model that the settings name; MissingError, at once, where it is not all there."""
    if server(model) is not None:
        raise SettingsError(
            "A run trains adapters, and a server's weights cannot be trained from here.", where=model,
            fix=f"Give a model folder with --model; the server's model is asked beside it: --beside {model}",
        )  # fmt: skip
    if model != TINY:
        return snapshots.locate(model)
    if not (embedded() / "config.json").is_file():
        raise MissingError(
            "The embedded model is not in this installation.", where=str(embedded()),
            fix="Install kurabe again, or give another model with --model.",
        )  # fmt: skip
    return embedded()


def load(settings: RunSettings) -> Backend:
    """The model that the settings name, verified, loaded and ready to answer."""
    stand_in, folder = settings.model == TINY, find(settings.model)
    weights = hub.verify(folder)  # before torch is imported: a refusal is quick

    devices.prepare()

    import torch

    from kurabe.hf import HFBackend, first_losses

    torch.set_num_threads(settings.threads or (1 if settings.ray else cores()))  # on a cluster, tasks side by side
    snapshot = snapshots.of(weights.path)
    name = "kurabe-tiny" if stand_in else snapshot.repo if snapshot else weights.path.resolve().name
    chosen = devices.choose(settings.device, settings.dtype, *hub.stored(weights))
    shards = sys.modules.get("kurabe.shards")  # who is in torchrun has it; importing it takes half a second
    if shards and shards.party:
        sharded: Backend = shards.load(weights, name, chosen.place.device, stand_in=stand_in)
        return sharded
    chosen = devices.prove(chosen, weights.sha256, partial(first_losses, weights))
    return HFBackend(weights, name, chosen, stand_in=stand_in)


@contextmanager
def working(settings: RunSettings, backend: Backend | None = None) -> Iterator[Backend]:
    """The model of a run, loaded or at hand; with `answers_from` its answers come from that server. Raises MissingError
    where the server has other weights."""
    backend = backend or load(settings)
    if settings.answers_from is None:
        yield backend
        return
    from kurabe.vllm import VLLMBackend

    with VLLMBackend(backend, serving(settings.answers_from), Limits(at_once=settings.at_once)) as served:
        yield served


def told(backend: Backend) -> tuple[Reason, ...]:
    """What has to be said of where the answers come from."""
    return (backend.note,) if isinstance(backend, Noted) else ()


@contextmanager
def answering(name: str, key_variable: str = "") -> Iterator[Answering]:
    """A model for answers only: a server's (`servers.py` says how it is named), a GGUF file, or what `load` takes.

    `key_variable` names the environment variable that holds the server's key.
    """
    remote = server(name)
    if key_variable and remote is None:
        raise SettingsError("A key is for a server, and no server is named.", where=name, fix="Leave out --key-env.")
    if remote is not None:
        from kurabe.remote import RemoteBackend

        with RemoteBackend(remote, key_from(key_variable)) as backend:
            yield backend
    elif name.lower().endswith(".gguf"):
        from kurabe.llamacpp import GGUFBackend

        with GGUFBackend(Path(os.path.expanduser(name))) as backend:
            yield backend
    else:
        yield load(RunSettings(model=name))
