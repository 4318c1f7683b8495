"""The merged model as a folder that transformers and vLLM read: weights streamed, everything else copied as it is.

Knows no GGUF. Weights keep the type that the base stores them in, so each is rounded once, after the sum.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np

from kurabe.errors import MissingError
from kurabe.export.plan import Plan, Source
from kurabe.export.quants import quantize, row_bytes
from kurabe.export.stream import SLAB, Tell, merged
from kurabe.export.weights import Tensor

WEIGHTS = "model.safetensors"
# The tokenizer travels as it is: a class that writes it anew gives other ids.
COPIED = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    "special_tokens_map.json", "chat_template.jinja",
)  # fmt: skip


def size(plan: Plan) -> int:
    """Bytes of the weights."""
    return sum(_size(source) for source in _stored(plan))


def write_folder(plan: Plan, stage: Path, tell: Tell | None = None) -> None:
    """`model.safetensors` and the base's other files into `stage`; a few slabs are held at a time."""
    sources = _stored(plan)
    for name in COPIED:
        if (plan.base.path / name).is_file():
            shutil.copyfile(plan.base.path / name, stage / name)
    config = json.loads((stage / "config.json").read_bytes())
    if config.get("tie_word_embeddings") and not plan.base.config.get("tie_word_embeddings"):
        config["tie_word_embeddings"] = False  # the adapter changed one of the two
        (stage / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    done = 0
    with (stage / WEIGHTS).open("wb") as stream:
        stream.write(_head(sources))
        for source in sources:
            rows = source.shape[0] if len(source.shape) > 1 else 1
            step = max(1, SLAB // source.shape[-1])
            for start in range(0, rows, step):
                block = merged(plan, source, start, min(rows, start + step))
                if not np.isfinite(block).all():
                    raise MissingError(
                        f"The weights of {source.own} hold a value that is no finite number.",
                        fix="Train the adapter again at a lower rate, or copy the model again.",
                    )
                stream.write(quantize(block, _dtype(source)).reshape(-1).data)
                done += block.size
                if tell:
                    tell(done, plan.weights)


def _stored(plan: Plan) -> list[Source]:
    """Tensors that the base holds; a GGUF has one more where config.json scales positions."""
    return [source for source in plan.sources.values() if isinstance(source.tensor, Tensor)]


def _size(source: Source) -> int:
    return int(np.prod(source.shape[:-1], dtype=np.int64)) * row_bytes(_dtype(source), source.shape[-1])


def _dtype(source: Source) -> str:
    assert isinstance(source.tensor, Tensor)
    return source.tensor.dtype


def _head(sources: list[Source]) -> bytes:
    """The header of https://github.com/huggingface/safetensors: length, JSON, blanks up to a multiple of eight."""
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for source in sources:
        end = at + _size(source)
        table[source.own] = {"dtype": _dtype(source), "shape": list(source.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
