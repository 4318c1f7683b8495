"""The shape of kurabe-tiny, its forward pass over packed trees, and its loss.

It knows nothing about text, files or schedules. The network is transformers' own Llama; only the mask is ours.
"""

from __future__ import annotations

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


def tree_mask(tree: Tensor, branch: Tensor) -> Tensor:
    """[rows, 1, length, length]: a token sees earlier tokens of its tree's prefix and of its own branch."""
    length = tree.shape[1]
    same_tree = tree[:, :, None] == tree[:, None, :]
    seen_branch = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    causal = torch.ones(length, length, dtype=torch.bool, device=tree.device).tril()
    return (same_tree & seen_branch & causal)[:, None]


def labelled_logits(model: LlamaForCausalLM, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and weights at the labelled positions only: the head never sees the rest."""
    weight = batch["weight"][:, 1:]
    chosen = weight.flatten().nonzero()[:, 0]
    hidden = model.model(
        input_ids=batch["ids"],
        attention_mask=tree_mask(batch["tree"], batch["branch"]),
        position_ids=batch["position"],
        use_cache=False,
    ).last_hidden_state
    before = hidden[:, :-1].reshape(-1, hidden.shape[-1])[chosen]
    return model.lm_head(before), batch["ids"][:, 1:].flatten()[chosen], weight.flatten()[chosen]


def loss(model: LlamaForCausalLM, batch: dict[str, Tensor]) -> Tensor:
    """Weighted mean over answer tokens."""
    logits, targets, weights = labelled_logits(model, batch)
    return (F.cross_entropy(logits.float(), targets, reduction="none") * weights).sum() / weights.sum()
