"""The verdict: one pure function from evidence to a choice with its reasons. `docs/verdict.md` says the rule in words.

Knows no files, no model, no screen text: reasons are keys with numbers. It reads intervals, tokens and counts, never
seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from kurabe.cost import break_even
from kurabe.evidence import MIN_EXAMPLES, Evidence
from kurabe.reasons import PROBES, burdens, change, estimate, lost, more, pair, reason, recalls, retained, versus
from kurabe.recipes import RECIPES
from kurabe.schema import Choice, Difference, Finding, Measure, Reason, Verdict

MAX_UNSCORED = 0.05  # share of an arm's answers that may have failed to come
MIN_CEILING = 0.80  # recall with the one right fact in the prompt, below which the model is no judge
MARGIN = 0.05  # a difference in recall that would not change anybody's choice
USABLE = 0.50  # recall below which an arm is nobody's answer
GOOD = 0.80  # recall a LoRA needs where there is nothing to compare it with
KEPT_HALF = 0.50  # general retention whose upper bound lies below this overrules a gain in recall
PAYBACK_DAYS = 30  # a LoRA of equal recall has to pay itself back within this time
FEW_TOKENS = 0.50  # share of the prompt's tokens below which retrieval of equal recall is chosen for its price
ABOUT_ROWS = ("one-wording",)  # warnings about some rows, which say nothing against the recipe

# The ways without training, the simplest first, and what each is called as a choice.
UNTRAINED: dict[str, Choice] = {"prompt": "prompt", "rag": "retrieve"}
COMBINED = ("lora+prompt", "lora+rag")


def decide(evidence: Evidence) -> Verdict:
    """The verdict. The first rule that applies decides; the order is that of `docs/verdict.md`."""
    rules = (_not_enough, _no_judge, _no_room, _broken_recipe, _unusable, _both, _by_recall, _by_form, _untrained)
    for rule in rules:
        verdict = rule(evidence)
        if verdict is not None:
            return verdict
    return _undecided(evidence)


def wanted_difference(value: float | None) -> float:
    """The difference that would have to be detectable to settle a difference that was seen as `value`: either that the
    first is better (0 left out), or that it is not better by the margin."""
    return MARGIN if value is None else max(MARGIN, value, MARGIN - value)


# --- the rules, in order ---------------------------------------------------------------------------------------


def _not_enough(e: Evidence) -> Verdict | None:
    """1. Too few examples, nothing to compare, or too many answers that never came."""
    missing = [] if e.ran(UNTRAINED) or not e.prompt_fits else ["prompt"]
    missing += [] if e.arm("lora") else ["lora"]
    if missing:
        return _verdict(e, "cannot-tell", [reason("no_comparison", missing=", ".join(missing))])
    if e.examples < MIN_EXAMPLES:
        few = reason("few_examples", examples=e.examples, minimum=MIN_EXAMPLES)
        more_examples = max(MIN_EXAMPLES, _needed(e) or 0) - e.examples
        return _verdict(e, "cannot-tell", [few], add=more_examples)
    for arm in e.arms:
        if arm.recipe in ("", e.recipe) and arm.answers and arm.unscored / arm.answers > MAX_UNSCORED:
            share = arm.unscored / arm.answers
            failed = reason("unscored", label=arm.label, share=share, limit=MAX_UNSCORED, unscored=arm.unscored)
            return _verdict(e, "cannot-tell", [failed], [change("unscored")])
    return None


def _no_judge(e: Evidence) -> Verdict | None:
    """2. A model that cannot read the one right fact says nothing about prompts, whether written or retrieved."""
    ceiling = e.arm("ceiling")
    if ceiling is None or ceiling.recall.value is None or ceiling.recall.value >= MIN_CEILING:
        return None
    return _cannot_tell(e, reason("ceiling", limit=MIN_CEILING, **estimate(ceiling.recall)), "ceiling")


def _no_room(e: Evidence) -> Verdict | None:
    """3. The facts do not fit into the window and retrieval was not run: a good LoRA, or retrieval unmeasured."""
    if e.prompt_fits or e.arm("rag"):
        return None
    lora = e.share("lora")
    if lora is not None and lora >= GOOD and not _flaws(e) and not _learned_nothing(e):
        why = reason("no_room_lora", recall=lora, limit=GOOD)
        return _verdict(e, "fine-tune", [why, *burdens(e, "lora")], [change("rag_not_measured")])
    why = reason("no_room_retrieve", recall=lora, limit=GOOD)
    return _verdict(e, "retrieve", [why], [change("rag_not_measured")])


def _broken_recipe(e: Evidence) -> Verdict | None:
    """4. A recipe that the audit warns of cannot speak for fine-tuning, unless no recipe could be better."""
    flaws = _flaws(e)
    if not flaws:
        return None
    for label in e.ran(UNTRAINED):
        arm = e.arm(label)
        if arm is not None and arm.recall.low is not None and 1 - arm.recall.low <= MARGIN:
            full = reason("nothing_to_gain", label=label, margin=MARGIN, **estimate(arm.recall))
            return _verdict(e, UNTRAINED[label], [full, *recalls(e, label, "lora")])
    return _cannot_tell(e, reason("recipe", recipe=e.recipe, findings=len(flaws)), "recipe")


def _unusable(e: Evidence) -> Verdict | None:
    """5. No arm recalls half of the values. Rows that only ask for a form have none."""
    shares = [e.share(label) or 0.0 for label in e.ran([*UNTRAINED, "lora", *COMBINED])]
    if e.only_style or max(shares) >= USABLE:
        return None
    return _cannot_tell(e, reason("unusable", limit=USABLE), "unusable")


def _both(e: Evidence) -> Verdict | None:
    """6. The LoRA with the facts in front of it is clearly better than itself and than every way without training."""
    for label in sorted(e.ran(COMBINED), key=lambda label: -(e.share(label) or 0.0)):
        gains = _beats(e, label, [*UNTRAINED, "lora"])
        if gains:
            why = [reason("both", label=label, recall=e.share(label)), *map(versus, gains), *burdens(e, label)]
            return _too_dear(e, gains) or _verdict(e, "both", why, [change("one_seed")])
    return None


def _by_recall(e: Evidence) -> Verdict | None:
    """7. The LoRA is clearly better than every way without training, and than a LoRA that was shown no fact."""
    gains = _beats(e, "lora", UNTRAINED)
    if not gains:
        return None
    if _learned_nothing(e):
        why = [*_nothing_learned(e), *map(versus, gains)]
        return _verdict(e, "cannot-tell", [*why, *retained(e)], [change("no_learning")])
    better = reason("lora_better", **pair(e, "lora", _standing(e)))
    why = [better, *map(versus, gains), *burdens(e, "lora")]
    return _too_dear(e, gains) or _verdict(e, "fine-tune", why, [change("one_seed")])


def _by_form(e: Evidence) -> Verdict | None:
    """8. Tuning gives the form clearly more often than every way without it, and recall is not the worse for it."""
    rivals = e.ran([*UNTRAINED, "few-shot"])
    for label in e.ran(["lora", *COMBINED]):
        gains = _beats(e, label, rivals, "style")
        if gains and _not_worse(e, label):
            form = reason("form", label=label, style=e.share(label, "style"))
            why = [form, *map(versus, gains), *recalls(e, label, _standing(e)), *burdens(e, label)]
            choice: Choice = "fine-tune" if label == "lora" else "both"
            return _too_dear(e, gains) or _verdict(e, choice, why, [change("one_seed")])
    if not e.only_style:
        return None
    for label in rivals:
        difference = e.difference("lora", label, "style")
        if difference is not None and _below(difference, MARGIN):
            why = [reason("form_no_better", label=label, margin=MARGIN), versus(difference), *burdens(e, "lora")]
            return _verdict(e, UNTRAINED.get(label, "prompt"), why, [change("one_seed")])
    seen = [d for label in rivals for d in [e.difference("lora", label, "style")] if d is not None]
    add = max((d.needed - e.examples for d in seen if d.needed is not None), default=0)
    return _verdict(
        e, "cannot-tell", [reason("form_undecided"), *map(versus, seen)], [change("more_examples")], max(0, add) or None
    )


def _untrained(e: Evidence) -> Verdict | None:
    """9. The LoRA does worse than a way without training, is not better by the margin, or no better and shown to harm:
    the prompt, which can be changed at once, or retrieval where that is clearly better or far cheaper. Only a LoRA that
    is as good, harmless, and paid back in time is chosen for its price."""
    other = _standing(e)
    found = _out(e, other)
    if found is None:
        return None
    key, difference = found
    if key == "no_better":
        days, low = _payback_days(e, other), difference.estimate.low
        within = low is not None and low > -MARGIN and difference.other == other
        if within and not _harmed(e) and not _learned_nothing(e) and days is not None and days <= PAYBACK_DAYS:
            cheaper = reason("cheaper", days=days, limit=PAYBACK_DAYS, **pair(e, "lora", other))
            why = [cheaper, versus(difference), *burdens(e, "lora")]
            return _verdict(e, "fine-tune", why, [change("one_seed"), change("volume")])
    decided = reason(key, margin=MARGIN, **pair(e, difference.other, "lora"))
    why = [*_retrieval(e, other), decided, versus(difference), *_nothing_learned(e), *burdens(e, "lora")]
    changes = [more(e, "lora", other)] if key == "harm_without_gain" else []
    return _verdict(e, UNTRAINED[other], why, [*changes, change("one_seed"), *_retrieval_open(e, other)])


def _undecided(e: Evidence) -> Verdict:
    """10. The interval holds both that the LoRA is better by the margin and that it is not."""
    other = _standing(e)
    difference = e.difference("lora", other)
    open_question = reason("undecided", margin=MARGIN, **pair(e, other, "lora"))
    why = [open_question, *([versus(difference)] if difference else []), *_nothing_learned(e), *burdens(e, "lora")]
    # None, too, where there are enough for that: what was seen lies so near the margin that no number can be named.
    needed = _needed(e)
    add = needed - e.examples if needed is not None and needed > e.examples else None
    return _verdict(e, "cannot-tell", why, [more(e, "lora", other), change("one_seed")], add)


# --- what the rules are made of --------------------------------------------------------------------------------


def _clearly_better(difference: Difference) -> bool:
    value, low = difference.estimate.value, difference.estimate.low
    return value is not None and low is not None and low > 0 and value >= MARGIN


def _below(difference: Difference, limit: float) -> bool:
    high = difference.estimate.high
    return high is not None and high < limit


def _beats(e: Evidence, label: str, others: Iterable[str], measure: Measure = "recall") -> list[Difference] | None:
    """The differences to all of `others` that were run, if each is clear; None if one is not, or nothing was run."""
    found = [e.difference(label, other, measure) for other in e.ran(others)]
    gains = [d for d in found if d is not None and _clearly_better(d)]
    return gains if gains and len(gains) == len(found) else None


def _standing(e: Evidence) -> str:
    """The way without training that a LoRA has to beat: the prompt, unless retrieval is clearly better, or as good
    and far cheaper where the volume says that prices count."""
    found = e.ran(UNTRAINED)
    if found != list(UNTRAINED):
        return found[0] if found else "prompt"
    gain = e.difference("rag", "prompt")
    if gain is None:
        return "prompt"
    low = gain.estimate.low
    as_good = low is not None and low > -MARGIN
    return "rag" if _clearly_better(gain) or (_frugal(e) and as_good) else "prompt"


def _frugal(e: Evidence) -> bool:
    """Whether the volume was given, and retrieval needs so few tokens that its price is a reason."""
    rag, prompt = e.cost("rag"), e.cost("prompt")
    few = rag is not None and prompt is not None and rag.prompt_tokens <= FEW_TOKENS * prompt.prompt_tokens
    return few and bool(e.questions_per_day)


def _out(e: Evidence, standing: str) -> tuple[str, Difference] | None:
    """Why the LoRA is out, and against whom: worse than one of the ways without training, not better than one of them
    by the margin, or seen to be no better than the standing one and shown to harm."""
    found = [d for label in e.ran([standing, *UNTRAINED]) for d in [e.difference("lora", label)] if d is not None]
    for key, limit in (("untrained_better", 0.0), ("no_better", MARGIN)):
        out = next((d for d in found if _below(d, limit)), None)
        if out is not None:
            return key, out
    first = next((d for d in found if d.other == standing), None)
    harmless = first is None or first.estimate.value is None or first.estimate.value > MARGIN or not _harmed(e)
    return None if harmless or first is None else ("harm_without_gain", first)


def _not_worse(e: Evidence, label: str) -> bool:
    """Recall neither seen to be lower by the margin nor shown to be lower; rows without values cannot lose any."""
    difference = e.difference(label, _standing(e))
    if difference is None or difference.estimate.value is None:
        return e.only_style
    return difference.estimate.value > -MARGIN and not _below(difference, 0.0)


def _flaws(e: Evidence) -> list[Finding]:
    """What the audit says against the recipe that speaks for `lora`."""
    flaws = [f for f in e.audit if f.recipe == e.recipe and f.level in ("warn", "refuse")]
    return [f for f in flaws if f.id not in ABOUT_ROWS]


def _learned_nothing(e: Evidence) -> bool:
    """Whether the LoRA was not shown to be better, by the margin, than one whose rows had each other's answers. A test
    at 5 % would let a LoRA that learned nothing pass too often, and one that learned facts passes this one easily."""
    difference = e.difference("lora", "shuffled")
    low = difference.estimate.low if difference else None
    return difference is not None and (low is None or low < MARGIN)


def _too_dear(e: Evidence, gains: Iterable[Difference]) -> Verdict | None:
    """A gain that is shown to cost half of the general questions: a trade that is the user's to make."""
    general = e.kept("general")
    if general is None or not lost(e, "general", KEPT_HALF):
        return None
    forgets = reason("forgets", limit=KEPT_HALF, **estimate(general.kept))
    why = [forgets, *recalls(e, _standing(e), "lora"), *map(versus, gains), *retained(e, ["reading"])]
    return _verdict(e, "cannot-tell", why)


def _harmed(e: Evidence) -> bool:
    """Whether tuning was shown to cost what the model could do before."""
    return any(lost(e, probe) for probe in PROBES)


def _payback_days(e: Evidence, other: str) -> float | None:
    """Days until the LoRA's training is paid back by its shorter prompt, at the user's volume."""
    lora, standing = e.cost("lora"), e.cost(other)
    if lora is None or standing is None or not e.questions_per_day:
        return None
    questions = break_even(lora.preparation_tokens, standing.prompt_tokens, lora.prompt_tokens)
    return None if questions is None else questions / e.questions_per_day


def _needed(e: Evidence) -> int | None:
    """Examples in all that would settle the LoRA against the way without training."""
    difference = e.difference("lora", _standing(e))
    return difference.needed if difference else None


def _nothing_learned(e: Evidence) -> list[Reason]:
    return [reason("no_learning", **pair(e, "lora", "shuffled"))] if _learned_nothing(e) else []


def _retrieval(e: Evidence, standing: str) -> list[Reason]:
    """Why retrieval and not the prompt, where both were run."""
    gain = e.difference("rag", "prompt")
    if standing != "rag" or gain is None:
        return []
    key = "retrieval_better" if _clearly_better(gain) else "retrieval_cheaper"
    return [reason(key, margin=MARGIN, **pair(e, "rag", "prompt")), versus(gain)]


def _retrieval_open(e: Evidence, standing: str) -> list[Reason]:
    """What may be better than the prompt: retrieval or similar rows where they were run, else the ceiling's hint."""
    if standing != "prompt":
        return []
    gain, shots = e.difference("rag", "prompt"), e.difference("few-shot", "prompt")
    said = []
    if gain is not None and (gain.estimate.value or 0.0) >= MARGIN:
        said.append(change("retrieval_open", **pair(e, "rag", "prompt")))
    if shots is not None and _clearly_better(shots):
        said.append(change("few_shot", **pair(e, "few-shot", "prompt")))
    hint = e.difference("ceiling", "prompt")
    if gain is None and hint is not None and _clearly_better(hint):
        said.append(change("retrieval", ceiling=e.share("ceiling"), prompt=e.share("prompt")))
    return said


def _cannot_tell(e: Evidence, why: Reason, changed_by: str) -> Verdict:
    """Nothing can be concluded, whatever the two recalls are; they are told all the same."""
    said = [why, *recalls(e, _standing(e), "lora"), *_nothing_learned(e), *retained(e)]
    return _verdict(e, "cannot-tell", said, [change(changed_by)])


def _verdict(
    e: Evidence, choice: Choice, reasons: Iterable[Reason], changes: Iterable[Reason] = (), add: int | None = None
) -> Verdict:
    """The record. What was measured in the user's stead, a model or wordings, is the first that could change it; what
    tuning was shown to cost is the last, where the recipe mixed nothing in."""
    own = {"own_model": e.stand_in, "own_wordings": e.generated}
    recipe = RECIPES.get(e.recipe)
    mixed = recipe is not None and recipe.retention_mix > 0
    would_change = (
        *(change(key) for key, lacking in own.items() if lacking), *changes,
        *([change("forgets")] if _harmed(e) and not mixed else []),
    )  # fmt: skip
    return Verdict(
        choice=choice, stand_in=e.stand_in, generated=e.generated, reasons=tuple(reasons), would_change=would_change,
        add_examples=add,
    )  # fmt: skip
