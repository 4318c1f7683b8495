"""The audit's arithmetic, on the old show's own figures and on its edges."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe.auditing.plan import RowTokens, audit_plan, token_stats
from kurabe.recipes import RECIPES, plan
from kurabe.schema import Finding
from kurabe.texts import LANGUAGES, Texts, catalogue

ORIGIN, FAIR = RECIPES["origin"], RECIPES["fair"]
# Measured with the old show's tokenizer: of 512 positions 11.4 % are prompt and 25.7 % answer.
SHOW = [RowTokens(58, 132)] * 10


def findings(recipe=ORIGIN, rows=SHOW, wordings=(1,) * 10, hidden=2048, context=4096) -> dict[str, Finding]:  # type: ignore[no-untyped-def]
    planned = plan(recipe, len(rows), len(wordings), hidden)
    found = audit_plan(planned, wordings, token_stats(rows, recipe), hidden=hidden, context=context)
    return {finding.id: finding for finding in found}


def test_the_old_shows_recipe_has_its_known_flaws_and_is_not_refused() -> None:
    found = findings()
    assert set(found) == {
        "warmup-exceeds-steps", "too-few-steps", "loss-on-padding", "loss-on-prompt", "one-wording", "low-exposure",
    }  # fmt: skip
    assert all(finding.level == "warn" for finding in found.values())
    assert found["warmup-exceeds-steps"].values == {"warmup": 10, "steps": 9, "full_steps": 3.6}
    assert found["low-exposure"].values["exposures"] == 3
    shares = found["loss-on-padding"].values
    assert shares == {"padding": pytest.approx(0.629, abs=0.001), "prompt": pytest.approx(0.113, abs=0.001),
                      "answer": pytest.approx(0.258, abs=0.001)}  # fmt: skip


def test_the_literal_rate_stands_beside_the_scaled_one() -> None:
    found = findings(hidden=256)["rate-scaled"]
    assert found.level == "info"
    assert found.values["literal"] == 2e-4 and found.values["width"] == 2048
    assert found.values["scaled"] == pytest.approx(2e-4 * 8**0.781)
    assert "rate-scaled" not in findings(hidden=2048)


def test_the_old_shows_rate_stays_literal_on_wider_models_and_the_fair_one_does_not() -> None:
    assert plan(ORIGIN, 10, 10, 4096).rate == 2e-4 and "rate-scaled" not in findings(hidden=4096)
    assert plan(FAIR, 100, 10, 4096).rate == pytest.approx(5e-4 * (2000 / 4096) ** 0.781)


def test_full_steps_are_steps_at_the_rate_that_the_schedule_aims_at() -> None:
    """A short run of the fair recipe aims higher; it has no more full steps than steps for that."""
    short = FAIR.model_copy(update={"epochs": 1, "min_steps": 0, "exposures": 0, "warmup_steps": 100})
    values = findings(short, [RowTokens(20, 25)] * 400, (10,) * 40, hidden=256)["warmup-exceeds-steps"].values
    assert values["full_steps"] == pytest.approx(sum((k + 1) / 100 for k in range(50)), abs=0.06)


def test_a_sound_training_has_no_warning() -> None:
    found = findings(FAIR, [RowTokens(20, 25)] * 100, (10,) * 10, hidden=2000)
    assert found == {}


def test_one_thin_example_among_rich_ones_is_counted() -> None:
    found = findings(FAIR, [RowTokens(20, 25)] * 91, (1, *[10] * 9), hidden=2000)
    assert found["one-wording"].values == {"single": 1, "examples": 10}


def test_rows_beyond_the_fixed_length_are_counted() -> None:
    found = findings(ORIGIN, [RowTokens(500, 20), RowTokens(10, 10)], (1, 1))
    assert found["truncated-rows"].values == {"rows": 1, "length": 512, "longest": 520}
    assert found["truncated-rows"].level == "info", "they are not cut here"
    assert "truncated-rows" not in findings(FAIR, [RowTokens(500, 20), RowTokens(10, 10)], (1, 1))


def test_what_cannot_be_trained_is_refused() -> None:
    assert findings(FAIR, [], ())["no-samples"].level == "refuse"
    assert findings(ORIGIN, [], ())["no-samples"].level == "refuse"
    found = findings(FAIR, [RowTokens(4000, 97)], (1,))
    assert next(iter(found.values())).id == "answer-too-long", "what is refused comes first"
    assert findings(FAIR, [RowTokens(4000, 96)], (1,)).keys().isdisjoint({"answer-too-long"})


rows_of_tokens = st.lists(st.builds(RowTokens, st.integers(1, 700), st.integers(1, 700)), max_size=40)


@given(rows_of_tokens, st.sampled_from([ORIGIN, FAIR]))
def test_positions_are_padding_prompt_and_answer_and_nothing_else(rows: list[RowTokens], recipe) -> None:  # type: ignore[no-untyped-def]
    stats = token_stats(rows, recipe)
    assert stats.positions == stats.padding + stats.prompt + stats.answer
    assert stats.padding >= 0 and stats.prompt + stats.answer == sum(map(sum, rows)), "no row is cut"
    if recipe.pad_to is None:
        assert stats.beyond == stats.padding == 0
    else:
        assert stats.positions >= recipe.pad_to * len(rows)
        assert stats.beyond == sum(sum(row) > recipe.pad_to for row in rows)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_has_its_two_sentences(language: str) -> None:
    texts = catalogue(language)
    every = {**findings(hidden=256), **findings(FAIR, [RowTokens(4000, 97)], (1,)), **findings(FAIR, [], ()),
             **findings(ORIGIN, [RowTokens(500, 20)], (1,))}  # fmt: skip
    assert len(every) == 10
    for finding in every.values():
        for part in ("what", "why"):
            sentence = texts[f"audit.{finding.id}.{part}"]
            assert Texts(language)(f"audit.{finding.id}.{part}", **finding.values)
            assert {name for _, name, _, _ in string.Formatter().parse(sentence) if name} <= finding.values.keys()


def test_a_flaw_says_which_setting_mends_it_and_mends_it() -> None:
    """The recipe with every repaired setting has none of the flaws that a setting can mend."""
    found = findings()
    repaired = {name: value for finding in found.values() for name, value in finding.repaired.items()}
    assert repaired == {"warmup_steps": None, "min_steps": 150, "loss_on": "answer", "wordings": None, "exposures": 100}
    mended = findings(ORIGIN.model_copy(update=repaired | {"pad_to": None}), wordings=(10,) * 10)
    assert mended == {}


def test_costs_stand_on_the_faults_that_were_measured_and_on_no_others() -> None:
    found = findings()
    assert {key for key, finding in found.items() if finding.cost} == {
        "warmup-exceeds-steps", "too-few-steps", "loss-on-padding", "loss-on-prompt", "one-wording",
    }  # fmt: skip
    assert found["loss-on-padding"].cost == found["loss-on-prompt"].cost, "measured together"
    packed = findings(FAIR.model_copy(update={"loss_on": "everything"}), [RowTokens(20, 25)] * 100, (10,) * 10)
    assert packed["loss-on-prompt"].cost is None, "never measured without padding"
