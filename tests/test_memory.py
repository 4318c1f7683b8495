"""The arithmetic of memory: shapes as they are published, and what each part of a plan grows with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from kurabe.memory import ACTIVATION_BYTES, CACHE_BYTES, Load, Plan, Shape
from kurabe.schema import Footprint

TINYLLAMA = {
    "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
    "num_key_value_heads": 4, "vocab_size": 32000,
}  # fmt: skip
SHAPE = Shape.of(TINYLLAMA)
HELD = Footprint(feed_forward=5632, query=2048, key_value=256, libraries=400, weights=4400, loading=2200)
WORK = Load(adapters=10, trained=10, positions=100, labelled=20, dropout=False, rows=4, columns=50)


def test_tinyllama_has_its_published_size() -> None:
    numbers = SHAPE.linears + 2 * 32000 * 2048 + (2 * 22 + 1) * 2048
    assert numbers == 1_100_048_384
    assert SHAPE.weights(numbers, "float32") == 4 * numbers
    assert SHAPE.weights(numbers, "bfloat16") == 4 * numbers - 2 * SHAPE.linears
    assert SHAPE.column() == 2 * 22 * 4 * 64 * 4


def test_the_linears_are_those_of_a_real_folder(tiny_folder: Path) -> None:
    """Heads may have a size of their own (Qwen3, Gemma), and without groups each query head has its keys."""
    shape = Shape.of(json.loads((tiny_folder / "config.json").read_text(encoding="utf-8")))
    tensors = load_file(tiny_folder / "model.safetensors")
    assert shape.linears == sum(t.numel() for n, t in tensors.items() if ".layers." in n and t.dim() == 2)
    assert Shape.of(TINYLLAMA | {"head_dim": 128})[3:5] == (32 * 128, 4 * 128)
    plain = {name: size for name, size in TINYLLAMA.items() if name != "num_key_value_heads"}
    assert Shape.of(plain).key_value == Shape.of(plain).query == 2048


@pytest.mark.parametrize(
    ("change", "grows"),
    [
        ({"adapters": 20}, {"adapters"}), ({"trained": 20}, {"optimiser"}), ({"positions": 200}, {"activations"}),
        ({"labelled": 40}, {"activations"}), ({"dropout": True}, {"activations"}),
        ({"rows": 8}, {"prompts", "kv_cache"}), ({"columns": 100}, {"prompts", "kv_cache"}),
    ],
)  # fmt: skip
def test_each_part_grows_with_its_cause_alone(change: dict[str, int], grows: set[str]) -> None:
    before, after = Plan.of(SHAPE, HELD, WORK), Plan.of(SHAPE, HELD, WORK._replace(**change))
    assert {name for name in Plan._fields if getattr(after, name) > getattr(before, name)} == grows
    assert after.peak >= before.peak


def test_the_peak_is_the_largest_of_three_moments() -> None:
    plan = Plan.of(SHAPE, HELD, WORK)
    assert plan.peak == max(400 + 4400 + 2200, plan.training, plan.answering) == plan.training
    idle = Plan.of(SHAPE, HELD, Load(0, 0, 0, 0, False, 0, 0))
    assert idle.peak == 400 + 4400 + 2200 and idle.training == idle.answering == 400 + 4400


def test_batches_are_cut_to_what_a_pass_may_take() -> None:
    plan = Plan.of(SHAPE, HELD, WORK._replace(positions=10**6, rows=10**4, columns=10**4))
    assert (plan.activations, plan.kv_cache) == (ACTIVATION_BYTES, CACHE_BYTES)
