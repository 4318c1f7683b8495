"""What a show does by itself when its live run ends badly: another device, or a smaller model.

Knows no process and no page. A repair is read from what the dead process said, and names the words of the next attempt.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import NamedTuple

EMBEDDED = "tiny"
# What torch, its libraries and kurabe say when a device cannot be used, or gives up in the middle of the work.
_CUDA = re.compile(r"\bCUDA\b|\bcuda device\b|cuBLAS|CUBLAS|cuDNN|CUDNN|NVIDIA driver|no kernel image|\bHIP error\b")
_MPS = re.compile(r"\bMPS\b|\bmps device\b")
_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory|memory is too small", re.IGNORECASE)


class Repair(NamedTuple):
    """One attempt that differs from the last: `key` names its sentence, `words` are the flags that replace others."""

    key: str  # "device" or "model"
    words: Mapping[str, str]  # flag of `kurabe run` -> its value
    values: Mapping[str, str]  # for the sentence


def repair(said: str, model: str, device: str, platform: str = "") -> Repair | None:
    """How to go on after a run that ended with these words on stderr; None where nobody knows.

    `model` and `device` ("" for none named) are those of the attempt that failed. A device that broke gives way to the
    next plainer one: CUDA to MPS on a Mac and else to the CPU, MPS to the CPU. Memory that ended although batches were
    halved leaves only a smaller model: the embedded one.
    """
    broken = "cuda" if _CUDA.search(said) else "mps" if _MPS.search(said) else ""
    if broken and device != "cpu":
        plainer = "mps" if broken == "cuda" and (platform or sys.platform) == "darwin" and device != "mps" else "cpu"
        return Repair("device", {"--device": plainer}, {"broken": broken.upper(), "plainer": plainer.upper()})
    if _MEMORY.search(said) and model != EMBEDDED:
        return Repair("model", {"--model": EMBEDDED}, {})
    return None
