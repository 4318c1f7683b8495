"""`load(settings)`: the one place that turns settings into a loaded model; `answering(name)`: any model that answers.

Knows the names of the backends and imports them lazily; what they do is theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from kurabe import devices, hub
from kurabe.errors import MissingError, SettingsError
from kurabe.provenance import cores
from kurabe.servers import key_from, server
from kurabe.settings import RunSettings

if TYPE_CHECKING:
    from kurabe.model import Backend

TINY = "tiny"


def load(settings: RunSettings) -> Backend:
    """The model that the settings name, verified, loaded and ready to answer."""
    if server(settings.model) is not None:
        raise SettingsError(
            "A run trains adapters, and a server's weights cannot be trained from here.", where=settings.model,
            fix="Give a model folder with --model; for wordings a server can be asked: kurabe reword --with.",
        )  # fmt: skip
    stand_in = settings.model == TINY
    folder = Path(str(resources.files("kurabe"))) / TINY if stand_in else Path(os.path.expanduser(settings.model))
    if stand_in and not (folder / "config.json").is_file():
        raise MissingError(
            "The embedded model is not in this installation.", where=str(folder),
            fix="Install kurabe again, or give a model folder with --model.",
        )  # fmt: skip
    weights = hub.verify(folder if stand_in else settings.model)  # before torch is imported: a refusal is quick

    devices.prepare()

    import torch

    from kurabe.hf import HFBackend, first_losses

    torch.set_num_threads(settings.threads or cores())
    chosen = devices.choose(settings.device, settings.dtype, *hub.stored(weights))
    chosen = devices.prove(chosen, weights.sha256, partial(first_losses, weights))
    name = "kurabe-tiny" if stand_in else weights.path.resolve().name
    return HFBackend(weights, name, chosen, stand_in=stand_in)


@contextmanager
def answering(name: str, key_variable: str = "") -> Iterator[Backend]:
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
