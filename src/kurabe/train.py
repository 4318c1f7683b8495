"""The training loop: rows of many trials in, adapters trained, one `Step` record out per optimizer step and trial.

Knows no files, no chat format and no screen. Rates come from the plan (`recipes.py`), rows from the chat (`chat.py`).
Stop iterating and training stops; a step without a finite loss changes nothing and says None. Shapes in names: K lines
of a pack (one per trial), N positions of a line, M positions with a label, P adapter parameters, V vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from kurabe.chat import IGNORE, Rendered
from kurabe.engine import Engine, give_back
from kurabe.errors import MissingError
from kurabe.lora import Slot, Stretch
from kurabe.losses import losses
from kurabe.memory import ACTIVATION_BYTES
from kurabe.model import Stopped
from kurabe.packing import Pack, pack_rows
from kurabe.recipes import Recipe
from kurabe.schema import Step
from kurabe.trainee import Job, Trainee, Work

MEASURING = 0.05  # share of the work that may be spent on finding out how many trials to train together
MEASURED_STEPS = 3  # of each number of trials; the first one warms up
CLEARLY = 0.95  # twice as many trials in a batch must take less than this share of the time, else it is a tie


def train(
    engine: Engine,
    jobs: Sequence[Job],
    pad_id: int,
    together: int | None = 1,
    stopped: Stopped | None = None,
    in_training: dict[int, Trainee] | None = None,
) -> Iterator[Step]:
    """Train these trials; up to `together` of them in one batch (None: as many as a measurement finds fastest), where
    their recipes shape batches alike. `stopped` is asked before each step of each trial; one that it ends leaves the
    batch, and the others go on. `in_training` holds, between two steps, the trials that share the batch."""
    shapes: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        shapes.setdefault(_shape(job), []).append(job)
    for alike in shapes.values():
        if together != 1:
            alike.sort(key=_extent)
        fit = _trials_that_fit(engine, alike)
        size = min(together, fit) if together else pick_together(engine, alike, pad_id)
        for start in range(0, len(alike), size):
            try:
                trainees = _begin(engine, alike[start : start + size])
                if in_training is not None:
                    in_training.update({trainee.job.trial: trainee for trainee in trainees})
                yield from _train(engine, trainees, pad_id, stopped)
            finally:
                engine.stack.close()
                if in_training is not None:
                    in_training.clear()


def pick_together(engine: Engine, jobs: Sequence[Job], pad_id: int) -> int:
    """How many of these trials, of one shape, to train in one batch: a few steps with 1, 2, 4, 8 ... of them are
    timed, as long as that gets clearly faster and costs little beside the training. The adapters that are tried are
    fresh ones, forgotten again."""
    trial_steps = MEASURING * sum(job.plan.steps for job in jobs)
    most = min(len(jobs), _trials_that_fit(engine, jobs))
    if most == 1 or trial_steps < MEASURED_STEPS * (1 + 2):
        return 1
    best, pace, size = 1, math.inf, 1
    while size <= most and trial_steps >= MEASURED_STEPS * size:
        now = _seconds_per_position(engine, jobs[:size], pad_id)
        if now > CLEARLY * pace:
            break
        best, pace, trial_steps, size = size, now, trial_steps - MEASURED_STEPS * size, 2 * size
    return best


def _seconds_per_position(engine: Engine, jobs: Sequence[Job], pad_id: int) -> float:
    """Of these trials in one batch, on adapters under numbers that no trial has; infinite where memory ends."""
    tried = [job._replace(trial=-1 - k, state=None) for k, job in enumerate(jobs)]
    paces = []
    try:
        trainees = _begin(engine, tried)
        for step in range(MEASURED_STEPS):
            clock = time.monotonic()
            done = _accumulate(engine, trainees, [trainee.rows(step) for trainee in trainees], pad_id)
            for trainee, work in zip(trainees, done, strict=True):
                trainee.update(0.0, work.loss)
            paces.append((time.monotonic() - clock) / sum(work.positions for work in done))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return math.inf
    finally:
        engine.stack.close()
        engine.stack.drop([job.trial for job in tried])
    return min(paces[1:])


def _trials_that_fit(engine: Engine, jobs: Sequence[Job]) -> int:
    """How many trials' adapters and optimizers the memory holds."""
    each = engine.trial_bytes(max(job.plan.recipe.rank for job in jobs))
    room = engine.room()
    if room < each:
        raise MissingError(
            "The memory is too small to train this model.",
            why=f"An adapter with its optimizer takes {each:,} bytes; {room:,} can be had.",
            fix="Close other programs, or use a smaller model or a smaller rank.",
        )
    return room // each


def _begin(engine: Engine, jobs: Sequence[Job]) -> list[Trainee]:
    """Adapters for these trials, open for gradients: fresh ones, or as they were when the training was cut."""
    slots = [_slot(job, engine.device) for job in jobs]
    engine.stack.add(slots, [job.seed for job in jobs])
    parameters_KP, gradient_KP = engine.stack.open([job.trial for job in jobs])
    trainees = [
        Trainee(job, parameters_P, gradient_P, slot.generator)
        for job, parameters_P, gradient_P, slot in zip(jobs, parameters_KP, gradient_KP, slots, strict=True)
    ]
    for trainee in trainees:
        if trainee.job.state is not None:
            trainee.go_on(trainee.job.state, engine.stack)
    return trainees


def _train(engine: Engine, trainees: list[Trainee], pad_id: int, stopped: Stopped | None) -> Iterator[Step]:
    active = trainees
    while True:
        # 1. The rows of each trial that is still training.
        active = [t for t in active if t.taken < t.job.plan.steps and not (stopped and stopped(t.job.trial))]
        if not active:
            return
        clock = time.monotonic()
        rows = [t.rows(t.taken) for t in active]
        # 2. Losses and gradients of every trial, each from its own rows only; the time is shared by positions.
        done = _gradients(engine, active, rows, pad_id)
        pace = (time.monotonic() - clock) / sum(work.positions for work in done)
        # 3. Each trial takes its own step, at its own rate.
        for trainee, work in zip(active, done, strict=True):
            plan, rate, clock = trainee.job.plan, trainee.job.plan.rates[trainee.taken], time.monotonic()
            before = trainee.job.before if trainee.taken == 0 else None
            norm = trainee.update(rate, work.loss)
            yield Step(
                trial=trainee.job.trial, step=trainee.taken, steps=plan.steps,
                epoch=trainee.taken / plan.steps_per_epoch,
                loss=work.loss if norm is not None else None, rate=rate, grad_norm=norm,
                positions=work.positions + (before.positions if before else 0), supervised=work.supervised,
                seconds=pace * work.positions + time.monotonic() - clock + (before.seconds if before else 0.0),
                at_once=engine.rows_in_training,
            )  # fmt: skip


def _gradients(engine: Engine, active: list[Trainee], rows: list[list[Rendered]], pad_id: int) -> list[Work]:
    """The gradients of one step, into each trainee's buffer. Where memory ends, once more with half of the rows at a
    time, then with single rows; for good, since what did not fit once will not fit again."""
    while True:
        try:
            return _accumulate(engine, active, rows, pad_id)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or engine.processes > 1:  # the others have gone on
                raise
            why = str(error).split("\n")[0]
        # Not in the handler: as long as it runs, the exception holds the frames with all that filled the memory.
        recipe = active[0].recipe
        most = min(_rows_at_once(engine, rows, recipe), sum(map(len, rows)))
        if most == 1:
            raise MissingError("The memory is too small to train this model.", why=why, fix=_remedies(recipe))
        engine.rows_in_training = 1 if engine.rows_in_training else (most + 1) // 2
        give_back(engine.device)


def _remedies(recipe: Recipe) -> str:
    """The cheapest three, the cheapest first."""
    shorter = "use a recipe without padding (--recipes fair)" if recipe.pad_to else "shorten the longest answers"
    return f"Close other programs that hold memory; or {shorter}; or use a smaller model, or another --device."


def _accumulate(engine: Engine, active: list[Trainee], rows: list[list[Rendered]], pad_id: int) -> list[Work]:
    """One pass, or several: which rows share one is a matter of memory alone, because a position counts in the loss
    what it counts in the whole step, and dropout is drawn for the whole step."""
    recipe = active[0].recipe
    widths = [[max(len(row.ids), recipe.pad_to or 0) for row in own] for own in rows]
    done = [Work(positions=sum(own)) for own in widths]
    weights = [_weights(own, trainee.recipe) for own, trainee in zip(rows, active, strict=True)]
    for trainee in active:
        trainee.gradient_P.zero_()
    most = engine.spread(_rows_at_once(engine, rows, recipe), sum(map(len, rows)))
    for (now, part), counts in engine.mine(list(_passes(list(map(len, rows)), most))):
        counted = [[counts * weight for weight in weights[i][part]] for i in now]
        pack = pack_rows(
            [active[i].job.trial for i in now], [rows[i][part] for i in now], counted,
            engine.device, pad_id=pad_id, pad_to=recipe.pad_to,
            share=not recipe.dropout,  # with dropout, each row has its own masks from its first position on
        )  # fmt: skip
        stretches = []
        for i in now:
            active[i].replay()
            begin = sum(widths[i][: part.start])
            stretches.append(Stretch(begin, begin + sum(widths[i][part]), done[i].positions))
        engine.stack.route(pack.trials, stretches)
        for line, (i, loss) in enumerate(zip(now, _backward(engine, pack).tolist(), strict=True)):
            done[i].loss += loss
            done[i].supervised += counts * int((pack.place_M == line).sum())
    totals = engine.add_up([t.gradient_P for t in active], [x for work in done for x in (work.loss, work.supervised)])
    for work, loss, supervised in zip(done, totals[::2], totals[1::2], strict=True):
        work.loss, work.supervised = loss, int(supervised)
    return done


def _passes(counts: Sequence[int], most: int) -> Iterator[tuple[list[int], slice]]:
    """(trials, which of their rows) of each pass: all trials with as many rows each as fit; where not even one row of
    each fits, some of the trials."""
    lines = min(len(counts), most)
    each = most // lines
    for first in range(0, len(counts), lines):
        some = range(first, min(first + lines, len(counts)))
        for start in range(0, max(counts[i] for i in some), each):
            yield [i for i in some if start < counts[i]], slice(start, start + each)


def _backward(engine: Engine, pack: Pack) -> Tensor:
    """One forward and one backward pass; the loss of each line."""
    hidden_KND = engine.decoder(
        input_ids=pack.ids_KN, position_ids=pack.positions_KN, use_cache=False, within=pack
    ).last_hidden_state
    # The head sees labelled positions only, as a matrix: a sliced 3-D input costs up to twice as much.
    logits_MV = engine.head(hidden_KND.flatten(0, 1).index_select(0, pack.at_M)).float()
    loss_M = losses(logits_MV, pack.target_M, pack.soft) * pack.weight_M
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
    """Rows of all trials in one pass."""
    every = [row for own in rows for row in own]
    width = max([recipe.pad_to or 0, *(len(row.ids) for row in every)])
    labelled = (
        width if recipe.loss_on == "everything" else max(len(row.ids) - row.labels.count(IGNORE) for row in every)
    )
    fits = engine.room(ACTIVATION_BYTES) // engine.row_bytes(width, labelled, dropout=recipe.dropout > 0)
    return max(1, min(fits, engine.rows_in_training or fits))


def _shape(job: Job) -> tuple[int | None, int | None, str, bool]:
    """What must be alike for two trials to share batches."""
    recipe = job.plan.recipe
    return recipe.batch * recipe.accumulation, recipe.pad_to, recipe.loss_on, recipe.dropout > 0


def _extent(job: Job) -> tuple[int, float, int]:
    """What should be about equal in a batch, the more important first: its trials then end together, and little is
    spent on filling up lines and ranks."""
    positions = sum(len(row.ids) for row in job.rows) / job.plan.steps_per_epoch
    return job.plan.steps, positions, job.plan.recipe.rank


def _slot(job: Job, device: torch.device) -> Slot:
    recipe, generator = job.plan.recipe, torch.Generator(device).manual_seed(job.seed)
    return Slot(job.trial, recipe.rank, recipe.alpha, recipe.alpha / recipe.rank, recipe.dropout, generator)


_MEMORY_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_cpu", "alloc_failed")


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; torch says it differently on every device."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _MEMORY_WORDS)
