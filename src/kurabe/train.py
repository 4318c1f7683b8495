"""The training loop: rows in, adapters trained, one `Step` record out per optimizer step and trial.

Knows no files, no chat format and no screen. Rates come from the plan (`recipes.py`), rows from the chat (`chat.py`).
Stop iterating and training stops; a step without a finite loss changes nothing and says None. Shapes in names: K lines
of a pack (one per trial), N positions of a line, M positions with a label, P adapter parameters, V vocabulary.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kurabe.chat import IGNORE, Rendered
from kurabe.engine import Engine
from kurabe.errors import MissingError
from kurabe.lora import Slot
from kurabe.model import Stopped
from kurabe.packing import Pack, pack_rows
from kurabe.recipes import Plan, Recipe
from kurabe.schema import Step

ACTIVATION_BYTES = 2 << 30  # what the activations of one forward and backward pass may take


class Job(NamedTuple):
    """One trial, ready to be trained."""

    trial: int
    plan: Plan
    rows: tuple[Rendered, ...]
    seed: int


class Trainee:
    """One trial in training: its rows in its own order, its optimizer."""

    def __init__(self, job: Job, parameters_P: Tensor, gradient_P: Tensor) -> None:
        self.job, self.recipe = job, job.plan.recipe
        self.parameters_P, self.gradient_P = parameters_P, gradient_P
        self.mean_P, self.square_P = torch.zeros_like(parameters_P), torch.zeros_like(parameters_P)
        self.updates = 0

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
            return None
        self.updates += 1
        self.gradient_P.mul_(min(1.0, self.recipe.clip / (norm + 1e-6)))
        self.mean_P.lerp_(self.gradient_P, 0.1)
        self.square_P.mul_(0.999).addcmul_(self.gradient_P, self.gradient_P, value=0.001)
        size_P = self.square_P.sqrt().div_(math.sqrt(1 - 0.999**self.updates)).add_(1e-8)
        self.parameters_P.addcdiv_(self.mean_P, size_P, value=-rate / (1 - 0.9**self.updates))
        return norm


def train(
    engine: Engine, jobs: Sequence[Job], pad_id: int, together: int = 1, stopped: Stopped | None = None
) -> Iterator[Step]:
    """Train these trials; up to `together` of them in one batch, where their recipes shape batches alike. `stopped`
    is asked before each step of each trial; one that it ends leaves the batch, and the others go on."""
    waiting = list(jobs)
    while waiting:
        alike = [job for job in waiting if _shape(job) == _shape(waiting[0])][:together]
        waiting = [job for job in waiting if job not in alike]
        engine.stack.add([_slot(job, engine.device) for job in alike], [job.seed for job in alike])
        parameters_KP, gradient_KP = engine.stack.open([job.trial for job in alike])
        trainees = [Trainee(*parts) for parts in zip(alike, parameters_KP, gradient_KP, strict=True)]
        try:
            yield from _train(engine, trainees, pad_id, stopped)
        finally:
            engine.stack.close()


def _train(engine: Engine, trainees: list[Trainee], pad_id: int, stopped: Stopped | None) -> Iterator[Step]:
    active = trainees
    for step in itertools.count():
        # 1. The rows of each trial that is still training.
        active = [t for t in active if step < t.job.plan.steps and not (stopped and stopped(t.job.trial))]
        if not active:
            return
        clock = time.monotonic()
        rows = [t.rows(step) for t in active]
        # 2. Losses and gradients of every trial, each from its own rows only.
        done = _gradients(engine, active, rows, pad_id)
        # 3. Each trial takes its own step, at its own rate.
        for trainee, work in zip(active, done, strict=True):
            plan = trainee.job.plan
            norm = trainee.update(plan.rates[step], work.loss)
            seconds, clock = time.monotonic() - clock, time.monotonic()
            yield Step(
                trial=trainee.job.trial, step=step + 1, steps=plan.steps, epoch=(step + 1) / plan.steps_per_epoch,
                loss=work.loss if norm is not None else None, rate=plan.rates[step], grad_norm=norm,
                positions=work.positions, supervised=work.supervised, seconds=seconds, at_once=engine.rows_in_training,
            )  # fmt: skip
            clock = time.monotonic()  # whatever the reader of the steps did in between is not training


@dataclass
class Work:
    """What one step of one trial came to."""

    positions: int
    loss: float = 0.0
    supervised: int = 0


def _gradients(engine: Engine, active: list[Trainee], rows: list[list[Rendered]], pad_id: int) -> list[Work]:
    """The gradients of one step, into each trainee's buffer. Where memory ends, once more with half of the rows."""
    try:
        return _accumulate(engine, active, rows, pad_id)
    except (MemoryError, RuntimeError) as error:
        most = min(_rows_at_once(engine, rows, active[0].recipe), max(map(len, rows)))
        if not out_of_memory(error):
            raise
        if engine.rows_in_training is not None or most == 1:
            raise MissingError(
                "The memory is too small to train this model.", why=str(error).split("\n")[0],
                fix="Close other programs, use a smaller model, or a recipe with shorter rows (no pad_to).",
            ) from None  # fmt: skip
        engine.rows_in_training = (most + 1) // 2  # for good: what did not fit once will not fit again
    return _gradients(engine, active, rows, pad_id)


def _accumulate(engine: Engine, active: list[Trainee], rows: list[list[Rendered]], pad_id: int) -> list[Work]:
    """One pass, or several: how many rows share one is a matter of memory alone, because a position counts in the loss
    what it counts in the whole step."""
    recipe = active[0].recipe
    done = [Work(positions=sum(max(len(row.ids), recipe.pad_to or 0) for row in own)) for own in rows]
    weights = [_weights(own, recipe) for own in rows]
    size = _rows_at_once(engine, rows, recipe)
    for trainee in active:
        trainee.gradient_P.zero_()
    for start in range(0, max(map(len, rows)), size):
        part = slice(start, start + size)
        now = [i for i, own in enumerate(rows) if own[part]]
        pack = pack_rows(
            [active[i].job.trial for i in now], [rows[i][part] for i in now], [weights[i][part] for i in now],
            engine.device, pad_id=pad_id, pad_to=recipe.pad_to,
            share=not recipe.dropout,  # with dropout, each row has its own masks from its first position on
        )  # fmt: skip
        for line, (i, loss) in enumerate(zip(now, _backward(engine, pack).tolist(), strict=True)):
            done[i].loss += loss
            done[i].supervised += int((pack.place_M == line).sum())
    return done


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


def _weights(rows: Sequence[Rendered], recipe: Recipe) -> list[float]:
    """What a labelled position of each row counts in the loss of the step.

    Answer: mean over the row's tokens, then over the rows, so that long answers do not dominate. Everything: mean over
    all positions of the step, padding included, as the old show's trainer took it.
    """
    if recipe.loss_on == "everything":
        total = sum(max(len(row.ids), recipe.pad_to or 0) - 1 for row in rows)
        return [1 / total] * len(rows)
    return [1 / (len(rows) * max(1, sum(label != IGNORE for label in row.labels[1:]))) for row in rows]


def _rows_at_once(engine: Engine, rows: list[list[Rendered]], recipe: Recipe) -> int:
    """Rows of each trial in one pass."""
    width = max([recipe.pad_to or 0, *(len(row.ids) for own in rows for row in own)])
    fits = max(1, ACTIVATION_BYTES // (engine.activation_bytes * width * len(rows)))
    return min(fits, engine.rows_in_training or fits)


def _shape(job: Job) -> tuple[int | None, int | None, str, bool]:
    """What must be alike for two trials to share batches."""
    recipe = job.plan.recipe
    return recipe.batch * recipe.accumulation, recipe.pad_to, recipe.loss_on, recipe.dropout > 0


def _slot(job: Job, device: torch.device) -> Slot:
    recipe, generator = job.plan.recipe, torch.Generator(device).manual_seed(job.seed)
    return Slot(job.trial, recipe.rank, recipe.alpha, recipe.alpha / recipe.rank, recipe.dropout, generator)


_MEMORY_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_cpu", "alloc_failed")


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; torch says it differently on every device."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _MEMORY_WORDS)
