"""Questions that a room asks, answered from the run on screen; the figures stand beside the words.

Knows no page. What was not measured here is said to be so.
"""

from __future__ import annotations

from kurabe import texts
from kurabe.charts import arm_name
from kurabe.recipes import RECIPES
from kurabe.schema import ArmResult, Results
from kurabe.texts import Texts
from kurabe.workshop.measured import counted

LARGER = 1_100_048_384  # parameters of TinyLlama-1.1B
Answered = tuple[str, str, list[str]]  # question, answer, figures


def likely(results: Results, t: Texts) -> list[Answered]:
    """Every question with its answer and the run's figures behind it."""
    found = [_not_learned(results, t), _larger(results, t), _prompting(results, t), _samples(results, t),
             _sure(results, t), _forgotten(results, t)]  # fmt: skip
    return [one for one in found if one]


def _arm(results: Results, label: str) -> ArmResult | None:
    return next((arm for arm in results.arms if arm.label == label), None)


def _said(arm: ArmResult | None, t: Texts) -> list[str]:
    """ "LoRA: 94 % (68–100 %)", where it was measured."""
    if arm is None or arm.recall.value is None:
        return []
    span = texts.interval(arm.recall.low, arm.recall.high) or t("report.no_interval")
    return [f"{arm_name(arm.label, t)}: {texts.percent(arm.recall.value)} ({span})"]


def _not_learned(results: Results, t: Texts) -> Answered | None:
    """Why the old recipe did, or did not, learn the price."""
    table = counted(results)
    counts = table.get("lora (origin)")
    trial = next((trial for trial in results.trials if trial.recipe == "origin"), None)
    if not counts or len(counts) < 2 or trial is None:
        return None
    price, fair = counts[1], table.get("lora", counts)[1]
    flaws = sum(f.recipe == "origin" and f.level != "info" for f in results.audit)
    key = "learned" if price.had else "not_learned" if fair.had else "neither"
    figures = [
        t("workshop.asked.price_figure", recipe="origin", value=price.what, had=price.had, asked=price.asked),
        t("workshop.asked.price_figure", recipe="fair", value=price.what, had=fair.had, asked=fair.asked),
        t("workshop.asked.steps_figure", steps=trial.steps, flaws=flaws),
    ]
    return t("workshop.asked.price", value=price.what), t(f"workshop.asked.{key}", value=price.what), figures


def _larger(results: Results, t: Texts) -> Answered | None:
    """What a larger model would take here, if time grows with the number of weights."""
    cost = next((cost for cost in results.costs if cost.label == "lora"), None)
    if cost is None or results.model.parameters >= LARGER:
        return None
    factor = LARGER / results.model.parameters
    figures = [
        t("workshop.asked.larger_here", seconds=texts.seconds(cost.preparation_seconds, t.language),
          parameters=texts.count(results.model.parameters)),
        t("workshop.asked.larger_there", seconds=texts.seconds(cost.preparation_seconds * factor, t.language),
          parameters=texts.count(LARGER)),
    ]  # fmt: skip
    return t("workshop.asked.larger"), t("workshop.asked.larger_answer"), figures


def _prompting(results: Results, t: Texts) -> Answered:
    figures = _said(_arm(results, "prompt"), t) + _said(_arm(results, "lora"), t)
    cases = " ".join(f"({n}) {t(f'workshop.cases.{n}')}" for n in (1, 2, 3))
    return t("workshop.asked.prompting"), t("workshop.asked.prompting_answer", cases=cases), figures


def _samples(results: Results, t: Texts) -> Answered | None:
    trial = next((trial for trial in results.trials if trial.recipe == "fair"), None)
    if trial is None:
        return None
    figures = [t("workshop.asked.samples_figure", examples=trial.examples, wordings=trial.wordings,
                 samples=trial.samples, exposures=RECIPES["fair"].exposures)]  # fmt: skip
    return t("workshop.asked.samples"), t("workshop.asked.samples_answer"), figures


def _sure(results: Results, t: Texts) -> Answered:
    figures = _said(_arm(results, "prompt"), t) + _said(_arm(results, "lora"), t)
    for difference in results.differences:
        if {difference.label, difference.other} == {"lora", "prompt"} and difference.smallest_detectable:
            points = round(100 * difference.smallest_detectable)
            figures.append(t("workshop.asked.detectable_figure", points=points))
    return t("workshop.asked.sure"), t("workshop.asked.sure_answer"), figures


def _forgotten(results: Results, t: Texts) -> Answered | None:
    figures = [
        f"{r.recipe}, {t(f'report.probe.{r.probe}')}: {texts.percent(r.kept.value)} "
        f"({texts.interval(r.kept.low, r.kept.high) or t('report.no_interval')})"
        for r in results.retention
    ]  # fmt: skip
    return (t("workshop.asked.forgotten"), t("workshop.asked.forgotten_answer"), figures) if figures else None
