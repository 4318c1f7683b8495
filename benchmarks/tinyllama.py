"""A model folder of TinyLlama-1.1B's shape with random weights: as much work as the real one, without its download.

Takes the real tokenizer where `../shared/tinyllama-tokenizer` lies beside the checkout; else the embedded model's,
whose ids are a part of the vocabulary.
"""

from __future__ import annotations

import json
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
TOKENIZERS = (ROOT.parent / "shared" / "tinyllama-tokenizer", ROOT / "src" / "kurabe" / "tiny")


def write(folder: Path, layers: int | None = None, changes: Mapping[str, Any] | None = None) -> str:
    """Config, tokenizer and weights, with these changes of the shape; which tokenizer it is."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    shape: dict[str, Any] = SHAPE | ({"num_hidden_layers": layers} if layers else {}) | dict(changes or {})
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
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.ones(size, dtype=torch.bfloat16) if len(size) == 1
        else torch.empty(size, dtype=torch.bfloat16).normal_(0, 0.02, generator=generator)
        for name, size in sizes.items()
    }  # fmt: skip
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return source.name
