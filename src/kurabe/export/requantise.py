"""A GGUF file that is not quantised, in other formats: what `llama-quantize model.gguf model-q4.gguf Q4_K_M` does.

Knows no model folder: names, shapes and metadata are the file's own and travel as they are.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path

from kurabe import hub
from kurabe.errors import COPY_AGAIN, MissingError
from kurabe.export import gguf, layout
from kurabe.export.adapter import EMPTY
from kurabe.export.fields import Field, Kind
from kurabe.export.header import Array, Header, read_header
from kurabe.export.metadata import FILE_TYPES, QUANTIZATION_VERSION
from kurabe.export.plan import File, Plan, Source, check_formats, check_name
from kurabe.export.quants import KIND_IDS
from kurabe.export.weights import Tensor
from kurabe.storage import sha256

ARCHITECTURES = ("llama", "qwen2", "qwen3")
_STORED = {KIND_IDS[kind]: kind for kind in layout.PLAIN}
_SCALARS: dict[int, Kind] = {4: "u32", 5: "i32", 6: "f32", 7: "bool", 8: "str", 10: "u64"}  # the format's value types
_MOVED = ("general.quantization_version", "general.file_type")  # the quantiser writes these two last


def make_gguf_plan(path: Path, formats: Sequence[str], name: str = "") -> Plan:
    """The plan of writing this file in other formats. Raises MissingError for one that is quantised or not dense."""
    check_formats(formats)
    if not path.is_file():
        raise MissingError(f"There is no file {path.name}.", where=str(path), fix="Give the path of a GGUF file.")
    name = check_name(name or re.sub(r"-(F32|F16|BF16)$", "", path.stem))
    header = read_header(path)
    shape = _shape(header)
    sources = {tensor.name: _source(header, tensor.name) for tensor in header.tensors}
    order = layout.quantisers_order(sources)
    files = []
    for format_name in dict.fromkeys(formats):
        kinds = layout.kinds({own: sources[own].shape for own in order}, format_name, shape)
        entries = gguf.entries([(own, sources[own].shape, kinds[own]) for own in order])
        head = gguf.head(_fields(header, format_name), entries)
        files.append(File(format_name, f"{name}-{format_name}.gguf", head, tuple(entries)))
    weights = hub.Weights(path, header.text("general.architecture") or "", {}, (path,), sha256(path))
    return Plan(weights, EMPTY, "", sources, tuple(files), "exact", "F32")


def _shape(header: Header) -> layout.Shape:
    architecture = header.text("general.architecture")
    if architecture not in ARCHITECTURES or header.number(f"{architecture}.expert_count"):
        raise MissingError(
            f"The architecture {architecture!r} is not supported.", where=str(header.path),
            why=f"Which tensors get more bits is known for dense models of {', '.join(ARCHITECTURES)}.",
            fix="Use llama.cpp's own llama-quantize.",
        )  # fmt: skip
    layers = header.number(f"{architecture}.block_count")
    heads = header.number(f"{architecture}.attention.head_count")
    if not layers or not heads:
        raise MissingError(
            "The file does not say how many layers and heads it has.", where=str(header.path), fix=COPY_AGAIN
        )
    kv_heads = header.number(f"{architecture}.attention.head_count_kv") or heads
    tied = all(tensor.name != "output.weight" for tensor in header.tensors)
    return layout.Shape(layers, heads, kv_heads, tied)


def _source(header: Header, name: str) -> Source:
    tensor = next(tensor for tensor in header.tensors if tensor.name == name)
    if not layout.is_known(name):
        raise MissingError(
            f"The file has a tensor that this export does not know: {name}.", where=str(header.path),
            fix="Use llama.cpp's own llama-quantize.",
        )  # fmt: skip
    if tensor.kind not in _STORED:
        raise MissingError(
            "The file is quantised already.", where=str(header.path),
            why=f"{name} is no F32, F16 or BF16; quantising twice loses twice.", fix="Start from the F16 or F32 file.",
        )  # fmt: skip
    shape = tensor.shape[::-1]
    stored = Tensor(header.path, _STORED[tensor.kind], shape, header.data_start + tensor.offset)
    return Source(name, name, shape, stored, "", 0)


def _fields(header: Header, format_name: str) -> list[Field]:
    """The file's own fields byte for byte, and the two that the quantiser renews."""
    kept = [_field(header, key) for key in header.fields if key not in _MOVED]
    return [*kept, Field(_MOVED[0], "u32", QUANTIZATION_VERSION), Field(_MOVED[1], "u32", FILE_TYPES[format_name])]


def _field(header: Header, key: str) -> Field:
    kind, value = header.fields[key]
    if isinstance(value, Array):
        with header.path.open("rb") as file:
            file.seek(value.start)
            elements = file.read(value.end - value.start)
        return Field(key, "raw", struct.pack("<IIQ", kind, value.kind, value.length) + elements)
    name = _SCALARS.get(kind)
    if name is None:
        raise MissingError(
            f"The field {key} is of a type that no converter writes there.", where=str(header.path), fix=COPY_AGAIN
        )
    return Field(key, name, value)
