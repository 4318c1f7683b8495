"""The K types' own parts: nothing depends on how the work is cut, and what a sub-block without a scale keeps."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from kurabe.export import kquants
from kurabe.export.kquants import BLOCK, HERE, LAYOUTS, quantize_blocks

Floats = kquants.Floats


def weights(blocks: int, seed: int = 0) -> Floats:
    """Make [blocks, 256] weights of about 0.02."""
    return (np.random.default_rng(seed).standard_normal((blocks, BLOCK)) * 0.02).astype(np.float32)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_size_of_a_piece_changes_no_byte(kind: str) -> None:
    rows = weights(21)
    whole = quantize_blocks(rows, kind)
    for blocks in (1, 2, 8, 20):
        searches = HERE._replace(piece=blocks * BLOCK)
        np.testing.assert_array_equal(quantize_blocks(rows, kind, searches), whole)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_thread_uses_its_scratch_again(kind: str) -> None:
    quantize_blocks(weights(8), kind)
    held = kquants._local.held
    quantize_blocks(weights(3), kind)
    assert kquants._local.held is held
    others: list[object] = []
    thread = threading.Thread(target=lambda: others.append((quantize_blocks(weights(8), kind), kquants._local.held)[1]))
    thread.start()
    thread.join()
    assert others[0] is not held


@pytest.mark.parametrize("kind", ["Q4_K", "Q5_K"])
def test_a_sub_block_whose_scale_rounds_to_zero_keeps_the_levels_of_the_search(kind: str) -> None:
    rows = weights(1)
    rows[0, :32] *= np.float32(1e-4)
    block = quantize_blocks(rows, kind).view(LAYOUTS[kind])[0, 0]
    assert block["scales"][0] & 63 == 0
    kept, others = block["low"][:32] & 15, block["low"][:32] >> 4
    assert len(set(kept.tolist())) > 4
    assert len(set(others.tolist())) > 4


@pytest.mark.parametrize(("kind", "middle"), [("Q3_K", 4), ("Q6_K", 32)])
def test_a_sub_block_of_zeros_beside_others_stores_the_lowest_level(kind: str, middle: int) -> None:
    """Its scale is zero, so the level does not count; llama.cpp stores 0, where zero would be the middle level."""
    rows = weights(1)
    rows[0, :16] = 0
    block = quantize_blocks(rows, kind).view(LAYOUTS[kind])[0, 0]
    stored = block["low"][:16] & (3 if middle == 4 else 15)
    high = block["high"][:16] & (1 if middle == 4 else 3)
    assert not stored.any() and not high.any()


@pytest.mark.parametrize(
    ("value", "nearest"),
    [(0.5, 0), (1.5, 2), (-2.5, -2), (-0.49999997, 0), (np.inf, -(1 << 22)), (-np.inf, -(1 << 22)), (np.nan, 0)],
)
def test_rounding_is_to_even_and_known_beyond_the_numbers(value: float, nearest: int) -> None:
    assert kquants._nearest(np.array([value], np.float32))[0] == nearest
