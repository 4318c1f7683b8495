"""Identities of the stacked adapters: merged weights, parameter counts, no leak between trials, PEFT's own logits."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kurabe.errors import MissingError
from kurabe.lora import AdapterStack, Slot, Span, _Beside

BASE = "b" * 64


class Toy(nn.Module):
    """Two decoder blocks and a head, which is no part of `layers` and must stay as it is."""

    def __init__(self) -> None:
        super().__init__()
        block = lambda: nn.ModuleDict({"up": nn.Linear(6, 10, bias=False), "down": nn.Linear(10, 6, bias=True)})  # noqa: E731
        self.layers = nn.ModuleList([block(), block()])
        self.lm_head = nn.Linear(6, 12, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer["down"](torch.tanh(layer["up"](x)))
        return self.lm_head(x)


def slot(trial: int, rank: int = 4, alpha: float = 8.0, dropout: float = 0.0) -> Slot:
    return Slot(trial, rank, alpha, alpha / rank, dropout, torch.Generator().manual_seed(trial))


def randomise(stack: AdapterStack, trial: int) -> None:
    """B starts at zero; a test of what an adapter does needs one that does something."""
    generator = torch.Generator().manual_seed(100 + trial)
    index = stack.slot(trial)
    assert index is not None
    rank = stack.slots[index].rank
    for layer in stack.layers.values():
        shape = layer.adapters_KRO[index, :rank].shape
        layer.adapters_KRO[index, :rank] = torch.randn(shape, generator=generator) * 0.3


@pytest.fixture
def toy() -> tuple[Toy, AdapterStack]:
    torch.manual_seed(0)
    model = Toy()
    stack = AdapterStack(model)
    stack.add([slot(1, 4), slot(2, 2, 16), slot(3, 3)], [1, 2, 3])
    for trial in (1, 2, 3):
        randomise(stack, trial)
    return model, stack


def cut(stack: AdapterStack, flat: Tensor) -> list[Tensor]:
    """A and B of every layer, one after another, as they lie in a buffer [K, P] of the widest rank."""
    rank, parts, at = stack.layers["layers.0.up"].adapters_KRD.shape[1], [], 0
    for layer in stack.layers.values():
        for shape in ((rank, layer.base.in_features), (rank, layer.base.out_features)):
            parts.append(flat[:, at : at + math.prod(shape)].view(-1, *shape))
            at += math.prod(shape)
    assert at == flat.shape[1]
    return parts


def run(model: nn.Module, stack: AdapterStack, x: Tensor, trials: list[int]) -> Tensor:
    stack.route(trials)
    with torch.inference_mode():
        return model(x)


def test_wraps_the_blocks_and_not_the_head(toy: tuple[Toy, AdapterStack]) -> None:
    model, stack = toy
    assert list(stack.layers) == ["layers.0.up", "layers.0.down", "layers.1.up", "layers.1.down"]
    assert type(model.lm_head) is nn.Linear
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_parameter_count_is_the_formula(toy: tuple[Toy, AdapterStack], rank: int) -> None:
    model, stack = toy
    assert stack.size(rank) == rank * 2 * ((6 + 10) + (10 + 6))
    stack.add([slot(9, rank)], [0])
    parameters, gradients = stack.open([9])
    assert parameters.shape == gradients.shape == (1, stack.size(max(4, rank)))
    randomise(stack, 9)
    stack.route([9])
    stack.backward(model(torch.randn(1, 5, 6)).square().sum())
    assert int((gradients != 0).sum()) == stack.size(rank)  # all of it learns, and nothing of the padding


def test_a_fresh_adapter_changes_nothing_and_starts_alike_in_any_company(toy: tuple[Toy, AdapterStack]) -> None:
    model, stack = toy
    stack.add([slot(7, 4)], [70])
    x = torch.randn(2, 5, 6)
    assert torch.equal(run(model, stack, x, [7, 7]), run(model, stack, x, [0, 0]))
    alone = AdapterStack(Toy())
    alone.add([slot(7, 4)], [70])
    for mine, other in zip(stack.layers.values(), alone.layers.values(), strict=True):
        index = stack.slot(7)
        assert torch.equal(mine.adapters_KRD[index, :4], other.adapters_KRD[0])
        assert mine.adapters_KRD[index].abs().max() <= 1 / math.sqrt(mine.base.in_features)


def test_merged_weights_give_the_same_output(toy: tuple[Toy, AdapterStack]) -> None:
    model, stack = toy
    x = torch.randn(3, 5, 6)
    for trial in (1, 2, 3):
        live = run(model, stack, x, [trial] * 3)
        plain = Toy()
        plain.load_state_dict({k.replace(".base.", "."): v for k, v in model.state_dict().items()})
        for name in stack.layers:
            module = plain.get_submodule(name)
            module.weight.data = stack.merged(trial, name)
        torch.testing.assert_close(live, plain(x), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(live, run(model, stack, x, [0] * 3), atol=1e-3)


def test_rows_of_the_base_are_bit_equal_to_the_base(toy: tuple[Toy, AdapterStack]) -> None:
    model, stack = toy
    x = torch.randn(4, 5, 6)
    base = run(model, stack, x, [0, 0, 0, 0])
    mixed = run(model, stack, x, [0, 2, 0, 1])
    assert torch.equal(base[0], mixed[0])
    assert torch.equal(base[2], mixed[2])
    assert not torch.allclose(base[1], mixed[1], atol=1e-3)


def test_each_row_follows_its_own_trial(toy: tuple[Toy, AdapterStack]) -> None:
    model, stack = toy
    x = torch.randn(6, 5, 6)
    trials = [0, 1, 1, 2, 3, 3]
    mixed = run(model, stack, x, trials)
    for row, trial in enumerate(trials):
        torch.testing.assert_close(mixed[row : row + 1], run(model, stack, x[row : row + 1], [trial]))


def test_a_leak_between_trials_would_be_caught(toy: tuple[Toy, AdapterStack]) -> None:
    """The comparison above fails when a single row is sent to its neighbour's adapter."""
    model, stack = toy
    x = torch.randn(6, 5, 6)
    right = run(model, stack, x, [0, 1, 1, 2, 3, 3])
    stack.spans = (Span(0, 1, 4), Span(2, 4, 6))  # row 3 under trial 1 instead of 2
    with torch.inference_mode():
        leaked = model(x)
    assert torch.equal(leaked[:3], right[:3])
    assert not torch.allclose(leaked[3], right[3], atol=1e-3)


def test_routing(toy: tuple[Toy, AdapterStack]) -> None:
    _, stack = toy
    stack.route([0, 0, 2, 2, 1])
    assert stack.spans == (Span(1, 2, 4), Span(0, 4, 5))
    stack.open([2, 3])
    for trials, even, taking in (
        ([2, 2, 3, 3], True, None), ([3], True, [1]), ([2, 3, 3], False, None), ([3, 2], False, None),
        ([1, 2], False, None), ([2, 0], False, None),
    ):  # fmt: skip
        stack.route(trials)
        assert stack.even == even, trials
        assert (None if stack.taking is None else stack.taking.tolist()) == taking
    with pytest.raises(KeyError):
        stack.route([8])


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("lines", [1, 3])
@pytest.mark.parametrize("name", ["layers.0.up", "layers.0.down"])  # without a bias, and with one
def test_a_layers_gradients_are_those_of_its_formula(name: str, lines: int, dropped: bool) -> None:
    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    torch.manual_seed(0)
    layer = AdapterStack(Toy().double()).layers[name]
    inside, outside = layer.base.in_features, layer.base.out_features
    x, a_KRD, b_KRO, scale_K11 = (
        draw(2 * lines, 3, inside),
        draw(lines, 2, inside),
        draw(lines, 2, outside),
        draw(lines, 1, 1),
    )
    mask = torch.rand_like(x).gt(0.3).double() / 0.7 if dropped else None
    seen = (x if mask is None else x * mask).view(lines, -1, inside)
    added = scale_K11 * (seen @ a_KRD.transpose(1, 2)) @ b_KRO
    torch.testing.assert_close(
        _Beside.apply(x, a_KRD, b_KRO, scale_K11.detach(), mask, layer),
        layer.base(x) + added.view(2 * lines, 3, outside),
    )
    assert torch.autograd.gradcheck(
        lambda *leaves: _Beside.apply(*leaves, scale_K11.detach(), mask, layer), (x, a_KRD, b_KRO)
    )
    assert torch.autograd.gradcheck(  # what comes in needs no gradient: the embedding
        lambda *leaves: _Beside.apply(x.detach(), *leaves, scale_K11.detach(), mask, layer), (a_KRD, b_KRO)
    )


@pytest.mark.parametrize("together", [(1,), (1, 2, 3)])
def test_gradients_in_a_stack_are_those_of_a_trial_alone(together: tuple[int, ...]) -> None:
    def gradients(trials: tuple[int, ...], rows: int) -> dict[int, Tensor]:
        torch.manual_seed(0)
        model = Toy()
        stack = AdapterStack(model)
        stack.add([slot(t, {1: 4, 2: 2, 3: 4}[t]) for t in trials], list(trials))
        for trial in trials:
            randomise(stack, trial)
        _, gradient = stack.open(trials)
        x = torch.cat([torch.randn(rows, 5, 6, generator=torch.Generator().manual_seed(t)) for t in trials])
        stack.route([t for t in trials for _ in range(rows)])
        stack.backward(model(x).square().sum())
        return {t: torch.cat([part[i][part[i] != 0] for part in cut(stack, gradient)]) for i, t in enumerate(trials)}

    for rows in (2, 3):
        stacked = gradients(together, rows)
        for trial in together:
            alone = gradients((trial,), rows)[trial]
            assert alone.norm() > 0.1
            torch.testing.assert_close(stacked[trial], alone, atol=1e-4, rtol=1e-4)


def test_the_padding_of_a_smaller_rank_gets_no_gradient(toy: tuple[Toy, AdapterStack]) -> None:
    model, stack = toy
    _, gradients = stack.open([1, 2, 3])
    stack.route([1, 2, 3])
    stack.backward(model(torch.randn(3, 5, 6)).square().sum())
    parts = cut(stack, gradients)
    for a, b in zip(parts[::2], parts[1::2], strict=True):
        assert not a[1, 2:].any()
        assert not b[1, 2:].any()
        assert a[1, :2].all()
        assert b[1, :2].all()


def test_dropout_masks_belong_to_the_trial(toy: tuple[Toy, AdapterStack]) -> None:
    def outputs(trials: list[int], dropped: float) -> Tensor:
        torch.manual_seed(0)
        model = Toy()
        stack = AdapterStack(model)
        stack.add([slot(t, 4, dropout=dropped) for t in sorted(set(trials))], sorted(set(trials)))
        for trial in set(trials):
            randomise(stack, trial)
        stack.open(sorted(set(trials)))
        stack.route(trials)
        return model(torch.ones(len(trials), 5, 6)).detach()

    torch.testing.assert_close(outputs([1, 2], 0.5)[:1], outputs([1], 0.5))  # company does not change the masks
    assert not torch.allclose(outputs([1], 0.5), outputs([1], 0.0), atol=1e-3)


def test_dropout_is_off_in_answering(toy: tuple[Toy, AdapterStack]) -> None:
    model, stack = toy
    stack.add([slot(4, 4, dropout=0.9)], [4])
    randomise(stack, 4)
    x = torch.randn(1, 5, 6)
    assert torch.equal(run(model, stack, x, [4]), run(model, stack, x, [4]))


def test_adding_a_trial_keeps_the_others(toy: tuple[Toy, AdapterStack]) -> None:
    model, stack = toy
    x = torch.randn(1, 5, 6)
    before = [run(model, stack, x, [t]) for t in (0, 1, 2, 3)]
    stack.add([slot(5, 16)], [5])  # a wider one
    stack.add([slot(2, 2, 16)], [9])  # replaced
    after = [run(model, stack, x, [t]) for t in (0, 1, 2, 3)]
    for trial in (0, 1, 3):
        torch.testing.assert_close(before[trial], after[trial])
    assert torch.equal(after[2], after[0])


# --- PEFT's format ---------------------------------------------------------------------------------------------------


def test_save_and_load(toy: tuple[Toy, AdapterStack], tmp_path: Path) -> None:
    model, stack = toy
    x = torch.randn(2, 5, 6)
    stack.save(2, tmp_path, "base", BASE)
    stack.load(6, tmp_path, BASE)
    torch.testing.assert_close(run(model, stack, x, [6, 6]), run(model, stack, x, [2, 2]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


def test_equal_adapters_are_equal_files(toy: tuple[Toy, AdapterStack], tmp_path: Path) -> None:
    """In most of a dozen processes or calls, the order of the header's metadata would have changed."""
    _, stack = toy
    written = set()
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        stack.save(2, folder, "base", BASE)
        stack.load(2, folder, BASE)
        written.add((folder / "adapter_model.safetensors").read_bytes())
    assert len(written) == 1
    assert load_file(folder / "adapter_model.safetensors").keys() == {
        f"base_model.model.{name}.lora_{part}.weight" for name in stack.layers for part in "AB"
    }


def test_an_adapter_of_other_weights_is_refused(toy: tuple[Toy, AdapterStack], tmp_path: Path) -> None:
    _, stack = toy
    stack.save(1, tmp_path, "base", BASE)
    with pytest.raises(MissingError, match="other weights"):
        stack.load(1, tmp_path, "c" * 64)


def spoil(folder: Path, **config: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | config), encoding="utf-8")


@pytest.mark.parametrize(
    "config",
    [{"use_dora": True}, {"bias": "all"}, {"peft_type": "IA3"}, {"rank_pattern": {"up": 2}}, {"r": 5}],
)  # fmt: skip
def test_adapters_that_are_not_plain_lora_are_refused(
    toy: tuple[Toy, AdapterStack], tmp_path: Path, config: dict[str, object]
) -> None:
    _, stack = toy
    stack.save(1, tmp_path, "base", BASE)
    spoil(tmp_path, **config)
    with pytest.raises(MissingError, match="cannot be used"):
        stack.load(1, tmp_path, BASE)


def test_tensors_that_fit_nothing_are_refused(toy: tuple[Toy, AdapterStack], tmp_path: Path) -> None:
    _, stack = toy
    stack.save(1, tmp_path, "base", BASE)
    path = tmp_path / "adapter_model.safetensors"
    save_file(load_file(path) | {"base_model.model.lm_head.lora_A.weight": torch.zeros(4, 6)}, path)
    with pytest.raises(MissingError, match="cannot be used"):
        stack.load(1, tmp_path, BASE)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(MissingError, match="damaged"):
        stack.load(1, tmp_path, BASE)
    path.unlink()
    with pytest.raises(MissingError, match="no adapter_model"):
        stack.load(1, tmp_path, BASE)


def test_peft_gives_the_same_logits(tiny_folder: Path, tmp_path: Path) -> None:
    """Both ways: PEFT reads what we wrote, and we read what PEFT wrote."""
    peft = pytest.importorskip("peft", reason="peft is a development dependency")
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(tiny_folder).eval()
    stack = AdapterStack(model)
    stack.add([slot(1, 4, 8), slot(2, 2, 6)], [1, 2])
    randomise(stack, 1)
    ids = torch.randint(0, 400, (3, 20), generator=torch.Generator().manual_seed(0))
    stack.save(1, tmp_path, str(tiny_folder), BASE)
    stack.route([1, 1, 1])
    with torch.inference_mode():
        ours = model(ids).logits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the two libraries about each other
        theirs_model = peft.PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(tiny_folder), tmp_path).eval()
    with torch.inference_mode():
        theirs = theirs_model(ids).logits
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    base = LlamaForCausalLM.from_pretrained(tiny_folder).eval()
    assert not torch.allclose(ours, base(ids).logits, atol=1e-2)

    (tmp_path / "theirs").mkdir()
    theirs_model.save_pretrained(tmp_path / "theirs")
    stack.load(3, tmp_path / "theirs", BASE)
    stack.route([3, 3, 3])
    with torch.inference_mode():
        torch.testing.assert_close(model(ids).logits, theirs, atol=1e-4, rtol=1e-4)
