"""The training loop: rows in, adapters trained, one `Step` record out per optimizer step and trial.

Knows no files, no chat format and no screen. Rates come from the plan (`recipes.py`), rows from the chat (`chat.py`).
Stop iterating and training stops. Shapes in names: K lines of a batch (one per trial), N positions of a
line, B rows, T positions of a row, M positions with a label, P adapter parameters.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kurabe.chat import IGNORE, Rendered
from kurabe.engine import ALL_ROWS, Engine, scaled_attention
from kurabe.errors import MissingError, StoppedError
from kurabe.lora import Slot
from kurabe.recipes import Plan, Recipe
from kurabe.schema import Step

BAD_STEPS = 3  # so many steps in a row without a finite loss end the training
ACTIVATION_BYTES = 2 << 30  # what the activations of one forward and backward pass may take


class Job(NamedTuple):
    """One trial, ready to be trained."""

    trial: int
    plan: Plan
    rows: tuple[Rendered, ...]
    seed: int


class Trainee:
    """One trial in training: its rows in its own order, its optimizer, its bad steps."""

    def __init__(self, job: Job, parameters_P: Tensor, gradient_P: Tensor) -> None:
        self.job, self.recipe = job, job.plan.recipe
        self.parameters_P, self.gradient_P = parameters_P, gradient_P
        self.mean_P, self.square_P = torch.zeros_like(parameters_P), torch.zeros_like(parameters_P)
        self.updates = 0
        self.bad = 0

    def rows(self, step: int) -> list[Rendered]:
        """The rows of one optimizer step. Each epoch has its own order, drawn from the trial's seed."""
        epoch, place = divmod(step, self.job.plan.steps_per_epoch)
        order = list(range(len(self.job.rows)))
        random.Random(f"{self.job.seed}/{epoch}").shuffle(order)
        size = self.recipe.batch * self.recipe.accumulation
        return [self.job.rows[i] for i in order[place * size : (place + 1) * size]]

    def update(self, rate: float, loss: float) -> float | None:
        """Clip, then AdamW without weight decay. The gradient's norm, None where nothing could be learned."""
        norm = float(self.gradient_P.norm())
        if not (math.isfinite(norm) and math.isfinite(loss)):
            self.bad += 1
            return None
        self.bad = 0
        self.updates += 1
        self.gradient_P.mul_(min(1.0, self.recipe.clip / (norm + 1e-6)))
        self.mean_P.lerp_(self.gradient_P, 0.1)
        self.square_P.mul_(0.999).addcmul_(self.gradient_P, self.gradient_P, value=0.001)
        size_P = self.square_P.sqrt().div_(math.sqrt(1 - 0.999**self.updates)).add_(1e-8)
        self.parameters_P.addcdiv_(self.mean_P, size_P, value=-rate / (1 - 0.9**self.updates))
        return norm


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


def train(engine: Engine, jobs: Sequence[Job], pad_id: int, together: int = 1) -> Iterator[Step]:
    """Train these trials; up to `together` of them in one batch, where their recipes shape batches alike."""
    waiting = list(jobs)
    while waiting:
        alike = [job for job in waiting if _shape(job) == _shape(waiting[0])][:together]
        waiting = [job for job in waiting if job not in alike]
        slots = [
            Slot(
                job.trial, job.plan.recipe.rank, job.plan.recipe.alpha, job.plan.recipe.alpha / job.plan.recipe.rank,
                job.plan.recipe.dropout, torch.Generator(engine.device).manual_seed(job.seed),
            )
            for job in alike
        ]  # fmt: skip
        engine.stack.add(slots, [job.seed for job in alike])
        parameters_KP, gradient_KP = engine.stack.open([job.trial for job in alike])
        try:
            yield from _train(
                engine, [Trainee(*t) for t in zip(alike, parameters_KP, gradient_KP, strict=True)], pad_id
            )
        finally:
            engine.stack.close()


def _shape(job: Job) -> tuple[Any, ...]:
    recipe = job.plan.recipe
    return recipe.batch * recipe.accumulation, recipe.pad_to, recipe.loss_on


def _train(engine: Engine, trainees: list[Trainee], pad_id: int) -> Iterator[Step]:
    for step in range(max(t.job.plan.steps for t in trainees)):
        clock = time.monotonic()
        # 1. The rows of each trial that is still training.
        active = [t for t in trainees if step < t.job.plan.steps]
        rows = [t.rows(step) for t in active]
        # 2. Gradients of every trial, each from its own rows only.
        for trainee in active:
            trainee.gradient_P.zero_()
        losses, positions, supervised = _gradients(engine, active, rows, pad_id)
        # 3. Each trial takes its own step, at its own rate.
        seconds = (time.monotonic() - clock) / len(active)
        for i, trainee in enumerate(active):
            plan, clock = trainee.job.plan, time.monotonic()
            norm = trainee.update(plan.rates[step], losses[i])
            yield Step(
                trial=trainee.job.trial, step=step + 1, steps=plan.steps, epoch=(step + 1) / plan.steps_per_epoch,
                loss=losses[i] if norm is not None else None, rate=plan.rates[step], grad_norm=norm,
                positions=positions[i], supervised=supervised[i], seconds=seconds + time.monotonic() - clock,
            )  # fmt: skip
            if trainee.bad >= BAD_STEPS:
                raise StoppedError(
                    f"Training stopped: the loss was not a finite number in {BAD_STEPS} steps in a row.",
                    where=f"trial {trainee.job.trial}, step {step + 1}", why="The rate is too high for this model.",
                    fix="Use another recipe, or a model in full precision (float32).",
                )  # fmt: skip


def _gradients(
    engine: Engine, active: list[Trainee], rows: list[list[Rendered]], pad_id: int
) -> tuple[list[float], list[int], list[int]]:
    """Accumulate all gradients of one step; losses, positions and labelled positions per trial.

    How many rows share a forward pass is a matter of memory alone: the weights of the loss are those of the whole step.
    """
    recipe = active[0].recipe
    weights = [_weights(own, recipe) for own in rows]
    for _ in range(2):
        size = min(_rows_at_once(engine, rows, recipe.pad_to), engine.rows_in_training)
        losses, positions, supervised = torch.zeros(len(active)), [0] * len(active), [0] * len(active)
        try:
            for start in range(0, max(map(len, rows)), size):
                now = [i for i, own in enumerate(rows) if own[start : start + size]]
                pack = pack_rows(
                    [active[i].job.trial for i in now], [rows[i][start : start + size] for i in now],
                    [weights[i][start : start + size] for i in now], engine.device,
                    pad_id=pad_id, pad_to=recipe.pad_to, share=not recipe.dropout,
                )  # fmt: skip
                for line, (i, loss) in enumerate(zip(now, _backward(engine, pack).tolist(), strict=True)):
                    losses[i] += loss
                    positions[i] += pack.lengths[line]
                    supervised[i] += int((pack.place_M == line).sum())
            return losses.tolist(), positions, supervised
        except (MemoryError, RuntimeError) as error:
            most = min(size, max(map(len, rows)))
            if not out_of_memory(error):
                raise
            if engine.rows_in_training < ALL_ROWS or most == 1:
                raise MissingError(
                    "The memory is too small to train this model.", why=str(error).split("\n")[0],
                    fix="Close other programs; use a smaller model; or a recipe with shorter rows (no pad_to).",
                ) from None  # fmt: skip
            engine.rows_in_training = (most + 1) // 2  # for good: what did not fit once will not fit again
            for trainee in active:
                trainee.gradient_P.zero_()
    raise AssertionError("unreachable")


def _backward(engine: Engine, pack: Pack) -> Tensor:
    """One forward and one backward pass; the loss of each line."""
    engine.stack.route(pack.trials, pack.lengths)
    hidden_KND = engine.decoder(
        input_ids=pack.ids_KN, position_ids=pack.positions_KN, use_cache=False, within=pack
    ).last_hidden_state
    # The head sees labelled positions only, as a matrix: a sliced 3-D input costs up to twice as much.
    logits_MV = engine.head(hidden_KND.flatten(0, 1).index_select(0, pack.at_M)).float()
    loss_M = F.cross_entropy(logits_MV, pack.target_M, reduction="none") * pack.weight_M
    engine.stack.backward(loss_M.sum())
    return loss_M.new_zeros(len(pack.trials)).index_add_(0, pack.place_M, loss_M.detach()).cpu()


def pack_rows(
    trials: Sequence[int], rows: Sequence[Sequence[Rendered]], weights: Sequence[Sequence[float]], device: torch.device,
    *, pad_id: int = 0, pad_to: int | None = None, share: bool = True,
) -> Pack:  # fmt: skip
    """One line per trial. `weights` are what each labelled position of a row counts in the loss."""
    every = [row for own in rows for row in own]
    shared = _common([row.ids for row in every]) if share and len(every) > len(rows) and pad_to is None else 0
    widths = [[max(len(row.ids), pad_to or 0) for row in own] for own in rows]  # a longer row is never cut
    lengths = tuple(shared + sum(width - shared for width in own) for own in widths)
    n, t = max(lengths), max(width for own in widths for width in own) - shared
    ids, positions = torch.full((len(rows), n), pad_id), torch.zeros(len(rows), n, dtype=torch.long)
    rest, back = torch.zeros(len(every), t, dtype=torch.long), torch.zeros(len(rows), n, dtype=torch.long)
    lines: list[int] = []
    real: list[int] = []
    at: list[int] = []
    target: list[int] = []
    weight: list[float] = []
    place: list[int] = []
    for k, own in enumerate(rows):
        start = k * n
        ids[k, :shared] = torch.tensor(own[0].ids[:shared])
        positions[k, :shared] = torch.arange(shared)
        back[k, :shared] = k * shared + torch.arange(shared)
        end = shared
        for row, width, counts in zip(own, widths[k], weights[k], strict=True):
            b, length = len(lines), width - shared
            ids[k, end : end + len(row.ids) - shared] = torch.tensor(row.ids[shared:])
            positions[k, end : end + length] = torch.arange(shared, width)
            rest[b, :length] = start + end + torch.arange(length)
            back[k, end : end + length] = len(rows) * shared + b * t + torch.arange(length)
            labels = row.labels + [IGNORE if pad_to is None else pad_id] * (width - len(row.ids))
            for position in range(1, width):  # a position predicts the token after it
                if labels[position] != IGNORE:
                    before = position - 1
                    at.append(start + (before if before < shared else end + before - shared))
                    target.append(labels[position])
                    weight.append(counts)
                    place.append(k)
            lines.append(k)
            real.append(len(row.ids))
            end += length
    mask = None
    if shared:
        mask = torch.ones(t, shared + t, dtype=torch.bool).tril(shared)
    elif any(
        len(row.ids) < width for own, ws in zip(rows, widths, strict=True) for row, width in zip(own, ws, strict=True)
    ):
        # Padding that carries labels: it sees the row's real tokens and no other padding, as in transformers.
        mask = torch.ones(t, t, dtype=torch.bool).tril() & (torch.arange(t) < torch.tensor(real)[:, None, None])
        mask = mask[:, None]
    tensors = [torch.as_tensor(values).to(device) for values in (ids, positions, lines, rest, back.flatten())]
    labelled = [torch.as_tensor(values).to(device) for values in (at, target, weight, place)]
    ids, positions, line_B, rest, back = tensors
    mask = None if mask is None else mask.to(device)
    return Pack(ids, positions, tuple(trials), lengths, shared, line_B, rest, mask, back, *labelled)


def _common(rows: Sequence[Sequence[int]]) -> int:
    """How many ids all rows begin with; at least one id of each stays outside."""
    shortest = min(map(len, rows)) - 1
    return next((i for i in range(shortest) if len({row[i] for row in rows}) > 1), shortest)


def _weights(rows: Sequence[Rendered], recipe: Recipe) -> list[float]:
    """What a labelled position of each row counts in the loss of the step.

    Answer: mean over the row's tokens, then over the rows, so that long answers do not dominate. Everything: mean over
    all positions of the step, padding included, as the old show's trainer took it.
    """
    if recipe.loss_on == "everything":
        total = sum(max(len(row.ids), recipe.pad_to or 0) - 1 for row in rows)
        return [1 / total] * len(rows)
    return [1 / (len(rows) * max(1, sum(label != IGNORE for label in row.labels[1:]))) for row in rows]


def _rows_at_once(engine: Engine, rows: list[list[Rendered]], pad_to: int | None) -> int:
    width = max([pad_to or 0, *(len(row.ids) for own in rows for row in own)])
    positions = ACTIVATION_BYTES // engine.activation_bytes
    return max(1, positions // (width * len(rows)))


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; torch says it differently on every device."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in text or "alloc" in text
