"""The training loop: rows in, adapters trained, one `Step` record out per optimizer step and trial.

Knows no files, no chat format and no screen. Rates come from the plan (`recipes.py`), rows from the chat (`chat.py`).
Stop iterating and training stops. Shapes in names: B rows, T positions, N labelled positions, P adapter parameters.
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
from kurabe.engine import Engine
from kurabe.errors import MissingError, StoppedError
from kurabe.lora import Slot
from kurabe.recipes import Plan
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


class Batch(NamedTuple):
    """Rows of one or several trials as tensors. `at_N` are the labelled positions in the flattened batch, each with
    the id it must predict, its weight in the loss, and the place of its trial."""

    ids_BT: Tensor
    mask: Tensor | None
    trials: list[int]
    at_N: Tensor
    target_N: Tensor
    weight_N: Tensor
    place_N: Tensor


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
    size = _rows_at_once(engine, rows, active[0].recipe.pad_to)
    for attempt in (1, 2):
        losses, positions, supervised = torch.zeros(len(active)), [0] * len(active), [0] * len(active)
        try:
            for start in range(0, max(map(len, rows)), size):
                batch = _collate(active, rows, start, start + size, pad_id)
                losses += _backward(engine, batch, len(active))
                for i, own in enumerate(rows):
                    positions[i] += len(own[start : start + size]) * batch.ids_BT.shape[1]
                    supervised[i] += int((batch.place_N == i).sum())
            return losses.tolist(), positions, supervised
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if attempt == 2 or size == 1:
                raise MissingError(
                    "The memory is too small to train this model.", why=str(error).split("\n")[0],
                    fix="Close other programs; use a smaller model; or a recipe with shorter rows (no pad_to).",
                ) from None  # fmt: skip
            size = (size + 1) // 2
            for trainee in active:
                trainee.gradient_P.zero_()
    raise AssertionError("unreachable")


def _backward(engine: Engine, batch: Batch, trials: int) -> Tensor:
    """One forward and one backward pass; the loss of each trial."""
    engine.stack.route(batch.trials)
    hidden_BTD = engine.decoder(
        input_ids=batch.ids_BT.to(engine.device), attention_mask=batch.mask, use_cache=False
    ).last_hidden_state
    # The head sees labelled positions only, as a matrix: a sliced 3-D input costs up to twice as much.
    hidden_ND = hidden_BTD.flatten(0, 1).index_select(0, batch.at_N.to(engine.device))
    logits_NV = engine.head(hidden_ND).float()
    loss_N = F.cross_entropy(logits_NV, batch.target_N.to(engine.device), reduction="none")
    loss_N = loss_N * batch.weight_N.to(engine.device)
    engine.stack.backward(loss_N.sum())
    return torch.zeros(trials).index_add_(0, batch.place_N, loss_N.detach().cpu())


def _collate(active: list[Trainee], rows: list[list[Rendered]], start: int, stop: int, pad_id: int) -> Batch:
    picked = [(i, row) for i, own in enumerate(rows) for row in own[start:stop]]
    recipe = active[0].recipe
    everything = recipe.loss_on == "everything"
    width = max([recipe.pad_to or 0, *(len(row.ids) for _, row in picked)])  # a longer row is never cut
    ids_BT = torch.full((len(picked), width), pad_id)
    at, target, weight, place = [], [], [], []
    for line, (i, row) in enumerate(picked):
        ids_BT[line, : len(row.ids)] = torch.tensor(row.ids)
        labels = row.labels + [pad_id if everything else IGNORE] * (width - len(row.labels))
        labelled = [t for t in range(1, width) if labels[t] != IGNORE]
        at += [line * width + t - 1 for t in labelled]  # position t - 1 predicts the token at t
        target += [labels[t] for t in labelled]
        # Answer: mean over each row's tokens, then over the step's rows, so that long answers do not dominate.
        # Everything: mean over all positions, padding included, as the old show's trainer took it.
        weight += [1 / (len(rows[i]) * ((width - 1) if everything else len(labelled)))] * len(labelled)
        place += [i] * len(labelled)
    mask = None
    if everything and any(len(row.ids) < width for _, row in picked):
        real_B1T = torch.arange(width) < torch.tensor([[[len(row.ids)]] for _, row in picked])
        mask = (torch.ones(width, width, dtype=torch.bool).tril() & real_B1T)[:, None]
    trials = [active[i].job.trial for i, _ in picked]
    return Batch(
        ids_BT, mask, trials, torch.tensor(at), torch.tensor(target), torch.tensor(weight), torch.tensor(place)
    )


def _rows_at_once(engine: Engine, rows: list[list[Rendered]], pad_to: int | None) -> int:
    width = max([pad_to or 0, *(len(row.ids) for own in rows for row in own)])
    positions = ACTIVATION_BYTES // engine.activation_bytes
    return max(1, positions // (width * len(rows)))


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; torch says it differently on every device."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in text or "alloc" in text
