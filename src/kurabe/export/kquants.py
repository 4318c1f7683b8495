"""Quantises float32 weights to the K types of GGUF (Q3_K, Q4_K, Q5_K, Q6_K), bit for bit as llama.cpp's C code does.

It knows neither files nor tensors: a row of blocks comes in, the bytes of these blocks go out.

The formulas are those of ggml/src/ggml-quants.c, `quantize_row_q*_K_ref` (no importance matrix). A block has 256
weights in sub-blocks of 16 or 32. Here a sub-block is a column: arrays are [weights of a sub-block, sub-blocks], so one
numpy call works on all sub-blocks, and a sum over axis 0 adds in the order of the elements as the C loop does. Each
operation is rounded to float32 by itself; a fused or reordered one would give other bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
Levels = NDArray[np.uint8]
Blocks = NDArray[np.void]

BLOCK = 256
# Weights worked on at once: five float32 arrays of this size (1.3 MB) have to stay in a core's cache.
PIECE = 1 << 16

# A block's fields as they lie in the file.
LAYOUTS = {
    "Q3_K": np.dtype([("high", "u1", 32), ("low", "u1", 64), ("scales", "u1", 12), ("d", "<f2")]),
    "Q4_K": np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("low", "u1", 128)]),
    "Q5_K": np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("high", "u1", 32), ("low", "u1", 128)]),
    "Q6_K": np.dtype([("low", "u1", 128), ("high", "u1", 64), ("scales", "i1", 16), ("d", "<f2")]),
}

_FOUR_BITS = np.uint8(4)
_SMALLEST = np.float32(1e-15)  # GROUP_MAX_EPS: a sub-block below it counts as zero
_ONE = np.float32(1)
ROUNDER = np.float32(12582912)  # 1.5 * 2**23: adding it leaves the nearest integer in the lowest bits
MANTISSA, MANTISSA_ZERO = np.int32(0x7FFFFF), np.int32(0x400000)

_local = threading.local()


class Line(NamedTuple):
    """For each sub-block its line, and the rounding (factor, offset) that gave the levels it was fitted to."""

    scale: Floats
    minimum: Floats
    factor: Floats
    offset: Floats


class Searches(NamedTuple):
    """Who looks for each sub-block's scale, where nearly all of the time goes: `HERE`, or a card (`kquants_torch`)."""

    lines: Callable[[Floats, list[Floats], int, float, int], Line]
    scales: Callable[[Floats, list[Floats], Floats, int], tuple[Floats, Floats]]
    levels: Callable[[Floats, list[Floats], Floats], tuple[Floats, Floats]]
    piece: int  # weights that they are given at once


def quantize_blocks(weights: Floats, kind: str, searches: Searches | None = None) -> Levels:
    """Quantise finite weights [blocks, 256]: [blocks, bytes of a block]. Safe to call from many threads."""
    blocks = np.zeros(len(weights), LAYOUTS[kind])
    searches = searches or HERE
    step = searches.piece // BLOCK
    with np.errstate(all="ignore"):  # the C code divides by zero and overflows too, and sorts it out afterwards
        for start in range(0, len(weights), step):
            _KINDS[kind](weights[start : start + step], blocks[start : start + step], searches)
    return blocks.view(np.uint8).reshape(len(weights), LAYOUTS[kind].itemsize)


def _scratch(count: int, rows: int, columns: int) -> list[Floats]:
    """Give this thread's `count` arrays [rows, columns]; the next call hands out the same memory again."""
    size = count * rows * columns
    held: Floats | None = getattr(_local, "held", None)
    if held is None or held.size < size:
        held = _local.held = np.empty(size, np.float32)
    return list(held[:size].reshape(count, rows, columns))


def _nearest(values: Floats) -> Integers:
    """Round half to even as `nearest_int` does, and as it does also where values are infinite, NaN or above 2**22."""
    shifted = np.add(values, ROUNDER)
    bits: Integers = shifted.view(np.int32)
    bits &= MANTISSA
    bits -= MANTISSA_ZERO
    return bits


def _levels(values: Floats, lowest: int, highest: int) -> Integers:
    """Give `_nearest`, within the limits."""
    bits = _nearest(values)
    return np.clip(bits, np.int32(lowest), np.int32(highest), out=bits)


def _rounded(values: Floats, lowest: int, highest: int) -> Floats:
    """Round in place, within the limits: `_nearest` for values known to be below 2**22."""
    np.rint(values, out=values)
    return np.clip(values, lowest, highest, out=values)


def _columns(weights: Floats, out: Floats) -> Floats:
    """Copy [blocks, 256] weights to [weights of a sub-block, sub-blocks]."""
    np.copyto(out, weights.reshape(-1, len(out)).T)
    return out


# Q4_K and Q5_K: weight = scale * level - minimum


def _fit_lines(x: Floats, scratch: list[Floats], highest: int, first: float, steps: int) -> Line:
    """Search for each column the scale and minimum with the least weighted square error (`make_qkx2_quants`)."""
    weight, level, term, product = scratch
    np.square(x, out=term)
    mean = np.sqrt(np.add.reduce(term, axis=0) / np.float32(len(x)))
    np.abs(x, out=weight)
    np.add(weight, mean, out=weight)
    sum_w = np.add.reduce(weight, axis=0)
    sum_x = np.add.reduce(np.multiply(weight, x, out=term), axis=0)
    minimum = np.minimum(np.minimum.reduce(x, axis=0), np.float32(0))
    top = np.maximum.reduce(x, axis=0)

    def round_to_levels(factor: Floats) -> None:
        np.subtract(x, minimum, out=level)
        # A reach so small that its factor overflows leaves every level at zero.
        np.multiply(level, np.where(np.isinf(factor), np.float32(0), factor), out=level)
        _rounded(level, 0, highest)

    def error(scale: Floats, minimum: Floats) -> Floats:
        np.multiply(level, scale, out=term)
        np.add(term, minimum, out=term)
        np.subtract(term, x, out=term)
        np.square(term, out=term)
        np.multiply(term, weight, out=term)
        total: Floats = np.add.reduce(term, axis=0)
        return total

    factor = np.float32(highest) / (top - minimum)
    scale = _ONE / factor
    best = Line(scale, minimum, factor.copy(), minimum.copy())
    round_to_levels(factor)
    least = error(scale, minimum)
    for step in range(steps + 1):
        stretched = np.float32(first) + np.float32(0.1) * np.float32(step) + np.float32(highest)
        factor = stretched / (top - minimum)
        round_to_levels(factor)
        np.multiply(weight, level, out=product)
        sum_l = np.add.reduce(product, axis=0)
        sum_l2 = np.add.reduce(np.multiply(product, level, out=term), axis=0)
        sum_xl = np.add.reduce(np.multiply(product, x, out=term), axis=0)
        determinant = sum_w * sum_l2 - sum_l * sum_l
        trial = (sum_w * sum_xl - sum_x * sum_l) / determinant
        below = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        above_zero = below > 0
        np.copyto(below, np.float32(0), where=above_zero)
        np.copyto(trial, sum_xl / sum_l2, where=above_zero)
        now = error(trial, below)
        won = (determinant > 0) & (now < least)
        np.copyto(least, now, where=won)
        np.copyto(best.scale, trial, where=won)
        np.copyto(best.factor, factor, where=won)
        np.copyto(best.offset, minimum, where=won)
        # As in C, later candidates start from the new minimum: it is the array that `round_to_levels` reads.
        np.copyto(minimum, below, where=won)
    return best


def _with_minimum(
    weights: Floats, blocks: Blocks, searches: Searches, highest: int, first: float, steps: int
) -> Levels:
    """Fill d, dmin and scales of [n] blocks; return the levels, [n, 8, 32]."""
    n = len(weights)
    x, *scratch = _scratch(5, 32, n * 8)
    _columns(weights, x)
    line = searches.lines(x, scratch, highest, first, steps)
    scales, scale_step = _six_bits(line.scale.reshape(n, 8))
    minima, minimum_step = _six_bits(-line.minimum.reshape(n, 8))
    blocks["d"], blocks["dmin"] = scale_step, minimum_step
    packed = blocks["scales"]
    packed[:, :4] = scales[:, :4] | scales[:, 4:] >> 4 << 6
    packed[:, 4:8] = minima[:, :4] | minima[:, 4:] >> 4 << 6
    packed[:, 8:] = scales[:, 4:] & 15 | minima[:, 4:] << 4
    d = (blocks["d"].astype(np.float32)[:, None] * scales.astype(np.float32)).ravel()
    dm = (blocks["dmin"].astype(np.float32)[:, None] * minima.astype(np.float32)).ravel()
    values = scratch[0]
    np.add(x, dm, out=values)
    np.divide(values, d, out=values)
    levels = _levels(values, 0, highest)
    # Where the scale of a sub-block became zero, the levels of the search stay.
    kept = np.flatnonzero(d == 0)
    levels[:, kept] = _levels(line.factor[kept] * (x[:, kept] - line.offset[kept]), 0, highest)
    rows: Levels = levels.T.astype(np.uint8).reshape(n, 8, 32)
    return rows


def _six_bits(values: Floats) -> tuple[Levels, Floats]:
    """Express [n, 8] values in 63rds of the greatest of each row: the numerators, and the size of a 63rd."""
    # Of 0 and -0 either may come out as the greatest, by the processor: adding 0 leaves 0, as in C.
    greatest = np.fmax.reduce(values, axis=1, initial=np.float32(0)) + np.float32(0)
    inverse = np.where(greatest > 0, np.float32(63) / greatest, np.float32(0))
    return np.minimum(_nearest(inverse[:, None] * values).astype(np.uint8), np.uint8(63)), greatest / np.float32(63)


def _q4_k(weights: Floats, blocks: Blocks, searches: Searches) -> None:
    levels = _with_minimum(weights, blocks, searches, 15, -1.0, 20).reshape(-1, 4, 2, 32)
    blocks["low"] = (levels[:, :, 0] | levels[:, :, 1] << 4).reshape(-1, 128)


def _q5_k(weights: Floats, blocks: Blocks, searches: Searches) -> None:
    levels = _with_minimum(weights, blocks, searches, 31, -0.5, 15)
    blocks["high"] = _interleave(levels >> _FOUR_BITS, 1)
    pairs = levels.reshape(-1, 4, 2, 32)
    blocks["low"] = (pairs[:, :, 0] & 15 | pairs[:, :, 1] << 4).reshape(-1, 128)


def _interleave(parts: Levels, bits: int) -> Levels:
    """Pack [..., parts, bytes] of `bits`-wide numbers to [..., bytes]: the first part in the lowest bits."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    packed: Levels = np.bitwise_or.reduce(parts << shifts, axis=-2)
    return packed


# Q3_K and Q6_K: weight = scale * (level - middle)


def signed_peak(x: Floats) -> Floats:
    """Give of each column the weight with the greatest magnitude; of two equal ones the first."""
    top, bottom = np.maximum.reduce(x, axis=0), np.minimum.reduce(x, axis=0)
    peak: Floats = bottom.copy()
    np.copyto(peak, top, where=top > -bottom)
    tied = np.flatnonzero(top == -bottom)
    first = np.argmax(np.abs(x[:, tied]), axis=0)
    peak[tied] = x[first, tied]
    return peak


def _fit_scales(x: Floats, scratch: list[Floats], peak: Floats, middle: int) -> tuple[Floats, Floats]:
    """Search each column's scale, weighted by the square (`make_qx_quants`): it, and the factor to its levels."""
    weight, cube, level, term = scratch
    np.square(x, out=weight)
    np.multiply(weight, x, out=cube)

    def sums(factor: Floats) -> tuple[Floats, Floats]:
        _rounded(np.multiply(x, factor, out=level), -middle, middle - 1)
        lx = np.add.reduce(np.multiply(cube, level, out=term), axis=0)
        np.multiply(weight, level, out=term)
        return lx, np.add.reduce(np.multiply(term, level, out=term), axis=0)

    best_factor = np.float32(-middle) / peak
    lx, l2 = sums(best_factor)
    scale = np.where(l2 != 0, lx / l2, np.float32(0))
    best = scale * lx
    for step in (*range(-9, 0), *range(1, 10)):
        factor = -(np.float32(middle) + np.float32(0.1) * np.float32(step)) / peak
        lx, l2 = sums(factor)
        won = (l2 > 0) & (lx * lx > best * l2)
        np.copyto(scale, lx / l2, where=won)
        np.copyto(best, scale * lx, where=won)
        np.copyto(best_factor, factor, where=won)
    return scale, best_factor


def _greatest_scale(scales: Floats) -> Floats:
    """Give of each row the scale with the greatest magnitude, the first of equals, with its sign; NaN never counts."""
    counted = np.where(np.isnan(scales), np.float32(0), scales)
    return np.take_along_axis(counted, np.argmax(np.abs(counted), axis=1)[:, None], axis=1)


def _by_stored_scales(
    x: Floats, d: Floats, searched: Callable[[NDArray[np.intp]], Integers], middle: int, out: Floats
) -> Levels:
    """Round weights [16, sub-blocks] by the stored scales d: [sub-blocks, 16]; where d is zero the search's stay."""
    np.divide(x, d, out=out)
    levels = _levels(out, -middle, middle - 1) + np.int32(middle)
    kept = np.flatnonzero(d == 0)
    levels[:, kept] = searched(kept)
    rows: Levels = levels.T.astype(np.uint8)
    return rows


def _q6_k(weights: Floats, blocks: Blocks, searches: Searches) -> None:
    n = len(weights)
    x, *scratch = _scratch(5, 16, n * 16)
    _columns(weights, x)
    peak = signed_peak(x)
    empty = np.abs(peak) < _SMALLEST
    scale, factor = searches.scales(x, scratch, np.where(empty, _ONE, peak), 32)
    scales = np.where(empty, np.float32(0), scale).reshape(n, 16)
    greatest = _greatest_scale(scales)
    inverse = np.float32(-128) / greatest
    blocks["d"] = (_ONE / inverse)[:, 0]
    blocks["scales"] = np.minimum(_nearest(inverse * scales), 127).astype(np.int8)
    d = (blocks["d"].astype(np.float32)[:, None] * blocks["scales"].astype(np.float32)).ravel()

    def searched(kept: NDArray[np.intp]) -> Integers:
        levels: Integers = _levels(factor[kept] * x[:, kept], -32, 31) + np.int32(32)
        levels[:, empty[kept]] = 0
        return levels

    levels = _by_stored_scales(x, d, searched, 32, scratch[0]).reshape(n, 2, 4, 32)
    blocks["low"] = (levels[:, :, :2] & 15 | levels[:, :, 2:] << 4).reshape(n, 128)
    blocks["high"] = _interleave(levels >> _FOUR_BITS, 2).reshape(n, 64)
    blocks[np.abs(greatest[:, 0]) < _SMALLEST] = np.zeros((), LAYOUTS["Q6_K"])


def _improve_levels(x: Floats, level: Floats, sums: tuple[Floats, Floats]) -> NDArray[np.bool_]:
    """Move each level once, in order, to the best one given the others; in place. True where a column changed."""
    lx, l2 = sums
    changed = np.zeros(x.shape[1], np.bool_)
    for value, old in zip(x, level, strict=True):
        weight = value * value
        cube = weight * value
        without_x = lx - cube * old
        without_2 = l2 - weight * old * old
        new = _levels(value * without_2 / without_x, -4, 3).astype(np.float32)
        with_x = without_x + cube * new
        with_2 = without_2 + weight * new * new
        better = with_x * with_x * l2 > lx * lx * with_2
        better &= (without_x > 0) & (new != old) & (with_2 > 0)
        np.copyto(old, new, where=better)
        np.copyto(lx, with_x, where=better)
        np.copyto(l2, with_2, where=better)
        changed |= better
    return changed


def _fit_levels(x: Floats, scratch: list[Floats], peak: Floats) -> tuple[Floats, Floats]:
    """Search each column's scale level by level (`make_q3_quants`): scale, and levels -4..3 in the scratch's first."""
    level, weight, term = scratch
    _rounded(np.multiply(x, np.float32(-4) / peak, out=level), -4, 3)
    np.square(x, out=weight)
    lx = np.add.reduce(np.multiply(np.multiply(weight, x, out=term), level, out=term), axis=0)
    l2 = np.add.reduce(np.multiply(np.multiply(weight, level, out=term), level, out=term), axis=0)
    active = np.arange(x.shape[1])
    for _ in range(5):  # a column without a change is done: only the others go on
        part, sums = level[:, active], (lx[active], l2[active])
        changed = _improve_levels(x[:, active], part, sums)
        level[:, active], lx[active], l2[active] = part, *sums
        active = active[changed]
    return lx / l2, level


def _q3_k(weights: Floats, blocks: Blocks, searches: Searches) -> None:
    n = len(weights)
    x, *scratch = _scratch(4, 16, n * 16)
    _columns(weights, x)
    peak = signed_peak(x)
    empty = np.abs(peak) < _SMALLEST
    scale, level = searches.levels(x, scratch, np.where(empty, _ONE, peak))
    scales = np.where(empty, np.float32(0), scale).reshape(n, 16)
    greatest = _greatest_scale(scales)
    some = greatest != 0
    inverse = np.float32(-32) / greatest
    blocks["d"] = np.where(some, _ONE / inverse, np.float32(0))[:, 0]
    steps = np.clip(_nearest(inverse * scales).astype(np.int8), -32, 31) + np.int8(32)
    stored = np.where(some, steps, np.int8(0)).astype(np.uint8)
    blocks["scales"][:, :8] = stored[:, :8] & 15 | stored[:, 8:] << 4
    blocks["scales"][:, 8:] = _interleave((stored >> _FOUR_BITS).reshape(n, 4, 4), 2)
    d = (blocks["d"].astype(np.float32)[:, None] * (stored.astype(np.float32) - np.float32(32))).ravel()

    def searched(kept: NDArray[np.intp]) -> Integers:
        levels: Integers = level[:, kept].astype(np.int32) + np.int32(4)
        levels[:, empty[kept]] = 0
        return levels

    levels = _by_stored_scales(x, d, searched, 4, scratch[1])
    blocks["high"] = _interleave((levels > 3).view(np.uint8).reshape(n, 8, 32), 1)
    blocks["low"] = _interleave((levels & np.uint8(3)).reshape(n, 2, 4, 32), 2).reshape(n, 64)


HERE = Searches(_fit_lines, _fit_scales, _fit_levels, PIECE)
_Kind = Callable[[Floats, Blocks, Searches], None]
_KINDS: dict[str, _Kind] = {"Q3_K": _q3_k, "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k}
