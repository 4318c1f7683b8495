"""What a model's tensors are called in a GGUF, in which order they stand and how each is stored.

Knows shapes and names only, no bytes. The rules are llama.cpp's (`llama-quant.cpp`, `conversion/llama.py`), for dense
models of the Llama form; a table of what they decide for each format stands in `docs/ship.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kurabe.errors import COPY_AGAIN, MissingError
from kurabe.export.quants import BLOCKS

FORMATS = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q3_K_M")
ROPE = "rope_freqs.weight"  # the one tensor that config.json makes; the converter writes it first
PLAIN = ("F32", "F16", "BF16")  # the converter's own output; the others are the quantiser's
_DEFAULT = {"Q4_K_S": "Q4_K", "Q4_K_M": "Q4_K", "Q5_K_M": "Q5_K", "Q3_K_M": "Q3_K"}
# Where a row does not fit a block of 256 weights.
_FALLBACK = {"Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}

_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
_TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight"}  # fmt: skip
_PARTS = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


class Shape(NamedTuple):
    """The sizes of a model that decide its layout."""

    layers: int
    heads: int
    kv_heads: int
    tied: bool  # the embedding is the output, too

    @property
    def is_70b(self) -> bool:
        """llama.cpp's own test for the 70B model, whose attn_v tensors get more bits."""
        return self.layers == 80 and self.heads != self.kv_heads


def gguf_name(name: str) -> str:
    """The GGUF's name of a tensor. Raises MissingError for one that a dense Llama does not have."""
    layer = _LAYER.fullmatch(name)
    if name in _TOP:
        return _TOP[name]
    if layer is None or layer[2] not in _PARTS:
        raise MissingError(
            f"The model has a tensor that this export does not know: {name}.",
            why="Only dense models of the Llama form are exported; a file without this tensor would answer nonsense.",
            fix="Export this model with llama.cpp's own converter.",
        )  # fmt: skip
    return f"blk.{layer[1]}.{_PARTS[layer[2]]}.{layer[3]}"


def permuted_heads(name: str, shape: Shape, architecture: str) -> int:
    """How many heads the rows of a tensor are permuted within; 0 for none.

    Llama's rotary embedding pairs neighbours in a GGUF and halves in transformers; Qwen keeps the halves.
    """
    if architecture != "llama":
        return 0
    part = name.split(".")[-2]
    return {"attn_q": shape.heads, "attn_k": shape.kv_heads}.get(part, 0)


def order(names: Mapping[str, str], format_name: str) -> list[str]:
    """The base's names (keys) in the file's order.

    The converter goes by the base's names; the quantiser sorts: names without a layer, then by layer, each by bytes.
    """
    if format_name in PLAIN:
        return sorted(names, key=lambda name: (name != ROPE, name))
    ranked = {own: name for name, own in names.items()}
    return [ranked[name] for name in quantisers_order(ranked)]


def quantisers_order(names: Iterable[str]) -> list[str]:
    """GGUF names as llama-quantize writes them."""
    return sorted(names, key=_rank)


def is_known(name: str) -> bool:
    """Whether a dense model of the Llama form has a tensor of this name in its GGUF."""
    layer = re.fullmatch(r"blk\.\d+\.(\w+)\.(weight|bias)", name)
    return name in (*_TOP.values(), ROPE) or (layer is not None and layer[1] in _PARTS.values())


def _rank(name: str) -> tuple[int, bytes]:
    layer = re.match(r"blk\.(\d+)\.", name)
    return (int(layer[1]) if layer else -1, name.encode())


def kinds(sizes: Mapping[str, tuple[int, ...]], format_name: str, shape: Shape) -> dict[str, str]:
    """GGUF name -> how the tensor is stored, from GGUF name -> its shape [rows, columns] or [columns]."""
    return {name: _kind(name, size, format_name, shape) for name, size in sizes.items()}


def _kind(name: str, size: tuple[int, ...], format_name: str, shape: Shape) -> str:
    if len(size) < 2 or name.endswith("_norm.weight"):
        return "F32"
    if format_name in PLAIN:
        return format_name
    kind, columns = _DEFAULT.get(format_name, format_name), size[-1]
    if name == "output.weight" or (shape.tied and name == "token_embd.weight"):
        kind = "Q8_0" if kind == "Q8_0" else "Q6_K"
    else:
        kind = _mixed(name, kind, format_name, shape)
    if columns % BLOCKS[kind][0]:
        kind = _FALLBACK.get(kind, "F16")
    return kind if columns % BLOCKS[kind][0] == 0 else "F16"


def _mixed(name: str, kind: str, format_name: str, shape: Shape) -> str:
    """The mixtures: some tensors of some layers get more bits."""
    layer = re.fullmatch(r"blk\.(\d+)\.(attn_v|ffn_down|attn_output)\.weight", name)
    if layer is None:
        return kind
    i, n, part = int(layer[1]), shape.layers, layer[2]
    if format_name in ("Q4_K_M", "Q5_K_M") and part != "attn_output":
        kind = "Q6_K" if _more_bits(i, n) else kind
    elif format_name == "Q4_K_S":
        kind = "Q5_K" if (part == "attn_v" and i < 4) or (part == "ffn_down" and i < n // 8) else kind
    elif format_name == "Q3_K_M":
        more = {"attn_v": i < 2, "ffn_down": i < n // 16, "attn_output": False}[part]
        kind = "Q5_K" if more else "Q4_K"
    if part == "attn_v" and shape.is_70b and kind in ("Q3_K", "Q4_K"):
        kind = "Q5_K"
    return kind


def _more_bits(i: int, n: int) -> bool:
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def shape_of(config: Mapping[str, Any], names: Iterable[str]) -> Shape:
    """The sizes from config.json; a model without an output tensor is tied, whatever config.json says."""
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    return Shape(int(config["num_hidden_layers"]), heads, kv_heads, "lm_head.weight" not in set(names))


def check_shapes(config: Mapping[str, Any], found: Mapping[str, tuple[int, ...]], head_dim: int = 0) -> None:
    """Every tensor that config.json promises is there in its shape, and no layer beyond. Raises MissingError.

    `head_dim` is what the family assumes where config.json is silent; 0: the hidden size divided by the heads.
    A file that breaks this would be written in full and refused by llama.cpp, or answer nonsense.
    """
    hidden, inner, heads = (config[key] for key in ("hidden_size", "intermediate_size", "num_attention_heads"))
    size = config.get("head_dim") or head_dim or hidden // heads
    queries, keys = heads * size, (config.get("num_key_value_heads") or heads) * size
    parts: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner), "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,),
    }  # fmt: skip
    rows = config["vocab_size"]
    expected = {"model.embed_tokens.weight": (rows, hidden), "model.norm.weight": (hidden,)}
    if "lm_head.weight" in found:
        expected["lm_head.weight"] = (rows, hidden)
    layers = config["num_hidden_layers"]
    beyond = [name for name in found if (layer := _LAYER.fullmatch(name)) and int(layer[1]) >= layers]
    for i in range(layers):
        expected.update({f"model.layers.{i}.{part}.weight": shape for part, shape in parts.items()})
    misfits = beyond + [name for name, shape in expected.items() if found.get(name) != shape]
    wrong = misfits[0] if misfits else None
    if wrong is not None:
        stored = f"is {list(found[wrong])}" if wrong in found else "is missing"
        raise MissingError(
            f"The weights do not fit config.json: {wrong} {stored}.",
            why=f"config.json says {list(expected[wrong])}." if wrong in expected else f"It has {layers} layers.",
            fix=COPY_AGAIN,
        )  # fmt: skip
