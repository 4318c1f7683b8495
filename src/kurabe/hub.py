"""Find a model folder and verify it before any loader sees it: no code, no pickle, whole weights, a known family.

Knows no torch and no network. Reads headers and hashes bytes; nothing of the folder is ever run.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from kurabe.errors import COPY_AGAIN, MissingError

# Architecture name in config.json -> its model_type. A family is listed when tests/test_families.py holds for it.
FAMILIES = {
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3", "Phi3ForCausalLM": "phi3", "Gemma3ForCausalLM": "gemma3_text",
}  # fmt: skip
# What transformers computes in its own forward pass or attention, and kurabe's engine does not.
_OTHER_MATHEMATICS = ("attn_logit_softcapping", "final_logit_softcapping", "use_bidirectional_attention")
_WINDOWS = {"mistral": 4096, "gemma3_text": 4096}  # what transformers takes where config.json does not say
HEADER_LIMIT = 16 * 1024 * 1024
TENSOR_LIMIT = 50_000
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings")
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32,
    "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
}  # fmt: skip


class Weights(NamedTuple):
    """A verified model folder."""

    path: Path
    family: str
    config: dict[str, Any]
    files: tuple[Path, ...]
    sha256: str  # of config.json and the weight files, in name order


def verify(name: str | Path) -> Weights:
    """The folder `name`, verified. Raises MissingError with what is wrong, where, and how to mend it."""
    weights = examine(name)
    return weights._replace(sha256=_sha256([weights.path / "config.json", *weights.files]))


def examine(name: str | Path) -> Weights:
    """`verify` by headers and file lengths alone, without a hash: quick on files of any size."""
    folder = Path(os.path.expanduser(name))
    if not folder.is_dir():
        _refuse_name(str(name), folder)
    family, config = supported(folder)
    files = weight_files(folder)
    for file in files:
        check_safetensors(file)
    return Weights(folder, family, config, files, "")


def supported(folder: Path) -> tuple[str, dict[str, Any]]:
    """(family, config) of a folder that may still lack its weights; MissingError where kurabe does not run such a model
    or where it brings code."""
    config = _config(folder)
    return _family(folder, config), config


def absent(folder: Path) -> list[str]:
    """The names of the files that a model cannot do without and that are not in the folder: as far as can be known,
    which is all of them once the index of the shards is there."""
    needed = ["config.json", "tokenizer.json"]
    shards = {SINGLE}
    if not (folder / SINGLE).is_file() and (folder / INDEX).is_file():
        table = _json_table(folder / INDEX).get("weight_map")
        shards = {str(name) for name in table.values()} if isinstance(table, dict) else set()
    return [name for name in (*needed, *sorted(shards)) if not (folder / name).is_file()]


def stored(weights: Weights) -> tuple[int, dict[str, int]]:
    """(numbers in the weight files, how many of them are of each type). Tied weights are stored once."""
    counts: dict[str, int] = {}
    for file in weights.files:
        for entry in check_safetensors(file).values():
            counts[entry["dtype"]] = counts.get(entry["dtype"], 0) + math.prod(entry["shape"])
    return sum(counts.values()), counts


def context(config: Mapping[str, Any]) -> int:
    """Tokens that a model reads here: as many as each of them sees all before it, at positions that do not depend on
    the length of the text. Beyond a sliding window, or where a rope scaling changes with the length, rows of a batch
    would no longer be computed as they are alone; up to there both are the same."""
    found = int(config["max_position_embeddings"])
    sliding = config.get("sliding_window", _WINDOWS.get(config.get("model_type", "")))
    if config.get("model_type") in ("qwen2", "qwen3") and not config.get("use_sliding_window"):
        sliding = None  # these name a window and leave it out
    rope = config.get("rope_parameters") or config.get("rope_scaling")
    scaling = rope if isinstance(rope, dict) else {}
    trained = None
    if "longrope" in (scaling.get("rope_type"), scaling.get("type")):
        named = "original_max_position_embeddings"
        trained = scaling.get(named) or config.get(named)
    return min([found, *(limit for limit in (sliding, trained) if type(limit) is int and limit > 0)])


def check_safetensors(path: Path) -> dict[str, Any]:
    """The header of a safetensors file that is exactly as long as its header says; MissingError for any other."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            _refuse_weights(path, f"the file has only {size} bytes")
        (length,) = struct.unpack("<Q", start)
        if length > HEADER_LIMIT:
            _refuse_weights(path, f"its header claims {length:,} bytes; at most {HEADER_LIMIT:,} are read")
        if 8 + length > size:
            _refuse_weights(path, f"the file ends inside its header ({size:,} of at least {8 + length:,} bytes)")
        raw = file.read(length)
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        _refuse_weights(path, "its header is not JSON")
    if not isinstance(header, dict):
        _refuse_weights(path, "its header is not a table of tensors")
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if len(tensors) > TENSOR_LIMIT:
        _refuse_weights(path, f"it lists {len(tensors):,} tensors; at most {TENSOR_LIMIT:,} are read")
    if not tensors:
        _refuse_weights(path, "it holds no tensor")
    _check_spans(path, tensors, size - 8 - length)
    return tensors


def _check_spans(path: Path, tensors: dict[str, Any], available: int) -> None:
    """Tensors must lie one after another, each as long as its shape says, and fill the file to its last byte."""
    spans: list[tuple[int, int]] = []
    for name, entry in tensors.items():
        try:
            start, end = entry["data_offsets"]
            bits = _BITS[entry["dtype"]]
            for extent in entry["shape"]:
                if type(extent) is not int or extent < 0:
                    raise ValueError
                bits *= extent
            if type(start) is not int or type(end) is not int or (end - start) * 8 != bits:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            _refuse_weights(path, f"the entry of tensor {name[:80]!r} contradicts itself")
        spans.append((start, end))
    position = 0
    for start, end in sorted(spans):
        if start != position:
            _refuse_weights(path, f"its tensors leave a gap or overlap at byte {position:,}")
        position = end
    if position != available:
        kind = "too short" if position > available else "longer than its tensors"
        _refuse_weights(path, f"the file is {kind}: {position:,} bytes of tensors, {available:,} bytes of data")


def _refuse_weights(path: Path, why: str) -> NoReturn:
    raise MissingError(
        f"The weight file {path.name} is damaged or not a safetensors file.", where=str(path), why=f"{why}.",
        fix=COPY_AGAIN,
    )  # fmt: skip


def _refuse_name(name: str, folder: Path) -> NoReturn:
    what = f"{name!r} is a file, not a model folder." if folder.exists() else f"There is no model folder {name!r}."
    raise MissingError(what, fix="Give a folder with config.json, *.safetensors and tokenizer.json, or `tiny`.")


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        present = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise MissingError(
            "The model folder has no config.json.", where=str(folder), why=f"It holds {present}.",
            fix="Give the folder that holds config.json and the weights.",
        )  # fmt: skip
    config = _json_table(path)
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        if (folder / name).is_file() and "auto_map" in _json_table(folder / name):
            raise MissingError(
                f"The model brings its own program code: {name} has an `auto_map`.", where=str(folder / name),
                why="kurabe never runs code that comes with a model.",
                fix="Use a version of the model that transformers supports by itself.",
            )  # fmt: skip
    return config


def _json_table(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > HEADER_LIMIT:
            raise ValueError("it is too long")
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError("it is not a table")
    except (ValueError, RecursionError) as error:
        raise MissingError(f"{path.name} cannot be read.", where=str(path), why=str(error), fix=COPY_AGAIN) from None
    return data


def _family(folder: Path, config: dict[str, Any]) -> str:
    named = config.get("architectures")
    name = named[0] if isinstance(named, list) and len(named) == 1 else named
    if not isinstance(name, str) or name not in FAMILIES:
        raise MissingError(
            f"The architecture {name!r} is not supported.", where=str(folder / "config.json"),
            why="Supported are " + ", ".join(FAMILIES) + ": each family is listed once its answers were checked.",
            fix="Use a model of one of these families.",
        )  # fmt: skip
    family = FAMILIES[name]
    if config.get("model_type") != family:
        raise MissingError(
            "config.json contradicts itself.", where=str(folder / "config.json"),
            why=f"architectures says {name}, model_type says {config.get('model_type')!r}.",
            fix=COPY_AGAIN,
        )  # fmt: skip
    for key in _SIZES:
        value = config.get(key)
        if type(value) is not int or value < 1:
            raise MissingError(
                f"config.json has no usable {key}.", where=str(folder / "config.json"),
                why=f"It is {value!r}; a whole number above 0 is needed.", fix=COPY_AGAIN,
            )  # fmt: skip
    changed = [key for key in _OTHER_MATHEMATICS if config.get(key)]
    if changed:
        raise MissingError(
            f"This model computes with {changed[0]}.", where=str(folder / "config.json"),
            why="kurabe's engine computes attention and logits without it: the answers would not be the model's.",
            fix="Use a model of a supported family without it.",
        )  # fmt: skip
    if "quantization_config" in config:
        raise MissingError(
            "The weights are quantised.", where=str(folder / "config.json"),
            why="A LoRA of a quantised base cannot be merged exactly, and arms are compared in full precision.",
            fix="Use the unquantised version of the model.",
        )  # fmt: skip
    return family


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a folder, the one that transformers would load or all shards. MissingError without."""
    if (folder / "adapter_config.json").is_file():
        raise MissingError(
            "The folder holds an adapter, not a whole model.", where=str(folder / "adapter_config.json"),
            why="transformers would fetch the base model that the adapter names.",
            fix="Give the folder of the base model.",
        )  # fmt: skip
    if (folder / SINGLE).is_file():  # transformers, too, looks for the single file first
        return (folder / SINGLE,)
    index = folder / INDEX
    if index.is_file():
        return _shards(folder, index)
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
    if pickles:
        raise MissingError(
            f"The weights are pickle files ({_listed(pickles)}), which can run code when they are opened.",
            where=str(folder), fix="Use a version of the model with *.safetensors files.",
        )  # fmt: skip
    raise MissingError(
        "The model folder has no weights (model.safetensors).", where=str(folder),
        fix="Copy or download the weights into the folder.",
    )  # fmt: skip


def _shards(folder: Path, index: Path) -> tuple[Path, ...]:
    table = _json_table(index).get("weight_map")
    names = sorted(set(table.values())) if isinstance(table, dict) else []
    if not names or not all(isinstance(n, str) and Path(n).name == n and n.endswith(".safetensors") for n in names):
        raise MissingError("The weight index names no usable files.", where=str(index), fix=COPY_AGAIN)
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise MissingError(
            f"{len(absent)} of {len(names)} weight files are missing: {_listed(absent)}.", where=str(folder),
            fix="Copy or download the missing files into the folder.",
        )  # fmt: skip
    return tuple(folder / name for name in names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
