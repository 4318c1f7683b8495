"""Answer batches of rows under many trials: shared prefixes computed once, finished rows leave the batch.

Knows token ids only, no words and no requests. Which keys a query sees is `attention.py`'s, which weights it meets is
`lora.py`'s. Shapes in names: B rows, T positions, D hidden size.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kurabe.attention import Prefix, RowCache
from kurabe.chat import Soft
from kurabe.lora import AdapterStack
from kurabe.memory import CACHE_BYTES, FLOAT, OPTIMISER, PREFILL_POSITIONS, Shape

# A prefix is attended where it lies when it saves at least this many key columns; a smaller one is copied to its rows,
# because each prefix in place costs a few more calls per layer.
IN_PLACE = 4096
HEAD_BYTES = 256 << 20  # what the logits of scored positions over the whole vocabulary may take at once
COMPACT = 8  # finished rows leave when they are more than one in so many: copying costs, too
_CONTAINER = Path("/sys/fs/cgroup")  # Linux
T = TypeVar("T")


@dataclass
class Row:
    """One answer to be made, or to be scored (`target`), and what has come of it."""

    ids: list[int]
    trial: int
    limit: int
    temperature: float = 0.0
    seed: int = 0
    target: list[int] = field(default_factory=list)  # the ids of an answer that is given
    new: list[int] = field(default_factory=list)
    logprob: float | None = None  # of the target
    likely: list[Soft] = field(default_factory=list)  # in the place of each token of the target
    ended: bool = False  # by an end token; else by the limit
    cached: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def given(self) -> int:
        """Positions that are put in before anything is made. The last token of a target predicts nothing."""
        return len(self.ids) + max(0, len(self.target) - 1)

    @property
    def done(self) -> bool:
        return self.ended or len(self.new) >= self.limit


class Group(NamedTuple):
    """Rows of one trial that begin alike: their first `shared` tokens are computed once."""

    rows: tuple[int, ...]
    shared: int

    @property
    def in_place(self) -> bool:
        """Whether the prefix is attended to where it lies, or copied to its rows."""
        return len(self.rows) > 1 and len(self.rows) * self.shared >= IN_PLACE


class Pass(NamedTuple):
    """One forward pass over what is given to some rows."""

    rows: list[Row]
    first: list[int]  # where each row's prompt ends: the position that predicts the first token after it
    hidden_BTD: Tensor


class Engine:
    """A frozen model with its adapters, ready to answer rows of any trial in one batch."""

    def __init__(self, model: nn.Module, stack: AdapterStack, end_ids: frozenset[int]) -> None:
        config: Any = model.config
        self.stack = stack
        self.end_ids = end_ids
        self.decoder: Any = model.get_decoder()  # type: ignore[operator]
        self.head: Any = model.get_output_embeddings()  # type: ignore[operator]
        self.layers = int(config.num_hidden_layers)
        self.heads = int(config.num_key_value_heads)
        self.size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        self.device = stack.device
        self.hidden, self.vocabulary = int(config.hidden_size), int(config.vocab_size)
        self.shape = Shape.of(config.to_dict())
        self.rows_in_training: int | None = None  # a limit that the trainer sets when memory has ended once

    def row_bytes(self, width: int, labelled: int, *, dropout: bool) -> int:
        """What a row of so many positions takes in training."""
        return self.shape.trained_row(width, labelled, dropout=dropout)

    def trial_bytes(self, rank: int) -> int:
        """What a trial in training takes beside its rows: its adapter, and what is kept to change it."""
        return FLOAT * (1 + OPTIMISER) * self.stack.size(rank)

    def room(self, most: int | None = None) -> int:
        """Bytes that the next batch may take: half of what is free, because estimates are rough. Where the memory is
        shared with other programs it is never more than `most`: a larger batch gains nothing there."""
        free = free_memory(self.device) // 2
        return free if most is None or self.device.type == "cuda" else min(most, free)

    # Where several processes share the work of a step (`shards.py`); here there is one.

    processes = 1

    def spread(self, most: int, rows: int) -> int:
        """Rows of one pass, of `most` that fit, so that every process has some."""
        return most

    def mine(self, passes: Sequence[T]) -> Iterator[tuple[T, bool]]:
        """The passes that this process takes, and whether each counts."""
        return ((item, True) for item in passes)

    def add_up(self, gradients: Sequence[Tensor], counts: Sequence[float]) -> list[float]:
        """Sum these gradients over all processes, in their place, and these numbers."""
        return list(counts)

    @torch.inference_mode()
    def answer(self, rows: Sequence[Row]) -> None:
        """Fill in `new`, `ended`, `cached` and `seconds` of all rows, together as far as memory goes."""
        for groups in self._batches(rows, plan_prefixes(rows)):
            self._answer(rows, groups)

    @torch.inference_mode()
    def score(self, rows: Sequence[Row]) -> None:
        """Fill in `logprob` of all rows: the sum over their targets' tokens. Nothing is decoded, and targets after one
        prompt share it."""

        def logprobs(logits_MV: Tensor, token_M: Tensor) -> list[float]:
            return (-F.cross_entropy(logits_MV, token_M, reduction="none")).tolist()

        for row, found in self._over_targets(rows, logprobs):
            row.logprob = math.fsum(found)

    @torch.inference_mode()
    def teach(self, rows: Sequence[Row], most: int) -> None:
        """Fill in `likely` of all rows: the `most` likeliest tokens, with their shares of all that these take."""

        def likeliest(logits_MV: Tensor, _: Tensor) -> list[Soft]:
            top_MC, ids_MC = logits_MV.topk(min(most, self.vocabulary))
            pairs = zip(ids_MC.tolist(), top_MC.softmax(-1).tolist(), strict=True)
            return [Soft(array("i", ids), array("f", shares)) for ids, shares in pairs]

        for row, found in self._over_targets(rows, likeliest):
            row.likely = found

    def _over_targets(
        self, rows: Sequence[Row], look: Callable[[Tensor, Tensor], list[T]]
    ) -> Iterator[tuple[Row, list[T]]]:
        """What `look` sees in the logits that predict each row's target, and in the target: the head's only work."""
        most = max(1, HEAD_BYTES // (2 * 4 * self.vocabulary))  # the logits and their log-softmax
        for groups in self._batches(rows, plan_prefixes(rows)):
            batch = [rows[i] for group in groups for i in group.rows]
            _, passes = self._passes(batch, groups)
            for part, first, hidden_BTD in passes:
                at = [(i, first[i] + k, token) for i, row in enumerate(part) for k, token in enumerate(row.target)]
                found: list[T] = []
                for start in range(0, len(at), most):
                    line_M, at_M, token_M = torch.tensor(at[start : start + most], device=self.device).unbind(1)
                    found += look(self.head(hidden_BTD[line_M, at_M]).float(), token_M)
                left = iter(found)
                yield from ((row, list(itertools.islice(left, len(row.target)))) for row in part)

    def _batches(self, rows: Sequence[Row], groups: Sequence[Group]) -> Iterator[list[Group]]:
        """Runs of groups whose own keys and values fit; a group that does not fit is cut, its prefix made again."""
        fits = self.room(CACHE_BYTES) // self.shape.column()
        batch: list[Group] = []
        for group in groups:
            rest = max(rows[i].given + rows[i].limit for i in group.rows)  # if its prefix has to be copied
            most = max(1, fits // (rest - group.shared if group.in_place else rest))
            for start in range(0, len(group.rows), most):
                part = Group(group.rows[start : start + most], group.shared)
                if batch and _cells(rows, [*batch, part]) > fits:
                    yield batch
                    batch = []
                batch.append(part)
        yield batch

    def _answer(self, rows: Sequence[Row], groups: list[Group]) -> None:
        clock = time.monotonic()
        # 1. Rows of one trial, and those of one prefix, lie side by side.
        batch = [rows[i] for group in groups for i in group.rows]
        # 2. The prefixes, each once; the rest of the prompts; the first tokens.
        cache, logits = self._prefill(batch, groups)
        computed = sum(len(row.ids) - row.cached for row in batch)
        seconds, clock = time.monotonic() - clock, time.monotonic()
        for row in batch:
            row.seconds += seconds * (len(row.ids) - row.cached) / computed
        # 3. Token by token, all rows together; the time of a step is shared by the rows that needed it.
        alive = batch  # the rows that hold a line of the cache
        self.stack.route([row.trial for row in alive])
        while True:
            tokens = self._choose(logits, alive)
            for row, token in zip(alive, tokens, strict=True):
                if not row.done:
                    row.new.append(token)
                    row.ended = token in self.end_ids
            left = [line for line, row in enumerate(alive) if not row.done]
            seconds, clock = time.monotonic() - clock, time.monotonic()
            for line in left:
                alive[line].seconds += seconds / len(left)
            if not left:
                return
            if len(alive) - len(left) > len(alive) // COMPACT:
                cache.keep(left)
                tokens, alive = [tokens[line] for line in left], [alive[line] for line in left]
                self.stack.route([row.trial for row in alive])
            logits = self._step(cache, tokens, [len(row.ids) + len(row.new) - 1 for row in alive])

    def _prefill(self, batch: list[Row], groups: list[Group]) -> tuple[RowCache, Tensor]:
        """The cache of a batch with all its prompts, and the logits of each row's first new token."""
        cache, passes = self._passes(batch, groups)
        last = [hidden_BTD[torch.arange(len(part)), torch.tensor(first)] for part, first, hidden_BTD in passes]
        return cache, self.head(torch.cat(last))

    def _passes(self, batch: list[Row], groups: list[Group]) -> tuple[RowCache, Iterator[Pass]]:
        """The cache of a batch, and the forward passes that fill it with all that is given."""
        shared = [group.shared for group in groups for _ in group.rows]
        lengths = [row.given - s for row, s in zip(batch, shared, strict=True)]
        copied, columns = _columns(batch, shared, groups)
        cache = RowCache(self.layers, len(batch), columns, self.heads, self.size, self.device)
        for line, length in enumerate(lengths):
            cache.seen_BC[line, copied : copied + length] = True
        self._share(batch, groups, cache, copied)

        def passes() -> Iterator[Pass]:
            for start, stop in _chunks(lengths):
                rows, width = batch[start:stop], max(lengths[start:stop])
                ids_BT = torch.zeros(len(rows), width, dtype=torch.long)
                for line, (row, s) in enumerate(zip(rows, shared[start:stop], strict=True)):
                    ids_BT[line, : lengths[start + line]] = torch.tensor([*row.ids[s:], *row.target[:-1]])
                positions_BT = torch.tensor(shared[start:stop])[:, None] + torch.arange(width)
                self.stack.route([row.trial for row in rows])
                cache.aim(start, stop, copied + width, width)
                first = [len(row.ids) - s - 1 for row, s in zip(rows, shared[start:stop], strict=True)]
                yield Pass(rows, first, self._forward(ids_BT, positions_BT, cache))
            cache.aim(0, len(batch), copied + max(lengths), 1)

        return cache, passes()

    def _share(self, batch: list[Row], groups: list[Group], cache: RowCache, copied: int) -> None:
        """Compute each group's prefix once; leave it where it lies, or copy it before column `copied` of its rows."""
        start = 0
        for group in groups:
            stop, own = start + len(group.rows), slice(copied - group.shared, copied)
            prefix = self._prefix(batch[start].ids[: group.shared], batch[start].trial) if group.shared else None
            for row in batch[start + 1 : stop]:  # the first row pays
                row.cached = group.shared
            if prefix and not group.in_place:
                for layer in range(self.layers):
                    cache.keys[layer][start:stop, :, own] = prefix.keys[layer]
                    cache.values[layer][start:stop, :, own] = prefix.values[layer]
                cache.seen_BC[start:stop, own] = True
            if group.in_place or not cache.prefixes or cache.prefixes[-1][2] is not None:
                cache.prefixes.append((start, stop, prefix if group.in_place else None))
            else:  # neighbours without a prefix in place are one run
                cache.prefixes[-1] = (cache.prefixes[-1][0], stop, None)
            start = stop

    def _prefix(self, ids: list[int], trial: int) -> Prefix:
        cache = RowCache(self.layers, 1, len(ids), self.heads, self.size, self.device)
        cache.end = len(ids)
        self.stack.route([trial])
        self._forward(torch.tensor([ids]), torch.arange(len(ids))[None], cache)
        return Prefix([keys[0] for keys in cache.keys], [values[0] for values in cache.values])

    def _step(self, cache: RowCache, tokens: list[int], positions: list[int]) -> Tensor:
        cache.seen_BC[:, cache.end] = True
        cache.aim(0, len(tokens), cache.end + 1, 1)
        hidden = self._forward(torch.tensor(tokens)[:, None], torch.tensor(positions)[:, None], cache)
        logits: Tensor = self.head(hidden[:, 0])
        return logits

    def _forward(self, ids_BT: Tensor, positions_BT: Tensor, cache: RowCache) -> Tensor:
        hidden: Tensor = self.decoder(
            input_ids=ids_BT.to(self.device), position_ids=positions_BT.to(self.device), past_key_values=cache,
            use_cache=True, within=cache,
        ).last_hidden_state  # fmt: skip
        return hidden

    def _choose(self, logits: Tensor, rows: Sequence[Row]) -> list[int]:
        tokens: list[int] = logits.argmax(-1).tolist()
        for line, row in enumerate(rows):
            if row.temperature > 0 and not row.done:
                weights = (logits[line].double() / row.temperature).softmax(-1).cpu()
                # One generator per drawn token, from the request's own seed: the batch it lies in does not matter.
                generator = torch.Generator().manual_seed(row.seed * 1_000_003 + len(row.new))
                tokens[line] = int(torch.multinomial(weights, 1, generator=generator))
        return tokens


def free_memory(device: torch.device) -> int:
    """Bytes that this process can still have on a device."""
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held
    free = int(psutil.virtual_memory().available)  # MPS shares the computer's memory
    with contextlib.suppress(OSError, ValueError):  # a container's limit, where there is one; file pages can go
        pages = dict(line.split() for line in (_CONTAINER / "memory.stat").read_text(encoding="ascii").splitlines())
        limit, used = (int((_CONTAINER / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
        free = min(free, limit - used + int(pages.get("inactive_file", 0)))
    return max(0, free)


def give_back(device: torch.device) -> None:
    """Hand what torch holds unused back to the device, so that other sizes can be had of it."""
    if device.type != "cpu":
        getattr(torch, device.type).empty_cache()


def _columns(batch: Sequence[Row], shared: Sequence[int], groups: Sequence[Group]) -> tuple[int, int]:
    """(columns of copied prefixes, all own columns) of the rows of a batch."""
    copied = max((group.shared for group in groups if not group.in_place), default=0)
    rest = max(row.given - s for row, s in zip(batch, shared, strict=True))
    return copied, copied + rest + max(row.limit for row in batch)


def _cells(rows: Sequence[Row], groups: Sequence[Group]) -> int:
    """Rows x columns of a batch of these groups, and the columns of their prefixes in place."""
    batch = [rows[i] for group in groups for i in group.rows]
    own = len(batch) * _columns(batch, [group.shared for group in groups for _ in group.rows], groups)[1]
    return own + sum(group.shared for group in groups if group.in_place)


def _chunks(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Runs of rows for one forward pass: few enough positions, and little padding."""
    start = 0
    for stop in range(1, len(lengths) + 1):
        if stop < len(lengths):
            width = max(lengths[start : stop + 1])
            positions = width * (stop + 1 - start)
            if positions <= PREFILL_POSITIONS and positions <= 1.5 * sum(lengths[start : stop + 1]) + 256:
                continue
        yield start, stop
        start = stop


def plan_prefixes(rows: Sequence[Row]) -> list[Group]:
    """Group rows by trial and common beginning so that the fewest prompt tokens are computed."""
    groups: list[Group] = []
    order = sorted(range(len(rows)), key=lambda i: rows[i].ids)
    for trial in sorted({row.trial for row in rows}):
        mine = [i for i in order if rows[i].trial == trial]
        common = [_common(rows[a].ids, rows[b].ids) for a, b in itertools.pairwise(mine)]
        groups.extend(_best(mine, common, [len(rows[i].ids) for i in mine])[1])
    return groups


def _best(mine: list[int], common: list[int], lengths: list[int]) -> tuple[int, list[Group]]:
    """(tokens saved, groups): one group with what all of these rows share, or its parts, whatever saves more.

    `common[i]` is what the sorted rows i and i + 1 have in common.
    """
    if len(mine) == 1:
        return 0, [Group((mine[0],), 0)]
    # At least one token of each row stays outside: its logits choose the first new token.
    least = min(common)
    shared = min(least, min(lengths) - 1)
    whole = (len(mine) - 1) * shared
    saved, groups, start = 0, [], 0
    for stop in [i + 1 for i, c in enumerate(common) if c == least] + [len(mine)]:
        part = _best(mine[start:stop], common[start : stop - 1], lengths[start:stop])
        saved += part[0]
        groups += part[1]
        start = stop
    return (whole, [Group(tuple(mine), shared)]) if whole >= saved else (saved, groups)


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
