"""Results -> tables of ready cells, the same ones for the HTML page and for Markdown.

Knows no markup. Numbers are written here, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kurabe import texts
from kurabe.charts import arm_name, axis_value, hop_name
from kurabe.schema import ArmResult, CostEstimate, CurvePoint, Estimate, Measure, Parity, Results
from kurabe.texts import Texts

CURVE_COLUMNS = ("recall", "interval", "prompt", "trained", "wrong", "extra", "general", "seeds")


class Table(NamedTuple):
    """A caption, column heads, rows whose first cell names the row."""

    id: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def arms(results: Results, t: Texts) -> Table:
    """Recall and everything that stands beside it, one row per arm."""
    return _table(t, "arms", [_arm_row(arm, t) for arm in results.arms])


def differences(results: Results, t: Texts) -> Table:
    """Paired differences in recall with the smallest one that the data could have shown."""
    return _differences(results, t, "differences", "recall")


def style_differences(results: Results, t: Texts) -> Table:
    """The same of the checks of form, tuned arms against ways without training."""
    return _differences(results, t, "style_differences", "style")


def style(results: Results, t: Texts) -> Table:
    """How many checks of form each arm's answers pass, all together and check by check."""
    names = tuple(dict.fromkeys(name for arm in results.arms for name in arm.checks))
    rows = [
        (
            arm_name(arm.label, t),
            _value(arm.style, t),
            *(texts.percent(arm.checks[name].value) if name in arm.checks else "–" for name in names),
            texts.count(arm.style.n),
        )
        for arm in results.arms
        if arm.style is not None
    ]
    head = (t("report.style.1"), t("report.style.2"), *(t(f"check.{name}") for name in names), t("report.style.3"))
    return Table("style", t("report.style.caption"), head, tuple(rows))


def consistency(results: Results, t: Texts) -> Table:
    """How often each arm says the same, however it is asked and however often."""
    rows = [
        (
            arm_name(c.label, t),
            t(f"report.consistency.{c.by}", samples=results.settings.get("samples", 0)),
            _value(c.values, t),
            texts.percent(c.right.value),
            _value(c.form, t) if c.form else "–",
            texts.count(max(c.values.n, c.form.n if c.form else 0)),
        )
        for c in results.consistency
    ]
    return _table(t, "consistency", rows)


def likelihood(results: Results, t: Texts) -> Table:
    """How often each arm holds the expected answer likelier than the same with another value."""
    rows = [
        (
            arm_name(found.label, t),
            _value(found.likeliest, t),
            texts.percent(found.chance),
            texts.count(found.likeliest.n),
        )
        for found in results.likelihood
    ]
    return _table(t, "likelihood", rows)


def _differences(results: Results, t: Texts, name: str, measure: Measure) -> Table:
    rows = [
        (
            t("report.minus", label=arm_name(d.label, t), other=arm_name(d.other, t)),
            _points(d.estimate.value),
            _points_range(d.estimate, t),
            _points(d.smallest_detectable).lstrip("+"),
            texts.count(d.estimate.n),
        )
        for d in results.differences
        if d.measure == measure
    ]
    return _table(t, name, rows)


def trials(results: Results, t: Texts) -> Table:
    """What was trained, by which numbers."""
    rows = [
        (
            trial.name,
            texts.count(trial.steps),
            f"{trial.epochs:g}",
            texts.count(trial.samples),
            str(trial.rank),
            texts.rate(trial.rate),
            texts.count(trial.trainable),
            texts.percent(trial.trainable / results.model.parameters, 1),
        )
        for trial in results.trials
    ]
    return _table(t, "trials", rows)


def retention(results: Results, t: Texts) -> Table:
    """Of what was right before tuning, what is still right."""
    rows = [
        (
            t(f"report.probe.{r.probe}"),
            r.recipe,
            texts.count(r.asked),
            texts.count(r.right_before),
            _value(r.kept, t),
        )
        for r in results.retention
    ]
    return _table(t, "retention", rows)


def stale(results: Results, t: Texts) -> Table:
    """Which value each arm said after one was changed in what it is shown."""
    return _table(t, "stale", [_three_ways(s.label, s.followed, s.old, s.other, t) for s in results.stale])


def unknown(results: Results, t: Texts) -> Table:
    """What each arm said to questions that the data does not answer."""
    return _table(t, "unknown", [_three_ways(u.label, u.declined, u.invented, u.other, t) for u in results.unknown])


def _three_ways(label: str, one: Estimate, two: Estimate, rest: Estimate, t: Texts) -> tuple[str, ...]:
    """An arm's row where each answer went one of three ways: two shares with intervals, the rest, and of how many."""
    return (arm_name(label, t), _value(one, t), _value(two, t), texts.percent(rest.value), texts.count(one.n))


def costs(results: Results, t: Texts) -> Table:
    """Preparation once, then what each answer takes. Columns without any number are left out."""
    rows = [_cost_row(cost, t, results) for cost in results.costs]
    return filled(_table(t, "costs", rows))


def filled(table: Table) -> Table:
    """The table without the columns in which no row has anything."""
    kept = [k for k in range(len(table.head)) if k == 0 or any(row[k] not in ("", "–") for row in table.rows)]
    return table._replace(
        head=tuple(table.head[k] for k in kept), rows=tuple(tuple(row[k] for k in kept) for row in table.rows)
    )


def beside(results: Results, t: Texts) -> Table:
    """What other models came to, prompted: recall and price in one row, since nothing else of theirs is told."""
    rows = []
    for other in results.beside:
        costs = {cost.label: cost for cost in other.costs}
        for arm in other.arms:
            cost = costs.get(arm.label)  # none for a control
            counted = (
                texts.count(cost.prompt_tokens), texts.count(cost.new_tokens), texts.seconds(cost.seconds_per_answer),
                money(cost, results),
            ) if cost else ("–",) * 4  # fmt: skip
            rows.append((
                arm_name(arm.label, t), _value(arm.recall, t), _part(arm, "wrong"), _number(arm.extra.value, 2),
                texts.count(arm.cut), texts.count(arm.unscored), *counted, texts.count(arm.recall.n),
            ))  # fmt: skip
    return _table(t, "beside", rows)


def parity(found: Parity, t: Texts) -> Table:
    """Each form of the shipped arm, asked the run's own questions: the adapter first, then the files. The last column
    but one is the speed."""
    rows = [
        (
            hop_name(hop, t),
            texts.size(hop.size) if hop.size else "",
            f"{hop.same}/{hop.answers}",
            _value(hop.recall, t),
            _points(hop.lost.value) if hop.lost else "",
            texts.percent(hop.wrong.value),
            f"{hop.new_tokens / hop.seconds:.0f}" if hop.new_tokens and hop.seconds else "",
            t("report.parity.yes" if hop.held else "report.parity.no"),
        )
        for hop in found.hops
    ]
    return _table(t, "parity", rows)


def money(cost: CostEstimate, results: Results) -> str:
    """The price of a thousand answers: "0.27 USD"; without a price table "–"."""
    currency = (results.settings.get("prices") or {}).get("currency", "")
    amount = cost.money_per_thousand
    if amount is None:
        return "–"
    return f"{amount:.2f} {currency}".strip() if amount >= 0.1 or not amount else f"{amount:.2g} {currency}".strip()


def curves(results: Results, t: Texts) -> list[tuple[str, Table]]:
    """(axis, table) of every curve: a row per value of x."""
    points = [point for point in results.curves if point.axis != "step"]
    measured = {(p.axis, p.x, p.measure): p for p in points}
    found = []
    for axis in dict.fromkeys(point.axis for point in points):
        unseen = {prediction.x for prediction in results.predictions if prediction.axis == axis}
        rows = [
            _curve_row(
                _point_name(results, axis, x) + (f" {t('curve.unseen')}" if x in unseen else ""),
                {p.measure: p for (a, at, _), p in measured.items() if (a, at) == (axis, x)},
            )
            for x in sorted({point.x for point in points if point.axis == axis})
        ]
        head = (t(f"curve.axis.{axis}"), *(t(f"curve.head.{name}") for name in CURVE_COLUMNS))
        found.append(
            (axis, Table(f"curve-{axis}", t("curve.caption", axis=t(f"curve.axis.{axis}")), head, tuple(rows)))
        )
    return found


def _point_name(results: Results, axis: str, x: float) -> str:
    """The value of x; over models the model's name with it."""
    named = [run.model.name for run in results.models if axis == "models" and run.model.parameters == x]
    return f"{named[0]} ({axis_value(axis, x)})" if named else axis_value(axis, x)


def _curve_row(name: str, at: Mapping[str, CurvePoint]) -> tuple[str, ...]:
    recall, shares = at.get("recall"), {key: texts.percent(point.value) for key, point in at.items()}
    return (
        name,
        shares.get("recall", "–"),
        (texts.interval(recall.low, recall.high) if recall else "") or "–",
        *(shares.get(key, "–") for key in ("prompt", "trained", "wrong")),
        _number(at["extra"].value, 2) if "extra" in at else "–",
        shares.get("general", "–"),
        texts.count(recall.seeds) if recall else "–",
    )


def settings(results: Results, t: Texts) -> Table:
    """Every setting of the run."""
    rows = [(name, _setting(value)) for name, value in results.settings.items()]
    return _table(t, "settings", rows)


def sum_planned(results: Results) -> float:
    """Seconds of the plan; what could not be measured beforehand counts nothing."""
    return sum(value or 0.0 for value in results.planned.values())


def provenance(results: Results, t: Texts) -> Table:
    """Which data, which model, which machine."""
    model, origin = results.model, results.provenance
    libraries = t("comma").join(f"{name} {version}" for name, version in sorted(origin.libraries.items()))
    machine = t("report.machine_is", cores=origin.cores, memory=texts.size(origin.memory))
    shape = t("report.shape", hidden=model.hidden, layers=model.layers, context=texts.count(model.context))
    rows = [
        ("run", results.run),
        ("created", results.created),
        ("data", results.data),
        ("data_sha256", origin.data_sha256),
        ("model", t("report.model_is", name=model.name, family=model.family, parameters=texts.count(model.parameters))),
        ("shape", shape),
        ("model_sha256", model.sha256),
        ("device", t("report.device_is", device=model.device, dtype=model.dtype, threads=model.threads)),
        ("machine", t("comma").join((origin.processor, machine, origin.platform))),
        ("software", t("comma").join((f"kurabe {origin.kurabe}", f"Python {origin.python}", libraries))),
        ("commit", origin.commit),
        (
            "seconds",
            t("comma").join(f"{t(f'stage.{k}')} {texts.seconds(v, t.language)}" for k, v in results.seconds.items()),
        ),
        ("planned", texts.seconds(sum_planned(results), t.language) if results.planned else ""),
    ]
    return _table(t, "provenance", [(t(f"report.provenance.{name}"), value) for name, value in rows if value])


# --- rows and cells --------------------------------------------------------------------------------------------


def _arm_row(arm: ArmResult, t: Texts) -> tuple[str, ...]:
    return (
        arm_name(arm.label, t),
        _value(arm.recall, t),
        texts.percent(arm.trained.value),
        *(_part(arm, status) for status in ("wrong", "missing", "refused")),
        _number(arm.extra.value, 2),
        texts.count(arm.cut),
        texts.count(arm.unscored),
        t("report.examples_answers", examples=arm.recall.n, answers=arm.answers),
    )


def _cost_row(cost: CostEstimate, t: Texts, results: Results) -> tuple[str, ...]:
    return (
        arm_name(cost.label, t),
        texts.seconds(cost.preparation_seconds, t.language) if cost.preparation_seconds else "–",
        texts.count(cost.preparation_tokens) if cost.preparation_tokens else "–",
        texts.count(cost.prompt_tokens),
        texts.count(cost.cached_tokens),
        texts.count(cost.new_tokens),
        texts.seconds(cost.seconds_per_answer, t.language),
        texts.size(cost.peak_memory) if cost.peak_memory else "–",
        money(cost, results),
        *(
            "–" if questions is None else t("report.questions", questions=texts.about(questions))
            for questions in (cost.break_even, cost.break_even_rag)
        ),
    )


def _part(arm: ArmResult, status: str) -> str:
    """The share of scored values with one outcome."""
    return texts.percent(arm.outcomes.get(status, 0) / arm.recall.items if arm.recall.items else None)


def _table(t: Texts, name: str, rows: Sequence[tuple[str, ...]]) -> Table:
    width = max((len(row) for row in rows), default=0)
    head = tuple(t(f"report.{name}.{number}") for number in range(1, width + 1))
    return Table(name, t(f"report.{name}.caption"), head, tuple(rows))


def _value(estimate: Estimate, t: Texts) -> str:
    """A share with its interval: "98 % (70–100 %)"."""
    span = texts.interval(estimate.low, estimate.high)
    return texts.percent(estimate.value) + (t("charts.range", interval=span) if span else "")


def _points_range(estimate: Estimate, t: Texts) -> str:
    if estimate.low is None:
        return t("report.no_interval")
    return t("report.from_to", low=_points(estimate.low), high=_points(estimate.high))


def _points(value: float | None) -> str:
    """A difference with a true minus sign, which is as wide as the plus; a zero has none."""
    written = texts.points(value).replace("-", "−")
    return "0" if written in ("+0", "−0") else written


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _setting(value: Any) -> str:
    """A setting's value as the user would write it."""
    if isinstance(value, dict):
        numbers = {name: part for name, part in value.items() if part not in (None, {})}
        return ", ".join(f"{name}: {_setting(part)}" for name, part in numbers.items()) if len(numbers) > 1 else "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(part) for part in value)
    return "–" if value is None else str(value)
