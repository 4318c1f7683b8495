"""The shape of kurabe-tiny, its forward pass over packed trees, and its loss.

It knows nothing about text, files or schedules. The network is transformers' own Llama; who attends to whom is ours.
"""

from __future__ import annotations

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


class _Spread(torch.autograd.Function):
    """Columns of dimension 1 to places of their own in a wider one, zeros elsewhere; its gradient gathers them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, width: int) -> Tensor:
        ctx.save_for_backward(places)
        return x.new_zeros(x.shape[0], width, x.shape[2]).index_copy_(1, places, x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return gradient.index_select(1, places), None, None


class _Gather(torch.autograd.Function):
    """The way back from `_Spread`. No place occurs twice, so that its gradient copies and never adds."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.width = x.shape[1]
        return x.index_select(1, places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return gradient.new_zeros(gradient.shape[0], ctx.width, gradient.shape[2]).index_copy_(
            1, places, gradient
        ), None


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
        width = self.branches * self.longest
        return _Spread.apply(x, self.places, width).view(len(x) * self.branches, self.longest, -1)

    def flat(self, x: Tensor) -> Tensor:
        """[H R, L, any] -> [H, B, any]."""
        return _Gather.apply(x.view(len(x) // self.branches, self.branches * self.longest, -1), self.places)


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
        most = max(max(part.prefix, part.longest) for part in self.parts)
        self.later = torch.ones(most, most, dtype=torch.bool, device=device).triu(1)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """query [1, H, N, D], key and value [1, G, N, D] -> [1, N, H, D]."""
        heads = query.shape[1]
        lengths = [part.prefix + part.own for part in self.parts]
        query_HND = query[0] * scaling
        key_HND, value_HND = (x[0].repeat_interleave(heads // x.shape[1], 0) for x in (key, value))
        split = (x.split(lengths, dim=1) for x in (query_HND, key_HND, value_HND))
        trees = [self._tree(part, *tree) for part, *tree in zip(self.parts, *split, strict=True)]
        return torch.cat(trees, dim=1).transpose(0, 1)[None]

    def _tree(self, part: Part, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """One tree, all [H, T, D]."""
        prefix, own, longest = part.prefix, part.own, part.longest
        key_HPD, key_HBD = key.split([prefix, own], dim=1)
        value_HPD, value_HBD = value.split([prefix, own], dim=1)
        scores_HPP, scores_HBP = (query @ key_HPD.mT).split([prefix, own], dim=1)
        seen_HPP = scores_HPP.masked_fill(self.later[:prefix, :prefix], -torch.inf).softmax(-1)
        within = part.blocks(query[:, prefix:]) @ part.blocks(key_HBD).mT
        scores_HBL = part.flat(within.masked_fill(self.later[:longest, :longest], -torch.inf))
        seen_HBP, seen_HBL = torch.cat([scores_HBP, scores_HBL], dim=-1).softmax(-1).split([prefix, longest], dim=-1)
        own_HBD = part.flat(part.blocks(seen_HBL) @ part.blocks(value_HBD))
        return torch.cat([seen_HPP @ value_HPD, seen_HBP @ value_HPD + own_HBD], dim=1)


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
