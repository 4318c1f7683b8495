"""Questions that a room asks, answered from the run on screen and from our studies; the figures stand beside the words.

Knows no page. What was not measured is said to be so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from kurabe import texts
from kurabe.auditing.costs import costs
from kurabe.charts import arm_name
from kurabe.recipes import RECIPES
from kurabe.schema import ArmResult, CostEstimate, Estimate, Results, StudyFigure
from kurabe.texts import Texts
from kurabe.workshop.measured import counted

LARGER = 1_100_048_384  # parameters of TinyLlama-1.1B


class Answered(NamedTuple):
    """A question with its answer, the run's figures behind it, and those of our studies."""

    question: str
    answer: str
    figures: list[str]
    studied: Sequence[str] = ()


def likely(results: Results, t: Texts) -> list[Answered]:
    """Every question with its answer; those that this run has no figure for are left out."""
    asked = (_not_learned, _larger, _prompting, _samples, _sure, _forgotten, _changed, _sentence, _invented, _cheaper)
    found = [answer(results, t) for answer in asked]
    return [one for one in found if one and one.figures]


@cache
def studied() -> dict[str, StudyFigure]:
    """Name -> what a study found: `data/asked.json`, which `python -m studies.asked` writes."""
    text = resources.files("kurabe").joinpath("data/asked.json").read_text(encoding="utf-8")
    return {name: StudyFigure.model_validate(value) for name, value in json.loads(text)["figures"].items()}


def _study(name: str, t: Texts) -> list[str]:
    """A study's finding as one sentence, with the model that it was measured on and its page."""
    found = studied()[name]
    words = {f"{share}_share": _share(estimate) for share, estimate in found.shares.items()} | dict(found.counts)
    return [t(f"workshop.asked.study.{name}", model=found.model, source=found.source, **words)]


def _share(found: Estimate) -> str:
    """ "94 % (68–100 %)"; a share that was simulated has no interval."""
    span = texts.interval(found.low, found.high)
    return texts.percent(found.value) + (f" ({span})" if span else "")


def _arm(results: Results, label: str) -> ArmResult | None:
    return next((arm for arm in results.arms if arm.label == label and arm.recall.value is not None), None)


def _cost(results: Results, label: str) -> CostEstimate | None:
    return next((cost for cost in results.costs if cost.label == label), None)


def _said(arm: ArmResult | None, t: Texts) -> list[str]:
    """ "LoRA: 94 % (68–100 %)", where it was measured."""
    return [f"{arm_name(arm.label, t)}: {_run_share(arm.recall, t)}"] if arm else []


def _run_share(found: Estimate, t: Texts) -> str:
    return f"{texts.percent(found.value)} ({texts.interval(found.low, found.high) or t('report.no_interval')})"


def _both(results: Results, t: Texts) -> list[str]:
    return _said(_arm(results, "prompt"), t) + _said(_arm(results, "lora"), t)


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
    steps = costs()["too-few-steps"]
    study = t("workshop.asked.study.steps", model=steps.model, source=steps.source, faulty=f"{steps.faulty:g}",
              mended=f"{steps.mended:g}", points=round(100 * steps.points),
              low=round(100 * steps.low), high=round(100 * steps.high))  # fmt: skip
    question = t("workshop.asked.price", value=price.what)
    return Answered(question, t(f"workshop.asked.{key}", value=price.what), figures, [study])


def _larger(results: Results, t: Texts) -> Answered | None:
    """What a larger model would take here, if time grows with the number of weights."""
    cost = _cost(results, "lora")
    if cost is None or results.model.parameters >= LARGER:
        return None
    factor = LARGER / results.model.parameters
    figures = [
        t("workshop.asked.larger_here", seconds=texts.seconds(cost.preparation_seconds, t.language),
          parameters=texts.count(results.model.parameters)),
        t("workshop.asked.larger_there", seconds=texts.seconds(cost.preparation_seconds * factor, t.language),
          parameters=texts.count(LARGER)),
    ]  # fmt: skip
    return Answered(t("workshop.asked.larger"), t("workshop.asked.larger_answer"), figures)


def _prompting(results: Results, t: Texts) -> Answered:
    """The two arms, and the three cases with what was measured of each: consistency here, much knowledge in a study."""
    figures = _both(results, t) + [
        t("workshop.asked.consistent_figure", arm=arm_name(c.label, t), share=_run_share(c.values, t))
        for c in results.consistency if c.by == "wordings" and c.label in ("prompt", "lora")
    ]  # fmt: skip
    cases = " ".join(f"({n}) {t(f'workshop.cases.{n}')}" for n in (1, 2, 3))
    answer = t("workshop.asked.prompting_answer", cases=cases)
    return Answered(t("workshop.asked.prompting"), answer, figures, _study("facts", t))


def _samples(results: Results, t: Texts) -> Answered | None:
    trial = next((trial for trial in results.trials if trial.recipe == "fair"), None)
    if trial is None:
        return None
    figures = [t("workshop.asked.samples_figure", examples=trial.examples, wordings=trial.wordings,
                 samples=trial.samples, exposures=RECIPES["fair"].exposures)]  # fmt: skip
    answer = t("workshop.asked.samples_answer")
    return Answered(t("workshop.asked.samples"), answer, figures, _study("samples", t) + _study("wordings", t))


def _sure(results: Results, t: Texts) -> Answered:
    figures = _both(results, t)
    for difference in results.differences:
        if {difference.label, difference.other} == {"lora", "prompt"} and difference.smallest_detectable:
            points = round(100 * difference.smallest_detectable)
            figures.append(t("workshop.asked.detectable_figure", points=points))
    return Answered(t("workshop.asked.sure"), t("workshop.asked.sure_answer"), figures, _study("equal", t))


def _forgotten(results: Results, t: Texts) -> Answered:
    figures = [f"{r.recipe}, {t(f'report.probe.{r.probe}')}: {_run_share(r.kept, t)}" for r in results.retention]
    answer = t("workshop.asked.forgotten_answer")
    return Answered(t("workshop.asked.forgotten"), answer, figures, _study("forgotten", t))


def _changed(results: Results, t: Texts) -> Answered:
    """What a changed value costs each way: an edit, or the training again."""
    cost = _cost(results, "lora")
    figures = [
        t("workshop.asked.changed_figure", arm=arm_name(s.label, t), followed=texts.percent(s.followed.value),
          old=texts.percent(s.old.value))
        for s in results.stale
    ]  # fmt: skip
    if cost:
        figures.append(t("workshop.asked.again_figure", seconds=texts.seconds(cost.preparation_seconds, t.language)))
    return Answered(t("workshop.asked.changed"), t("workshop.asked.changed_answer"), figures)


def _sentence(results: Results, t: Texts) -> Answered:
    """Whether the fact or the sentence was learned: trained wordings beside held-out ones."""
    arm = _arm(results, "lora")
    figures = [t("workshop.asked.trained_figure", share=_run_share(arm.trained, t)),
               t("workshop.asked.held_out_figure", share=_run_share(arm.recall, t))] if arm else []  # fmt: skip
    answer = t("workshop.asked.sentence_answer")
    return Answered(t("workshop.asked.sentence"), answer, figures, _study("reversal", t))


def _invented(results: Results, t: Texts) -> Answered:
    figures = [
        t("workshop.asked.invented_figure", arm=arm_name(arm.label, t), wrong=_run_share(arm.wrong, t),
          extra="–" if arm.extra.value is None else f"{arm.extra.value:.1f}")
        for arm in (_arm(results, "prompt"), _arm(results, "lora")) if arm
    ]  # fmt: skip
    return Answered(t("workshop.asked.invented"), t("workshop.asked.invented_answer"), figures)


def _cheaper(results: Results, t: Texts) -> Answered:
    figures = [
        t("workshop.asked.tokens_figure", arm=arm_name(cost.label, t), prompt=texts.count(cost.prompt_tokens),
          cached=texts.count(cost.cached_tokens), new=texts.count(cost.new_tokens))
        for cost in (_cost(results, "prompt"), _cost(results, "lora")) if cost
    ]  # fmt: skip
    tuned = _cost(results, "lora")
    if tuned and tuned.break_even is not None:
        figures.append(t("workshop.asked.even_figure", questions=texts.about(tuned.break_even)))
    return Answered(t("workshop.asked.cheaper"), t("workshop.asked.cheaper_answer"), figures)
