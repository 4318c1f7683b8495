"""The verdict's rule: each case of docs/verdict.md, the order of the rules, and that nothing decides by a whim."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kurabe import reasons, style, verdict
from kurabe.evidence import MIN_EXAMPLES, Evidence
from kurabe.schema import (
    ArmResult,
    CostEstimate,
    Difference,
    Estimate,
    Finding,
    Measure,
    RetentionResult,
    Verdict,
)
from kurabe.texts import LANGUAGES, catalogue
from kurabe.verdict import decide


def estimate(value: float | None, half: float = 0.02, n: int = 40) -> Estimate:
    if value is None:
        return Estimate(value=None)
    return Estimate(
        value=value, low=max(-1, value - half), high=min(1, value + half), n=n, items=5 * n, method="bootstrap"
    )


def arm(
    label: str, recall: float | None, half: float = 0.02, unscored: int = 0, extra: float = 0.0,
    style: float | None = None,
) -> ArmResult:  # fmt: skip
    name = label.split(" ")[0]
    return ArmResult(
        arm=name, trial=int("lora" in name), recipe="fair" if "lora" in name else "", label=label,
        recall=estimate(recall, half), trained=estimate(None), wrong=estimate(0.0), extra=Estimate(value=extra),
        outcomes={}, answers=200, cut=0, unscored=unscored, style=None if style is None else estimate(style, half),
    )  # fmt: skip


def versus(
    label: str, other: str, value: float, low: float, high: float, measure: Measure = "recall", needed: int | None = 120
) -> Difference:
    interval = Estimate(value=value, low=low, high=high, n=40, items=200, method="bootstrap")
    return Difference(
        label=label, other=other, estimate=interval, smallest_detectable=0.1, measure=measure, needed=needed
    )


def kept(probe: str, value: float, high: float, before: int = 60, recipe: str = "fair") -> RetentionResult:
    share = Estimate(value=value, low=max(0.0, value - 0.1), high=high, n=before, items=before, method="bootstrap")
    return RetentionResult(trial=1, recipe=recipe, probe=probe, asked=60, right_before=before, kept=share)  # type: ignore[arg-type]


def price(label: str, prompt_tokens: float, trained: int = 0) -> CostEstimate:
    """`trained` positions; the LoRA below takes 5,000 questions to pay them back beside the prompt."""
    return CostEstimate(
        label=label, arm=label, trial=int("lora" in label), preparation_seconds=9, preparation_tokens=trained,
        prompt_tokens=prompt_tokens, new_tokens=20, seconds_per_answer=1, peak_memory=1, money_per_thousand=None,
        break_even=5000 if label == "lora" else None,
    )  # fmt: skip


COSTS = (price("prompt", 1040), price("lora", 40, 2_500_000))


FLAW = Finding(id="too-few-steps", level="warn", recipe="fair", values={})


def evidence(
    prompt: float = 0.9, lora: float = 0.9, low: float = -0.02, high: float = 0.02, **changes: Any
) -> Evidence:
    """Two arms and the interval of lora - prompt; everything else as `changes` say."""
    arms = (arm("base", 0), arm("prompt", prompt), arm("lora", lora), arm("ceiling", 0.97))
    fields: dict[str, Any] = {
        "arms": arms, "differences": (versus("lora", "prompt", lora - prompt, low, high),),
        "retention": (kept("general", 0.98, 1.0), kept("reading", 0.95, 0.99)), "costs": COSTS, "audit": (),
        "examples": 40, "stand_in": False, "recipe": "fair",
    }  # fmt: skip
    return Evidence(**{**fields, **changes})


def keys(result: Verdict) -> list[str]:
    return [reason.key.removeprefix("verdict.reason.") for reason in result.reasons]


HARM = {"retention": (kept("general", 0.98, 1.0), kept("reading", 0.3, 0.45))}
FORGETS = {"retention": (kept("general", 0.2, 0.35), kept("reading", 0.9, 0.97))}
BOTH_ARMS = (arm("prompt", 0.7), arm("lora", 0.7), arm("lora+prompt", 0.95))
BOTH = {
    "arms": BOTH_ARMS,
    "differences": (
        versus("lora", "prompt", 0.0, -0.05, 0.05),
        versus("lora+prompt", "prompt", 0.25, 0.1, 0.4),
        versus("lora+prompt", "lora", 0.25, 0.1, 0.4),
    ),
}
PAIR = (arm("prompt", 0.6), arm("lora", 0.9))
DEAR = {"costs": (*COSTS, price("rag", 240)), "questions_per_day": 1000}


def compared(shares: dict[str, float], half: float, measure: Measure = "recall") -> list[Difference]:
    """Every pair of these arms, each difference as certain as `half` says."""
    return [
        versus(a, b, shares[a] - shares[b], shares[a] - shares[b] - half, shares[a] - shares[b] + half, measure)
        for a, b in itertools.permutations(shares, 2)
    ]


def retrieval(
    prompt: float | None, lora: float, rag: float, half: float = 0.04, together: float | None = None, **changes: Any
) -> Evidence:
    """With a retrieval arm; without a prompt where the facts do not fit."""
    shares = {"prompt": prompt, "lora": lora, "rag": rag, "lora+rag": together}
    known = {label: share for label, share in shares.items() if share is not None}
    fields = {
        "arms": tuple(arm(*item) for item in known.items()), "differences": tuple(compared(known, half)),
        "prompt_fits": prompt is not None,
    }  # fmt: skip
    return evidence(**{**fields, **changes})


def controlled(prompt: float | None, lora: float, shuffled: float, **changes: Any) -> Evidence:
    """With the control that was trained on shuffled answers."""
    shares = {"prompt": prompt, "lora": lora, "shuffled": shuffled}
    known = {label: share for label, share in shares.items() if share is not None}
    arms, differences = tuple(arm(*item) for item in known.items()), tuple(compared(known, 0.04))
    return evidence(arms=arms, differences=differences, **changes)


def styled(
    prompt_recall: float | None, lora_recall: float | None, lora: float = 0.5, together: float = 0.5,
    shots: float = 0.5, half: float = 0.04, **changes: Any,
) -> Evidence:  # fmt: skip
    """With checks of form, which the prompt passes in half of the cases; the LoRA with the prompt recalls what the
    prompt does."""
    style = {"prompt": 0.5, "few-shot": shots, "lora": lora, "lora+prompt": together}
    recall = {"prompt": prompt_recall, "few-shot": prompt_recall, "lora": lora_recall, "lora+prompt": prompt_recall}
    known = {label: share for label, share in recall.items() if share is not None}
    differences = (*compared(style, half, "style"), *compared(known, half))
    arms = tuple(arm(label, recall[label], style=style[label]) for label in style)
    return evidence(arms=arms, differences=differences, **changes)


CASES = [
    # name, evidence, choice, first reason
    ("lora clearly better", evidence(0.5, 0.9, 0.2, 0.6), "fine-tune", "lora_better"),
    ("better by less than the margin", evidence(0.9, 0.93, 0.01, 0.045), "prompt", "no_better"),
    ("prompt clearly better", evidence(0.9, 0.4, -0.7, -0.2), "prompt", "untrained_better"),
    ("equal within the margin", evidence(), "prompt", "no_better"),
    ("open", evidence(0.7, 0.8, -0.1, 0.3), "cannot-tell", "undecided"),
    ("open, and harm", evidence(0.7, 0.8, -0.1, 0.3, **HARM), "cannot-tell", "undecided"),
    ("no gain seen, and harm", evidence(0.95, 0.95, -0.28, 0.28, **HARM), "prompt", "harm_without_gain"),
    ("no gain seen, no harm", evidence(0.95, 0.95, -0.28, 0.28), "cannot-tell", "undecided"),
    ("better, but forgets", evidence(0.5, 0.9, 0.2, 0.6, **FORGETS), "cannot-tell", "forgets"),
    ("better, reading harmed", evidence(0.5, 0.9, 0.2, 0.6, **HARM), "fine-tune", "lora_better"),
    ("together", evidence(**BOTH), "both", "both"),
    ("together, but forgets", evidence(**BOTH, **FORGETS), "cannot-tell", "forgets"),
    ("cheaper", evidence(questions_per_day=500), "fine-tune", "cheaper"),
    ("cheaper too late", evidence(questions_per_day=100), "prompt", "no_better"),
    ("cheaper but harmful", evidence(questions_per_day=500, **HARM), "prompt", "no_better"),
    ("few examples", evidence(0.5, 0.9, 0.2, 0.6, examples=7), "cannot-tell", "few_examples"),
    ("nothing to compare", evidence(arms=(arm("prompt", 0.9),)), "cannot-tell", "no_comparison"),
    ("failed answers", evidence(arms=(arm("prompt", 0.9), arm("lora", 0.9, unscored=11))), "cannot-tell", "unscored"),
    ("a few failed answers", evidence(arms=(arm("prompt", 0.9), arm("lora", 0.9, unscored=10))), "prompt", "no_better"),
    ("cannot read", evidence(arms=(*PAIR, arm("ceiling", 0.79))), "cannot-tell", "ceiling"),
    ("no room, good lora", evidence(prompt_fits=False, arms=(arm("lora", 0.85),)), "fine-tune", "no_room_lora"),
    ("no room, poor lora", evidence(prompt_fits=False, arms=(arm("lora", 0.6),)), "retrieve", "no_room_retrieve"),
    ("no room, flawed", evidence(prompt_fits=False, arms=PAIR, audit=(FLAW,)), "retrieve", "no_room_retrieve"),
    ("flawed recipe", evidence(0.9, 0.1, -0.9, -0.7, audit=(FLAW,)), "cannot-tell", "recipe"),
    ("flawed recipe, better", evidence(0.5, 0.9, 0.2, 0.6, audit=(FLAW,)), "cannot-tell", "recipe"),
    ("nothing to be gained", evidence(0.99, 0.1, -0.9, -0.8, audit=(FLAW,)), "prompt", "nothing_to_gain"),
    ("nobody usable", evidence(0.4, 0.1, -0.4, -0.2), "cannot-tell", "unusable"),
    ("retrieval clearly better", retrieval(0.7, 0.4, 0.95), "retrieve", "retrieval_better"),
    ("retrieval a little better", retrieval(0.93, 0.4, 0.96, 0.01), "prompt", "untrained_better"),
    ("no room, retrieval measured", retrieval(None, 0.4, 0.95), "retrieve", "untrained_better"),
    ("no room, lora beats retrieval", retrieval(None, 0.95, 0.6), "fine-tune", "lora_better"),
    ("no room, flawed, retrieval measured", retrieval(None, 0.4, 0.9, audit=(FLAW,)), "cannot-tell", "recipe"),
    ("no room, flawed, retrieval full", retrieval(None, 0.4, 0.98, audit=(FLAW,)), "retrieve", "nothing_to_gain"),
    ("lora beats the prompt only", retrieval(0.5, 0.9, 0.9), "retrieve", "retrieval_better"),
    ("lora beats both", retrieval(0.5, 0.95, 0.7), "fine-tune", "lora_better"),
    ("lora beats both, and forgets", retrieval(0.5, 0.95, 0.7, **FORGETS), "cannot-tell", "forgets"),
    ("with retrieval", retrieval(0.5, 0.6, 0.7, together=0.95), "both", "both"),
    ("with retrieval, a little", retrieval(0.5, 0.6, 0.93, 0.02, together=0.95), "retrieve", "retrieval_better"),
    ("retrieval far cheaper", retrieval(0.9, 0.4, 0.9, **DEAR), "retrieve", "retrieval_cheaper"),
    ("retrieval far cheaper, no example differs", retrieval(0.9, 0.4, 0.9, 0, **DEAR), "retrieve", "retrieval_cheaper"),
    ("retrieval cheaper, no volume", retrieval(0.9, 0.4, 0.9, costs=DEAR["costs"]), "prompt", "untrained_better"),
    ("all equal, lora cheapest", retrieval(0.9, 0.9, 0.9, **DEAR), "fine-tune", "cheaper"),
    ("no fact learned", controlled(0.5, 0.9, 0.88), "cannot-tell", "no_learning"),
    ("no fact learned for sure", controlled(0.5, 0.9, 0.82), "cannot-tell", "no_learning"),
    ("no fact learned, cheap", controlled(0.9, 0.9, 0.9, questions_per_day=500), "prompt", "no_better"),
    ("no room, no fact learned", controlled(None, 0.9, 0.88, prompt_fits=False), "retrieve", "no_room_retrieve"),
    ("facts learned", controlled(0.5, 0.9, 0.1), "fine-tune", "lora_better"),
    ("form by the lora", styled(0.9, 0.9, lora=0.95), "fine-tune", "form"),
    ("form by the lora, facts by the prompt", styled(0.9, 0.2, lora=0.95), "prompt", "untrained_better"),
    ("form together", styled(0.9, 0.2, together=0.95), "both", "form"),
    ("form by similar rows as well", styled(0.9, 0.9, lora=0.95, shots=0.94), "prompt", "no_better"),
    ("form alone", styled(None, None, lora=0.95), "fine-tune", "form"),
    ("form alone, no better", styled(None, None), "prompt", "form_no_better"),
    ("form alone, open", styled(None, None, lora=0.55, half=0.2), "cannot-tell", "form_undecided"),
    ("form alone, forgets", styled(None, None, lora=0.95, **FORGETS), "cannot-tell", "forgets"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "choice", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_cases(given: Evidence, choice: str, reason: str) -> None:
    result = decide(given)
    assert result.choice == choice
    assert keys(result)[0] == reason
    assert bool(result.arm) == (choice != "cannot-tell")
    if choice == "both":
        assert given.ran(verdict.COMBINED) == [result.arm], "the combined arm that was run"


def test_a_flaw_of_another_recipe_or_about_single_rows_does_not_silence_the_verdict() -> None:
    origin = FLAW.model_copy(update={"recipe": "origin"})
    rows, remark = FLAW.model_copy(update={"id": "one-wording"}), FLAW.model_copy(update={"level": "info"})
    assert decide(evidence(0.5, 0.9, 0.2, 0.6, audit=(origin, rows, remark))).choice == "fine-tune"


def test_the_second_recipes_retention_is_not_held_against_the_first() -> None:
    result = decide(evidence(0.5, 0.9, 0.2, 0.6, retention=(kept("general", 0.1, 0.2, recipe="origin"),)))
    assert result.choice == "fine-tune"


def test_retention_of_a_handful_of_questions_is_no_evidence_of_harm() -> None:
    few = {"retention": (kept("general", 0.0, 0.4, before=7),)}
    assert decide(evidence(0.95, 0.95, -0.28, 0.28, **few)).choice == "cannot-tell"


def test_forgetting_comes_with_the_recalls_and_with_what_else_was_lost() -> None:
    lost = {"retention": (kept("general", 0.1, 0.3), kept("reading", 0.2, 0.4))}
    result = decide(evidence(0.5, 0.9, 0.2, 0.6, **lost))
    assert keys(result) == ["forgets", "recalls", "difference", "lost_reading"]


def test_costs_of_tuning_are_named_beside_a_gain() -> None:
    arms = (arm("prompt", 0.5), arm("lora", 0.9, extra=1.2))
    result = decide(evidence(0.5, 0.9, 0.2, 0.6, arms=arms, **HARM))
    assert {"lost_reading", "kept_general", "extra", "break_even", "difference"} <= set(keys(result))


@pytest.mark.parametrize("name", ["cannot read", "flawed recipe", "nobody usable"])
def test_harm_is_named_also_where_the_arms_cannot_be_compared(name: str) -> None:
    given = next(case[1] for case in CASES if case[0] == name)
    assert "lost_reading" in keys(decide(given._replace(retention=HARM["retention"])))


def test_few_examples_ask_for_more_and_never_for_fewer() -> None:
    def asked(value: float, low: float, high: float, needed: int | None, examples: int) -> Verdict:
        difference = versus("lora", "prompt", value, low, high, needed=needed)
        return decide(evidence(0.7, 0.7 + value, differences=(difference,), examples=examples))

    assert asked(0.0, -0.02, 0.02, None, 3).add_examples == 5
    assert asked(0.0, -0.02, 0.02, 100, 3).add_examples == 97
    assert asked(0.1, -0.1, 0.3, 41, 40).add_examples == 1
    near = asked(0.03, -0.005, 0.065, 40, 40)
    assert (near.choice, near.add_examples) == ("cannot-tell", None), "no number would settle what lies at the margin"


def test_retrieval_is_pointed_at_where_the_ceiling_is_clearly_higher() -> None:
    base = evidence(0.9, 0.4, -0.7, -0.2)
    higher = base._replace(differences=(*base.differences, versus("ceiling", "prompt", 0.2, 0.1, 0.3)))
    assert "verdict.change.retrieval" not in [c.key for c in decide(base).would_change]
    assert "verdict.change.retrieval" in [c.key for c in decide(higher).would_change]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_stand_in_marks_every_verdict_and_changes_none(case: tuple[str, Evidence, str, str]) -> None:
    own, stand_in = decide(case[1]), decide(case[1]._replace(stand_in=True))
    assert (stand_in.choice, stand_in.reasons) == (own.choice, own.reasons)
    assert stand_in.stand_in and not own.stand_in
    assert stand_in.would_change[0].key == "verdict.change.own_model"


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_generated_wordings_mark_every_verdict_and_change_none(case: tuple[str, Evidence, str, str]) -> None:
    own, made = decide(case[1]), decide(case[1]._replace(generated=10, stand_in=True))
    assert (made.choice, made.reasons) == (own.choice, own.reasons)
    assert (own.generated, made.generated) == (0, 10)
    assert [c.key for c in made.would_change[:2]] == ["verdict.change.own_model", "verdict.change.own_wordings"]


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(0.001, 1), st.booleans(), st.booleans())
def test_whatever_the_numbers_fine_tuning_needs_a_shown_gain(
    value: float, below: float, above: float, harm: bool, flawed: bool
) -> None:
    prompt = max(0.5, -value) if value < 0 else 0.5
    low, high = max(-1.0, value - below), min(1.0, value + above)
    retention = HARM["retention"] if harm else ()
    result = decide(
        evidence(prompt, prompt + value, low, high, retention=retention, audit=(FLAW,) if flawed else ())
    )  # fmt: skip
    if result.choice == "fine-tune":
        assert low > 0 and value >= verdict.MARGIN and not flawed
    if result.choice == "prompt" and not harm:
        assert high < verdict.MARGIN


def test_a_missing_interval_decides_nothing() -> None:
    alone = Difference(label="lora", other="prompt", estimate=Estimate(value=0.6, n=9), smallest_detectable=None)
    result = decide(evidence(0.3, 0.9, differences=(alone,)))
    assert result.choice == "cannot-tell" and "difference_alone" in keys(result)


@pytest.mark.parametrize("value", [-0.3, 0.0, 0.02, 0.2, None])
def test_the_wanted_difference_is_never_below_the_margin(value: float | None) -> None:
    wanted = verdict.wanted_difference(value)
    assert wanted >= verdict.MARGIN
    if value is not None:
        assert wanted >= max(value, verdict.MARGIN - value)


def test_every_reason_has_its_sentence_and_every_sentence_its_values() -> None:
    """All reasons of all cases, and no sentence in the catalogue that no rule can utter."""
    source = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in (verdict, reasons))
    said = {
        key for _, given, *_ in CASES for r in (*decide(given).reasons, *decide(given).would_change) for key in [r.key]
    }
    for language in LANGUAGES:
        sentences = catalogue(language)
        assert said <= sentences.keys()
        for key in sentences:
            part = re.fullmatch(r"verdict\.(reason|change)\.(.+)", key)
            if part and not part[2].startswith(("lost_", "kept_")):
                assert re.search(rf'"{part[2].removesuffix("_style")}[{{"]', source), key


def test_the_documented_numbers_are_the_rules() -> None:
    text = (Path(__file__).parent.parent / "docs" / "verdict.md").read_text(encoding="utf-8")
    for sentence in (
        f"fewer than {MIN_EXAMPLES} independent examples",
        f"more than {verdict.MAX_UNSCORED:.0%}".replace("%", " %"),
        f"below {verdict.MIN_CEILING:.0%}".replace("%", " %"),
        f"{verdict.MARGIN * 100:.0f} points",
        f"{verdict.USABLE:.0%}".replace("%", " %"),
        f"{reasons.KEPT:.0%}".replace("%", " %"),
        f"{verdict.PAYBACK_DAYS} days",
        f"in at least {style.PASSED:.0%} of the answers".replace("%", " %"),
    ):
        assert sentence in text, sentence


def test_rules_stand_in_the_documented_order() -> None:
    """An earlier rule wins over every later one: pile the cases up and take them away again."""
    piled = evidence(
        0.4, 0.1, -0.4, -0.2, audit=(FLAW,), arms=(arm("prompt", 0.4), arm("lora", 0.1), arm("ceiling", 0.5))
    )
    few = piled._replace(examples=7)
    readable = piled._replace(arms=(arm("prompt", 0.4), arm("lora", 0.1), arm("ceiling", 0.9)))
    sound = readable._replace(audit=())
    order = [keys(decide(e))[0] for e in (few, piled, readable, sound)]
    assert order == ["few_examples", "ceiling", "recipe", "unusable"]
    assert len(set(itertools.chain(order))) == 4
