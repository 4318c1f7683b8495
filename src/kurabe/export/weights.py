"""The tensors of a model folder, read by rows as float32.

Knows no adapter and no GGUF. Plain file reads and no memory map, so that what was read does not stay in memory;
imports no torch, because the import alone costs more memory than the whole export.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kurabe import hub
from kurabe.errors import MissingError

Rows = NDArray[np.float32]
_STORED: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


class Tensor(NamedTuple):
    """One stored tensor: where its bytes lie, and what they mean."""

    path: Path
    dtype: str  # as safetensors names it
    shape: tuple[int, ...]
    offset: int  # of its first byte in the file

    @property
    def rows(self) -> int:
        """Length of the first axis; a vector is one row."""
        return self.shape[0] if len(self.shape) > 1 else 1

    @property
    def columns(self) -> int:
        return self.shape[-1]

    def read(self, start: int = 0, stop: int | None = None) -> Rows:
        """Rows start..stop as float32, [stop - start, columns]. bf16 and f16 widen exactly."""
        stop = self.rows if stop is None else stop
        kind = _STORED[self.dtype]
        count = (stop - start) * self.columns
        at = self.offset + start * self.columns * kind.itemsize
        stored = np.fromfile(self.path, dtype=kind, count=count, offset=at)
        if len(stored) != count:
            raise MissingError(
                "A weight file became shorter while it was read.", where=str(self.path), fix="Start again."
            )
        rows: Rows
        if self.dtype == "BF16":  # the upper half of a float32
            wide = stored.astype(np.uint32)
            wide <<= 16
            rows = wide.view(np.float32)
        else:
            rows = stored.astype(np.float32, copy=False)
        return rows.reshape(stop - start, self.columns)


def tensors(files: Sequence[Path]) -> dict[str, Tensor]:
    """Every tensor of these files, by name. Raises MissingError for one that is no float of 16 or 32 bits."""
    found: dict[str, Tensor] = {}
    for path in files:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
        for name, entry in hub.check_safetensors(path).items():
            if entry["dtype"] not in _STORED:
                raise MissingError(
                    f"The tensor {name} is stored as {entry['dtype']}.", where=str(path),
                    why="A merged model is exact only from floats of 16 or 32 bits.",
                    fix="Use the unquantised version of the model.",
                )  # fmt: skip
            start = 8 + length + entry["data_offsets"][0]
            found[name] = Tensor(path, entry["dtype"], tuple(entry["shape"]), start)
    return found
