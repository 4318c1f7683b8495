"""The loss of a position against torch's own, value and gradient, and what a teacher's truncated shares do to it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kurabe.losses import Likely, losses

M, V, C = 7, 64, 20


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def taught(at: list[int], c: int = C) -> Likely:
    top = drawn(len(at), V, seed=1).mul(3).topk(c)
    return Likely(torch.tensor(at), top.indices, top.values.softmax(-1))


TARGETS = torch.arange(M) * 5


def test_without_a_teacher_it_is_cross_entropy() -> None:
    logits = drawn(M, V)
    assert torch.equal(losses(logits, TARGETS), F.cross_entropy(logits, TARGETS, reduction="none"))


@pytest.mark.parametrize("at", [[0], [2, 3, 6], list(range(M))], ids=str)
def test_value_and_gradient_are_those_of_torchs_kl_on_the_whole_vocabulary(at: list[int]) -> None:
    soft, mine, theirs = taught(at), drawn(M, V).requires_grad_(), drawn(M, V).requires_grad_()
    found = losses(mine, TARGETS, soft)
    shares = torch.zeros(len(at), V, dtype=torch.float64).scatter(1, soft.ids_SC, soft.shares_SC)
    kl = F.kl_div(theirs[at].log_softmax(-1), shares, reduction="none").sum(-1)
    expected = F.cross_entropy(theirs, TARGETS, reduction="none").index_put((torch.tensor(at),), kl)
    torch.testing.assert_close(found, expected)
    weights = torch.linspace(0.1, 1, M, dtype=torch.float64)
    for loss in (found, expected):
        (loss * weights).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(mine.grad, theirs.grad)
    assert mine.grad is not None
    q = mine.detach()[at].softmax(-1)
    torch.testing.assert_close(mine.grad[at], (q - shares) * weights[at, None])  # as the docstring says


def test_a_student_that_holds_likely_what_the_teacher_does_has_no_loss_and_no_gradient() -> None:
    """Of the whole vocabulary, and of 20 tokens that take nearly all of it."""
    logits = drawn(M, V).mul(20).requires_grad_()
    for c, rest in ((V, 1e-12), (C, 1e-2)):
        top = logits.detach().topk(c)
        soft = Likely(torch.arange(M), top.indices, top.values.softmax(-1))
        loss = losses(logits, TARGETS, soft)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert loss.abs().max() < rest and gradient.abs().max() < rest


def test_one_likely_token_is_a_label() -> None:
    logits = drawn(M, V)
    soft = Likely(torch.arange(M), TARGETS[:, None], torch.ones(M, 1, dtype=torch.float64))
    torch.testing.assert_close(losses(logits, (TARGETS + 1) % V, soft), losses(logits, TARGETS))
