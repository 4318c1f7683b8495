"""Quantised bytes: the same as llama.cpp's, where its library lies, and as its recorded hashes everywhere."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from kurabe.export.kquants import LAYOUTS, PIECE
from kurabe.export.quants import BLOCKS, KIND_IDS, quantize, row_bytes

Rows = NDArray[np.float32]
Oracle = Callable[[Rows, str], NDArray[np.uint8]]

# SHA-256 of what llama.cpp's `ggml_quantize_chunk` (no importance matrix) makes of `counted_rows()`; F32 is the rows.
GOLDEN = {
    "F32": "a1804c6aee54604339afab469d89b4441dd1d0b9b6a9c9d2b68c17607d6fd269",
    "F16": "8ff6db89aaf8295a202fc1dc152b823e214eebe6a78c13474c9044e659689427",
    "BF16": "43ef5e9e138b9c6fbfb4170aac726721dac43e2a211b8c79cb86dcafbac8ab0a",
    "Q8_0": "00bc0e8cfa7f4a1df801ae21959ef6e3a6326b6fc9409a7ed2add9d7ab7a06b8",
    "Q4_0": "d57aa689907a5669a4aea9590aad27a835c2c40a58f72f381ebd1e07548be6a1",
    "Q5_0": "1c2b79391dd76c59c91721e670e9e8a9965085f9adf60a3781a7e17821b179b4",
    "Q5_1": "2bc61705bc310cc44488d655aa63c7d6be20d9cc4a4f1ab2f5f8f74c06f8cd01",
    "Q3_K": "411c0be90ff47f8ff1a04fa75d1c45bf62f122bf8997050b6921d8d8a58c22aa",
    "Q4_K": "a149feba793506b7be4937bafd00915cd512e9d94dee1b242a2b90d9e802d079",
    "Q5_K": "56204b385fcda5ef773065f77d77f9180de5a36d5cb11ce22f7dd0352c562590",
    "Q6_K": "d5b274263831b7d43d4f36f3e1b1dfe220a4de2dd5672c4a8cc30e46d97e379b",
}
CODED = [kind for kind in KIND_IDS if kind != "F32"]  # the C call does not take F32


def counted_rows() -> Rows:
    """Make [80, 1024] weights of many sizes from integers and powers of two alone: the same on every computer."""
    count = np.arange(80 * 1024, dtype=np.uint64)
    mixed = (count ^ (count >> np.uint64(7))) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    numerators = (mixed >> np.uint64(40)).astype(np.int64) - (1 << 23)
    rows = numerators.astype(np.float32).reshape(80, 1024) * np.float32(2.0**-28)
    rows[:8] = np.ldexp(rows[:8], (np.arange(1024, dtype=np.int32) // 16) % 24 - 18)
    rows[8] = 0
    rows[9] = 0.25
    rows[10] = -0.25
    rows[11, ::2], rows[11, 1::2] = 0.5, -0.5
    rows[12] = np.abs(rows[12])
    rows[13] = -np.abs(rows[13])
    rows[14] *= np.float32(2.0**-60)
    rows[15] *= np.float32(2.0**-120)
    rows[16, ::37] *= np.float32(2.0**7)
    return rows


def hashed(rows: Rows, kind: str) -> str:
    """Give the SHA-256 of the quantised rows."""
    return sha256(quantize(rows, kind).tobytes()).hexdigest()


def distributions(seed: int) -> dict[str, Rows]:
    """Weights as they occur, and as they should not: each [8, 2048]."""
    random = np.random.default_rng(seed)

    def normal(size: float = 1) -> Rows:
        return (random.standard_normal((8, 2048)) * size).astype(np.float32)

    def spread(width: int, powers: tuple[float, float]) -> Rows:
        sizes = np.exp2(random.uniform(*powers, (8, 2048 // width)))
        return (normal() * np.repeat(sizes, width, axis=1)).astype(np.float32)

    sized = {f"normal {size}": normal(size) for size in (0.02, 1.0, 1e3, 1e6, 1e10, 1e15, 1e20, 1e30, 1e37)}
    sized |= {f"normal {size}": normal(size) for size in (1e-3, 1e-7, 1e-12, 1e-15, 1e-20, 1e-37, 1e-38, 1e-41, 1e-44)}
    outliers, sparse, lonely, spikes = normal(0.02), normal(), normal(), normal(1e-12)
    outliers[random.random(outliers.shape) < 0.01] *= 100
    sparse[random.random(sparse.shape) < 0.9] = 0
    lonely[random.random(lonely.shape) < 0.99] = 0
    spikes[:, ::16] = normal()[:, ::16]
    bits = random.integers(0, 2**32, (8, 2048), dtype=np.uint32).view(np.float32)
    return sized | {
        "zeros": np.zeros((8, 2048), np.float32),
        "negative zeros": np.full((8, 2048), -0.0, np.float32),
        "constant": np.full((8, 2048), 0.3, np.float32),
        "negative constant": np.full((8, 2048), -0.3, np.float32),
        "outliers": outliers,
        "sparse": sparse,
        "lonely": lonely,
        "spikes": spikes,
        "positive": np.abs(normal()),
        "negative": -np.abs(normal()),
        "far above zero": normal(0.02) + np.float32(10),
        "far below zero": normal(0.02) - np.float32(10),
        "sub-blocks of 16 of many sizes": spread(16, (-60, 20)),
        "sub-blocks of 32 of many sizes": spread(32, (-130, 120)),
        "weights of many sizes": spread(1, (-120, 120)),
        "ties in rounding": (random.integers(-64, 65, (8, 2048)) / 8).astype(np.float32),
        "ties in magnitude": random.choice(np.array([-0.5, 0.5], np.float32), (8, 2048)),
        "heavy tails": random.standard_cauchy((8, 2048)).astype(np.float32),
        "uniform": random.uniform(-1, 1, (8, 2048)).astype(np.float32),
        "any finite bits": np.where(np.isfinite(bits), bits, np.float32(0)),
    }


@pytest.fixture(scope="module")
def llama_cpp() -> Oracle:
    """llama.cpp's own quantiser, out of xllamacpp's shared library."""
    found = importlib.util.find_spec("xllamacpp")
    if found is None or found.origin is None:
        pytest.skip("xllamacpp is not installed (`pip install kurabe[gguf]`): no C code to compare with")
    library = next(iter(Path(found.origin).parent.glob("xllamacpp*.so")), None)
    if library is None or not hasattr(loaded := ctypes.CDLL(str(library)), "ggml_quantize_chunk"):
        pytest.skip("this build of xllamacpp does not export ggml_quantize_chunk: no C code to compare with")
    chunk = loaded.ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    chunk.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]

    def quantized(rows: Rows, kind: str) -> NDArray[np.uint8]:
        out = np.zeros((len(rows), row_bytes(kind, rows.shape[1])), np.uint8)
        written = chunk(KIND_IDS[kind], rows.ctypes.data, out.ctypes.data, 0, *rows.shape, None)
        assert written == out.size
        return out

    return quantized


@pytest.mark.parametrize("kind", CODED)
def test_every_byte_is_that_of_llama_cpp(llama_cpp: Oracle, kind: str) -> None:
    different = [
        name
        for name, rows in distributions(0).items()
        if not np.array_equal(quantize(rows, kind), llama_cpp(rows, kind))
    ]
    assert not different


@pytest.mark.parametrize("kind", CODED)
def test_the_recorded_hashes_are_those_of_llama_cpp(llama_cpp: Oracle, kind: str) -> None:
    assert sha256(llama_cpp(counted_rows(), kind).tobytes()).hexdigest() == GOLDEN[kind]


@pytest.mark.parametrize("kind", KIND_IDS)
def test_the_bytes_have_the_recorded_hashes(kind: str) -> None:
    assert hashed(counted_rows(), kind) == GOLDEN[kind]


def test_the_bytes_do_not_depend_on_the_processors_newer_instructions() -> None:
    newer = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not newer:
        pytest.skip("numpy found no instructions here beyond its baseline: nothing to switch off")
    code = "import json, test_quants as t; print(json.dumps({k: t.hashed(t.counted_rows(), k) for k in t.KIND_IDS}))"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "NPY_DISABLE_CPU_FEATURES": " ".join(newer)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, timeout=120)
    assert json.loads(ran.stdout) == GOLDEN


def test_the_numbers_of_the_kinds_are_those_of_the_file_format() -> None:
    assert KIND_IDS == {
        "F32": 0, "F16": 1, "Q4_0": 2, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14,
        "BF16": 30,
    }  # fmt: skip
    assert BLOCKS == {
        "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "Q8_0": (32, 34), "Q4_0": (32, 18), "Q5_0": (32, 22),
        "Q5_1": (32, 24), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
    }  # fmt: skip


@pytest.mark.parametrize("kind", KIND_IDS)
def test_a_row_has_as_many_bytes_as_its_blocks(kind: str) -> None:
    assert quantize(np.ones((3, 512), np.float32), kind).shape == (3, row_bytes(kind, 512))
    assert quantize(np.ones((0, 512), np.float32), kind).shape == (0, row_bytes(kind, 512))


@pytest.mark.parametrize("kind", [kind for kind, (weights, _) in BLOCKS.items() if weights > 1])
def test_a_row_that_ends_inside_a_block_is_refused(kind: str) -> None:
    columns = BLOCKS[kind][0] * 3 // 2
    with pytest.raises(ValueError, match=f"{columns} weights does not fit {kind}"):
        row_bytes(kind, columns)
    with pytest.raises(ValueError, match=f"{columns} weights does not fit {kind}"):
        quantize(np.ones((2, columns), np.float32), kind)


@pytest.mark.parametrize("kind", KIND_IDS)
def test_rows_do_not_depend_on_each_other_nor_on_their_place_in_memory(kind: str) -> None:
    rows = counted_rows()
    whole = quantize(rows, kind)
    assert rows.size > PIECE
    np.testing.assert_array_equal(np.concatenate([quantize(rows[:7], kind), quantize(rows[7:], kind)]), whole)
    np.testing.assert_array_equal(quantize(np.asfortranarray(rows)[::-1], kind), whole[::-1])


@pytest.mark.parametrize("kind", KIND_IDS)
def test_threads_do_not_disturb_each_other(kind: str) -> None:
    parts = np.split(counted_rows(), 8)
    expected = [quantize(part, kind) for part in parts]
    with ThreadPoolExecutor(4) as threads:
        for got, alone in zip(threads.map(lambda part: quantize(part, kind), parts * 3), expected * 3, strict=True):
            np.testing.assert_array_equal(got, alone)


@pytest.mark.parametrize("kind", KIND_IDS)
def test_the_input_is_left_as_it_was(kind: str) -> None:
    rows = counted_rows()
    quantize(rows, kind)
    np.testing.assert_array_equal(rows.view(np.uint32), counted_rows().view(np.uint32))


def test_more_bits_give_less_error() -> None:
    rows = distributions(1)["normal 0.02"]

    def error(kind: str) -> float:
        back = dequantize(quantize(rows, kind), GGMLQuantizationType[kind])
        return float(np.sqrt(np.mean((back - rows) ** 2)) / np.std(rows))

    errors = [error(kind) for kind in ("Q3_K", "Q4_0", "Q4_K", "Q5_0", "Q5_K", "Q6_K", "Q8_0", "BF16", "F16")]
    assert errors == sorted(errors, reverse=True)
    assert 0.1 < errors[0] < 0.25
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_fields_of_a_block_fill_it(kind: str) -> None:
    assert LAYOUTS[kind].itemsize == BLOCKS[kind][1]
