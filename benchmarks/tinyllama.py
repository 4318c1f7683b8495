"""A model folder of TinyLlama-1.1B's shape with random weights: as much work as the real one, without its download.

Takes the real tokenizer where `../shared/tinyllama-tokenizer` lies beside the checkout; else the embedded model's,
whose ids are a part of the vocabulary.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measuring import ROOT

SHAPE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "intermediate_size": 5632,
    "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4, "vocab_size": 32000,
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "dtype": "bfloat16",
}  # fmt: skip
# The same family, smaller and larger, by billions of weights.
SIZES: dict[str, dict[str, int]] = {
    "0.1": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12},
    "1.1": {},
    "3": {"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24,
          "num_key_value_heads": 8},
}  # fmt: skip
SHARD = 1 << 30  # weights of one file: what is held in memory at a time
TOKENIZERS = (ROOT.parent / "shared" / "tinyllama-tokenizer", ROOT / "src" / "kurabe" / "tiny")


def write(folder: Path, layers: int | None = None, size: str = "1.1", changes: Mapping[str, Any] | None = None) -> str:
    """Config, tokenizer and weights, with these changes of the shape; which tokenizer it is."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    cut = {"num_hidden_layers": layers} if layers else {}
    shape: dict[str, Any] = SHAPE | SIZES[size] | cut | dict(changes or {})
    (folder / "config.json").write_text(json.dumps(shape), encoding="utf-8")
    source = next(path for path in TOKENIZERS if path.is_dir())
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    with torch.device("meta"):
        config = AutoConfig.for_model(**shape)
        sizes = {name: t.shape for name, t in AutoModelForCausalLM.from_config(config).state_dict().items()}
    if shape["tie_word_embeddings"]:
        del sizes["lm_head.weight"]
    _write_weights(folder, {name: tuple(size) for name, size in sizes.items()})
    return source.name


def _write_weights(folder: Path, sizes: dict[str, tuple[int, ...]]) -> None:
    """Random matrices and norms of one, in as many files as SHARD asks for."""
    import torch
    from safetensors.torch import save_file

    shards: list[dict[str, tuple[int, ...]]] = [{}]
    for name, size in sizes.items():
        if sum(map(math.prod, shards[-1].values())) + math.prod(size) > SHARD:
            shards.append({})
        shards[-1][name] = size
    names = [f"model-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)]
    names = names if len(shards) > 1 else ["model.safetensors"]
    generator = torch.Generator().manual_seed(0)
    for file, shard in zip(names, shards, strict=True):
        tensors = {
            name: torch.ones(size, dtype=torch.bfloat16) if len(size) == 1
            else torch.empty(size, dtype=torch.bfloat16).normal_(0, 0.02, generator=generator)
            for name, size in shard.items()
        }  # fmt: skip
        save_file(tensors, folder / file, metadata={"format": "pt"})
    if len(shards) > 1:
        places = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
        index = {"metadata": {"total_size": 2 * sum(map(math.prod, sizes.values()))}, "weight_map": places}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
