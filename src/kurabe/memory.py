"""What a model takes in memory: weights, adapters, optimiser, activations, keys and values; arithmetic, before loading.

Knows no torch and no device: shapes in, bytes out. benchmarks/memory.py holds it against what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def weights(config: Mapping[str, Any], numbers: int, dtype: str) -> int:
    """Bytes of so many numbers: in bfloat16 those of the layers' linear modules, the rest in float32."""
    return 4 * numbers - (2 * linears(config) if dtype == "bfloat16" else 0)


def linears(config: Mapping[str, Any]) -> int:
    """Numbers in the linear modules of all layers: queries, keys, values, output; gate, up, down."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    size = config.get("head_dim") or hidden // heads
    groups = config.get("num_key_value_heads") or heads
    layer = hidden * size * (2 * heads + 2 * groups) + 3 * hidden * config["intermediate_size"]
    return int(config["num_hidden_layers"] * layer)
