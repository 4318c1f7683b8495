"""A pack is the same computation as its rows one by one, with nothing computed twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kurabe.attention import ATTENTION
from kurabe.chat import IGNORE, Rendered
from kurabe.lora import AdapterStack, Slot
from kurabe.packing import Pack, pack_rows

CPU = torch.device("cpu")
ids = st.lists(st.integers(0, 5), min_size=2, max_size=9)


def rendered(tokens: list[int], prompt: int) -> Rendered:
    return Rendered(tokens, [IGNORE] * prompt + tokens[prompt:])


@given(
    start=st.lists(st.integers(0, 5), max_size=6),
    lines=st.lists(st.lists(ids, min_size=1, max_size=4), min_size=1, max_size=3),
    pad_to=st.one_of(st.none(), st.integers(1, 16)),
)
def test_every_row_can_be_read_back(start: list[int], lines: list[list[list[int]]], pad_to: int | None) -> None:
    rows = [[rendered(start + row, 1 + len(start) // 2) for row in line] for line in lines]
    weights = [[1.0 + k + i / 10 for i in range(len(line))] for k, line in enumerate(rows)]
    pack = pack_rows(range(1, len(rows) + 1), rows, weights, CPU, pad_id=9, pad_to=pad_to)
    flat, positions = pack.ids_KN.flatten(), pack.positions_KN.flatten()
    predicted: list[tuple[int, int, int, float, int]] = []
    b = 0
    for k, own in enumerate(rows):
        for row, weight in zip(own, weights[k], strict=True):
            width = max(len(row.ids), pad_to or 0)
            padded = row.ids + [9] * (width - len(row.ids))
            labels = row.labels + [9 if pad_to else IGNORE] * (width - len(row.ids))
            at = [k * pack.ids_KN.shape[1] + i for i in range(pack.shared)] + pack.rest_BT[b].tolist()
            assert flat[at[:width]].tolist() == padded
            assert positions[at[:width]].tolist() == list(range(width))
            predicted += [(padded[t - 1], t - 1, labels[t], weight, k) for t in range(1, width) if labels[t] != IGNORE]
            b += 1
        assert pack.lengths[k] == pack.shared + sum(max(len(r.ids), pad_to or 0) - pack.shared for r in own)
    found = zip(
        flat[pack.at_M].tolist(), positions[pack.at_M].tolist(), pack.target_M.tolist(),
        [round(w, 4) for w in pack.weight_M.tolist()], pack.place_M.tolist(), strict=True,
    )  # fmt: skip
    assert sorted(found) == sorted(predicted)


def test_what_rows_share_is_computed_once_and_never_all_of_a_row() -> None:
    same = rendered([1, 2, 3, 4], 2)
    assert pack_rows([1], [[same, same]], [[1.0, 1.0]], CPU).shared == 3
    assert pack_rows([1], [[same, rendered([1, 2, 5], 2)]], [[1.0, 1.0]], CPU).lengths == (2 + 2 + 1,)
    assert pack_rows([1], [[same]], [[1.0]], CPU).shared == 0  # a row alone shares with nobody
    assert pack_rows([1], [[same, same]], [[1.0, 1.0]], CPU, share=False).lengths == (8,)


# --- against transformers, row by row --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> tuple[Any, AdapterStack]:
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(tiny_folder).eval()
    stack = AdapterStack(model)
    stack.add([Slot(t, 4, 8.0, 2.0) for t in (1, 2)], [1, 2])
    generator = torch.Generator().manual_seed(5)
    for layer in stack.layers.values():
        layer.adapters_KRO.copy_(torch.randn(layer.adapters_KRO.shape, generator=generator) * 0.1)
    return model, stack


def packed_gradients(model: Any, stack: AdapterStack, pack: Pack) -> tuple[float, Tensor]:
    _, gradients = stack.open([1, 2])
    model.set_attn_implementation(ATTENTION)
    stack.route(pack.trials)
    hidden = model.model(input_ids=pack.ids_KN, position_ids=pack.positions_KN, use_cache=False, within=pack)
    logits = model.lm_head(hidden.last_hidden_state.flatten(0, 1)[pack.at_M])
    loss = (F.cross_entropy(logits, pack.target_M, reduction="none") * pack.weight_M).sum()
    stack.backward(loss)
    stack.close()
    return float(loss.detach()), gradients


def plain_gradients(
    model: Any, stack: AdapterStack, rows: list[list[Rendered]], weights: list[list[float]], pad_to: int | None
) -> tuple[float, Tensor]:
    """transformers' own mask, positions and attention, one row at a time."""
    _, gradients = stack.open([1, 2])
    model.set_attn_implementation("sdpa")
    total = 0.0
    for k, own in enumerate(rows):
        for row, weight in zip(own, weights[k], strict=True):
            padding = [9] * ((pad_to or 0) - len(row.ids))
            tokens = torch.tensor([row.ids + padding])
            labels = torch.tensor(row.labels + (padding if pad_to else []))
            stack.route([k + 1])
            logits = model(tokens, attention_mask=torch.tensor([[1] * len(row.ids) + [0] * len(padding)])).logits[0]
            loss = F.cross_entropy(logits[:-1], labels[1:], reduction="sum", ignore_index=IGNORE) * weight
            stack.backward(loss)
            total += float(loss.detach())
    stack.close()
    return total, gradients


@pytest.mark.parametrize("pad_to", [None, 24])
@pytest.mark.parametrize("beginning", [0, 11])
def test_loss_and_gradients_are_those_of_the_rows_one_by_one(
    model: tuple[Any, AdapterStack], beginning: int, pad_to: int | None
) -> None:
    pick = torch.Generator().manual_seed(beginning)
    some = lambda n: torch.randint(10, 460, (n,), generator=pick).tolist()  # noqa: E731
    start = some(beginning)
    rows = [[rendered(start + some(n), beginning + 2) for n in (5, 9, 4)], [rendered(start + some(7), 3)]]
    weights = [[0.1, 0.2, 0.3], [0.5]]
    pack = pack_rows([1, 2], rows, weights, CPU, pad_id=9, pad_to=pad_to)
    assert pack.shared == (0 if pad_to else beginning)
    loss, gradients = packed_gradients(*model, pack)
    expected_loss, expected = plain_gradients(*model, rows, weights, pad_to)
    assert loss == pytest.approx(expected_loss, rel=1e-4)
    assert expected.norm(dim=1).min() > 1
    torch.testing.assert_close(gradients, expected, atol=2e-3, rtol=1e-3)
