"""What a position costs: how unlikely its token is, or how far from what a teacher holds likely there.

Knows no rows, no trials and no weights. Shapes in names: M positions, S of them with a teacher, V vocabulary, C tokens
that the teacher holds likely.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Likely(NamedTuple):
    """What a teacher held likely at some of M positions; the shares of a position add up to 1."""

    at_S: Tensor
    ids_SC: Tensor
    shares_SC: Tensor


def losses(logits_MV: Tensor, target_M: Tensor, soft: Likely | None = None) -> Tensor:
    """The loss of each position, in nats: -log q(target), and in the places of `soft` KL(p || q) instead.

    q is the softmax of the logits over the whole vocabulary, p the teacher's shares; the gradient in a logit is q - p,
    so that what the teacher's C tokens leave out is pushed down (Hinton et al. 2015, section 2, at temperature 1).
    """
    hard_M = F.cross_entropy(logits_MV, target_M, reduction="none")
    if soft is None:
        return hard_M
    q_SC = F.log_softmax(logits_MV.index_select(0, soft.at_S), -1).gather(1, soft.ids_SC)  # logarithms
    kl_S = (torch.xlogy(soft.shares_SC, soft.shares_SC) - soft.shares_SC * q_SC).sum(-1)
    return hard_M.index_copy(0, soft.at_S, kl_S)
