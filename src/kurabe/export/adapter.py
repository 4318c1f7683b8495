"""A PEFT adapter as what it adds to each weight: (B A) * scale, by rows, in float32.

Knows no base. What cannot be merged exactly is refused by name: DoRA, trained tokens, unknown forms of LoRA.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from kurabe.errors import MissingError
from kurabe.export.weights import Rows, Tensor, tensors

_PREFIX = "base_model.model."
_PART = re.compile(r"(?P<layer>.+)\.lora_(?P<side>A\.weight|B\.weight|B\.bias)")
# Settings of PEFT that change the sum W + BA. Each is off when it is missing, None, False or empty.
_UNKNOWN = (
    "use_dora", "use_qalora", "use_bdlora", "layer_replication", "trainable_token_indices",
    "alora_invocation_tokens", "target_parameters", "velora_config", "monteclora_config", "kasa_config",
)  # fmt: skip


class Delta(NamedTuple):
    """One layer's A [r, in], B [out, r] and scale. Both stay in their file until rows are asked for."""

    a: Tensor
    b: Tensor
    scale: float

    def rows(self, start: int, stop: int) -> Rows:
        """What is added to rows start..stop of the weight, [stop - start, in].

        In PEFT's order: the product first, then the scale, both in float32.
        """
        added: Rows = (self.b.read(start, stop) @ self.a.read()) * np.float32(self.scale)
        return added

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight that it changes."""
        return (self.b.shape[0], self.a.shape[1])


class Shift(NamedTuple):
    """The bias of one layer's B (`lora_bias`), which is added to the layer's own bias."""

    bias: Tensor
    scale: float

    def rows(self, start: int, stop: int) -> Rows:
        """What is added to the bias, [1, out]: a vector is one row."""
        added: Rows = self.bias.read(start, stop) * np.float32(self.scale)
        return added

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bias.shape


class Adapter(NamedTuple):
    """Deltas by the base's tensor names, and whole tensors that replace the base's: those of `modules_to_save` and
    trained biases."""

    deltas: dict[str, Delta | Shift]
    replaced: dict[str, Tensor]


EMPTY = Adapter({}, {})


def read_adapter(folder: Path) -> Adapter:
    """The adapter in a folder of PEFT's format. Raises MissingError for one that cannot be merged exactly."""
    config = _config(folder)
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        old = (
            " (adapter_model.bin is a pickle file, which can run code)"
            if (folder / "adapter_model.bin").exists()
            else ""
        )
        raise MissingError(
            f"The adapter has no adapter_model.safetensors{old}.", where=str(folder),
            fix="Save it again with a current PEFT: it writes safetensors.",
        )  # fmt: skip
    _check_forms(config, folder / "adapter_config.json")
    sides: dict[str, dict[str, Tensor]] = {}
    replaced: dict[str, Tensor] = {}
    for name, tensor in tensors([path]).items():
        own = name.removeprefix(_PREFIX)
        part = _PART.fullmatch(own)
        if part:
            sides.setdefault(part["layer"], {})[part["side"]] = tensor
        elif _saved(own, config):
            replaced[re.sub(r"\.(modules_to_save|original_module|base_layer)(?=\.)", "", own)] = tensor
        else:
            _refuse(folder, f"it holds {name}, which no plain LoRA has")
    deltas: dict[str, Delta | Shift] = {}
    for layer, parts in sides.items():
        a, b, bias = (parts.get(side) for side in ("A.weight", "B.weight", "B.bias"))
        if a is None or b is None or not _fits(a.shape, b.shape) or (bias and bias.shape != b.shape[:1]):
            _refuse(folder, f"A and B of {layer} do not fit each other")
        scale = _scale(layer, a.rows, config)
        deltas[f"{layer}.weight"] = Delta(a, b, scale)
        if bias:
            deltas[f"{layer}.bias"] = Shift(bias, scale)
    return Adapter(deltas, replaced)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "adapter_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is no table")
    except FileNotFoundError:
        raise MissingError(
            "There is no adapter here: adapter_config.json is missing.", where=str(folder),
            fix="Give the folder that PEFT or kurabe saved the adapter in.",
        ) from None  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise MissingError(
            "adapter_config.json cannot be read.",
            where=str(path),
            why=str(error),
            fix="Copy or save the adapter again.",
        ) from None
    if config.get("peft_type") != "LORA":
        _refuse(folder, f"its type is {config.get('peft_type')!r}; only LORA is merged")
    unknown = [key for key in _UNKNOWN if config.get(key)]
    if unknown:
        _refuse(folder, f"it uses {', '.join(unknown)}")
    if config.get("fan_in_fan_out"):
        _refuse(folder, "its weights are transposed (fan_in_fan_out)")
    return config


def _check_forms(config: dict[str, Any], path: Path) -> None:
    """What is used below has the form that PEFT writes: anything else is a damaged file, not a bug."""
    try:
        alphas = config.get("alpha_pattern") or {}
        for pattern in alphas:
            re.compile(pattern)
        if not all(math.isfinite(alpha) for alpha in (config["lora_alpha"], *alphas.values())):
            raise ValueError("an alpha is no finite number")
        saved = config.get("modules_to_save") or []
        if not isinstance(saved, list) or not all(isinstance(name, str) for name in saved):
            raise ValueError("modules_to_save is no list of names")
    except KeyError:
        why = "lora_alpha is missing"
    except (AttributeError, TypeError, ValueError, OverflowError, re.error) as error:
        why = str(error)
    else:
        return
    raise MissingError(
        "adapter_config.json cannot be used.", where=str(path), why=why, fix="Copy or save the adapter again."
    )


def _fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """A [r, in] and B [out, r] with at least one rank."""
    return len(a) == len(b) == 2 and a[0] == b[1] > 0


def _saved(name: str, config: dict[str, Any]) -> bool:
    """Whether a tensor was trained as a whole: a bias, or in a module whose path ends as one of `modules_to_save`."""
    if name.endswith(".bias") and config.get("bias", "none") != "none":
        return True
    parts = name.split(".")
    paths = [".".join(parts[:count]) for count in range(1, len(parts))]
    return any(path.endswith(saved) for path in paths for saved in config.get("modules_to_save") or [])


def _scale(layer: str, rank: int, config: dict[str, Any]) -> float:
    """alpha / r, or alpha / sqrt(r) with rsLoRA (Kalajdzievski 2023, arXiv 2312.03732); patterns match as in PEFT."""
    alpha = float(config["lora_alpha"])
    for pattern, own in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            alpha = float(own)
            break
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _refuse(folder: Path, why: str) -> NoReturn:
    raise MissingError(
        "This adapter cannot be merged exactly.", where=str(folder), why=f"{why}.",
        fix="Merge it with PEFT (`merge_and_unload`, `save_pretrained`) and ship the merged folder without --adapter.",
    )  # fmt: skip
