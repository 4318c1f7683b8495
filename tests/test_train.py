"""The loop's arithmetic against transformers and torch, its repeatability, and what it does when numbers break."""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kurabe import recipes
from kurabe import train as train_module
from kurabe.attention import ATTENTION
from kurabe.auditing.plan import RowTokens, token_stats
from kurabe.chat import IGNORE, Rendered, Soft
from kurabe.engine import Engine, Row
from kurabe.errors import MissingError
from kurabe.lora import AdapterStack, Stretch
from kurabe.packing import Pack, pack_rows
from kurabe.recipes import Recipe
from kurabe.schema import Step
from kurabe.train import Job, Trainee, train

PAD = 0


@pytest.fixture
def engine(tiny_folder: Path) -> Engine:
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(tiny_folder, attn_implementation=ATTENTION).eval()
    return Engine(model, AdapterStack(model), frozenset({2}))


def row(seed: int, prompt: int = 6, answer: int = 5, everything: bool = False) -> Rendered:
    ids = torch.randint(6, 470, (prompt + answer,), generator=torch.Generator().manual_seed(seed)).tolist()
    return Rendered(ids, list(ids) if everything else [IGNORE] * prompt + ids[prompt:])


def job(trial: int = 1, rows: int = 6, seed: int = 3, **changes: Any) -> Job:
    recipe = Recipe(
        name="test", **({"rank": 4, "alpha": 8, "rate": 0.02, "rate_width": 64, "batch": 2, "epochs": 2} | changes)
    )
    samples = tuple(
        row(100 * trial + i, 4 + i % 3, 3 + i % 4, recipe.loss_on == "everything") for i in range(rows)
    )  # fmt: skip
    return Job(trial, recipes.plan(recipe, rows, rows, 64), samples, seed)


def adapters(engine: Engine, trial: int = 1) -> Tensor:
    slot = engine.stack.slot(trial)
    parts = [part[slot].flatten() for lo in engine.stack.layers.values() for part in (lo.adapters_KRD, lo.adapters_KRO)]
    return torch.cat(parts)


def run(engine: Engine, *jobs: Job, together: int = 1) -> list[Step]:
    return list(train(engine, jobs, PAD, together))


def logits(engine: Engine, ids: list[int], mask: list[int] | None = None) -> Tensor:
    """Through transformers' own attention and mask, without adapters."""
    engine.stack.route([0])
    engine.decoder.set_attn_implementation("sdpa")
    try:
        with torch.inference_mode():
            hidden = engine.decoder(
                input_ids=torch.tensor([ids]), attention_mask=None if mask is None else torch.tensor([mask])
            ).last_hidden_state
            return engine.head(hidden)[0]
    finally:
        engine.decoder.set_attn_implementation(ATTENTION)


# --- the loss --------------------------------------------------------------------------------------------------------


def test_answer_loss_is_the_mean_over_tokens_then_over_rows(engine: Engine) -> None:
    work = job(rows=2, batch=2)
    first = next(train(engine, [work], PAD))
    means = []
    for ids, labels, _ in work.rows:
        means.append(F.cross_entropy(logits(engine, ids)[:-1], torch.tensor(labels)[1:], ignore_index=IGNORE))
    assert first.loss == pytest.approx(float(sum(means) / 2), rel=1e-4)
    assert first.supervised == sum(label != IGNORE for r in work.rows for label in r.labels)
    assert first.positions == sum(len(r.ids) for r in work.rows)  # no padding


def test_a_taught_rows_loss_and_gradient_are_plain_torchs(engine: Engine) -> None:
    """KL to 20 likely tokens in some places, cross-entropy in the others: through packs, against one row at a time."""
    work = job(rows=3, batch=3)
    work = work._replace(rows=tuple(softened(r, i) for i, r in enumerate(work.rows)))
    trainee = train_module._begin(engine, [work])[0]
    done = train_module._accumulate(engine, [trainee], [list(work.rows)], PAD)[0]
    mine = trainee.gradient_P.clone()
    trainee.gradient_P.zero_()
    total = torch.zeros(())
    for r in work.rows:
        # One row, in a pack of its own: what is left to compare is the loss, written out here in full.
        pack = pack_rows([work.trial], [[r]], [[1.0]], engine.device)
        engine.stack.route([work.trial], [Stretch(0, len(r.ids), len(r.ids))])
        hidden = engine.decoder(
            input_ids=pack.ids_KN, position_ids=pack.positions_KN, use_cache=False, within=pack
        ).last_hidden_state[0]
        losses = []
        for at, label in enumerate(r.labels):
            if label == IGNORE:
                continue
            q = engine.head(hidden[at - 1]).log_softmax(-1)
            if at in r.soft:
                p = torch.zeros_like(q)
                p[torch.tensor(r.soft[at].ids)] = torch.tensor(r.soft[at].shares)
                losses.append(F.kl_div(q, p, reduction="sum"))
            else:
                losses.append(-q[label])
        loss = torch.stack(losses).mean() / len(work.rows)
        engine.stack.backward(loss)
        total = total + loss.detach()
    assert done.loss == pytest.approx(float(total), rel=1e-4)
    assert mine.norm() > 0.01
    torch.testing.assert_close(mine, trainee.gradient_P, atol=1e-5, rtol=1e-3)
    engine.stack.close()


def softened(plain: Rendered, seed: int) -> Rendered:
    """The row with a teacher's 20 tokens in the place of every other label."""
    pick = torch.Generator().manual_seed(seed)
    soft = {}
    for at in [at for at, label in enumerate(plain.labels) if label != IGNORE][::2]:
        top = torch.randn(470, generator=pick).mul(2).topk(20)
        soft[at] = Soft(array("i", top.indices.tolist()), array("f", top.values.softmax(-1).tolist()))
    return plain._replace(soft=soft)


def test_loss_on_everything_takes_padding_in_as_the_old_show_did(engine: Engine) -> None:
    work = job(rows=2, batch=1, accumulation=2, loss_on="everything", pad_to=32)
    first = next(train(engine, [work], PAD))
    means = []
    for ids, _, _ in work.rows:
        padded = ids + [PAD] * (32 - len(ids))
        scores = logits(engine, padded, [1] * len(ids) + [0] * (32 - len(ids)))
        means.append(F.cross_entropy(scores[:-1], torch.tensor(padded)[1:]))
    assert first.loss == pytest.approx(float(sum(means) / 2), rel=1e-4)
    assert (first.positions, first.supervised) == (64, 62)


def test_positions_are_those_of_the_rows_whatever_is_computed_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that begin alike are computed from there on only; their cost is counted as the audit counted it before."""
    computed = []
    true = train_module.pack_rows

    def packed(*args: Any, **named: Any) -> Pack:
        pack = true(*args, **named)
        computed.append(sum(pack.lengths))
        return pack

    monkeypatch.setattr(train_module, "pack_rows", packed)
    work = job(rows=7, batch=4, epochs=3)
    work = work._replace(rows=tuple(Rendered([7, 8, 9, *r.ids], [IGNORE] * 3 + r.labels) for r in work.rows))
    steps = run(engine, work)
    planned = token_stats([RowTokens(len(r.ids), 0) for r in work.rows], work.plan.recipe).positions * work.plan.epochs
    assert sum(step.positions for step in steps) == planned > sum(computed)


def test_rows_in_one_pass_is_a_matter_of_memory_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(at_once: int) -> Tensor:
        monkeypatch.setattr(train_module, "_rows_at_once", lambda *_: at_once)
        run(engine, job(rows=8, batch=8))
        return adapters(engine)

    whole = trained(8)
    torch.testing.assert_close(trained(3), whole, atol=1e-4, rtol=1e-3)
    assert whole.abs().max() > 0.01


# --- the step --------------------------------------------------------------------------------------------------------


def test_update_is_adamw_with_clipping() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(50, generator=generator)
    mine, gradient = start.clone(), torch.zeros(50)
    trainee = Trainee(job(clip=0.5), mine, gradient)
    theirs = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([theirs], weight_decay=0.0)
    for step in range(20):
        drawn = torch.randn(50, generator=generator) * (0.01 if step % 3 else 10)
        gradient.copy_(drawn)
        theirs.grad = drawn.clone()
        norm = torch.nn.utils.clip_grad_norm_([theirs], 0.5)
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (step + 1)
        optimizer.step()
        assert trainee.update(0.01 * (step + 1), loss=1.0) == pytest.approx(float(norm))
    torch.testing.assert_close(mine, theirs.data, atol=1e-6, rtol=1e-5)


def test_steps_follow_the_plan(engine: Engine) -> None:
    work = job(rows=5, batch=2, epochs=3)
    steps = run(engine, work)
    assert [step.rate for step in steps] == list(work.plan.rates)
    assert [step.step for step in steps] == list(range(1, 10))
    assert [round(step.epoch, 3) for step in steps[:4]] == [0.333, 0.667, 1.0, 1.333]
    assert all(step.loss and step.grad_norm and step.seconds > 0 for step in steps)


def test_every_epoch_sees_every_row_once_in_an_order_of_its_own() -> None:
    work = job(rows=7, batch=3, epochs=4)
    trainee = Trainee(work, torch.zeros(1), torch.zeros(1))
    orders = []
    for epoch in range(4):
        seen = [work.rows.index(r) for step in range(3) for r in trainee.rows(3 * epoch + step)]
        assert Counter(seen) == Counter(range(7))
        orders.append(tuple(seen))
    assert len(set(orders)) > 1


def test_the_old_recipe_moves_nothing_in_its_first_step(engine: Engine) -> None:
    """Its warm-up starts at rate 0; the first loss of a second look is the same loss."""
    recipe = recipes.RECIPES["origin"].model_copy(update={"pad_to": 32})
    work = Job(1, recipes.plan(recipe, 10, 10, 64), tuple(row(i, everything=True) for i in range(10)), 0)
    steps = train(engine, [work], PAD)
    next(steps)
    slot = engine.stack.slot(1)
    assert not any(layer.adapters_KRO[slot].any() for layer in engine.stack.layers.values())
    next(steps)
    assert any(layer.adapters_KRO[slot].any() for layer in engine.stack.layers.values())


# --- trials ----------------------------------------------------------------------------------------------------------


def test_equal_seeds_are_bit_equal_and_others_are_not(engine: Engine) -> None:
    def trained(seed: int) -> tuple[list[float | None], Tensor]:
        steps = run(engine, job(seed=seed, dropout=0.2))
        return [step.loss for step in steps], adapters(engine)

    (losses, weights), (again, weights_again), (_, other) = trained(1), trained(1), trained(2)
    assert losses == again
    assert torch.equal(weights, weights_again)
    assert not torch.equal(weights, other)


def test_recipes_of_other_shapes_are_trained_one_after_another(engine: Engine) -> None:
    steps = run(engine, job(1), job(2, loss_on="everything", pad_to=16), job(3), together=4)
    assert [t for t, _ in Counter(step.trial for step in steps).items()] == [1, 3, 2]
    assert {step.positions for step in steps if step.trial == 2} == {32}


def test_stop_iterating_and_training_stops(engine: Engine) -> None:
    steps = train(engine, [job(epochs=50)], PAD)
    list(islice(steps, 3))
    after_three = adapters(engine)
    steps.close()
    assert torch.equal(adapters(engine), after_three)
    assert all(layer.trained is None for layer in engine.stack.layers.values())


def test_a_finished_trial_is_saved_loaded_and_used_while_others_still_train(engine: Engine, tmp_path: Path) -> None:
    """It changes neither the trial that was used nor the ones that go on."""
    short, long = job(1, epochs=1), job(2, epochs=6)
    run(engine, long)
    alone = adapters(engine, 2)
    for step in train(engine, [short, long], PAD, together=2):
        if step.trial == 1 and step.step == step.steps:
            trained = adapters(engine, 1)
            engine.stack.save(1, tmp_path, "base", "b" * 64)
            engine.stack.load(1, tmp_path, "b" * 64)
            engine.answer([asked := Row([10, 20, 30], 1, 8)])
    assert torch.equal(adapters(engine, 1), trained) and trained.any()
    engine.answer([again := Row([10, 20, 30], 1, 8)])
    assert asked.new == again.new
    torch.testing.assert_close(adapters(engine, 2), alone, atol=2e-3, rtol=2e-2)


def test_a_new_adapter_cannot_come_in_the_middle_of_training(engine: Engine, tmp_path: Path) -> None:
    run(engine, job(1))
    engine.stack.save(1, tmp_path, "base", "b" * 64)
    steps = train(engine, [job(2)], PAD)
    next(steps)
    with pytest.raises(RuntimeError, match="trained"):
        engine.stack.load(3, tmp_path, "b" * 64)
    steps.close()
    engine.stack.load(3, tmp_path, "b" * 64)


def test_answers_in_the_middle_of_training_see_the_present_adapter(engine: Engine) -> None:
    steps = train(engine, [job(rate=0.5, epochs=20)], PAD)
    answers = []
    for _ in islice(steps, 3):
        asked = Row([10, 20, 30], 1, 8)
        engine.answer([asked])
        answers.append(tuple(asked.new))
    assert len(set(answers)) > 1


# --- when numbers or memory break ------------------------------------------------------------------------------------


def break_gradients(monkeypatch: pytest.MonkeyPatch, bad: set[int]) -> None:
    """The loss of these calls is not finite."""
    true, calls = train_module._backward, iter(range(10**6))

    def broken(*args: Any) -> Tensor:
        losses = true(*args)
        return losses * float("nan") if next(calls) in bad else losses

    monkeypatch.setattr(train_module, "_backward", broken)


def test_a_step_without_a_finite_loss_is_skipped(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    break_gradients(monkeypatch, {1, 2})
    steps = train(engine, [job(epochs=3)], PAD)
    assert next(steps).loss is not None
    before = adapters(engine)
    for _ in range(2):
        step = next(steps)
        assert (step.loss, step.grad_norm) == (None, None)
    assert torch.equal(adapters(engine), before)
    assert next(steps).loss is not None
    assert not torch.equal(adapters(engine), before)


def test_a_gradient_that_overflows_is_not_used() -> None:
    weights = torch.zeros(4)
    trainee = Trainee(job(), weights, torch.tensor([1.0, float("inf"), 0.0, 0.0]))
    assert trainee.update(0.1, loss=1.0) is None
    assert not weights.any()


ENDED: list[BaseException] = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, max allowed: 9.07 GB)."),
    MemoryError(),
]  # fmt: skip


def test_the_cpu_says_so_in_these_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert train_module.out_of_memory(caught.value) and not train_module.out_of_memory(RuntimeError("shapes"))


@pytest.mark.parametrize("error", ENDED, ids=["cuda", "cpu", "mps", "python"])
@pytest.mark.parametrize(("fits", "sizes", "told"), [(4, [8, 4, 4, 4, 4], 4), (2, [8, 4, *[1] * 16], 1)])
def test_memory_that_ends_halves_the_batch_then_takes_rows_one_by_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, error: BaseException, fits: int, sizes: list[int], told: int
) -> None:
    assert {step.at_once for step in run(engine, job(rows=8, batch=8, epochs=2))} == {None}
    expected = adapters(engine)
    true, seen = train_module._backward, []

    def small(engine: Engine, pack: Pack) -> Tensor:
        seen.append(len(pack.line_B))
        if len(pack.line_B) > fits:
            raise error
        return true(engine, pack)

    monkeypatch.setattr(train_module, "_backward", small)
    steps = run(engine, job(rows=8, batch=8, epochs=2))
    assert seen == sizes
    assert [step.at_once for step in steps] == [told, told], "who reads the steps can tell it"
    torch.testing.assert_close(adapters(engine), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("padded", "word"), [(None, "shorten"), (16, "fair")])
def test_memory_that_ends_at_a_single_row_is_said_with_what_is_cheapest(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, padded: int | None, word: str
) -> None:
    calls = []

    def never(*_: Any) -> Tensor:
        calls.append(1)
        raise MemoryError("out of memory")

    monkeypatch.setattr(train_module, "_backward", never)
    with pytest.raises(MissingError, match="memory") as caught:
        run(engine, job(rows=4, batch=4, pad_to=padded))
    assert len(calls) == 3, "all, half, one"
    assert caught.value.fix.count(" or ") == 2 + 1 and word in caught.value.fix


def test_other_errors_are_bugs_and_keep_their_traceback(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Tensor:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(train_module, "_backward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        run(engine, job())
