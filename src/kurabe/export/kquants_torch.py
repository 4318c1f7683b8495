"""The searches of the K types in torch, so that a graphics card does them: the same bytes, or it is not used.

Knows no block: what goes in and comes out is that of `kquants.Searches`. A card rounds each operation to
float32 as the processor does, where torch asks it for one operation at a time. Two of torch's shortcuts would round
twice and are kept out: a number divided by a tensor, and on CUDA a tensor divided by a number that is no power of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from kurabe import devices
from kurabe.errors import MissingError
from kurabe.export.kquants import (
    HERE,
    MANTISSA,
    MANTISSA_ZERO,
    ROUNDER,
    Floats,
    Line,
    Searches,
    signed_peak,
)

# Weights on the card at once: about 160 short operations for each of 21 candidates, so few large pieces. Some 150 MB.
PIECE = 1 << 22
_TRIED = 1 << 18  # ordinary weights on which a device has to agree
_card = Lock()  # one search at a time: the card's memory holds one, whatever the number of workers
P = ParamSpec("P")
R = TypeVar("R")


def on(device: str) -> Searches:
    """The searches on "cuda" or "mps", tried on some weights first.

    Raises MissingError for a device that torch cannot use here, or that gives other numbers than the processor.
    """
    card = _Card(torch.device(devices.usable(device))).searches()
    if not all(map(_same, _tried(card), _tried(HERE))):
        raise MissingError(
            f"{device} rounds otherwise than the processor, so that its files would not be llama.cpp's.",
            fix="Leave --device out.",
        )
    return card


def _tried(searches: Searches) -> Iterator[Floats]:
    """What the searches find for a sample of weights: it shows far more than the bytes, in which last bits are lost."""
    with np.errstate(all="ignore"):
        for width in (16, 32):
            x = np.ascontiguousarray(_sample().reshape(-1, width).T)
            peaks, scratch = signed_peak(x), [np.empty_like(x) for _ in range(4)]
            yield from searches.lines(x, scratch, 15, -1.0, 20)
            yield from searches.lines(x, scratch, 31, -0.5, 15)
            yield from searches.scales(x, scratch, peaks, 32)
            yield from searches.levels(x, scratch[:3], peaks)


def _sample() -> Floats:
    """Ordinary weights, and those on which devices differ: zeros, equal ones, denormal and enormous ones."""
    random = np.random.default_rng(0)
    ordinary = random.standard_normal(_TRIED).astype(np.float32) * np.float32(0.02)
    sizes = np.repeat(np.float32(2) ** np.arange(-140, 121, 4, dtype=np.float32), 256)
    odd = random.standard_normal(len(sizes)).astype(np.float32) * sizes
    sparse = np.where(random.random(4096) < 0.05, ordinary[:4096], np.float32(0))
    return np.concatenate([ordinary, odd, sparse, np.zeros(256, np.float32), np.full(256, 0.25, np.float32)])


def _same(one: Floats, other: Floats) -> bool:
    """To the last bit; but zeros are alike whatever their sign, which no byte shows, and so is any NaN."""
    return np.array_equal(one, other, equal_nan=True)


class _Card(NamedTuple):
    """The searches on one device: the loops of `kquants`, with a tensor for each array."""

    device: torch.device

    def searches(self) -> Searches:
        return Searches(_alone(self.lines), _alone(self.scales), _alone(self.levels), PIECE)

    def lines(self, weights: Floats, _: list[Floats], highest: int, first: float, steps: int) -> Line:
        x = self._put(weights)
        # The root is the processor's: torch's own, on a CPU, is not always the nearest number.
        weight = x.abs() + self._put(np.sqrt(_back(_sum(x * x)) / np.float32(len(x))))
        sum_w, sum_x = _sum(weight), _sum(weight * x)
        zero = torch.zeros_like(sum_w)
        minimum, top = torch.minimum(x.amin(0), zero), x.amax(0)

        def rounded(factor: Tensor) -> Tensor:
            return ((x - minimum) * torch.where(factor.isinf(), zero, factor)).round_().clamp_(0, highest)

        def error(level: Tensor, scale: Tensor, below: Tensor) -> Tensor:
            return _sum((level * scale + below - x).square_().mul_(weight))

        factor = self._number(highest) / (top - minimum)
        scale, at, offset = self._number(1) / factor, factor, minimum
        least = error(rounded(factor), scale, minimum)
        for step in range(steps + 1):
            stretched = np.float32(first) + np.float32(0.1) * np.float32(step) + np.float32(highest)
            factor = self._number(stretched) / (top - minimum)
            level = rounded(factor)
            product = weight * level
            sum_l, sum_l2, sum_xl = _sum(product), _sum(product * level), _sum(product * x)
            determinant = sum_w * sum_l2 - sum_l * sum_l
            below = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
            above_zero = below > 0
            trial = torch.where(above_zero, sum_xl / sum_l2, (sum_w * sum_xl - sum_x * sum_l) / determinant)
            below = torch.where(above_zero, zero, below)
            now = error(level, trial, below)
            won = (determinant > 0) & (now < least)
            least, scale = torch.where(won, now, least), torch.where(won, trial, scale)
            at, offset = torch.where(won, factor, at), torch.where(won, minimum, offset)
            minimum = torch.where(won, below, minimum)
        return Line(_back(scale), _back(minimum), _back(at), _back(offset))

    def scales(self, weights: Floats, _: list[Floats], peaks: Floats, middle: int) -> tuple[Floats, Floats]:
        x, peak = self._put(weights), self._put(peaks)
        weight = x * x
        cube = weight * x

        def sums(factor: Tensor) -> tuple[Tensor, Tensor]:
            level = (x * factor).round_().clamp_(-middle, middle - 1)
            return _sum(cube * level), _sum(weight * level * level)

        at = self._number(-middle) / peak
        lx, l2 = sums(at)
        scale = torch.where(l2 != 0, lx / l2, torch.zeros_like(lx))
        best = scale * lx
        for step in (*range(-9, 0), *range(1, 10)):
            factor = self._number(-(np.float32(middle) + np.float32(0.1) * np.float32(step))) / peak
            lx, l2 = sums(factor)
            won = (l2 > 0) & (lx * lx > best * l2)
            scale = torch.where(won, lx / l2, scale)
            best, at = torch.where(won, scale * lx, best), torch.where(won, factor, at)
        return _back(scale), _back(at)

    def levels(self, weights: Floats, _: list[Floats], peaks: Floats) -> tuple[Floats, Floats]:
        x = self._put(weights)
        level = (x * (self._number(-4) / self._put(peaks))).round_().clamp_(-4, 3)
        square = x * x
        lx, l2 = _sum(square * x * level), _sum(square * level * level)
        for _round in range(5):  # a column without a change stays as it is
            for value, old in zip(x, level, strict=True):
                weight = value * value
                cube = weight * value
                without_x, without_2 = lx - cube * old, l2 - weight * old * old
                new = _nearest(value * without_2 / without_x).clamp_(-4, 3).to(torch.float32)
                with_x, with_2 = without_x + cube * new, without_2 + weight * new * new
                better = with_x * with_x * l2 > lx * lx * with_2
                better &= (without_x > 0) & (new != old) & (with_2 > 0)
                old.copy_(torch.where(better, new, old))
                lx, l2 = torch.where(better, with_x, lx), torch.where(better, with_2, l2)
        return _back(lx / l2), _back(level)

    def _put(self, values: Floats) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _number(self, value: float | np.float32) -> Tensor:
        return torch.tensor(float(value), dtype=torch.float32, device=self.device)


def _alone(search: Callable[P, R]) -> Callable[P, R]:
    """One search at a time. Raises MissingError where the card has no memory for it."""

    def searched(*given: P.args, **named: P.kwargs) -> R:
        try:
            with _card:
                return search(*given, **named)
        except torch.OutOfMemoryError as error:
            raise MissingError(
                "The card has no memory left to search a tensor's scales.", why=str(error).split("\n")[0],
                fix="End what else runs on it, or leave --device out.",
            ) from None  # fmt: skip

    return searched


def _sum(terms: Tensor) -> Tensor:
    """Add the rows in their order, as the C loop does; torch's own sum has another one."""
    total = terms[0].clone()
    for term in terms[1:]:
        total += term
    return total


def _nearest(values: Tensor) -> Tensor:
    """`kquants._nearest`: it gives what C gives for infinite values and NaN, too."""
    bits = (values + float(ROUNDER)).view(torch.int32)
    return (bits & int(MANTISSA)) - int(MANTISSA_ZERO)


def _back(values: Tensor) -> Floats:
    found: Floats = values.cpu().numpy()
    return found
