"""A LoRA as a GGUF file of its own: a few megabytes that llama.cpp and Ollama lay over a base's file while it runs.

Knows no weight of the base. Names, shapes and fields are those that llama.cpp reads (src/llama-adapter.cpp): beside a
tensor's name `.lora_a` [rank, in] and `.lora_b` [out, rank], and one alpha for the file, which it divides by each rank.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np

from kurabe.errors import MissingError
from kurabe.export import gguf
from kurabe.export.adapter import EMPTY, Delta
from kurabe.export.fields import Field
from kurabe.export.metadata import FILE_TYPES, QUANTIZATION_VERSION, family_of
from kurabe.export.plan import File, Plan, Source
from kurabe.export.weights import Rows, Tensor

FORMAT = "LoRA"  # in a file's name, in its record and in the names of hops


def make_lora_plan(merged: Plan, base: Plan, name: str) -> Plan:
    """The plan of the file `NAME-LoRA.gguf`, in float32, as the adapter is stored.

    `merged` is the plan that merges the adapter, `base` the plan of the file that it will lie on. Raises MissingError
    for what only a merged file can hold: whole tensors and biases.
    """
    changed = [source for source in merged.sources.values() if source.delta]
    for own in merged.adapter.replaced:
        _refuse(merged.base.path, f"it replaces {own} as a whole")
    alpha, sources = 0.0, {}
    for source in changed:
        delta = merged.adapter.deltas[source.delta]
        if not isinstance(delta, Delta):
            _refuse(merged.base.path, f"it adds to {source.own}, which is a bias")
        if source.name not in base.sources:
            _refuse(merged.base.path, f"it changes {source.own} apart from the embedding that the base shares with it")
        rank = delta.a.rows
        alpha = alpha or delta.scale * rank
        b = _scaled(delta.b, delta.scale * rank / alpha)
        for side, tensor, heads in (("a", delta.a, 0), ("b", b, source.heads)):
            part = f"{source.name}.lora_{side}"
            sources[part] = Source(part, f"{source.own}.lora_{side}", tensor.shape, tensor, "", heads)
    entries = gguf.entries([(part, source.shape, "F32") for part, source in sources.items()])
    fields = [
        Field("general.architecture", "str", family_of(merged.base.config, merged.base.path).name),
        Field("general.type", "str", "adapter"), Field("general.name", "str", name),
        Field("adapter.type", "str", "lora"), Field("adapter.lora.alpha", "f32", alpha),
        Field("general.quantization_version", "u32", QUANTIZATION_VERSION),
        Field("general.file_type", "u32", FILE_TYPES["F32"]),
    ]  # fmt: skip
    file = File(FORMAT, f"{name}-{FORMAT}.gguf", gguf.head(fields, entries), tuple(entries))
    return Plan(merged.base, EMPTY, merged.adapter_sha256, sources, (file,), "exact", "F32")


def _scaled(b: Tensor, factor: float) -> Tensor | Rows:
    """B with what its own alpha or rank adds to the file's alpha; as it is stored where that is nothing."""
    return b if factor == 1.0 else b.read() * np.float32(factor)


def _refuse(where: Path, why: str) -> NoReturn:
    raise MissingError(
        "This adapter cannot lie beside its base.", where=str(where), why=f"A GGUF LoRA has A and B only; {why}.",
        fix="Merge it: leave out --as adapter.",
    )  # fmt: skip
