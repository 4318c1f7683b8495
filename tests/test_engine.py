"""Greedy answers equal transformers' own `generate`, whatever shares a batch; prefixes are planned to save the most."""

from __future__ import annotations

import importlib
import random
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kurabe import engine as engine_module
from kurabe.attention import ATTENTION
from kurabe.engine import Engine, Group, Row, plan_prefixes
from kurabe.lora import AdapterStack, Slot

END = frozenset({2})
VOCABULARY = 472


def load(folder: Path, attention: str) -> Any:
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder, attn_implementation=attention).eval()


def adapt(stack: AdapterStack) -> None:
    stack.add([Slot(t, rank, 8.0, 8.0 / rank) for t, rank in ((1, 4), (2, 8))], [1, 2])
    generator = torch.Generator().manual_seed(5)
    for layer in stack.layers.values():
        layer.adapters_KRO.copy_(torch.randn(layer.adapters_KRO.shape, generator=generator) * 0.1)
        layer.adapters_KRO[0, 4:] = 0  # beyond trial 1's rank


@pytest.fixture(scope="module")
def engine(tiny_folder: Path) -> Engine:
    model = load(tiny_folder, ATTENTION)
    stack = AdapterStack(model)
    adapt(stack)
    return Engine(model, stack, END)


@pytest.fixture(scope="module")
def references(tiny_folder: Path, engine: Engine) -> dict[int, Any]:
    """One plain model per trial, the adapter merged into its weights."""
    models = {}
    for trial in (0, 1, 2):
        model = load(tiny_folder, "sdpa")
        if trial:
            for name in engine.stack.layers:
                model.get_submodule(name).weight.data = engine.stack.merged(trial, name).clone()
        models[trial] = model
    return models


def generate(model: Any, row: Row) -> tuple[list[int], list[float]]:
    """What transformers generates for this row alone, and by how much each token won."""
    with torch.inference_mode():
        out = model.generate(
            torch.tensor([row.ids]), attention_mask=torch.ones(1, len(row.ids), dtype=torch.long), do_sample=False,
            max_new_tokens=row.limit, pad_token_id=0, eos_token_id=2, return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
    top = [score[0].topk(2).values for score in out.scores]
    return out.sequences[0, len(row.ids) :].tolist(), [float(t[0] - t[1]) for t in top]


def prompts(seed: int) -> list[Row]:
    """Rows as an experiment asks them: three trials, short and long shared beginnings, and rows that share nothing."""
    pick = random.Random(seed)
    some = lambda n: [pick.randrange(6, VOCABULARY) for _ in range(n)]  # noqa: E731
    neutral, facts, other = some(9), some(300), some(70)
    rows = []
    for trial in (0, 1, 2):
        for _ in range(9):
            rows.append(Row(neutral + some(pick.randint(1, 14)), trial, pick.randint(1, 12)))
            rows.append(Row(neutral + facts + some(pick.randint(1, 14)), trial, 10))
        rows += [Row(neutral + other + some(3), trial, 10) for _ in range(4)]
        rows += [Row(some(pick.randint(1, 60)), trial, 10) for _ in range(4)]
    rows.append(Row(list(rows[0].ids), 0, 12))  # the same question twice
    pick.shuffle(rows)
    return rows


@pytest.mark.parametrize("in_place", [1, engine_module.IN_PLACE, 10**9])
def test_greedy_answers_equal_generate(
    engine: Engine, references: dict[int, Any], monkeypatch: pytest.MonkeyPatch, in_place: int
) -> None:
    monkeypatch.setattr(engine_module, "IN_PLACE", in_place)
    rows = prompts(in_place)
    engine.answer(rows)
    ties = 0
    for row in rows:
        expected, margins = generate(references[row.trial], row)
        if row.new != expected:
            at = next(i for i, (a, b) in enumerate(zip(row.new, expected, strict=False)) if a != b)
            assert margins[at] < 1e-3, f"trial {row.trial}: token {at} differs and was no near-tie"
            ties += 1
        assert row.ended == (row.new[-1] == 2)
    assert ties <= 1
    assert len({tuple(row.new) for row in rows}) > len(rows) * 0.8  # the answers are worth comparing
    assert sum(len(row.new) > 8 for row in rows) > len(rows) * 0.5


def test_one_row_alone(engine: Engine, references: dict[int, Any]) -> None:
    row = Row([5, 17, 30], 1, 8)
    engine.answer([row])
    assert row.new == generate(references[1], row)[0]
    assert row.cached == 0


def test_rows_that_end_leave_and_the_others_go_on(engine: Engine, references: dict[int, Any]) -> None:
    rows = [Row([7 + i, 50, 60 + i], i % 3, limit) for i, limit in enumerate([1, 1, 30, 1, 2, 3, 1, 1, 30, 1])]
    engine.answer(rows)
    for row in rows:
        assert row.new == generate(references[row.trial], row)[0]


def test_a_shared_beginning_is_paid_for_once(engine: Engine) -> None:
    rows = [Row([*range(10, 40), 100 + i], 0, 2) for i in range(4)] + [Row([*range(10, 40), 99], 1, 2)]
    engine.answer(rows)
    assert sorted(row.cached for row in rows[:4]) == [0, 30, 30, 30]
    assert rows[4].cached == 0  # another trial's keys are never used


def test_the_time_of_a_batch_is_shared_out(engine: Engine) -> None:
    rows = [Row([20 + i, 10, 11], 0, 3 + 3 * i) for i in range(5)]
    engine.answer(rows)
    assert all(row.seconds > 0 for row in rows)
    assert rows[4].seconds > rows[0].seconds


def test_sampling_follows_the_request_and_not_the_batch(engine: Engine) -> None:
    def draw(seed: int, company: int) -> list[int]:
        row = Row([10, 11, 12], 1, 8, temperature=1.5, seed=seed)
        engine.answer([*(Row([20 + i, 21], 0, 8) for i in range(company)), row])
        return row.new

    assert draw(1, 0) == draw(1, 0) == draw(1, 3)
    assert len({tuple(draw(seed, 0)) for seed in range(6)}) > 3


# --- the plan of prefixes -------------------------------------------------------------------------------------------


def saved(groups: list[Group]) -> int:
    return sum((len(group.rows) - 1) * group.shared for group in groups)


def test_plan_takes_the_deeper_groups_where_they_save_more() -> None:
    rows = [Row([1, 2, *([3] * 50), i], 0, 1) for i in range(5)] + [Row([1, 2, *([4] * 80), i], 0, 1) for i in range(3)]
    groups = plan_prefixes(rows)
    assert sorted((group.rows, group.shared) for group in groups) == [((0, 1, 2, 3, 4), 52), ((5, 6, 7), 82)]


def test_plan_shares_the_root_where_rows_differ_at_once() -> None:
    assert plan_prefixes([Row([1, 2, 3, i], 0, 1) for i in range(6)]) == [Group((0, 1, 2, 3, 4, 5), 3)]


def test_plan_leaves_a_token_to_compute() -> None:
    assert plan_prefixes([Row([1, 2, 3], 0, 1), Row([1, 2, 3], 0, 1)]) == [Group((0, 1), 2)]
    assert plan_prefixes([Row([1], 0, 1), Row([1, 2, 3], 0, 1)]) == [Group((0, 1), 0)]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 2), min_size=1, max_size=8)), min_size=1, max_size=12)
)
def test_plan_is_a_partition_with_true_prefixes(drawn: list[tuple[int, list[int]]]) -> None:
    rows = [Row(ids, trial, 1) for trial, ids in drawn]
    groups = plan_prefixes(rows)
    assert sorted(i for group in groups for i in group.rows) == list(range(len(rows)))
    for group in groups:
        members = [rows[i] for i in group.rows]
        assert len({(row.trial, tuple(row.ids[: group.shared])) for row in members}) == 1
        assert all(len(row.ids) > group.shared for row in members)
    trials = [rows[group.rows[0]].trial for group in groups]
    assert all(a <= b for a, b in pairwise(trials))  # rows of one trial lie side by side
    for trial in {row.trial for row in rows}:  # never worse than sharing what all rows of the trial share
        mine = [row for row in rows if row.trial == trial]
        common = 0
        while all(len(r.ids) > common + 1 and r.ids[common] == mine[0].ids[common] for r in mine):
            common += 1
        assert saved([g for g in groups if rows[g.rows[0]].trial == trial]) >= (len(mine) - 1) * common


def test_a_batch_is_cut_to_the_memory(
    engine: Engine, references: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every batch stays below the limit, a prefix group that is too large is cut, and the answers do not change."""
    column = 2 * 4 * engine.layers * engine.heads * engine.size
    monkeypatch.setattr(engine_module, "CACHE_BYTES", 120 * column)
    monkeypatch.setattr(engine_module, "IN_PLACE", 100)
    rows = [Row([*range(10, 40), 100 + i], i % 2, 6) for i in range(24)] + [Row([9, 8, 7 + i], 0, 3) for i in range(30)]
    batches = list(engine._batches(rows, plan_prefixes(rows)))
    assert len(batches) > 2
    assert sorted(i for batch in batches for group in batch for i in group.rows) == list(range(len(rows)))
    sizes: list[int] = []
    made = engine_module.RowCache.__init__

    def measured(self: Any, layers: int, count: int, columns: int, *rest: Any) -> None:
        sizes.append(count * columns)
        made(self, layers, count, columns, *rest)

    monkeypatch.setattr(engine_module.RowCache, "__init__", measured)
    engine.answer(rows)
    assert max(sizes) <= 120
    for row in rows[::5]:
        assert row.new == generate(references[row.trial], row)[0]


@pytest.mark.parametrize("name", ["engine.md", "engine.ja.md"])
def test_the_engine_page_names_what_is_there(name: str) -> None:
    """A reader checks the picture against the code by these names."""
    page = (Path(__file__).parents[1] / "docs" / name).read_text(encoding="utf-8")
    names = set(re.findall(r"\b(train|packing|engine|attention|lora)((?:\.(?!py\b|md\b|ja\b)\w+)+)", page))
    assert len(names) > 12
    for module, path in names:
        found: Any = importlib.import_module(f"kurabe.{module}")
        for part in path.strip(".").split("."):
            found = getattr(found, part)


def test_a_container_s_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine_module, "_CONTAINER", tmp_path)
    whole = engine_module.free_memory(torch.device("cpu"))
    assert whole > 1000
    for name, text in (("max", "1000"), ("current", "800"), ("stat", "anon 700\ninactive_file 50")):
        (tmp_path / f"memory.{name}").write_text(text + "\n", encoding="ascii")
    assert engine_module.free_memory(torch.device("cpu")) == 250
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert engine_module.free_memory(torch.device("cpu")) > 1000
