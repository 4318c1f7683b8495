"""A checkpoint -> the folder that transformers loads: bf16 weights, config, generation config, tokenizer.

It knows nothing about training or scores.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from models.tiny import net, tokenizer
from models.tiny.train import load


def export(work: Path, folder: Path) -> None:
    """Write the model of `work/last.pt`; the embedding is stored once, for it is tied to the head."""
    words = Tokenizer.from_file(str(work / "tokenizer.json"))
    model = net.build(words.get_vocab_size(), 0)
    load(work / "last.pt", model)
    tokenizer.save(words, folder)
    weights = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    staging = folder / "model.safetensors.tmp"
    save_file(weights, str(staging), metadata={"format": "pt"})
    staging.chmod(0o644)
    staging.replace(folder / "model.safetensors")
    settings = {**model.config.to_diff_dict(), "architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}
    settings.pop("transformers_version", None)
    (folder / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    generation = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a checkpoint as a folder that transformers loads.")
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()

    export(options.work, options.folder)


if __name__ == "__main__":
    main()
