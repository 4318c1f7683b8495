"""Who attends to whom: the attention function that transformers calls, and the cache whose rows share prefixes.

Knows no tokens and no adapters. Two of the three seams to transformers are here, a registered attention function and a
`Cache` subclass; `lora.py` has the third. Shapes in names: B rows, H heads, G key/value heads, T query positions,
C own columns of a row, P prefix positions, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.cache_utils import Cache
from transformers.modeling_utils import AttentionInterface

ATTENTION = "kurabe"


class Arrangement(Protocol):
    """How the rows of a batch lie, and so which keys each query sees."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """query [B, H, T, D], key and value [B, G, C, D] -> [B, T, H, D]."""
        ...


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, dropout: float = 0.0, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """The attention function that transformers calls in each layer. Whoever arranged the batch knows who sees whom:
    it comes along as `within`."""
    within: Arrangement | None = kwargs.get("within")
    if within is None:
        raise ValueError("this model is run by kurabe's engine or trainer, which say who attends to whom")
    return within.attend(module.layer_idx, query, key, value, scaling), None


AttentionInterface.register(ATTENTION, attend)


def scaled_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None, *, causal: bool = False
) -> Tensor:
    """torch's attention; query heads share key/value heads without a copy where the device can do it."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1 and query.device.type == "mps":
        key, value, groups = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1), 1
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, scale=scaling, enable_gqa=groups > 1
    )


class Prefix(NamedTuple):
    """Keys and values of a shared beginning, per layer [G, P, D]."""

    keys: list[Tensor]
    values: list[Tensor]


class RowCache(Cache):  # type: ignore[misc]  # transformers is read without types
    """Keys and values of the rows of one batch, and the prefixes that runs of rows share.

    A row's own columns are [copied prefix | rest of the prompt, padded on the right | generated]; `seen_BC` says which
    of them count. Prefixes in place are attended to by all their rows in one product.
    """

    def __init__(self, layers: int, rows: int, columns: int, heads: int, size: int, device: torch.device) -> None:
        super().__init__(layers=[])
        shape = (rows, heads, columns, size)
        # Zeros, not whatever lay in memory: a masked column still takes part in a product, and 0 x NaN is NaN.
        self.keys = [torch.zeros(shape, device=device) for _ in range(layers)]
        self.values = [torch.zeros(shape, device=device) for _ in range(layers)]
        self.seen_BC = torch.zeros(rows, columns, dtype=torch.bool, device=device)
        self.prefixes: list[tuple[int, int, Prefix | None]] = []  # (first row, end row, prefix in place)
        self.rows = slice(0, rows)  # the rows and the column that the present forward pass works on
        self.end = 0
        self.mask: Tensor | None = None  # None: one whole prompt, causal

    def aim(self, start: int, stop: int, end: int, width: int) -> None:
        """Point at rows `start` to `stop`, whose next `width` positions end before column `end`."""
        self.rows, self.end = slice(start, stop), end
        seen_BC = self.seen_BC[start:stop, :end]
        if width == 1:
            self.mask = seen_BC[:, None, None, :]
            return
        column = torch.arange(end, device=seen_BC.device)
        query = torch.arange(end - width, end, device=seen_BC.device)
        self.mask = (seen_BC[:, None, :] & (column[None, :] <= query[:, None]))[:, None]

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        begin = self.end - key.shape[2]
        self.keys[layer][self.rows, :, begin : self.end] = key
        self.values[layer][self.rows, :, begin : self.end] = value
        return self.keys[layer][self.rows, :, : self.end], self.values[layer][self.rows, :, : self.end]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.end

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        if self.mask is None:  # a whole prompt from its first token
            return scaled_attention(query, key, value, None, scaling, causal=True).transpose(1, 2).contiguous()
        b, h, t, d = query.shape
        g = key.shape[1]
        query = query.reshape(b, g, h // g * t, d)  # the query heads of one key/value head are rows of one product
        mask = self.mask if t == 1 else self.mask.repeat(1, 1, h // g, 1)
        parts = []
        for start, stop, prefix in self.prefixes:
            start, stop = max(start, self.rows.start) - self.rows.start, min(stop, self.rows.stop) - self.rows.start
            if start < stop:
                part = query[start:stop], key[start:stop], value[start:stop], mask[start:stop]
                shared = None if prefix is None else (prefix.keys[layer], prefix.values[layer])
                parts.append(_attend(*part, shared, scaling))
        joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        return joined.reshape(b, h, t, d).transpose(1, 2).contiguous()

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these."""
        index = torch.tensor(rows, device=self.seen_BC.device)
        self.keys = [keys.index_select(0, index) for keys in self.keys]
        self.values = [values.index_select(0, index) for values in self.values]
        self.seen_BC = self.seen_BC.index_select(0, index)
        moved = []
        for start, stop, prefix in self.prefixes:
            left = sum(1 for row in rows if row < start), sum(1 for row in rows if row < stop)
            if left[0] < left[1]:
                moved.append((*left, prefix))
        self.prefixes = moved


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, prefix: tuple[Tensor, Tensor] | None,
    scaling: float | None,
) -> Tensor:  # fmt: skip
    """One run of rows over its own columns and over its prefix, which no row holds a copy of. query [B, G, RT, D]."""
    if prefix is None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    b, g, n, d = query.shape
    prefix_keys, prefix_values = prefix  # [G, P, D]
    p = prefix_keys.shape[1]
    # 1. All rows' queries are stacked, so the prefix is read once for all of them.
    query = (query * (d**-0.5 if scaling is None else scaling)).transpose(0, 1)
    scores = torch.empty(g, b, n, p + key.shape[2], dtype=query.dtype, device=query.device)
    scores[..., :p] = (query.reshape(g, b * n, d) @ prefix_keys.transpose(1, 2)).view(g, b, n, p)
    own = query.transpose(0, 1) @ key.transpose(2, 3)
    scores[..., p:] = own.masked_fill_(~mask, float("-inf")).transpose(0, 1)
    # 2. One softmax over both parts.
    weights = scores.softmax(-1)
    # 3. The values, again the prefix's once for all rows.
    output = (weights[..., :p].reshape(g, b * n, p) @ prefix_values).view(g, b, n, d).transpose(0, 1)
    return output + weights[..., p:].transpose(0, 1) @ value
