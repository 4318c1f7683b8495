"""The shape of kurabe-tiny, its forward pass over packed trees, and its loss.

It knows nothing about text, files or schedules. The network is transformers' own Llama; who attends to whom is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from models.tiny.circuits import seed_circuits

LAYERS = 5


def config(vocabulary: int) -> LlamaConfig:
    """Sizes are multiples of 256 so that every quantisation fits."""
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.02,
    )


def build(vocabulary: int, seed: int) -> LlamaForCausalLM:
    """Fresh weights from a seed, with the copying circuit in place."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config(vocabulary))
    seed_circuits(model, seed)
    return model


class Part(NamedTuple):
    """One tree of a batch: the tokens of its prefix and of its branches, how many branches, the longest one, and where
    the branches' tokens lie when each branch has a block of the longest one's length."""

    prefix: int
    own: int
    branches: int
    longest: int
    places: Tensor

    @classmethod
    def of(cls, prefix: int, branches: list[int], device: str | torch.device) -> Part:
        longest = max(branches)
        places = [number * longest + torch.arange(length) for number, length in enumerate(branches)]
        return cls(prefix, sum(branches), len(branches), longest, torch.cat(places).to(device))

    def blocks(self, x: Tensor) -> Tensor:
        """[H, B, any] -> [H R, L, any], zeros behind the shorter branches."""
        wide = x.new_zeros(len(x), self.branches * self.longest, x.shape[2]).index_copy_(1, self.places, x)
        return wide.view(len(x) * self.branches, self.longest, -1)

    def flat(self, x: Tensor) -> Tensor:
        """[H R, L, any] -> [H, B, any]."""
        wide = x.view(len(x) // self.branches, self.branches * self.longest, -1)
        return wide.index_select(1, self.places)


def _softmax_gradient(gradient: Tensor, weights: Tensor) -> Tensor:
    """The scores' gradient; a hidden score's is zero because its weight is."""
    return torch.ops.aten._softmax_backward_data(gradient, weights, -1, weights.dtype)


class _Attention(torch.autograd.Function):
    """Attention over trees with its gradient written out: autograd would keep every mask and product, the weights in
    float32, and fill a tensor of zeros for each part of what was split. All are [H, N, D], the query scaled."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, trees: Trees) -> Tensor:
        kept, outputs = [], []
        with torch.autocast(query.device.type, enabled=False):
            for part, q, k, v in trees.split(query, key, value):
                later_PP, later_LL = (trees.later[:length, :length] for length in (part.prefix, part.longest))
                q_P, q_B, k_P, k_B, v_P, v_B = (half for x in (q, k, v) for half in x.split([part.prefix, part.own], 1))
                seen_P = (q_P @ k_P.mT).masked_fill_(later_PP, -torch.inf).softmax(-1)
                within = (part.blocks(q_B) @ part.blocks(k_B).mT).masked_fill_(later_LL, -torch.inf)
                seen_B = torch.cat([q_B @ k_P.mT, part.flat(within)], dim=-1).softmax(-1)
                own = part.flat(part.blocks(seen_B[..., part.prefix :]) @ part.blocks(v_B))
                outputs += [seen_P @ v_P, own.baddbmm_(seen_B[..., : part.prefix], v_P)]
                kept += [seen_P, seen_B]
        ctx.trees = trees
        ctx.save_for_backward(query, key, value, *kept)
        return torch.cat(outputs, dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, *kept = ctx.saved_tensors
        queries, keys, values = [], [], []
        for part, q, k, v, g in ctx.trees.split(query, key, value, gradient):
            seen_P, seen_B, *kept = kept
            q_P, q_B, k_P, k_B, v_P, v_B, g_P, g_B = (
                half for x in (q, k, v, g) for half in x.split([part.prefix, part.own], 1)
            )
            blocks_g, blocks_q, seen_L = part.blocks(g_B), part.blocks(q_B), part.blocks(seen_B[..., part.prefix :])
            scores_P = _softmax_gradient(g_P @ v_P.mT, seen_P)
            upon_L = part.flat(blocks_g @ part.blocks(v_B).mT)
            scores_B = _softmax_gradient(torch.cat([g_B @ v_P.mT, upon_L], dim=-1), seen_B)
            scores_BP, scores_L = scores_B[..., : part.prefix], part.blocks(scores_B[..., part.prefix :])
            seen_BP = seen_B[..., : part.prefix]
            queries += [scores_P @ k_P, part.flat(scores_L @ part.blocks(k_B)).baddbmm_(scores_BP, k_P)]
            keys += [(scores_P.mT @ q_P).baddbmm_(scores_BP.mT, q_B), part.flat(scores_L.mT @ blocks_q)]
            values += [(seen_P.mT @ g_P).baddbmm_(seen_BP.mT, g_B), part.flat(seen_L.mT @ blocks_g)]
        return torch.cat(queries, dim=1), torch.cat(keys, dim=1), torch.cat(values, dim=1), None


class Trees:
    """Who sees whom in a batch of trees, without a mask over the batch: a prefix is causal, a branch sees its tree's
    whole prefix and itself causally. It is what `kurabe.attention` calls an arrangement.

    `trees` holds the lengths of each tree's prefix and branches. Shapes in names: H heads, G key/value heads, N tokens
    of the batch, T of a tree, P of its prefix, B of its branches; R branches, L the longest one, D head size.
    Written out in products and a softmax: torch's fused attention is slow backwards on CPUs and would need each
    prefix once per branch.
    """

    def __init__(self, trees: list[tuple[int, ...]], device: str | torch.device = "cpu") -> None:
        self.parts = [Part.of(prefix, branches, device) for prefix, *branches in trees]
        self.lengths = [part.prefix + part.own for part in self.parts]
        most = max(max(part.prefix, part.longest) for part in self.parts)
        self.later = torch.ones(most, most, dtype=torch.bool, device=device).triu(1)

    def split(self, *tensors: Tensor) -> Iterator[tuple[Any, ...]]:
        """Tree by tree: the part and [H, T, D] of each tensor."""
        return zip(self.parts, *(x.split(self.lengths, dim=1) for x in tensors), strict=True)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """query [1, H, N, D], key and value [1, G, N, D] -> [1, N, H, D]."""
        groups = query.shape[1] // key.shape[1]
        # Under autocast the rotation makes float32 of query and key again.
        query_HND = (query[0] * scaling).to(value.dtype)
        key_HND, value_HND = (x[0].to(value.dtype).repeat_interleave(groups, 0) for x in (key, value))
        return _Attention.apply(query_HND, key_HND, value_HND, self).transpose(0, 1)[None]


def labelled_logits(model: LlamaForCausalLM, batch: dict[str, Tensor], trees: Trees) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and weights at the labelled positions only: the head never sees the rest."""
    weight = batch["weight"][1:]
    chosen = weight.nonzero()[:, 0]
    hidden = model.model(
        input_ids=batch["ids"][None], position_ids=batch["position"][None], use_cache=False, within=trees
    ).last_hidden_state[0]
    return model.lm_head(hidden[chosen]), batch["ids"][1:][chosen], weight[chosen]


def loss(model: LlamaForCausalLM, batch: dict[str, Tensor], trees: Trees) -> Tensor:
    """Weighted mean over answer tokens."""
    logits, targets, weights = labelled_logits(model, batch, trees)
    return (F.cross_entropy(logits.float(), targets, reduction="none") * weights).sum() / weights.sum()
