"""The verdict: one pure function from evidence to a choice with its reasons. `docs/verdict.md` says the rule in words.

Knows no files, no model, no screen text: reasons are keys with numbers. It reads intervals, tokens and counts, never
seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from kurabe.schema import (
    ArmResult,
    Choice,
    CostEstimate,
    Difference,
    Estimate,
    Finding,
    Reason,
    RetentionResult,
    Verdict,
)

MIN_EXAMPLES = 8  # independent examples below which there is no verdict
MAX_UNSCORED = 0.05  # share of an arm's answers that may have failed to come
MIN_CEILING = 0.80  # recall with the one right fact in the prompt, below which the model is no judge
MARGIN = 0.05  # a difference in recall that would not change anybody's choice
USABLE = 0.50  # recall below which an arm is nobody's answer
GOOD = 0.80  # recall a LoRA needs where there is no prompt to compare it with
KEPT = 0.90  # retention whose upper bound lies below this is a loss that was shown
KEPT_HALF = 0.50  # general retention whose upper bound lies below this overrules a gain in recall
PAYBACK_DAYS = 30  # a LoRA of equal recall has to pay itself back within this time
ABOUT_ROWS = ("one-wording",)  # warnings about some rows, which say nothing against the recipe
MANY_EXTRA = 0.5  # unexpected values per answer from which on they are named


class Evidence(NamedTuple):
    """Everything the rule reads. Only the first recipe's trial speaks for `lora` and `lora+prompt`."""

    arms: tuple[ArmResult, ...]
    differences: tuple[Difference, ...]
    retention: tuple[RetentionResult, ...]
    costs: tuple[CostEstimate, ...]
    audit: tuple[Finding, ...]
    examples: int  # independent examples with scored held-out answers
    stand_in: bool
    recipe: str  # the first recipe
    needed: int | None = None  # examples in all that would settle `lora` against `prompt`; see `wanted_difference`
    prompt_fits: bool = True  # whether all facts fit into the model's window
    questions_per_day: int | None = None
    generated: int = 0  # examples whose held-out wordings were made by rules

    def arm(self, label: str) -> ArmResult | None:
        """The result of one arm; "lora" is the first recipe's."""
        return next((a for a in self.arms if a.label == label), None)

    def recall(self, label: str) -> float | None:
        """Recall of one arm; None where it was not run or nothing was scored."""
        arm = self.arm(label)
        return arm.recall.value if arm else None

    def difference(self, label: str, other: str) -> Difference | None:
        """Recall of `label` minus recall of `other`."""
        return next((d for d in self.differences if (d.label, d.other) == (label, other)), None)

    def kept(self, probe: str) -> RetentionResult | None:
        """Retention under the first recipe, where enough questions were right before to tell."""
        found = (r for r in self.retention if r.recipe == self.recipe and r.probe == probe)
        return next((r for r in found if r.right_before >= MIN_EXAMPLES and r.kept.value is not None), None)


def decide(evidence: Evidence) -> Verdict:
    """The verdict. The first rule that applies decides; the order is that of `docs/verdict.md`."""
    for rule in (_not_enough, _no_judge, _no_prompt, _broken_recipe, _unusable, _both, _by_recall, _by_equality):
        verdict = rule(evidence)
        if verdict is not None:
            return verdict
    return _undecided(evidence)


def wanted_difference(value: float | None) -> float:
    """The difference that would have to be detectable to settle `lora` minus `prompt` = `value`: either that the LoRA
    is better (0 left out), or that it is not better by the margin."""
    return MARGIN if value is None else max(MARGIN, value, MARGIN - value)


# --- the rules, in order ---------------------------------------------------------------------------------------


def _not_enough(e: Evidence) -> Verdict | None:
    """1. Too few examples, nothing to compare, or too many answers that never came."""
    arms = [arm for arm in e.arms if arm.recipe in ("", e.recipe)]
    compared = ("lora",) if not e.prompt_fits else ("prompt", "lora")
    missing = [label for label in compared if e.arm(label) is None]
    if missing:
        return _verdict(e, "cannot-tell", [_reason("no_comparison", missing=", ".join(missing))])
    if e.examples < MIN_EXAMPLES:
        reason = _reason("few_examples", examples=e.examples, minimum=MIN_EXAMPLES)
        more = max(MIN_EXAMPLES, e.needed or 0) - e.examples
        return _verdict(e, "cannot-tell", [reason], add=more)
    for arm in arms:
        if arm.answers and arm.unscored / arm.answers > MAX_UNSCORED:
            share = arm.unscored / arm.answers
            reason = _reason("unscored", label=arm.label, share=share, limit=MAX_UNSCORED, unscored=arm.unscored)
            return _verdict(e, "cannot-tell", [reason], [_change("unscored")])
    return None


def _no_judge(e: Evidence) -> Verdict | None:
    """2. A model that cannot read the one right fact says nothing about prompts."""
    ceiling = e.arm("ceiling")
    if ceiling is None or ceiling.recall.value is None or ceiling.recall.value >= MIN_CEILING:
        return None
    reason = _reason("ceiling", limit=MIN_CEILING, **_estimate(ceiling.recall))
    return _verdict(e, "cannot-tell", [reason, *_recalls(e), *_retained(e)], [_change("ceiling")])


def _no_prompt(e: Evidence) -> Verdict | None:
    """3. The facts do not fit into the window: a good LoRA, or retrieval."""
    if e.prompt_fits:
        return None
    lora = e.recall("lora")
    if lora is not None and lora >= GOOD and not _broken(e):
        reason = _reason("no_room_lora", recall=lora, limit=GOOD)
        return _verdict(e, "fine-tune", [reason, *_burdens(e, "lora")], [_change("rag_not_measured")])
    reason = _reason("no_room_retrieve", recall=lora, limit=GOOD)
    return _verdict(e, "retrieve", [reason], [_change("rag_not_measured")])


def _broken_recipe(e: Evidence) -> Verdict | None:
    """4. A recipe that the audit warns of cannot speak for fine-tuning, unless no recipe could beat the prompt."""
    broken = _broken(e)
    if not broken:
        return None
    prompt = e.arm("prompt")
    if prompt is not None and prompt.recall.low is not None and 1 - prompt.recall.low <= MARGIN:
        reason = _reason("no_room_above_prompt", margin=MARGIN, **_estimate(prompt.recall))
        return _verdict(e, "prompt", [reason, *_recalls(e)])
    reason = _reason("recipe", recipe=e.recipe, findings=len(broken))
    return _verdict(e, "cannot-tell", [reason, *_recalls(e), *_retained(e)], [_change("recipe")])


def _unusable(e: Evidence) -> Verdict | None:
    """5. No arm recalls half of the values."""
    recalls = [e.recall(label) or 0.0 for label in ("prompt", "lora", "lora+prompt")]
    if max(recalls) >= USABLE:
        return None
    reason = _reason("unusable", limit=USABLE)
    return _verdict(e, "cannot-tell", [reason, *_recalls(e), *_retained(e)], [_change("unusable")])


def _both(e: Evidence) -> Verdict | None:
    """6. Together clearly better than each alone."""
    found = (e.difference("lora+prompt", other) for other in ("prompt", "lora"))
    gains = [gain for gain in found if gain is not None and _clearly_better(gain)]
    if len(gains) < 2:
        return None
    reasons = [_reason("both", recall=e.recall("lora+prompt")), *map(_versus, gains), *_burdens(e, "lora+prompt")]
    return _too_dear(e, gains) or _verdict(e, "both", reasons, [_change("one_seed")])


def _by_recall(e: Evidence) -> Verdict | None:
    """7. One of the two is clearly better: the LoRA by at least the margin, the prompt by anything that was shown."""
    difference = e.difference("lora", "prompt")
    if difference is None:
        return None
    if _clearly_better(difference):
        reasons = [_reason("lora_better", **_pair(e)), _versus(difference), *_burdens(e, "lora")]
        return _too_dear(e, [difference]) or _verdict(e, "fine-tune", reasons, [_change("one_seed")])
    high = difference.estimate.high
    if high is not None and high < 0:
        reasons = [_reason("prompt_better", **_pair(e)), _versus(difference), *_burdens(e, "lora")]
        return _verdict(e, "prompt", reasons, [_change("one_seed"), *_room(e)])
    return None


def _by_equality(e: Evidence) -> Verdict | None:
    """8. The LoRA is not better by the margin, or no better and shown to harm: the prompt, which can be changed at
    once. Only a LoRA that is as good, harmless, and paid back in time is chosen for its price."""
    difference = e.difference("lora", "prompt")
    if difference is None or difference.estimate.value is None:
        return None
    low, high = difference.estimate.low, difference.estimate.high
    if high is not None and high < MARGIN:
        days = _payback_days(e)
        if low is not None and low > -MARGIN and not _harmed(e) and days is not None and days <= PAYBACK_DAYS:
            reasons = [_reason("cheaper", days=days, limit=PAYBACK_DAYS, **_pair(e)), _versus(difference)]
            return _verdict(e, "fine-tune", [*reasons, *_burdens(e, "lora")], [_change("one_seed"), _change("volume")])
        reasons = [_reason("no_better", margin=MARGIN, **_pair(e)), _versus(difference), *_burdens(e, "lora")]
        return _verdict(e, "prompt", reasons, [_change("one_seed"), *_room(e)])
    if difference.estimate.value <= MARGIN and _harmed(e):
        reasons = [_reason("harm_without_gain", margin=MARGIN, **_pair(e)), _versus(difference), *_burdens(e, "lora")]
        return _verdict(e, "prompt", reasons, [_more(e), _change("one_seed"), *_room(e)])
    return None


def _undecided(e: Evidence) -> Verdict:
    """9. The interval holds both that the LoRA is better by the margin and that it is not."""
    difference = e.difference("lora", "prompt")
    reasons = [_reason("undecided", margin=MARGIN, **_pair(e)), *([_versus(difference)] if difference else [])]
    # None, too, where there are enough for that: what was seen lies so near the margin that no number can be named.
    more = e.needed - e.examples if e.needed is not None and e.needed > e.examples else None
    return _verdict(e, "cannot-tell", [*reasons, *_burdens(e, "lora")], [_more(e), _change("one_seed")], more)


# --- what the rules are made of --------------------------------------------------------------------------------


def _clearly_better(difference: Difference) -> bool:
    value, low = difference.estimate.value, difference.estimate.low
    return value is not None and low is not None and low > 0 and value >= MARGIN


def _broken(e: Evidence) -> list[Finding]:
    """What the audit says against the recipe that speaks for `lora`."""
    flaws = [f for f in e.audit if f.recipe == e.recipe and f.level in ("warn", "refuse")]
    return [f for f in flaws if f.id not in ABOUT_ROWS]


def _too_dear(e: Evidence, gains: Iterable[Difference]) -> Verdict | None:
    """A gain in recall that is shown to cost half of the general questions: a trade that is the user's to make."""
    general = e.kept("general")
    if general is None or general.kept.high is None or general.kept.high >= KEPT_HALF:
        return None
    forgets = _reason("forgets", limit=KEPT_HALF, **_estimate(general.kept))
    reasons = [forgets, *_recalls(e), *map(_versus, gains), *_retained(e, ["reading"])]
    return _verdict(e, "cannot-tell", reasons, [_change("forgets")])


def _harmed(e: Evidence) -> bool:
    """Whether tuning was shown to cost what the model could do before."""
    kept = (e.kept(probe) for probe in ("general", "reading"))
    return any(r is not None and r.kept.high is not None and r.kept.high < KEPT for r in kept)


def _payback_days(e: Evidence) -> float | None:
    """Days until the LoRA's training is paid back by its shorter prompt, at the user's volume."""
    questions = next((c.break_even for c in e.costs if c.label == "lora"), None)
    return None if questions is None or not e.questions_per_day else questions / e.questions_per_day


def _burdens(e: Evidence, label: str) -> list[Reason]:
    """What speaks beside recall: retention under this recipe, unexpected values, break-even."""
    reasons = _retained(e)
    arm = e.arm(label)
    if arm is not None and arm.extra.value is not None and arm.extra.value >= MANY_EXTRA:
        reasons.append(_reason("extra", label=label, extra=arm.extra.value))
    questions = next((c.break_even for c in e.costs if c.label == "lora"), None)
    if questions is not None:
        reasons.append(_reason("break_even", questions=questions))
    return reasons


def _retained(e: Evidence, probes: Iterable[str] = ("general", "reading")) -> list[Reason]:
    """What tuning kept and what it lost; said with every verdict, because it holds whatever the recall is."""
    reasons = []
    for probe in probes:
        retention = e.kept(probe)
        if retention is not None:
            lost = retention.kept.high is not None and retention.kept.high < KEPT
            key = f"{'lost' if lost else 'kept'}_{probe}"
            reasons.append(_reason(key, before=retention.right_before, **_estimate(retention.kept)))
    return reasons


def _recalls(e: Evidence) -> list[Reason]:
    pair = _pair(e)
    return [_reason("recalls", **pair)] if None not in pair.values() else []


def _pair(e: Evidence) -> dict[str, float | None]:
    return {"prompt": e.recall("prompt"), "lora": e.recall("lora")}


def _versus(difference: Difference) -> Reason:
    """The difference in a sentence; without an interval where there is none."""
    values = {"label": difference.label, "other": difference.other, "difference": difference.estimate.value}
    if difference.estimate.low is None:
        return _reason("difference_alone", **values)
    return _reason("difference", **values, low_points=difference.estimate.low, high_points=difference.estimate.high)


def _room(e: Evidence) -> list[Reason]:
    """Where the one right fact in the prompt does clearly better than all of them, retrieval is worth a run."""
    difference = e.difference("ceiling", "prompt")
    if difference is None or not _clearly_better(difference):
        return []
    return [_change("retrieval", ceiling=e.recall("ceiling"), prompt=e.recall("prompt"))]


def _more(e: Evidence) -> Reason:
    difference = e.difference("lora", "prompt")
    if difference is None or difference.smallest_detectable is None:
        return _change("more_examples")
    return _change("detectable", detectable=difference.smallest_detectable, examples=e.examples)


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"recall": estimate.value, "low": estimate.low, "high": estimate.high, "examples": estimate.n}


def _reason(key: str, **values: Any) -> Reason:
    return Reason(key=f"verdict.reason.{key}", values=values)


def _change(key: str, **values: Any) -> Reason:
    return Reason(key=f"verdict.change.{key}", values=values)


def _verdict(
    e: Evidence, choice: Choice, reasons: Iterable[Reason], changes: Iterable[Reason] = (), add: int | None = None
) -> Verdict:
    """The record. What was measured in the user's stead, a model or wordings, is the first that could change it."""
    own = {"own_model": e.stand_in, "own_wordings": e.generated}
    would_change = (*(_change(key) for key, lacking in own.items() if lacking), *changes)
    return Verdict(
        choice=choice, stand_in=e.stand_in, generated=e.generated, reasons=tuple(reasons), would_change=would_change,
        add_examples=add,
    )  # fmt: skip
