"""Trials that share batches: each equals the same trial alone, a leak would be caught, and their number is measured."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from kurabe import engine as engine_module
from kurabe import recipes
from kurabe import train as train_module
from kurabe.attention import ATTENTION
from kurabe.chat import IGNORE, Rendered, Soft
from kurabe.engine import Engine
from kurabe.errors import MissingError
from kurabe.lora import AdapterStack, Slot
from kurabe.packing import Pack
from kurabe.recipes import Recipe
from kurabe.train import Job, Trainee, pick_together, train

PAD = 0
STOPS = {3: 2, 4: 1, 7: 0, 50: 3}  # trials that are stopped after so many steps, before their plan ends


@pytest.fixture(scope="module")
def engine() -> Engine:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.25, attn_implementation=ATTENTION,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    return Engine(model, AdapterStack(model), frozenset({2}))


def job(trial: int, dropout: float = 0.0, **changes: Any) -> Job:
    """Trials differ in rank, rate, clip, length and number of rows, seed and number of steps (one to nine)."""
    pick = torch.Generator().manual_seed(trial)
    count = 2 + trial * 5 % 9
    recipe = Recipe(
        name="test", rank=(1, 4, 2, 8)[trial % 4], alpha=8, rate=0.004 * (1 + trial % 3), rate_width=32, batch=4,
        epochs=1 + trial % 3, clip=(0.3, 1.0)[trial % 2], dropout=dropout, **changes,
    )  # fmt: skip
    rows = []
    for i in range(count):
        ids = [1, 9, 9, *torch.randint(3, 64, (4 + (trial + i) % 4,), generator=pick).tolist()]  # they begin alike
        soft = {}
        if trial % 3 == 0:  # every third trial has a teacher, at every other label
            top = torch.randn(64, generator=pick).topk(20)
            likely = Soft(array("i", top.indices.tolist()), array("f", top.values.softmax(-1).tolist()))
            soft = dict.fromkeys(range(5, len(ids), 2), likely)
        rows.append(Rendered(ids, [IGNORE] * 5 + ids[5:], soft))
    return Job(trial, recipes.plan(recipe, count, count, 32), tuple(rows), 1000 + trial)


class Course(NamedTuple):
    """What a trial came to: losses and gradients of each step, the adapter at the end."""

    losses: list[float | None]
    gradients: list[Tensor]
    weights: Tensor


def courses(engine: Engine, jobs: Sequence[Job], together: int | None) -> dict[int, Course]:
    found: dict[int, Course] = {work.trial: Course([], [], torch.empty(0)) for work in jobs}
    true = Trainee.update

    def recorded(self: Trainee, rate: float, loss: float) -> float | None:
        if self.job.trial in found:  # and not one that is only measured
            gradient = engine.stack.own(self.gradient_P, self.recipe.rank)
            found[self.job.trial].gradients.append(gradient)
        return true(self, rate, loss)

    def stopped(trial: int) -> bool:
        return len(found[trial].losses) == STOPS.get(trial, -1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainee, "update", recorded)
        for step in train(engine, jobs, PAD, together, stopped):
            found[step.trial].losses.append(step.loss)
    for work in jobs:
        slot = engine.stack.slot(work.trial)
        weights = engine.stack.own(engine.stack._flat_KP[slot], work.plan.recipe.rank)
        found[work.trial] = found[work.trial]._replace(weights=weights)
    engine.stack.drop([work.trial for work in jobs])
    return found


_alone: dict[tuple[int, float], Course] = {}


def alone(engine: Engine, work: Job) -> Course:
    key = work.trial, work.plan.recipe.dropout
    if key not in _alone:
        _alone[key] = courses(engine, [work], 1)[work.trial]
    return _alone[key]


def assert_same(mine: Course, reference: Course) -> None:
    """Equal within the rounding of float32, every gradient included."""
    assert len(mine.losses) == len(reference.losses)
    assert mine.losses == pytest.approx(reference.losses, rel=1e-4)
    for gradient, expected in zip(mine.gradients, reference.gradients, strict=True):
        assert expected.norm() > 0.01
        assert (gradient - expected).norm() < 1e-3 * expected.norm()
    assert (mine.weights - reference.weights).norm() <= 1e-3 * reference.weights.norm()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("together", [2, 7, 64])
def test_a_trial_among_many_equals_the_same_trial_alone(engine: Engine, together: int, dropout: float) -> None:
    """They end at different times, by their plan or because they are stopped."""
    jobs = [job(trial, dropout) for trial in range(1, together + 1)]
    found = courses(engine, jobs, together)
    for work in [*jobs[:9], *jobs[48::5]]:
        steps = min(work.plan.steps, STOPS.get(work.trial, 99))
        assert len(found[work.trial].losses) == steps
        assert_same(found[work.trial], alone(engine, work))
    assert len({len(course.losses) for course in found.values()}) >= min(together, 5)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_trial_that_was_cut_goes_on_as_if_it_had_not_been(engine: Engine, dropout: float) -> None:
    """Alone to the last bit; in other company, where its rank lies in another stack, within rounding."""
    jobs = [job(trial, dropout) for trial in (2, 3, 5)]
    cut = {}
    for work in jobs:
        in_training: dict[int, Trainee] = {}
        for step in train(engine, [work], PAD, in_training=in_training):
            if step.step == work.plan.steps // 2:
                cut[work.trial] = work._replace(state=in_training[work.trial].state(engine.stack))
                break
        assert not in_training
        engine.stack.drop([work.trial])
    for work in jobs:
        again, whole = courses(engine, [cut[work.trial]], 1)[work.trial], alone(engine, work)
        left = work.plan.steps - work.plan.steps // 2
        assert 0 < left == len(again.losses) < len(whole.losses)
        assert again.losses == whole.losses[-left:] and torch.equal(again.weights, whole.weights)
    found = courses(engine, [*cut.values(), job(7, dropout)], 4)
    for work in jobs:
        whole, left = alone(engine, work), len(found[work.trial].losses)
        assert_same(found[work.trial], whole._replace(losses=whole.losses[-left:], gradients=whole.gradients[-left:]))
    assert_same(found[7], alone(engine, job(7, dropout)))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("at_once", [1, 5, 20])
def test_how_rows_are_cut_into_passes_changes_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, at_once: int, dropout: float
) -> None:
    """Fewer rows than trials, or a few rows of each trial."""
    jobs = [job(trial, dropout) for trial in range(1, 9)]
    for work in jobs:
        alone(engine, work)
    true, sizes = train_module._backward, []

    def seen(engine: Engine, pack: Pack) -> Tensor:
        sizes.append(len(pack.line_B))
        return true(engine, pack)

    monkeypatch.setattr(train_module, "_backward", seen)
    monkeypatch.setattr(train_module, "_rows_at_once", lambda *_: at_once)
    found = courses(engine, jobs, 8)
    assert max(sizes) <= at_once
    for work in jobs:
        assert_same(found[work.trial], alone(engine, work))


def test_memory_that_ends_in_the_middle_of_a_step_changes_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout, too, is drawn as if nothing had happened."""
    jobs = [job(trial, 0.3) for trial in (1, 2, 3)]
    expected = [alone(engine, work) for work in jobs]
    true = train_module._backward

    def small(engine: Engine, pack: Pack) -> Tensor:
        losses = true(engine, pack)
        if len(pack.line_B) > 6:
            raise MemoryError("out of memory")
        return losses

    monkeypatch.setattr(train_module, "_backward", small)
    monkeypatch.setattr(engine, "rows_in_training", None)
    found = courses(engine, jobs, 3)
    assert engine.rows_in_training in (5, 6)
    for work, reference in zip(jobs, expected, strict=True):
        assert_same(found[work.trial], reference)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("broken", [1, 2, 5])
def test_a_trial_that_breaks_down_leaves_the_others_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, broken: int, shared: bool
) -> None:
    """Numbers that are none stay in their trial, wherever in the batch it lies: 0 x NaN is NaN, so not even padding may
    come from another trial."""
    if not shared:
        true = train_module.pack_rows
        monkeypatch.setattr(train_module, "pack_rows", lambda *a, **named: true(*a, **named | {"share": False}))
    jobs = [job(trial) for trial in (1, 2, 5)]
    expected = [alone(engine, work) for work in jobs]
    wild = [
        w._replace(plan=w.plan.model_copy(update={"rates": (1e30,) * w.plan.steps})) if w.trial == broken else w
        for w in jobs
    ]
    found = courses(engine, wild, 3)
    assert None in found[broken].losses
    for work, reference in zip(jobs, expected, strict=True):
        if work.trial != broken:
            assert_same(found[work.trial], reference)


# --- a leak would be caught ------------------------------------------------------------------------------------------


def wrong_adapter(patch: pytest.MonkeyPatch) -> None:
    """The last trial of a batch is trained through its neighbour's adapter."""
    true = AdapterStack._take

    def leak(self: AdapterStack, rows: int) -> None:
        true(self, rows)
        taken = list(range(len(self.spans)) if self.taking is None else self.taking.tolist())
        self.taking = torch.tensor(taken[:-1] + taken[-2:-1]) if len(taken) > 1 else self.taking

    patch.setattr(AdapterStack, "_take", leak)


def wrong_beginning(patch: pytest.MonkeyPatch) -> None:
    """One row sees the beginning of another trial's line."""
    true = train_module.pack_rows

    def leak(*args: Any, **named: Any) -> Pack:
        pack = true(*args, **named)
        pack.line_B[-1] = 0
        return pack

    patch.setattr(train_module, "pack_rows", leak)


def wrong_masks(patch: pytest.MonkeyPatch) -> None:
    """Two trials draw their dropout from one generator."""
    true = train_module._slot

    def leak(work: Job, device: torch.device) -> Slot:
        return true(work, device)._replace(generator=generator)

    generator = torch.Generator()
    patch.setattr(train_module, "_slot", leak)


@pytest.mark.parametrize(
    ("leak", "dropout"), [(wrong_adapter, 0.0), (wrong_adapter, 0.3), (wrong_beginning, 0.0), (wrong_masks, 0.3)]
)
def test_a_leak_between_trials_would_be_caught(
    engine: Engine, leak: Callable[[pytest.MonkeyPatch], None], dropout: float
) -> None:
    jobs = [job(trial, dropout) for trial in (1, 2, 5)]
    expected = [alone(engine, work) for work in jobs]
    with pytest.MonkeyPatch.context() as patch:
        leak(patch)
        found = courses(engine, jobs, 3)
    with pytest.raises(AssertionError):
        for work, reference in zip(jobs, expected, strict=True):
            assert_same(found[work.trial], reference)


def test_trials_of_one_batch_are_about_equally_long(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """They end together, and few positions and ranks are filled up; one after another they keep their order."""
    batches: list[list[int]] = []

    def seen(engine: Engine, trainees: list[Trainee], *rest: Any) -> Any:
        batches.append([trainee.job.trial for trainee in trainees])
        return iter(())

    monkeypatch.setattr(train_module, "_train", seen)
    pool = [job(t) for t in (8, 2, 4, 5, 12, 3, 6)]
    short = pool[0]._replace(trial=30, rows=pool[0].rows[:1])  # as many steps as trial 8, but fewer rows in each
    jobs = [*pool, short]
    list(train(engine, jobs, PAD, 3))
    order = [trial for batch in batches for trial in batch]
    steps = {work.trial: work.plan.steps for work in jobs}
    assert [len(batch) for batch in batches] == [3, 3, 2]
    assert [steps[trial] for trial in order] == sorted(steps.values())
    assert order.index(30) < order.index(8)
    del batches[:]
    list(train(engine, jobs, PAD, 1))
    assert batches == [[work.trial] for work in jobs]
    engine.stack.drop([work.trial for work in jobs])


# --- how many together -----------------------------------------------------------------------------------------------


def paced(monkeypatch: pytest.MonkeyPatch, paces: dict[int, float]) -> list[int]:
    """What is measured with so many trials; the numbers that were tried."""
    tried: list[int] = []

    def measured(engine: Engine, jobs: Sequence[Job], pad_id: int) -> float:
        tried.append(len(jobs))
        return paces[len(jobs)]

    monkeypatch.setattr(train_module, "_seconds_per_position", measured)
    return tried


@pytest.mark.parametrize(
    ("paces", "best", "tried"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.4, 8: 0.3, 16: 0.2}, 16, [1, 2, 4, 8, 16]),
        ({1: 1.0, 2: 0.98}, 1, [1, 2]),  # a tie goes to the smaller one
        ({1: 1.0, 2: 0.6, 4: 0.7}, 2, [1, 2, 4]),
        ({1: 1.0, 2: 0.6, 4: float("inf")}, 2, [1, 2, 4]),  # memory ended
    ],
)
def test_the_fastest_number_of_trials_is_kept(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, paces: dict[int, float], best: int, tried: list[int]
) -> None:
    measured = paced(monkeypatch, paces)
    assert pick_together(engine, [job(t, min_steps=200) for t in range(1, 31)], PAD) == best
    assert measured == tried


def test_measuring_costs_little_beside_the_training(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = paced(monkeypatch, {2**k: 0.5**k for k in range(8)})
    assert pick_together(engine, [job(1, min_steps=9999)], PAD) == 1 and measured == []
    assert pick_together(engine, [job(t) for t in range(1, 9)], PAD) == 1 and measured == []
    jobs = [job(t, min_steps=30) for t in range(1, 13)]
    assert pick_together(engine, jobs, PAD) == 2 and measured == [1, 2]
    steps = sum(work.plan.steps for work in jobs)
    assert 3 * sum(measured) <= 0.05 * steps < 3 * (sum(measured) + 4)


def test_measuring_changes_no_trial(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_module, "MEASURING", 10.0)
    monkeypatch.setattr(train_module, "CLEARLY", 10.0)
    jobs = [job(trial, 0.3) for trial in (1, 2, 3, 5)]
    engine.stack.add([Slot(99, 8, 8.0, 1.0)], [1])
    kept = engine.stack._flat_KP.clone()
    sizes = []
    true = train_module._train

    def seen(engine: Engine, trainees: list[Trainee], *rest: Any) -> Any:
        sizes.append(len(trainees))
        return true(engine, trainees, *rest)

    monkeypatch.setattr(train_module, "_train", seen)
    measured = courses(engine, jobs, None)
    assert sizes == [4]
    assert [slot.trial for slot in engine.stack.slots] == [99]
    assert torch.equal(engine.stack._flat_KP, kept)
    given = courses(engine, jobs, 4)
    engine.stack.drop([99])
    for work in jobs:
        assert measured[work.trial].losses == given[work.trial].losses
        assert torch.equal(measured[work.trial].weights, given[work.trial].weights)


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("count", [4, 40])
def test_the_memory_of_a_pass_is_foreseen(engine: Engine, count: int, dropout: float) -> None:
    """Against what torch really keeps for the backward pass."""
    work = job(1, dropout, pad_to=24, loss_on="everything")
    rows = [work.rows[i % len(work.rows)] for i in range(count)]
    work = work._replace(rows=tuple(rows), plan=work.plan.model_copy(update={"rates": (0.1,)}))
    work = work._replace(
        plan=work.plan.model_copy(update={"recipe": work.plan.recipe.model_copy(update={"batch": 99})})
    )
    weights = {
        part.untyped_storage().data_ptr() for whole in (engine.decoder, engine.head) for part in whole.parameters()
    }
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        list(train(engine, [work], PAD))
    engine.stack.drop([1])
    needed = sum(size for place, size in kept.items() if place not in weights)
    foreseen = count * engine.row_bytes(24, 24, dropout=dropout > 0)
    assert needed < foreseen < 2 * needed


def test_the_batch_is_cut_to_what_is_free(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(bytes_: int) -> None:
        monkeypatch.setattr(engine_module, "free_memory", lambda _: bytes_)

    free(2 * 7 * engine.trial_bytes(8))
    assert train_module._trials_that_fit(engine, [job(3)]) == 7
    rows = [list(job(t).rows[:2]) for t in (1, 2)]
    recipe = job(1).plan.recipe
    longest = max(len(row.ids) for own in rows for row in own)
    labelled = max(len(row.ids) - 5 for own in rows for row in own)
    each = engine.row_bytes(longest, labelled, dropout=False)
    for there, fit in ((2 * 3 * each, 3), (1, 1), (1 << 40, train_module.ACTIVATION_BYTES // each)):
        free(there)
        assert train_module._rows_at_once(engine, rows, recipe) == fit
    free(engine.trial_bytes(1))
    with pytest.raises(MissingError, match="memory") as caught:
        list(train(engine, [job(3)], PAD))
    assert caught.value.fix
