"""What an export will write, from headers alone: the files, their tensors, their sizes, and every refusal.

Reads no weight. What can be refused is refused here, before any work.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from kurabe import hub
from kurabe.errors import MissingError, SettingsError
from kurabe.export import gguf, layout
from kurabe.export.adapter import EMPTY, Adapter, read_adapter
from kurabe.export.metadata import family_of, metadata, rope_freqs
from kurabe.export.weights import Rows, Tensor, tensors
from kurabe.storage import sha256

Match = Literal["exact", "peer"]
_EMBEDDING, _OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
NAME_LIMIT = 200  # bytes; file systems take 255, and a format and an ending follow


class Source(NamedTuple):
    """One tensor of the merged model: the base's rows, what is added to them, and how the GGUF turns them."""

    name: str  # in the GGUF
    own: str  # in the base
    shape: tuple[int, ...]
    tensor: Tensor | Rows
    delta: str  # the adapter's key; "" for none
    heads: int  # rows are permuted within so many heads; 0 for none


class File(NamedTuple):
    """One file to be written."""

    format: str
    name: str
    head: bytes
    entries: tuple[gguf.Entry, ...]

    @property
    def size(self) -> int:
        last = self.entries[-1]
        return len(self.head) + last.offset + last.size + gguf.padding(last.size)


class Plan(NamedTuple):
    """All that `stream.write` needs."""

    base: hub.Weights
    adapter: Adapter
    adapter_sha256: str  # "" without an adapter
    sources: dict[str, Source]  # by the GGUF's name
    files: tuple[File, ...]
    match: Match
    dtype: str  # in which the base's matrices are stored: F32, F16 or BF16
    device: str = "cpu"  # where the K types' scales are searched, by the same arithmetic

    @property
    def weights(self) -> int:
        return sum(int(np.prod(source.shape, dtype=np.int64)) for source in self.sources.values())


def make_plan(
    base: str | Path, adapter: Path | None, formats: Sequence[str], name: str = "", match: Match = "exact"
) -> Plan:
    """The plan of an export. Raises MissingError and SettingsError with what stands in the way."""
    check_formats(formats)
    name = name and check_name(name)
    weights = hub.verify(base)
    found = tensors(weights.files)
    added = read_adapter(adapter) if adapter else EMPTY
    weights = _tie(weights, added, found)
    _check_fit(adapter, added, found)
    found.update(added.replaced)
    family = family_of(weights.config, weights.path)
    layout.check_shapes(weights.config, {own: tensor.shape for own, tensor in found.items()}, family.head_dim or 0)
    shape = layout.shape_of(weights.config, found)
    name = name or weights.path.resolve().name
    sources = _sources(weights, found, added, shape, family.name)
    names = {own: source.name for own, source in sources.items()}
    files = []
    for format_name in dict.fromkeys(formats):
        order = [names[own] for own in layout.order(names, format_name)]
        by_name = {source.name: source for source in sources.values()}
        kinds = layout.kinds({gguf_name: by_name[gguf_name].shape for gguf_name in order}, format_name, shape)
        entries = gguf.entries([(own, by_name[own].shape, kinds[own]) for own in order])
        head = gguf.head(metadata(weights.path, format_name, name), entries)
        files.append(File(format_name, f"{name}-{format_name}.gguf", head, tuple(entries)))
    digest = sha256(adapter / "adapter_model.safetensors") if adapter else ""
    dtype = next(tensor.dtype for tensor in found.values() if len(tensor.shape) > 1)
    return Plan(
        weights, added, digest, {source.name: source for source in sources.values()}, tuple(files), match, dtype
    )


def check_formats(formats: Sequence[str]) -> None:
    """Raises SettingsError for a format that is not written here, and for none at all."""
    unknown = [name for name in formats if name not in layout.FORMATS]
    if unknown or not formats:
        raise SettingsError(
            f"There is no format {unknown[0]!r}." if unknown else "No format is named.",
            fix=f"Formats: {', '.join(layout.FORMATS)}",
        )


def check_name(name: str) -> str:
    """The name, if files can be called so in every folder and on every system. Raises SettingsError."""
    if not name.isprintable() or set(name) & set('/\\:*?"<>|') or name[0] in ". -" or len(name.encode()) > NAME_LIMIT:
        raise SettingsError(
            f"Files cannot be named {name!r}.",
            why=f"A name begins with no dot, blank or hyphen, has none of / \\ : * ? \" < > | and no unprintable "
            f"character, and at most {NAME_LIMIT} bytes.",
            fix="Choose another name with --name, and the folder with --out.",
        )  # fmt: skip
    return name


def _sources(
    weights: hub.Weights, found: dict[str, Tensor], added: Adapter, shape: layout.Shape, architecture: str
) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    freqs = rope_freqs(weights.config)
    if freqs is not None:
        sources[layout.ROPE] = Source(layout.ROPE, layout.ROPE, freqs.shape, freqs, "", 0)
    for own in sorted(found):
        if own.endswith(".rotary_emb.inv_freq"):
            continue  # old checkpoints store what config.json says
        name = layout.gguf_name(own)
        heads = layout.permuted_heads(name, shape, architecture)
        sources[own] = Source(name, own, found[own].shape, found[own], own if own in added.deltas else "", heads)
    return sources


def _tie(weights: hub.Weights, added: Adapter, found: dict[str, Tensor]) -> hub.Weights:
    """In a tied base the embedding is the output: one stored beside it goes. An adapter that changes only one of the
    two parts them, as PEFT's merge does, and the other stays what it was."""
    if not weights.config.get("tie_word_embeddings"):
        return weights
    found.pop(_OUTPUT, None)
    if not {_EMBEDDING, _OUTPUT} & (added.replaced.keys() | added.deltas.keys()) or _EMBEDDING not in found:
        return weights
    found[_OUTPUT] = found[_EMBEDDING]
    return weights._replace(config={**weights.config, "tie_word_embeddings": False})


def _check_fit(folder: Path | None, added: Adapter, found: dict[str, Tensor]) -> None:
    for own, delta in added.deltas.items():
        if own not in found or found[own].shape != delta.shape:
            stored = f"is {list(found[own].shape)}" if own in found else "is missing"
            raise MissingError(
                "The adapter does not fit the base.", where=str(folder),
                why=f"It changes {own} of shape {list(delta.shape)}; in the base this tensor {stored}.",
                fix="Give the base that the adapter was trained on: adapter_config.json names it.",
            )  # fmt: skip
    for own, tensor in added.replaced.items():
        if own not in found or found[own].shape != tensor.shape:
            raise MissingError(
                "The adapter does not fit the base.", where=str(folder),
                why=f"It replaces {own}, which the base does not hold in this shape.",
                fix="Merge an adapter with a new vocabulary in PEFT, and ship the merged folder.",
            )  # fmt: skip
