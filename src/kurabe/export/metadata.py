"""A GGUF file's metadata from a Hugging Face model folder: keys, types and order as llama.cpp's own tools write them.

Knows no tensor and no byte of a GGUF file. The rules are those of llama.cpp's conversion/base.py and
conversion/llama.py (`set_gguf_parameters`), and of llama-quantize, which moves two keys to the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from kurabe import hub
from kurabe.errors import COPY_AGAIN, MissingError
from kurabe.export.fields import Field, Kind
from kurabe.export.layout import PLAIN
from kurabe.export.tokenizer_files import read_table
from kurabe.export.vocab import tokenizer_fields

# Format -> general.file_type (enum llama_ftype).
FILE_TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "Q3_K_M": 12, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18,
    "BF16": 32,
}  # fmt: skip
QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION


class Family(NamedTuple):
    """An architecture of config.json: llama.cpp's name, and what transformers assumes where config.json is silent."""

    name: str
    context: int
    head_dim: int | None  # None: written only when config.json has it; 0: the hidden size divided by the heads
    kv_heads: int  # 0: as many as heads


FAMILIES = {
    "LlamaForCausalLM": Family("llama", 2048, 0, 0),
    "MistralForCausalLM": Family("llama", 131072, 0, 8),
    "Qwen2ForCausalLM": Family("qwen2", 32768, None, 32),
    "Qwen3ForCausalLM": Family("qwen3", 32768, 128, 32),
}
_ROPE_NUMBERS = (
    "rope_theta", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings",
)  # fmt: skip
_THETA, _EPSILON = 10000.0, 1e-6  # defaults of all four


def metadata(folder: Path, format_name: str, name: str) -> list[Field]:
    """All fields of the GGUF file of the model in `folder`, in the order of the file.

    `format_name` is one of FILE_TYPES; `name` becomes general.name, which the converter takes from the folder's name.
    Weights are not read, only the headers that give their sizes. MissingError when the model is of another family or
    has a part that llama.cpp would compute differently.
    """
    config = read_config(folder)
    family = family_of(config, folder)
    version = Field("general.quantization_version", "u32", QUANTIZATION_VERSION)
    file_type = Field("general.file_type", "u32", FILE_TYPES[format_name])
    fields = [
        Field("general.architecture", "str", family.name),
        Field("general.type", "str", "model"),
        Field("general.name", "str", name),
        Field("general.size_label", "str", size_label(count_weights(folder, config))),
        *_shape(config, family),
        file_type,
        *_rope_and_vocabulary(config, family),
        version,
        *tokenizer_fields(folder, config, family.name),
    ]
    if format_name in PLAIN:  # written by the converter itself: no key moves to the end
        return fields
    return [field for field in fields if field not in (version, file_type)] + [version, file_type]


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of `folder`. MissingError when there is none or it cannot be read."""
    config = read_table(folder / "config.json")
    if not config:
        raise MissingError(
            "The model folder has no config.json.", where=str(folder),
            fix="Give the folder that holds config.json, the weights and the tokenizer.",
        )  # fmt: skip
    return config


def family_of(config: Mapping[str, Any], folder: Path) -> Family:
    """The model's family. MissingError, with the reason, for a model that cannot become a right GGUF file here."""
    where = folder / "config.json"
    named = config.get("architectures")
    architecture = named[0] if isinstance(named, list) and len(named) == 1 else named
    if "auto_map" in config:
        _refuse(
            where, "it brings its own program code (auto_map)", "Use a version that transformers supports by itself."
        )
    experts = [key for key in ("num_local_experts", "num_experts", "n_routed_experts") if config.get(key)]
    if experts or "moe" in str(architecture).lower() or architecture == "MixtralForCausalLM":
        _refuse(where, f"it is a mixture of experts ({architecture})", "Use a dense model of a supported family.")
    if not isinstance(architecture, str) or architecture not in FAMILIES:
        _refuse(where, f"its architecture is {architecture!r}", f"Supported are {', '.join(FAMILIES)}.")
    if config.get("quantization_config"):
        _refuse(where, "its weights are quantised already", "Use the unquantised version of the model.")
    for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"):
        if type(config.get(key)) is not int or config[key] < 1:
            _refuse(where, f"config.json has no usable {key}", COPY_AGAIN)
    for key in ("num_key_value_heads", "head_dim", "max_position_embeddings"):
        if config.get(key) is not None and (type(config[key]) is not int or config[key] < 1):
            _refuse(where, f"config.json has no usable {key}", COPY_AGAIN)
    if config.get("max_position_embeddings") and hub.context(config) < config["max_position_embeddings"]:
        _refuse(where, "it uses a sliding window, which the file would lose", "Use a model with full attention.")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    numbers = [config.get("rms_norm_eps"), config.get("rope_theta")]
    numbers += [rope.get(key) for key in _ROPE_NUMBERS] if isinstance(rope, dict) else ["no table"]
    if not all(number is None or type(number) in (int, float) for number in numbers):
        _refuse(where, "a setting of positions or norms in config.json is no number", COPY_AGAIN)
    kind = _rope(config).get("rope_type", "default")
    if kind not in ("default", "llama3"):
        _refuse(where, f"its rope scaling is {kind!r}; default and llama3 are known", "Use a model with one of these.")
    return FAMILIES[architecture]


def rope_freqs(config: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    """The factors of Llama-3 rope scaling, float32 [head_dim / 2], for the tensor rope_freqs.weight; None without it.

    The formula is transformers' `_compute_llama3_parameters`; each step is one float32 operation, in torch's order.
    """
    rope = _rope(config)
    if rope.get("rope_type") != "llama3":
        return None
    dim = _head_dim(config)
    factor, low, high = (
        np.float32(rope.get(key, default))
        for key, default in (("factor", 8.0), ("low_freq_factor", 1.0), ("high_freq_factor", 4.0))
    )
    trained = rope.get("original_max_position_embeddings") or config.get("original_max_position_embeddings") or 8192
    one = np.float32(1)
    exponents = np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)
    powers = np.power(np.float64(rope.get("rope_theta", _THETA)), exponents.astype(np.float64)).astype(np.float32)
    wavelengths = (one / (one / powers)) * np.float32(2 * math.pi)
    smooth = ((one / wavelengths) * np.float32(trained) - low) / (high - low)
    between = one / ((one - smooth) / factor + smooth)
    long, short = wavelengths > np.float32(trained / low), wavelengths < np.float32(trained / high)
    factors: np.ndarray[Any, np.dtype[np.float32]] = np.where(short, one, np.where(long, factor, between))
    return factors


def size_label(weights: int) -> str:
    """A count of weights in at least two digits and a letter: 2.6M, 1.1B, 700K (gguf's utility.size_label)."""
    scaled, letter = weights * 1e-3, "K"
    for limit, name in ((1e6, "M"), (1e9, "B"), (1e12, "T")):
        if weights > limit:
            scaled, letter = weights * (1 / limit), name
    digits = max(2 - len(str(round(scaled)).lstrip("0")), 0)
    return f"{scaled:.{digits}f}{letter}"


def count_weights(folder: Path, config: Mapping[str, Any]) -> int:
    """How many weights the GGUF file holds, from the headers of the weight files."""
    tied = bool(config.get("tie_word_embeddings"))
    factors = rope_freqs(config)
    total = 0 if factors is None else len(factors)
    for file in hub.weight_files(folder):
        for name, entry in hub.check_safetensors(file).items():
            if not (name.endswith("rotary_emb.inv_freq") or (tied and name == "lm_head.weight")):
                total += math.prod(entry["shape"])
    return total


def _shape(config: Mapping[str, Any], family: Family) -> list[Field]:
    heads = config["num_attention_heads"]
    values: list[tuple[str, Kind, Any]] = [
        ("block_count", "u32", config["num_hidden_layers"]),
        ("context_length", "u32", config.get("max_position_embeddings", family.context)),
        ("embedding_length", "u32", config["hidden_size"]),
        ("feed_forward_length", "u32", config["intermediate_size"]),
        ("attention.head_count", "u32", heads),
        ("attention.head_count_kv", "u32", config.get("num_key_value_heads") or family.kv_heads or heads),
        ("rope.freq_base", "f32", float(_rope(config).get("rope_theta", _THETA))),
        ("attention.layer_norm_rms_epsilon", "f32", float(config.get("rms_norm_eps", _EPSILON))),
    ]
    if family.head_dim is not None or config.get("head_dim"):
        size = config.get("head_dim") or family.head_dim or _head_dim(config)
        values += [("attention.key_length", "u32", size), ("attention.value_length", "u32", size)]
    return [Field(f"{family.name}.{key}", kind, value) for key, kind, value in values]


def _rope_and_vocabulary(config: Mapping[str, Any], family: Family) -> list[Field]:
    if family.name != "llama":
        return []
    return [
        Field("llama.vocab_size", "u32", config["vocab_size"]),
        Field("llama.rope.dimension_count", "u32", _head_dim(config)),
    ]


def _head_dim(config: Mapping[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rope parameters as transformers 5 writes them, made of rope_theta and rope_scaling where an older one wrote."""
    rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    if "rope_theta" not in rope and config.get("rope_theta") is not None:
        rope["rope_theta"] = config["rope_theta"]
    if "rope_type" not in rope and "type" in rope:
        rope["rope_type"] = rope["type"]
    return rope


def _refuse(where: Path, why: str, fix: str) -> NoReturn:
    raise MissingError(
        "This model cannot be written as GGUF.", where=str(where), why=f"{why[0].upper()}{why[1:]}.", fix=fix
    )
