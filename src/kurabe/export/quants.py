"""Quantises rows of float32 weights to the tensor types of GGUF, bit for bit as llama.cpp does.

It knows neither files nor models: which tensor gets which type is decided elsewhere.

The package `gguf` supplies the types with blocks of 32 and BF16; `kquants` those with blocks of 256.
"""

from __future__ import annotations

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import quantize as quantize_plainly
from numpy.typing import NDArray

from kurabe.export.kquants import LAYOUTS, Searches, quantize_blocks

KIND_IDS: dict[str, int] = {
    kind: int(GGMLQuantizationType[kind])
    for kind in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_0", "Q5_1", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
}
"""A kind of tensor and the number that stands for it in a file."""

BLOCKS: dict[str, tuple[int, int]] = {kind: GGML_QUANT_SIZES[GGMLQuantizationType[kind]] for kind in KIND_IDS}
"""For each kind the weights of a block, and its bytes."""


def row_bytes(kind: str, columns: int) -> int:
    """Give the bytes of a row of `columns` weights. ValueError where the row is not a whole number of blocks."""
    weights, size = BLOCKS[kind]
    if columns % weights:
        raise ValueError(f"a row of {columns} weights does not fit {kind}: its blocks hold {weights}")
    return columns // weights * size


def quantize(rows: NDArray[np.float32], kind: str, searches: Searches | None = None) -> NDArray[np.uint8]:
    """Quantise finite weights [n, columns]: bytes [n, row_bytes]. Rows are independent; safe to call from many threads.

    F32 bytes may be a view of the rows. ValueError where the columns do not fit the kind's blocks.
    """
    width = row_bytes(kind, rows.shape[1])
    rows = np.ascontiguousarray(rows, np.float32)
    if kind in LAYOUTS:
        return quantize_blocks(rows.reshape(-1, BLOCKS[kind][0]), kind, searches).reshape(len(rows), width)
    if kind in ("Q4_0", "Q5_0"):
        rows = rows + np.float32(0)  # gguf 0.19 gives a block of nothing but -0 another sign than C: make it 0
    # A weight beyond float16 becomes infinite there, and a scale's reciprocal may: so do they in C.
    with np.errstate(all="ignore"):
        return np.asarray(quantize_plainly(rows, GGMLQuantizationType[kind])).view(np.uint8).reshape(len(rows), width)
