"""Training rows in tensors, no position wasted: no padding between rows, what they all begin with computed once.

Knows no loss and no optimizer. Shapes in names: K lines (one per trial), N positions of a line, B rows, T positions of
a row's rest, M positions that predict something, C tokens that a teacher holds likely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kurabe.attention import scaled_attention
from kurabe.chat import IGNORE, Rendered, Soft
from kurabe.losses import Likely


class Pack(NamedTuple):
    """The rows of a step without padding between them: one line per trial, which holds what all rows begin with
    (computed once), then the rest of each row. Positions restart with every row; a row sees the beginning and itself.
    """

    ids_KN: Tensor
    positions_KN: Tensor
    trials: tuple[int, ...]
    lengths: tuple[int, ...]  # real positions of each line
    shared: int  # positions that all rows of a line begin with
    line_B: Tensor  # the line of each row
    rest_BT: Tensor  # where the rest of each row lies in the flattened lines
    mask: Tensor | None  # who sees whom, between the rest of a row and [beginning | rest]; None: causal
    back: Tensor  # where each position of the lines is found in [beginnings | rests]
    at_M: Tensor  # positions that predict something, each with the id, its weight in the loss, and its line
    target_M: Tensor
    weight_M: Tensor
    place_M: Tensor
    soft: Likely | None  # what some of them are taught instead of their id

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """Attention row by row: lines are unpacked for it and packed again, everything else runs on the lines."""
        rests, shape = [], self.rest_BT.shape
        for lines in (query, key, value):
            flat = lines.transpose(1, 2).flatten(0, 1).index_select(0, self.rest_BT.flatten())
            rests.append(flat.view(*shape, *flat.shape[1:]).transpose(1, 2))
        q_rest, k_rest, v_rest = rests
        if not self.shared:
            rest = scaled_attention(q_rest, k_rest, v_rest, self.mask, scaling, causal=self.mask is None)
            return rest.transpose(1, 2).flatten(0, 1).index_select(0, self.back).view(query.transpose(1, 2).shape)
        q_first, k_first, v_first = (lines[:, :, : self.shared] for lines in (query, key, value))
        first = scaled_attention(q_first, k_first, v_first, None, scaling, causal=True)
        k_rest = torch.cat([k_first.index_select(0, self.line_B), k_rest], 2)
        v_rest = torch.cat([v_first.index_select(0, self.line_B), v_rest], 2)
        rest = scaled_attention(q_rest, k_rest, v_rest, self.mask, scaling)
        joined = torch.cat([part.transpose(1, 2).flatten(0, 1) for part in (first, rest)])
        return joined.index_select(0, self.back).view(query.transpose(1, 2).shape)


def pack_rows(
    trials: Sequence[int], rows: Sequence[Sequence[Rendered]], weights: Sequence[Sequence[float]], device: torch.device,
    *, pad_id: int = 0, pad_to: int | None = None, share: bool = True,
) -> Pack:  # fmt: skip
    """One line per trial. `weights` are what a labelled position of each row counts in the loss.

    With `pad_to`, rows are padded and the padding is learned, as the old show did; a longer row is never cut.
    """
    real = [len(row.ids) for own in rows for row in own]
    if pad_to is not None:
        rows = [[_padded(row, pad_to, pad_id) for row in own] for own in rows]
    every = [row.ids for own in rows for row in own]
    shared = _common(every) if share and pad_to is None and len(every) > len(rows) else 0
    n = max(shared + sum(len(row.ids) - shared for row in own) for own in rows)
    t = max(map(len, every)) - shared
    ids, positions, back = [], [], []
    rest: list[list[int]] = []
    line_of: list[int] = []
    labelled: list[tuple[int, int, float, int]] = []
    soft: dict[int, Soft] = {}
    for k, own in enumerate(rows):
        # 1. A line begins with what its rows share.
        line, at, found = list(own[0].ids[:shared]), list(range(shared)), list(range(k * shared, (k + 1) * shared))
        for row, weight in zip(own, weights[k], strict=True):
            # 2. Then comes the rest of each row; its positions go on from the beginning.
            b, start = len(rest), len(line)
            line += row.ids[shared:]
            at += range(shared, len(row.ids))
            found += range(len(rows) * shared + b * t, len(rows) * shared + b * t + len(row.ids) - shared)
            rest.append(list(range(k * n + start, k * n + len(line))))
            line_of.append(k)
            # 3. A position predicts the token after it.
            for before, label in enumerate(row.labels[1:]):
                if label != IGNORE:
                    place = before if before < shared else start + before - shared
                    if before + 1 in row.soft:
                        soft[len(labelled)] = row.soft[before + 1]
                    labelled.append((k * n + place, label, weight, k))
        ids.append(line)
        positions.append(at)
        back.append(found)
    at_M, target_M, weight_M, place_M = (torch.tensor(column).to(device) for column in zip(*labelled, strict=True))
    return Pack(
        _rectangle(ids, n, pad_id).to(device), _rectangle(positions, n).to(device), tuple(trials),
        tuple(map(len, ids)), shared, torch.tensor(line_of).to(device), _rectangle(rest, t).to(device),
        _mask(shared, t, real, every, device), _rectangle(back, n).flatten().to(device),
        at_M, target_M, weight_M, place_M, _likely(soft, device),
    )  # fmt: skip


def _likely(soft: Mapping[int, Soft], device: torch.device) -> Likely | None:
    if not soft:
        return None
    ids, shares = zip(*soft.values(), strict=True)
    return Likely(
        *(torch.tensor(column).to(device) for column in (list(soft), list(map(list, ids)), list(map(list, shares))))
    )


def _padded(row: Rendered, width: int, pad_id: int) -> Rendered:
    padding = [pad_id] * (width - len(row.ids))
    return Rendered(row.ids + padding, row.labels + padding, row.soft)


def _common(rows: Sequence[Sequence[int]]) -> int:
    """How many ids all rows begin with; at least one id of each stays outside."""
    shortest = min(map(len, rows)) - 1
    return next((i for i in range(shortest) if len({row[i] for row in rows}) > 1), shortest)


def _rectangle(rows: Sequence[Sequence[int]], width: int, fill: int | None = None) -> Tensor:
    """Rows filled up with `fill`, or each with its own first value: a place in the same line. Filled places count for
    nothing, but 0 x NaN is NaN: where a trial breaks down, its numbers must not lie in another's padding."""
    return torch.tensor([[*row, *([row[0] if fill is None else fill] * (width - len(row)))] for row in rows])


def _mask(
    shared: int, t: int, real: Sequence[int], rows: Sequence[Sequence[int]], device: torch.device
) -> Tensor | None:
    if shared:
        return torch.ones(t, shared + t, dtype=torch.bool, device=device).tril(shared)
    if all(length == len(row) for length, row in zip(real, rows, strict=True)):
        return None  # what is right of a row's end is seen by nobody who counts
    # Padding that is learned sees the row's real tokens and no other padding, as in transformers.
    seen_B1T = torch.arange(t, device=device) < torch.tensor(real, device=device)[:, None, None]
    return (torch.ones(t, t, dtype=torch.bool, device=device).tril() & seen_B1T)[:, None]
