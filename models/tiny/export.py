"""A checkpoint, or the mean of several -> the folder that transformers loads: bf16 weights, config, tokenizer.

It knows nothing about steps, rates or scores.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from models.tiny import net, tokenizer
from models.tiny.plan import PLAN
from models.tiny.train import load, rounded, save_weights


def export(work: Path, folder: Path, shares: dict[str, float] | None = None) -> None:
    """Write the model of `work/last.pt`, or the mean of what some phases ended with."""
    words = Tokenizer.from_file(str(work / "tokenizer.json"))
    tokenizer.save(words, folder)
    save_weights(mean(work, shares) if shares else last(work, words), folder / "model.safetensors")
    settings = {
        **net.config(words.get_vocab_size()).to_diff_dict(),
        "architectures": ["LlamaForCausalLM"],
        "dtype": "bfloat16",
    }
    settings.pop("transformers_version", None)
    (folder / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    generation = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")


def last(work: Path, words: Tokenizer) -> dict[str, Tensor]:
    """The weights in `work/last.pt`, in bf16."""
    model = net.build(words.get_vocab_size(), 0)
    load(work / "last.pt", model)
    return rounded(model)


def mean(work: Path, shares: dict[str, float]) -> dict[str, Tensor]:
    """The weights in `work/PHASE.safetensors`, averaged in float32 by their shares, in bf16 again.

    Averages along one training are Izmailov et al. 2018 (arXiv:1803.05407), keeping a part of the weights from before a
    fine-tuning is Wortsman et al. 2021 (arXiv:2109.01903).
    """
    ends = {phase: load_file(str(work / f"{phase}.safetensors")) for phase in shares}
    return {
        name: torch.stack([share * ends[phase][name].float() for phase, share in shares.items()]).sum(0).bfloat16()
        for name in ends[next(iter(shares))]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write what a training publishes as a folder that transformers loads.")
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--last", action="store_true", help="the last checkpoint, where the mean is not yet there")
    which.add_argument("--shares", nargs="+", metavar="PHASE=SHARE", help="another mean than the plan's")
    options = parser.parse_args()
    shares = PLAN.shares
    if options.shares:
        shares = {name: float(share) for name, _, share in (part.partition("=") for part in options.shares)}
    export(options.work, options.folder, None if options.last else shares)


if __name__ == "__main__":
    main()
