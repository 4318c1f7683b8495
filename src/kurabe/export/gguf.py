"""The head of a GGUF file: fields and tensor entries as bytes, and where each tensor's data begins.

Knows no model. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kurabe.export.fields import Field
from kurabe.export.quants import KIND_IDS, row_bytes

ALIGNMENT = 32
_TYPES: dict[str, int] = {"u32": 4, "i32": 5, "f32": 6, "bool": 7, "str": 8, "u64": 10}
_ARRAY = 9
_PACKED = {"u32": "<I", "i32": "<i", "f32": "<f", "bool": "<?", "u64": "<Q"}


class Entry(NamedTuple):
    """One tensor in the file: its shape [rows, columns] or [columns], how it is stored, and its place."""

    name: str
    shape: tuple[int, ...]
    kind: str
    offset: int  # from the beginning of the data
    size: int  # bytes


def entries(tensors: Sequence[tuple[str, tuple[int, ...], str]]) -> list[Entry]:
    """Tensors one after another, each at the next multiple of the alignment."""
    laid, at = [], 0
    for name, shape, kind in tensors:
        rows = int(np.prod(shape[:-1], dtype=np.int64))
        size = rows * row_bytes(kind, shape[-1])
        laid.append(Entry(name, shape, kind, at, size))
        at += size + padding(size)
    return laid


def padding(size: int) -> int:
    """Zero bytes after `size` bytes."""
    return -size % ALIGNMENT


def head(fields: Sequence[Field], tensors: Sequence[Entry]) -> bytes:
    """Everything before the data, padded."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(fields))]
    for field in fields:
        parts += [_text(field.key), _field(field.kind, field.value)]
    for entry in tensors:
        extents = entry.shape[::-1]  # the fastest axis first
        parts.append(_text(entry.name) + struct.pack("<I", len(extents)))
        parts.append(struct.pack(f"<{len(extents)}QIQ", *extents, KIND_IDS[entry.kind], entry.offset))
    whole = b"".join(parts)
    return whole + bytes(padding(len(whole)))


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _field(kind: str, value: Any) -> bytes:
    if kind == "raw":  # taken over from another file
        assert isinstance(value, bytes)
        return value
    if not kind.startswith("["):
        return struct.pack("<I", _TYPES[kind]) + _value(kind, value)
    kind = kind[1:-1]
    return struct.pack("<IIQ", _ARRAY, _TYPES[kind], len(value)) + b"".join(_value(kind, item) for item in value)


def _value(kind: str, value: Any) -> bytes:
    return _text(value) if kind == "str" else struct.pack(_PACKED[kind], value)
