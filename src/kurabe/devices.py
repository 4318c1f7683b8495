"""Where a model runs and in which numbers: chosen, proved by three training steps, and remembered.

Knows no model: whoever has one gives a function that trains it for three steps in some place and tells the losses.
The reference is the CPU in float32; nothing else is trusted before its losses have agreed with those.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import NamedTuple

import platformdirs

from kurabe.errors import MissingError
from kurabe.provenance import processor
from kurabe.schema import Reason

MPS_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"
LARGE = 100_000_000  # parameters from which bf16 products pay: below, calls and small operations take the time
# How far a step's loss may lie from the reference, as a share of it. Two devices add in another order; bf16 keeps
# eight bits. docs/machines.md has what was measured.
TOLERANCE = {"float32": 1e-3, "bfloat16": 2e-2}
STEPS = 3


class Place(NamedTuple):
    """A device, and the numbers in which the frozen layers' products are taken there."""

    device: str
    dtype: str


class Chosen(NamedTuple):
    """The place that is used, and why it is this one."""

    place: Place
    why: Reason


REFERENCE = Place("cpu", "float32")
Losses = Callable[[Place], Sequence[float]]


def prepare(environment: MutableMapping[str, str] | None = None, platform: str = sys.platform) -> None:
    """Before torch is imported on a Mac: let the CPU do what MPS cannot, unless the user has said otherwise. torch
    reads the variable once, when it is loaded."""
    if platform == "darwin":
        (os.environ if environment is None else environment).setdefault(MPS_FALLBACK, "1")


def choose(device: str, dtype: str, parameters: int, stored: Mapping[str, int]) -> Chosen:
    """The place that these settings come to for a model of so many parameters; `stored` counts them by the type in
    the files. Raises MissingError for a device that torch cannot use.

    By itself bf16 is taken only where it is real: the card multiplies in it, the model is large enough to gain, and the
    weights are stored in it, so that nothing is rounded. On the CPU it has to be asked for: it changes tokens, and the
    proof of a shipped file rests on answers in float32 there.
    """
    found = usable(device)
    if dtype != "auto":
        return Chosen(Place(found, dtype), Reason(key="device.asked", values={}))
    if found == "cpu":
        return Chosen(REFERENCE, Reason(key="device.cpu", values={}))
    if found == "mps":
        return Chosen(Place(found, "float32"), Reason(key="device.mps", values={}))
    if parameters < LARGE:
        return Chosen(Place(found, "float32"), Reason(key="device.small", values={}))
    if 2 * stored.get("BF16", 0) < parameters:
        return Chosen(Place(found, "float32"), Reason(key="device.stored", values={}))
    if not multiplies_bf16():
        return Chosen(Place(found, "float32"), Reason(key="device.no-bf16", values={}))
    return Chosen(Place(found, "bfloat16"), Reason(key="device.bf16", values={}))


def present() -> dict[str, bool]:
    """Which devices torch can use here."""
    import torch

    return {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


def usable(wanted: str) -> str:
    """This device, or for "auto" the first of CUDA, MPS and the CPU. Raises MissingError where torch cannot use it."""
    here = present()
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if here[name])
    if not here[wanted]:
        raise MissingError(
            f"There is no {wanted} device that torch can use.",
            fix="Leave --device out, or install a torch build for this device.",
        )
    return wanted


def multiplies_bf16() -> bool:
    """Whether the CUDA card takes bf16 products itself. Where it only imitates them it is many times slower."""
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def prove(chosen: Chosen, model: str, losses: Losses, memory: Path | None = None) -> Chosen:
    """`chosen` where its losses agree with the reference's, else the next plainer place that does, with the reason.

    `model` is the hash of its weights; what agreed or did not is remembered per model, device and torch. An error is
    not: the device may only be full now.
    """
    place, expected = chosen.place, None
    if place == REFERENCE:
        return chosen
    memory = memory or Path(platformdirs.user_cache_dir("kurabe", appauthor=False)) / "devices.json"
    known, why = _remembered(memory), chosen.why
    for candidate in dict.fromkeys([place, Place(place.device, "float32")]):
        if candidate == REFERENCE:
            break
        name = _name(candidate, model)
        if name not in known:
            try:
                expected = list(losses(REFERENCE)) if expected is None else expected
                known[name] = distance(expected, list(losses(candidate)))
            except (RuntimeError, NotImplementedError, TypeError) as error:  # what torch raises where it cannot
                values = _values(candidate) | {"error": str(error).strip().split("\n")[0], "variable": MPS_FALLBACK}
                why = Reason(key="device.failed", values=values)
                continue
            _remember(memory, known)
        if known[name] <= TOLERANCE[candidate.dtype]:
            return Chosen(candidate, why)
        values = _values(candidate) | {"off": 100 * known[name], "allowed": 100 * TOLERANCE[candidate.dtype]}
        why = Reason(key="device.disagrees", values=values)
    return Chosen(REFERENCE, why)


def distance(expected: Sequence[float], found: Sequence[float]) -> float:
    """The largest gap between the losses of a step, as a share of the expected one; infinite for what is no loss."""
    if len(expected) != len(found):
        raise ValueError(f"{len(found)} losses cannot be compared with {len(expected)}")
    gaps = [abs(a - b) / max(abs(a), 1e-6) for a, b in zip(expected, found, strict=True)]
    return max((gap if gap == gap else float("inf") for gap in gaps), default=float("inf"))


def _values(place: Place) -> dict[str, str | float]:
    return {"device": place.device, "dtype": place.dtype}


def _name(place: Place, model: str) -> str:
    """What a proof holds for: another card or another torch has to prove itself anew."""
    import torch

    card = torch.cuda.get_device_name() if place.device == "cuda" else processor()
    return " | ".join([model[:16], place.device, card, place.dtype, f"torch {torch.__version__}"])


def _remembered(memory: Path) -> dict[str, float]:
    """A memory that cannot be read is none."""
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
        return {str(name): float(gap) for name, gap in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(memory: Path, known: Mapping[str, float]) -> None:
    """Where nothing can be written, the check is made again next time."""
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        fresh = memory.with_name(f"{memory.name}.{os.getpid()}")
        fresh.write_text(json.dumps(known, indent=1), encoding="utf-8")
        os.replace(fresh, memory)
