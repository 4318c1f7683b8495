"""Initial weights with one copying circuit in place: a head that looks one token back, and a head that uses it.

It knows nothing about text or training. Copying is learnt by chance and late in so small a model (the notes in the
card say how late); an induction circuit (Olsson et al. 2022, https://arxiv.org/abs/2209.11895) written into the
start removes the wait, as mimetic initialisation does (Trockman and Kolter 2023, https://arxiv.org/abs/2305.09828).
Everything stays trainable.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

EMBEDDING_STD = 0.05
# How sharply the first head looks back, how loudly it notes what it saw, how sharply the second head compares notes
# with the current token, how loudly it writes, and from which rotary frequency on it compares.
LOOK_BACK, NOTE, MATCH, WRITE, FIRST_SLOW = 3.0, 2.0, 4.0, 8.0, 21


def _frame(generator: torch.Generator, rows: int, columns: int) -> Tensor:
    """Orthonormal rows that do not touch the constant dimension 0."""
    basis, _ = torch.linalg.qr(torch.randn(columns - 1, rows, generator=generator))
    return torch.cat([torch.zeros(rows, 1), basis.T], dim=1)


@torch.no_grad()
def seed_circuits(model: LlamaForCausalLM, seed: int = 0) -> None:
    """Write the two heads into layers 0 and 1, head 0; head 0 shares its keys and values with head 1."""
    generator = torch.Generator().manual_seed(seed)
    size = model.config.hidden_size
    head = size // model.config.num_attention_heads
    half = head // 2
    frequency = 10000.0 ** (-torch.arange(half) / half)
    embedding = model.model.embed_tokens.weight
    drawn = torch.randn(embedding.shape, generator=generator)
    # Equal lengths: the head that looks by position must not prefer a token because it is short.
    embedding.copy_(drawn / drawn.norm(dim=1, keepdim=True) * size**0.5 * EMBEDDING_STD)
    # A dimension that every token shares, so that a head can look by position alone.
    embedding[:, 0] = 4 * EMBEDDING_STD

    # Layer 0, head 0: the score is a sum of cos(w (distance - 1)) over the rotary frequencies, largest one token back.
    content = _frame(generator, head, size)
    previous = _frame(generator, head, size)
    first = model.model.layers[0].self_attn
    first.q_proj.weight[:head] = 0.0
    first.k_proj.weight[:head] = 0.0
    quick = (frequency > 0.05).float()
    first.k_proj.weight[:head, 0] = LOOK_BACK * torch.cat([quick, torch.zeros(half)])
    first.q_proj.weight[:head, 0] = LOOK_BACK * torch.cat([quick * frequency.cos(), -quick * frequency.sin()])
    first.v_proj.weight[:head] = content
    first.o_proj.weight[:, :head] = NOTE * EMBEDDING_STD * previous.T

    # Layer 1, head 0: my content against your previous token's content, in the slow rotary dimensions only, for
    # these hardly turn within a prompt; then the matched token's own content is written out.
    second = model.model.layers[1].self_attn
    slow = [index + offset for offset in (0, half) for index in range(FIRST_SLOW, half)]
    second.q_proj.weight[:head] = 0.0
    second.k_proj.weight[:head] = 0.0
    second.q_proj.weight[slow] = MATCH * content[: len(slow)]
    second.k_proj.weight[slow] = MATCH * previous[: len(slow)]
    copied = _frame(generator, head, size)
    second.v_proj.weight[:head] = copied
    second.o_proj.weight[:, :head] = WRITE * EMBEDDING_STD * copied.T
