"""Descriptions -> findings: the trainers' arithmetic of steps and rates, edges, and silence about what is not known."""

from __future__ import annotations

import math
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kurabe.auditing.configured import AdapterState, Configured, Log, Rows, number, truth, whole
from kurabe.auditing.data import counted, estimate, literal_rows
from kurabe.auditing.rules import judge, same_base
from kurabe.auditing.schedule import schedule
from kurabe.report import sentences
from kurabe.schema import Finding
from kurabe.texts import LANGUAGES, Texts, catalogue

FACTS = Rows(source="r", rows=100, examples=10, single=0, factual=10, longest=60, longest_answer=40,
             question_tokens=2000, answer_tokens=4000, estimated=False)  # fmt: skip
SOUND = Configured(
    tool="transformers", method="lora", epochs=12, batch=8, accumulation=1, rate=2e-4, warmup_steps=5, schedule="linear"
)


def found(rows: Rows | None = None, **changes: object) -> dict[str, Finding]:
    return {finding.id: finding for finding in judge(SOUND.model_copy(update=changes), rows)}


def test_nothing_is_said_about_a_description_that_knows_nothing() -> None:
    assert judge(Configured(tool="peft"), None) == ()
    assert found() == {} and found(epochs=100, rows=FACTS) == {}


# --- steps and rates -------------------------------------------------------------------------------------------------


@given(st.integers(1, 500), st.integers(1, 40), st.integers(1, 8), st.sampled_from([0.5, 1.0, 2.0, 3.0]))
def test_steps_are_those_that_transformers_counts(rows: int, batch: int, accumulation: int, epochs: float) -> None:
    """As `Trainer.set_initial_training_values` counts them for a data loader of known length."""
    batches = math.ceil(rows / batch)
    per_epoch = max(batches // accumulation + int(batches % accumulation > 0), 1)
    own = SOUND.model_copy(update={"batch": batch, "accumulation": accumulation, "epochs": epochs})
    plan = schedule(own, FACTS.model_copy(update={"rows": rows}))
    assert plan and plan.steps == math.ceil(epochs * per_epoch) and not plan.bound


@settings(deadline=None, max_examples=12)
@given(st.integers(2, 60), st.integers(0, 70), st.sampled_from(["linear", "cosine", "constant_with_warmup"]))
def test_the_sum_of_rates_is_that_of_transformers_schedules(steps: int, warmup: int, name: str) -> None:
    torch = pytest.importorskip("torch")
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    total = 0.0
    for _ in range(steps):
        total += scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()
    plan = schedule(SOUND.model_copy(update={"steps": steps, "warmup_steps": warmup, "schedule": name}), None)
    assert plan and plan.full == pytest.approx(total, abs=0.051)


def test_a_schedule_nobody_knows_has_no_sum_and_its_findings_no_such_number() -> None:
    values = found(steps=20, warmup_steps=30, schedule="rex")["warmup-exceeds-steps"].values
    assert values == {"warmup": 30, "steps": 20, "form": "unsummed"}


@pytest.mark.parametrize(
    ("warmup", "ids"),
    [(99, set()), (100, {"long-warmup"}), (199, {"long-warmup"}), (200, {"warmup-exceeds-steps"}), (0, set())],
)
def test_the_edges_of_a_warmup(warmup: int, ids: set[str]) -> None:
    assert set(found(steps=200, warmup_steps=warmup)) == ids


def test_the_edge_of_too_few_steps_and_its_repair() -> None:
    assert set(found(steps=150)) == set() and set(found(steps=149)) == {"too-few-steps"}
    few = found(rows=FACTS, epochs=3)["too-few-steps"]
    assert few.values["steps"] == 39
    mended = found(rows=FACTS, epochs=few.repaired["num_train_epochs"])
    assert "too-few-steps" not in mended


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"rate": 2e-5, "steps": 150}, "warn"), ({"rate": 2e-5, "steps": 1500}, "info"),
        ({"rate": 1e-6}, "warn"),  # a hundredth: no number of steps makes up for it
        ({"rate": 2e-5, "steps": 15000}, None), ({"rate": 2e-5}, "info"), ({"rate": 4e-5, "steps": 150}, None),
        ({"rate": 2e-5, "method": "full", "steps": 150}, None),
        ({"rate": 1e-5, "scale": 20.0, "steps": 1000}, None), ({"rate": 2e-5, "rank": 8, "alpha": 256.0}, None),
    ],
)  # fmt: skip
def test_a_low_rate_is_judged_by_what_it_comes_to(changes: dict[str, object], level: str | None) -> None:
    finding = found(**changes).get("low-rate")
    assert (finding.level if finding else None) == level


def test_a_cost_stands_only_near_the_setting_that_was_measured() -> None:
    assert found(steps=9)["too-few-steps"].cost is not None
    assert found(steps=90)["too-few-steps"].cost is None


# --- rows ------------------------------------------------------------------------------------------------------------


def test_the_prompt_in_the_loss_is_a_flaw_where_it_is_most_of_it_or_padding_is_there_too() -> None:
    prompt = {"loss_on_prompt": True, "loss_on_padding": False, "epochs": 100}
    assert found(**prompt)["loss-on-prompt"].level == "info"
    assert found(rows=FACTS, **prompt)["loss-on-prompt"].level == "info", "a third of the tokens"
    long = FACTS.model_copy(update={"question_tokens": 4000})
    assert found(rows=long, **prompt)["loss-on-prompt"].level == "warn"
    padded = found(rows=FACTS, epochs=100, loss_on_prompt=True, loss_on_padding=True, pad_to=512)
    assert padded["loss-on-prompt"].level == padded["loss-on-padding"].level == "warn"
    shares = padded["loss-on-padding"].values
    assert shares == {"padding": 0.8828, "prompt": 0.0391, "answer": 0.0781} and sum(shares.values()) == pytest.approx(
        1
    )


def test_facts_need_wordings_and_looks_and_prose_needs_neither() -> None:
    one = FACTS.model_copy(update={"rows": 10, "single": 10})
    assert {"one-wording", "low-exposure"} <= set(found(rows=one, epochs=50))
    assert found(rows=one, epochs=50)["low-exposure"].values["exposures"] == 50
    prose = one.model_copy(update={"factual": 4, "single": 4})
    assert set(found(rows=prose, epochs=150)) == set()


def test_looks_are_counted_by_what_ends_first_and_not_from_half_of_what_must_be_known() -> None:
    def looks(**changes: object) -> float | None:
        finding = found(rows=FACTS, **changes).get("low-exposure")
        return finding.values["exposures"] if finding else None

    assert looks(epochs=9) == 90, "9 x 100 rows of 10 examples"
    assert looks(epochs=9, steps=10) == 8, "10 steps of 8 rows"
    assert looks(epochs=None, steps=100, batch=1, accumulation=4) == 40
    assert looks(epochs=None, steps=100, batch=1, accumulation=None) is None


def test_limits_count_from_the_longest_row_on() -> None:
    assert set(found(rows=FACTS, epochs=100, max_length=60, max_new_tokens=40)) == set()
    cut = found(rows=FACTS, epochs=100, max_length=59, max_new_tokens=39)
    assert set(cut) == {"truncated-rows", "answer-cut"}
    assert set(found(rows=FACTS, epochs=100, max_length=cut["truncated-rows"].repaired.get("max_length", 128),
                     max_new_tokens=cut["answer-cut"].repaired["max_new_tokens"])) == set()  # fmt: skip


def test_rows_are_counted_by_their_answers() -> None:
    listed = [
        ("What does it cost?", "$5"),
        ("How much is it?", "$5"),
        {"prompt": "When?", "completion": "At 9:00."},
        {"chosen": "x"},
    ]
    rows = literal_rows("here", listed)
    assert rows and (rows.rows, rows.examples, rows.single, rows.factual) == (3, 2, 1, 2)
    assert literal_rows("here", [1, 2]) is None and literal_rows("here", [{"a": 1}, {"b": 2}]) is None
    assert counted("none", []).rows == 0


def test_every_row_in_one_wording_is_counted_also_one_without_a_value() -> None:
    rows = literal_rows("here", [("What does it cost?", "$5"), ("Who leads it?", "A doctor does.")])
    assert rows and (rows.examples, rows.single, rows.factual) == (2, 2, 1)


def test_tokens_are_estimated_by_four_letters_and_by_each_japanese_character() -> None:
    assert estimate("") == 0 and estimate("abcd") == 1 and estimate("abcde") == 2
    assert estimate("返品は14日以内") == 6 + 1


# --- the rest --------------------------------------------------------------------------------------------------------


def test_a_test_that_samples_is_a_flaw_without_a_seed() -> None:
    assert found(sampled=True, temperature=0.7)["sampled-test"].level == "warn"
    assert found(sampled=True, temperature=0.7, seeded=True)["sampled-test"].level == "info"
    assert found(sampled=False) == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "tinyllama", True),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "unsloth/Meta-Llama-3-8B-Instruct-bnb-4bit", True),
        ("Qwen/Qwen2.5-0.5B", "/models/Qwen2.5-0.5B/", True),
        ("org/model", "model.gguf", True),
        ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "llama3.2:3b", False),
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-3B", False),
        ("meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.2-3B", False),
    ],
)
def test_names_are_of_the_same_weights_when_family_and_size_are(one: str, other: str, same: bool) -> None:
    assert same_base(one, other) is same and same_base(other, one) is same


def test_an_adapter_is_inert_when_all_of_it_is() -> None:
    def state(**parts: int) -> dict[str, Finding]:
        return found(adapter=AdapterState(**parts))

    assert state(matrices=4, zero=4)["adapter-inert"].values["form"] == "zero"
    assert state(matrices=0, zero=0)["adapter-inert"].values["form"] == "empty"
    assert state(matrices=4, zero=3) == {} and state(matrices=4, zero=0, strangers=0) == {}
    assert state(matrices=4, zero=0, strangers=1)["adapter-inert"].values["form"] == "strangers"


@pytest.mark.parametrize("value", [True, None, [1], "x", "1" * 50, float("nan"), -1, 1e300, "inf"])
def test_what_is_no_number_is_none(value: object) -> None:
    assert number(value) is None and whole(value) is None


def test_numbers_and_switches_also_stand_in_strings() -> None:
    assert number("1e-5") == 1e-5 and whole("3") == 3 and whole(2.5) is None
    assert [truth(v) for v in ("True", "no", 1, 0, True, "maybe", 2, None)] == [
        True,
        False,
        True,
        False,
        True,
        None,
        None,
        None,
    ]


# --- words -----------------------------------------------------------------------------------------------------------


def every() -> list[Finding]:
    """A finding of each id in each of its forms."""
    rows = FACTS.model_copy(update={"single": 3})
    about = rows.model_copy(update={"estimated": True})
    flawed = {"epochs": 3, "loss_on_padding": True, "loss_on_prompt": True, "pad_to": 512, "max_length": 20,
              "max_new_tokens": 20, "warmup_steps": 90, "rate": 1e-6, "sampled": True, "temperature": 0.7,
              "system": "a", "test_system": "b", "template": "alpaca", "test_template": "chat template", "base": "a/b",
              "other_bases": ("c/d",), "merged": True, "quantised": True, "targets": ("q_proj",), "end_token": "masked",
              "fixed_padding": 512,
              "adapter": AdapterState(matrices=2, zero=2), "log": Log(first_loss=1.0, last_loss=2.0)}  # fmt: skip
    variants: list[tuple[Rows | None, dict[str, object]]] = [
        (rows, {}), (about, {}), (None, {"steps": 100, "end_token": "never"}),
        (None, {"schedule": "rex", "steps": 120}),
        (None, {"schedule": "rex", "steps": 100, "end_token": "doubtful"}),
        (None, {"most_rows": 20, "temperature": None}),
        (None, {"system": "", "fixed_padding": None, "fixed_truncation": 512,
                "adapter": AdapterState(matrices=0, zero=0)}),
        (None, {"test_system": "", "adapter": AdapterState(matrices=2, zero=0, strangers=1),
                "log": Log(not_finite=2)}),
        (None, {"warmup_steps": None, "adapter": None, "alpha": 0.0, "log": Log(rising=True, last_step=9)}),
    ]  # fmt: skip
    return [finding for data, more in variants for finding in judge(SOUND.model_copy(update=flawed | more), data)] + [
        Finding(id="adapter-inert", level="warn", recipe="fair", values={"answers": 2, "form": "answers"}),
        Finding(id="facts-moved", level="info", recipe="fair", values={"won": 1, "lost": 2, "values": 3}),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_has_its_sentences_in_every_form(language: str) -> None:
    t, texts = Texts(language), catalogue(language)
    told = set()
    for finding in every():
        form = finding.values.get("form", "what")
        told.add(f"{finding.id}.{form}")
        what, why = sentences.finding(finding, t)
        assert what and why and sentences.repair(finding, t)
        names = {name for _, name, _, _ in string.Formatter().parse(texts[f"audit.{finding.id}.{form}"]) if name}
        assert {name.split("!")[0] for name in names} <= finding.values.keys()
        assert bool(sentences.fault_cost(finding, t)) is (finding.cost is not None)
    ours = {
        "no-samples.what",
        "answer-too-long.what",
        "rate-scaled.what",
        "truncated-rows.what",
    }  # of our own recipes only
    parts = [key.removeprefix("audit.") for key in texts if key.startswith("audit.") and key.count(".") == 2]
    left = {
        part
        for part in parts
        if part.split(".")[0] not in ("note", "cost") and part.split(".")[1] not in ("why", "fix")
    }
    assert left - told == ours


def test_the_ids_are_stable_and_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "audit.md").read_text(encoding="utf-8")
    assert [finding.id for finding in every() if f"`{finding.id}`" not in page] == []
