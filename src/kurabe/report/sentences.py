"""Keys and numbers of a result -> sentences: the verdict, its reasons, findings, notes, the command that repeats a run.

Knows no layout. The terminal and the report say the same words because both ask here.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from kurabe import hops, texts
from kurabe.charts import arm_name, axis_value
from kurabe.report import tables
from kurabe.schema import Crossing, Finding, Parity, Reason, Results, Verdict
from kurabe.settings import RunSettings
from kurabe.texts import Texts
from kurabe.verdict import MAX_UNSCORED

BESIDE = ("prompt", "rag", "few-shot", "base")  # which arm of another model is told in a sentence: the first it has
# How a number of the verdict's reasons is written, by its name.
_SHARES = ("recall", "other_recall", "style", "prompt", "ceiling", "limit", "share")
_POINTS = ("difference", "low_points", "high_points")
_WIDTHS = ("margin", "detectable")
READS = 0.95  # with the one right fact in its prompt; below, a prompt's failures may be the model's
DECLINING = "fair+unknown"  # the recipe that mixes in declined questions
_PARTS = ("padding", "prompt", "answer")  # of the audit: shares of the learned positions


def headline(verdict: Verdict, t: Texts) -> str:
    """The verdict sentence, without what is said beside it (`reservation`)."""
    if verdict.choice == "cannot-tell" and verdict.add_examples:
        return t("verdict.choice.cannot-tell-add", add=texts.about(verdict.add_examples))
    return t(f"verdict.choice.{verdict.choice}")


def reservation(verdict: Verdict, t: Texts) -> str:
    """What stands beside a verdict on the stand-in, and on wordings that rules made; else nothing."""
    said = [t("verdict.stand_in")] if verdict.stand_in else []
    return " ".join([*said, t("verdict.generated", examples=verdict.generated)] if verdict.generated else said)


def poor_reading(results: Results, t: Texts) -> str:
    """What the stand-in leaves unsaid even where it has nothing to find: its own limit, in the language of the data; ""
    for any other model, and where it reads nearly all."""
    ceiling = next((arm.recall.value for arm in results.arms if arm.arm == "ceiling"), None)
    if not results.stand_in or ceiling is None or ceiling >= READS:
        return ""
    return t("verdict.reads", ceiling=texts.percent(ceiling), language=t(f"cli.language.{results.language}"))


def missing_arms(results: Results, t: Texts) -> str:
    """Arms that the model's window cannot hold: a table without them is no comparison with them."""
    return " ".join(sentence(note, t) for note in results.notes if note.key == "audit.note.arm-left-out")


def risks(results: Results, t: Texts) -> list[str]:
    """What tuning was seen to bring about beside the verdict."""
    return [risk for risk in (stale_risk(results, t), unknown_risk(results, t)) if risk]


def stale_risk(results: Results, t: Texts) -> str:
    """The tuned arm that clung most to values which had changed in what it was shown; "" where none did."""
    tuned = [s for s in results.stale if s.label.startswith("lora") and s.old.value]
    if not tuned:
        return ""
    worst = max(tuned, key=lambda s: s.old.value or 0.0)
    span = texts.interval(worst.old.low, worst.old.high)
    return t(
        "report.stale.risk", label=arm_name(worst.label, t), old=texts.percent(worst.old.value), examples=worst.old.n,
        range=t("verdict.range", interval=span) if span else "",
    )  # fmt: skip


def unknown_risk(results: Results, t: Texts) -> str:
    """How often the first recipe's LoRA made something up where the data holds no answer; "" where it was not shown to
    do so more often than the model did before tuning. Beside it what the recipe for that came to, or its name."""
    found = {told.label: told.invented for told in results.unknown}
    lora, base = found.get("lora"), found.get("base")
    if lora is None or not lora.low or (base is not None and lora.low <= (base.high or 0.0)):
        return ""
    span = texts.interval(lora.low, lora.high)
    told = t(
        "report.unknown.risk", label=arm_name("lora", t), invented=texts.percent(lora.value), questions=lora.n,
        range=t("verdict.range", interval=span) if span else "",
    )  # fmt: skip
    other = found.get(f"lora ({DECLINING})")
    if other is None or other.value is None:
        return told + t("report.unknown.try", recipe=DECLINING)
    return told + t("report.unknown.beside", recipe=DECLINING, invented=texts.percent(other.value))


def sentence(reason: Reason, t: Texts) -> str:
    """A reason, a change or a note as one sentence, its numbers written for people."""
    if not reason.key.startswith("verdict."):
        return t(reason.key, **reason.values)
    values = {name: _written(name, value) for name, value in reason.values.items()}
    values |= {name: arm_name(values[name], t) for name in ("label", "other") if name in values}
    span = texts.interval(reason.values.get("low"), reason.values.get("high"))
    return t(reason.key, **{**values, "range": t("verdict.range", interval=span) if span else ""})


def reasons(verdict: Verdict, t: Texts) -> list[str]:
    """Why, the deciding reason first."""
    return [sentence(reason, t) for reason in verdict.reasons]


def changes(verdict: Verdict, t: Texts) -> list[str]:
    """What would change the verdict."""
    return [sentence(reason, t) for reason in verdict.would_change]


def parity(found: Parity, t: Texts) -> list[str]:
    """Whether the shipped files' answers survived; of those that did not, why, and which larger format held."""
    failed = [hop for hop in found.hops if hop.file and not hop.held]
    if not failed:
        return [t("report.parity.survived", margin=texts.percent(found.margin))]
    tried = [t("report.parity.aside")] if any(hop.size and not hop.file for hop in found.hops) else []
    said = [t("report.parity.failed", hop=hop.hop, why=t(f"report.parity.why.{hops.cause(hop)}")) for hop in failed]
    larger = hops.next_larger(found)
    return [*said, *([t("report.parity.larger", format=larger)] if larger else []), *tried]


def consistency(results: Results, t: Texts) -> str:
    """How often each arm gives the same values in all wordings of a question; "" where that was not measured."""
    said = [
        f"{arm_name(found.label, t)} {texts.percent(found.values.value)}"
        for found in results.consistency
        if found.by == "wordings" and found.values.value is not None
    ]
    return t("report.consistency.line", arms=t("comma").join(said)) if said else ""


def beside(results: Results, t: Texts) -> list[str]:
    """What each other model came to with the prompt (else with what it was asked), and what that costs."""
    said = []
    for other in results.beside:
        arm = next((a for name in BESIDE for a in other.arms if a.arm == name), None)
        cost = next((c for c in other.costs if arm is not None and c.label == arm.label), None)
        if arm is None or cost is None:
            continue
        told = {"model": other.model.name, "arm": t(f"arms.{arm.arm}")}
        estimate, form = (arm.recall, "recall") if arm.style is None or arm.recall.n else (arm.style, "form")
        if arm.unscored > MAX_UNSCORED * arm.answers:
            said.append(t("report.beside.unscored", **told, unscored=arm.unscored, answers=arm.answers))
            continue
        span = texts.interval(estimate.low, estimate.high)
        if cost.money_per_thousand is None:
            numbers = {"prompt": texts.count(cost.prompt_tokens), "new": texts.count(cost.new_tokens)}
            price = t("report.beside.tokens", **numbers)
        else:
            price = t("report.beside.money", money=tables.money(cost, results))
        said.append(t(
            f"report.beside.{form}", **told, share=texts.percent(estimate.value), price=price,
            range=t("verdict.range", interval=span) if span else "",
        ))  # fmt: skip
    return said


def served(results: Results, t: Texts) -> list[str]:
    """Which server and which version answered as each other model, as far as it told."""
    return [
        t(
            "report.beside.served", model=other.model.name, server=other.model.server,
            version=other.model.version or t("report.beside.untold"),
            said=t("report.beside.called", names=t("comma").join(other.said)) if other.said else "",
        )
        for other in results.beside
    ]  # fmt: skip


def teachers(results: Results, t: Texts) -> list[str]:
    """How well the model read what a recipe had it teach itself."""
    return [
        t(
            "analysis.teacher", recipe=found.recipe, rows=found.rows, share=texts.percent(found.read.value),
            range=t("verdict.range", interval=span) if span else "",
        )
        for found in results.teachers
        for span in [texts.interval(found.read.low, found.read.high)]
    ]  # fmt: skip


def curve(results: Results, axis: str, t: Texts) -> list[str]:
    """What one curve says: where LoRA reaches the prompt, and what it predicted for a point that it had not seen."""
    said = _models(results, t) if axis == "models" else []
    for found in results.crossings:
        if found.axis == axis:
            numbers = {name: axis_value(axis, getattr(found, name)) for name in ("at", "low", "high", "least", "most")}
            form = _crossing_form(found)
            said.append(t(f"curve.crossing.{form}", axis=t(f"curve.axis.{axis}"), **numbers))
            said += _behind_again(results, found, t)
    for made in results.predictions:
        if made.axis == axis:
            spans = [texts.interval(e.low, e.high) or t("report.no_interval") for e in (made.predicted, made.measured)]
            said.append(t(
                "curve.prediction", x=axis_value(axis, made.x), predicted=texts.percent(made.predicted.value),
                measured=texts.percent(made.measured.value), predicted_range=spans[0], measured_range=spans[1],
            ))  # fmt: skip
    return said


def _models(results: Results, t: Texts) -> list[str]:
    """What a curve over models must say: that they are different models, and how each was trained."""
    return [
        t("curve.models.note"),
        *(
            t(
                "curve.models.trained", name=run.model.name, rank=run.rank, rate=texts.rate(run.rate), run=run.run,
                parameters=texts.count(run.model.parameters), device=run.model.device, dtype=run.model.dtype,
            )
            for run in results.models
        ),
    ]  # fmt: skip


def _crossing_form(found: Crossing) -> str:
    if found.at is None:
        return "never" if found.low is None else "unsure"
    if found.low is None:
        return "few"
    if found.high is None:
        return "open"
    return "at-once" if found.high <= found.least else "within"


def _behind_again(results: Results, found: Crossing, t: Texts) -> list[str]:
    """A LoRA that reached the prompt and does not stay there."""
    unseen = {made.x for made in results.predictions if made.axis == found.axis}
    at = {(p.x, p.measure): p.value for p in results.curves if p.axis == found.axis and p.x not in unseen}
    for x in sorted({x for x, _ in at}):
        lora, prompt = at.get((x, "recall")), at.get((x, "prompt"))
        if found.at is not None and x > found.at and lora is not None and prompt is not None and lora < prompt:
            numbers = {"x": axis_value(found.axis, x), "lora": texts.percent(lora), "prompt": texts.percent(prompt)}
            return [t("curve.behind", axis=t(f"curve.axis.{found.axis}"), **numbers)]
    return []


def finding(found: Finding, t: Texts) -> tuple[str, str]:
    """What the audit found, with its numbers, and why it matters."""
    values = {name: texts.percent(v) if name in _PARTS else v for name, v in found.values.items()}
    form = values.pop("form", "what")
    return t(f"audit.{found.id}.{form}", **values), t(f"audit.{found.id}.why")


def repair(found: Finding, t: Texts) -> str:
    """What mends it, with the settings that would."""
    settings = t("comma").join(
        f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in found.repaired.items()
    )
    return " ".join([t(f"audit.{found.id}.fix"), *([settings] if settings else [])])


def fault_cost(found: Finding, t: Texts) -> str:
    """What it costs, where that was measured; else nothing."""
    cost = found.cost
    if cost is None:
        return ""
    ratio = cost.mended / cost.faulty
    fault = t(f"audit.cost.fault.{cost.fault}", faulty=cost.faulty, mended=cost.mended, ratio=ratio)
    numbers = {name: 100 * getattr(cost, name) for name in ("points", "low", "high")}
    if cost.shown:
        return t("audit.cost.shown", fault=fault, **numbers)
    return t("audit.cost.not_shown", fault=fault, gain=-numbers["low"], loss=numbers["high"])


def command(results: Results) -> str:
    """The command that repeats the run: its file and every setting that differs from the default.

    Prices have no flag; what their settings file holds stands behind the command as a comment.
    """
    defaults = RunSettings().model_dump(mode="json")
    curve = bool(results.settings.get("over"))
    words = ["kurabe", "curve" if curve else "run", results.data or "FILE"]
    aside = ("name", "runs", "prices") if curve else ("name", "runs", "prices", "seeds")
    for name, value in results.settings.items():
        if name in aside or value == defaults.get(name):
            continue
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        else:
            words += [flag, ",".join(value) if isinstance(value, list) else str(value)]
    prices = results.settings.get("prices", defaults["prices"])
    if prices == defaults["prices"]:
        return shlex.join(words)
    held = json.dumps({"prices": prices}, ensure_ascii=False)  # JSON is YAML
    return f"{shlex.join([*words, '--settings', 'prices.yaml'])}  # prices.yaml: {held}"


def _written(name: str, value: Any) -> Any:
    forms: Mapping[tuple[str, ...], Callable[[Any], str]] = {
        _SHARES: texts.percent,
        _POINTS: lambda value: texts.points(value).replace("-", "−"),
        _WIDTHS: lambda share: f"{share * 100:.0f}",
        ("extra", "days"): lambda number: f"{number:.1f}",
        ("questions",): texts.about,
    }
    form = next((form for names, form in forms.items() if name in names), None)
    return value if form is None else form(value)
