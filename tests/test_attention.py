"""A prefix in place is the same attention as a prefix in every row; rows that leave take only themselves along."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kurabe.attention import Prefix, RowCache, attend

HEADS, GROUPS, SIZE = 4, 2, 8


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cache_of(rows: int, columns: int, seen: list[int]) -> RowCache:
    """A cache of one layer whose rows have `seen` columns each."""
    cache = RowCache(1, rows, columns, GROUPS, SIZE, torch.device("cpu"))
    cache.keys[0][:], cache.values[0][:] = drawn(1, *cache.keys[0].shape), drawn(2, *cache.keys[0].shape)
    for row, count in enumerate(seen):
        cache.seen_BC[row, :count] = True
    return cache


def expected(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = (part.repeat_interleave(HEADS // GROUPS, 1) for part in (key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)


@pytest.mark.parametrize("width", [1, 3])
def test_prefixes_in_place_equal_prefixes_in_every_row(width: int) -> None:
    """Three runs of rows in one batch: a long prefix, none, another one."""
    cache = cache_of(6, 9, [5, 4, 6, 6, 3, 5])
    prefixes = [Prefix([drawn(3 + i, GROUPS, n, SIZE)], [drawn(5 + i, GROUPS, n, SIZE)]) for i, n in enumerate((7, 4))]
    cache.prefixes = [(0, 2, prefixes[0]), (2, 3, None), (3, 6, prefixes[1])]
    for row in range(6):
        cache.seen_BC[row, 6 : 6 + width] = True
    cache.aim(0, 6, 6 + width, width)
    query = drawn(9, 6, HEADS, width, SIZE)
    key, value = cache.keys[0][:, :, : 6 + width], cache.values[0][:, :, : 6 + width]
    out = cache.attend(0, query, key, value, None)
    assert out.shape == (6, width, HEADS, SIZE)
    for row in range(6):
        prefix = next(p for start, stop, p in cache.prefixes if start <= row < stop)
        seen = cache.seen_BC[row, : 6 + width] & (torch.arange(6 + width) <= torch.arange(6, 6 + width)[:, None])
        k, v = key[row], value[row]
        if prefix is not None:
            k, v = torch.cat([prefix.keys[0], k], 1), torch.cat([prefix.values[0], v], 1)
            seen = torch.cat([torch.ones(width, prefix.keys[0].shape[1], dtype=torch.bool), seen], 1)
        torch.testing.assert_close(out[row : row + 1], expected(query[row : row + 1], k[None], v[None], seen))


def test_update_writes_before_the_column_it_is_aimed_at() -> None:
    cache = cache_of(4, 6, [0, 0, 0, 0])
    before = cache.keys[0].clone()
    cache.aim(1, 3, 5, 2)
    key, value = drawn(7, 2, GROUPS, 2, SIZE), drawn(8, 2, GROUPS, 2, SIZE)
    keys, values = cache.update(key, value, 0)
    assert torch.equal(keys[:, :, 3:], key)
    assert torch.equal(values[:, :, 3:], value)
    assert keys.shape[2] == cache.get_seq_length() == 5
    untouched = torch.ones_like(before, dtype=torch.bool)
    untouched[1:3, :, 3:5] = False
    assert torch.equal(cache.keys[0][untouched], before[untouched])


def test_rows_that_stay_keep_their_keys_and_their_prefix() -> None:
    cache = cache_of(6, 4, [1, 2, 3, 4, 2, 1])
    first = Prefix([drawn(3, GROUPS, 7, SIZE)], [drawn(4, GROUPS, 7, SIZE)])
    cache.prefixes = [(0, 2, first), (2, 4, None), (4, 6, first)]
    keys, seen = cache.keys[0].clone(), cache.seen_BC.clone()
    cache.keep([1, 4, 5])
    assert torch.equal(cache.keys[0], keys[[1, 4, 5]])
    assert torch.equal(cache.seen_BC, seen[[1, 4, 5]])
    assert [(start, stop, prefix is first) for start, stop, prefix in cache.prefixes] == [(0, 1, True), (1, 3, True)]


def test_whoever_calls_the_model_must_say_who_sees_whom() -> None:
    with pytest.raises(ValueError, match="engine"):
        attend(SimpleNamespace(layer_idx=0), *(drawn(1, 1, 2, 3, 4),) * 3, None)
