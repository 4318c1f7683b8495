"""A whole GGUF file for tests: a random Llama of two layers under the embedded model's tokenizer and template.

Written by the format's own package, so that it does not lean on kurabe's writer.
"""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np

import kurabe

TINY = Path(kurabe.__file__).parent / "tiny"
HIDDEN, HEADS, GROUPS, INNER, LAYERS, CONTEXT = 64, 4, 2, 128, 2, 512


def write(path: Path, *, template: str | None = None, seed: int = 0) -> Path:
    """The file at `path`; `template` in place of the embedded model's own."""
    tokenizer = json.loads((TINY / "tokenizer.json").read_text(encoding="utf-8"))
    special = {token["content"] for token in tokenizer["added_tokens"]}
    pieces = dict(tokenizer["model"]["vocab"]) | {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokens = sorted(pieces, key=pieces.__getitem__)
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    config = json.loads((TINY / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(GROUPS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(merges)
    end = config["eos_token_id"]
    writer.add_eos_token_id(end[0] if isinstance(end, list) else end)
    if config.get("bos_token_id") is not None:
        writer.add_bos_token_id(config["bos_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(template or (TINY / "chat_template.jinja").read_text(encoding="utf-8"))
    for name, shape in shapes(len(tokens)).items():
        writer.add_tensor(name, _weights(name, shape, seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Every tensor's shape, the slowest axis first."""
    narrow = HIDDEN // HEADS * GROUPS
    found: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocabulary, HIDDEN), "output_norm.weight": (HIDDEN,)}
    for i in range(LAYERS):
        found |= {
            f"blk.{i}.attn_norm.weight": (HIDDEN,), f"blk.{i}.ffn_norm.weight": (HIDDEN,),
            f"blk.{i}.attn_q.weight": (HIDDEN, HIDDEN), f"blk.{i}.attn_k.weight": (narrow, HIDDEN),
            f"blk.{i}.attn_v.weight": (narrow, HIDDEN), f"blk.{i}.attn_output.weight": (HIDDEN, HIDDEN),
            f"blk.{i}.ffn_gate.weight": (INNER, HIDDEN), f"blk.{i}.ffn_up.weight": (INNER, HIDDEN),
            f"blk.{i}.ffn_down.weight": (HIDDEN, INNER),
        }  # fmt: skip
    return found | {"output.weight": (vocabulary, HIDDEN)}


def _weights(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    if "norm" in name:
        return np.ones(shape, np.float32)
    draw = np.random.default_rng([seed, *name.encode()])
    return draw.normal(0, 0.25, shape).astype(np.float32)
