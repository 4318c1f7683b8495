"""Results -> Altair charts -> SVG text: intervals of recall, loss curves, retention. One definition for every page
and notebook.

Knows no page: colours are tokens that the page's style sheet sets (`var(--ink, #1b1f24)`), text stays text in the
reader's own fonts. Every chart carries a title and a description, and says nothing by colour alone. Altair is imported
when called.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple

from kurabe import texts
from kurabe.schema import ArmResult, CurvePoint, Estimate, Hop, Results, RetentionResult
from kurabe.texts import Texts

FONT = "system-ui, sans-serif"
MAX_POINTS = 240  # of one curve; more cannot be seen and only make the file larger

# Token -> the colour that stands for it while Vega draws, which is also the fallback outside a page. Okabe-Ito's
# colours, a little darker where their contrast on white is below 3:1.
COLOURS = {
    "ink": "#1b1f24",
    "soft": "#5a6572",
    "rule": "#d5dae0",
    "paper": "#fefefe",
    "base": "#6b7683",
    "prompt": "#0072b2",
    "lora": "#d55e00",
    "both": "#00855f",
    "further": "#a86f00",
}
_TOKEN_OF_ARM = {
    "base": "base", "prompt": "prompt", "few-shot": "prompt", "rag": "prompt", "lora": "lora", "lora+prompt": "both",
    "lora+rag": "both", "ceiling": "soft", "shuffled": "soft",
}  # fmt: skip


class ChartSize(NamedTuple):
    """Width of the drawing and the font size, in the chart's own units; the page scales it to its column."""

    width: int
    font: int


WIDE, NARROW = ChartSize(680, 14), ChartSize(330, 13)


def colour_token(label: str, arm: str) -> str:
    """The colour of an arm; a further recipe's LoRA has its own."""
    return _TOKEN_OF_ARM.get(arm, "further") if label == arm else "further"


def arm_name(label: str, t: Texts) -> str:
    """An arm's label in words; a further recipe's name stays in brackets."""
    arm, _, recipe = label.partition(" ")
    return " ".join(part for part in (t(f"arms.{arm}"), recipe) if part)


def axis_value(axis: str, x: float | None) -> str:
    """A value of an axis for people: counts are whole, a rate is a factor."""
    if x is None:
        return "–"
    return f"×{x:g}" if axis == "rate" else texts.count(x)


def recall(results: Results, t: Texts, size: ChartSize = WIDE) -> str:
    """One row per arm: recall on held-out wordings with its interval, and recall on trained wordings beside it."""
    rows = [_recall_row(arm, t) for arm in results.arms if arm.recall.value is not None]
    summary = "; ".join(f"{row['label']}: {row['said']}" for row in rows)
    return _svg(_intervals(rows, t, size, t("charts.recall.axis")), t("charts.recall.title"), summary)


def retention(results: Results, t: Texts, size: ChartSize = WIDE) -> str | None:
    """One row per recipe and kind of question: of what was right before, the share still right; None if not run."""
    rows = [_retention_row(r, t) for r in results.retention if r.kept.value is not None]
    if not rows:
        return None
    summary = "; ".join(f"{row['label']}: {row['said']}" for row in rows)
    return _svg(_intervals(rows, t, size, t("charts.retention.axis")), t("charts.retention.title"), summary)


def parity(results: Results, t: Texts, size: ChartSize = WIDE) -> str | None:
    """One row per shipped form of the arm: recall on the run's held-out questions; None where nothing was shipped."""
    found = results.parity.hops if results.parity else ()
    rows = [_hop_row(hop, t) for hop in found if hop.recall.value is not None]
    if not rows:
        return None
    summary = "; ".join(f"{row['label']}: {row['said']}" for row in rows)
    return _svg(_intervals(rows, t, size, t("charts.recall.axis")), t("report.parity.caption"), summary)


def loss(results: Results, t: Texts, size: ChartSize = WIDE) -> str | None:
    """Loss per step of every trial, steps on a logarithmic axis so that 9 and 900 steps can be read together."""
    return losses(results.curves, t, size)


def losses(points: Sequence[CurvePoint], t: Texts, size: ChartSize = WIDE) -> str | None:
    """The same of a run that is still training."""
    by_trial = _by_trial(points)
    if not by_trial:
        return None
    summary = "; ".join(
        t("charts.loss.curve", recipe=p[0].recipe, steps=len(p), first=_loss(p[0]), last=_loss(p[-1])) for p in by_trial
    )
    return _svg(_curves(by_trial, t, size), t("charts.loss.title"), summary)


def curve(results: Results, axis: str, t: Texts, size: ChartSize = WIDE) -> str | None:
    """Recall of LoRA and of the prompt along one axis, with LoRA's interval; what it had not seen stands apart. None
    where nothing was scored on held-out wordings."""
    points = [p for p in results.curves if p.axis == axis and p.measure in _SWEPT and p.value is not None]
    unseen = {prediction.x for prediction in results.predictions if prediction.axis == axis}
    name = t(f"curve.axis.{axis}")
    recalls = [p for p in points if p.measure == "recall"]
    if not recalls:
        return None
    summary = "; ".join(f"{name} {axis_value(axis, p.x)}: {texts.percent(p.value)}" for p in recalls)
    return _svg(_sweep(points, unseen, axis, name, t, size), t("curve.caption", axis=name), summary)


def native(results: Results, name: Literal["recall", "loss", "retention"], t: Texts, size: ChartSize = WIDE) -> Any:
    """One of these as an Altair chart, which a notebook draws by itself; None where the run has nothing to draw."""
    if name == "loss":
        by_trial = _by_trial(results.curves)
        return _curves(by_trial, t, size) if by_trial else None
    rows = [_recall_row(arm, t) for arm in results.arms if arm.recall.value is not None]
    if name == "retention":
        rows = [_retention_row(r, t) for r in results.retention if r.kept.value is not None]
    return _intervals(rows, t, size, t(f"charts.{name}.axis")) if rows else None


# --- rows ------------------------------------------------------------------------------------------------------


def _by_trial(points: Sequence[CurvePoint]) -> list[list[CurvePoint]]:
    """The points of loss curves, trial by trial, in the order of their steps."""
    curves = [c for c in points if c.axis == "step" and c.measure == "loss" and c.value is not None]
    return [list(own) for _, own in groupby(sorted(curves, key=lambda c: (c.trial, c.x)), lambda c: c.trial)]


def _recall_row(arm: ArmResult, t: Texts) -> dict[str, Any]:
    said = _said(arm.recall, t)
    return {
        "label": arm_name(arm.label, t),
        "token": colour_token(arm.label, arm.arm),
        "said": said,
        "trained": arm.trained.value,
        **_numbers(arm.recall),
    }


def _retention_row(result: RetentionResult, t: Texts) -> dict[str, Any]:
    token = "lora" if result.trial == 1 else "further"
    label = t(f"charts.retention.{result.probe}", recipe=result.recipe)
    return {"label": label, "token": token, "said": _said(result.kept, t), "trained": None, **_numbers(result.kept)}


def hop_name(hop: Hop, t: Texts) -> str:
    """What a form of the model is called: a format by its name, one that was only tried out as such."""
    if hop.hop in ("adapter", "base", "merged"):
        return t(f"report.parity.{hop.hop}")
    return hop.hop if hop.file else t("report.parity.tried", hop=hop.hop)


def _hop_row(hop: Hop, t: Texts) -> dict[str, Any]:
    label = hop_name(hop, t) + (f", {texts.size(hop.size)}" if hop.size else "")
    token = "lora" if hop.held else "further"
    return {"label": label, "token": token, "said": _said(hop.recall, t), "trained": None, **_numbers(hop.recall)}


def _numbers(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _said(estimate: Estimate, t: Texts) -> str:
    """The number beside its mark: "98 %  (70–100 %)"."""
    span = texts.interval(estimate.low, estimate.high)
    return texts.percent(estimate.value) + (t("charts.range", interval=span) if span else "")


def _loss(point: CurvePoint) -> str:
    return f"{point.value:.2f}"


# --- drawing ---------------------------------------------------------------------------------------------------


def _intervals(rows: Sequence[dict[str, Any]], t: Texts, size: ChartSize, axis: str) -> Any:
    """A row per estimate: a bar for the interval, a dot for the value, the numbers above the bar in words."""
    import altair as alt

    data = alt.Data(values=[dict(row, row=number) for number, row in enumerate(rows)])
    tokens = sorted({row["token"] for row in rows})
    colour = alt.Color(
        "token:N", scale=alt.Scale(domain=tokens, range=[COLOURS[token] for token in tokens]), legend=None
    )
    x = alt.X(
        "value:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(
            title=axis, values=[0, 0.25, 0.5, 0.75, 1], tickSize=0, labelExpr="datum.value * 100 + ' %'", domain=False
        ),
    )
    y = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    base = alt.Chart(data)
    line = base.encode(y=y, color=colour)
    below = 0.18 * _step(size)
    diamonds = line.mark_point(shape="diamond", filled=False, size=90, strokeWidth=2, yOffset=below)
    # A layer without any mark would be an image without a text for who hears the page.
    trained = [diamonds.encode(x="trained:Q")] if any(row["trained"] is not None for row in rows) else []
    marks = [
        line.mark_bar(height=9, cornerRadius=4.5, opacity=0.28, yOffset=below).encode(x=alt.X("low:Q"), x2="high:Q"),
        *trained,
        line.mark_point(shape="circle", filled=True, size=110, opacity=1, yOffset=below).encode(x=x),
        base.mark_text(align="left", fontWeight=600, dy=-0.22 * _step(size), color=COLOURS["ink"]).encode(
            x=alt.value(0), y=y, text="label:N"
        ),
        base.mark_text(align="right", dy=-0.22 * _step(size), color=COLOURS["soft"]).encode(
            x=alt.value(size.width), y=y, text="said:N"
        ),
    ]
    return _styled(alt.layer(*marks), size).properties(width=size.width, height=alt.Step(_step(size)))


def _step(size: ChartSize) -> int:
    """Height of one row: the words above, the bar below."""
    return size.font * 4 - 6


def _curves(by_trial: Sequence[Sequence[CurvePoint]], t: Texts, size: ChartSize) -> Any:
    import altair as alt

    names = [points[0].recipe for points in by_trial]
    tokens = ["lora" if points[0].trial == 1 else "further" for points in by_trial]
    values = [
        {"step": point.x, "loss": point.value, "recipe": point.recipe}
        for points in by_trial
        for point in _thinned(points)
    ]
    ends = [{"step": p[-1].x, "loss": p[-1].value, "recipe": p[-1].recipe} for p in by_trial]
    colour = alt.Color("recipe:N", scale=alt.Scale(domain=names, range=[COLOURS[k] for k in tokens]), legend=None)
    dash = alt.StrokeDash(
        "recipe:N", scale=alt.Scale(domain=names, range=[[1, 0], [6, 3], [2, 3]][: len(names)]), legend=None
    )
    last = max(points[-1].x for points in by_trial)
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if tick <= last]
    x = alt.X(
        "step:Q",
        scale=alt.Scale(type="log", domain=[1, last * 1.9]),  # room for the curve's name at its end
        axis=alt.Axis(title=t("charts.loss.axis"), values=ticks, format="d", grid=False, domain=True),
    )
    y = alt.Y(
        "loss:Q",
        scale=alt.Scale(domainMin=0, nice=True),
        axis=alt.Axis(title=None, tickCount=4, domain=False, tickSize=0),
    )
    lines = alt.Chart(alt.Data(values=values)).encode(x=x, y=y, color=colour, strokeDash=dash)
    labels = alt.Chart(alt.Data(values=ends)).encode(x=x, y=y, color=colour)
    marks = [
        lines.mark_line(strokeWidth=2.2),
        labels.mark_point(filled=True, size=60, opacity=1),
        # The name keeps clear of a curve that runs behind it.
        labels.mark_text(align="left", dx=8, fontWeight=600, strokeWidth=5, stroke=COLOURS["paper"]).encode(
            text="recipe:N", color=alt.value(COLOURS["paper"])
        ),
        labels.mark_text(align="left", dx=8, fontWeight=600).encode(text="recipe:N"),
    ]
    height = 220 if size is WIDE else 190
    return _styled(alt.layer(*marks), size).properties(width=size.width, height=height)


# Measure of a curve -> its token and its dashes.
_SWEPT = {"recall": ("lora", [1, 0]), "prompt": ("prompt", [6, 3]), "general": ("base", [2, 3])}


def _sweep(
    points: Sequence[CurvePoint], unseen: set[float], axis: str, name: str, t: Texts, size: ChartSize
) -> Any:  # fmt: skip
    """A line per measure, a band for LoRA's interval, a diamond where a prediction is tried."""
    import altair as alt

    rows = [
        {"x": p.x, "y": p.value, "low": p.low, "high": p.high, "measure": p.measure,
         "said": t(f"curve.measure.{p.measure}")}
        for p in points
    ]  # fmt: skip
    line = [row for row in rows if row["x"] not in unseen]
    apart = [row for row in rows if row["x"] in unseen and row["measure"] == "recall"]
    band = [row for row in line if row["measure"] == "recall" and row["low"] is not None]
    shown = [measure for measure in _SWEPT if any(row["measure"] == measure for row in line)]
    names = [t(f"curve.measure.{measure}") for measure in shown]
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", labelLimit=size.width, direction="vertical")
    colour = alt.Color(
        "said:N", legend=legend, scale=alt.Scale(domain=names, range=[COLOURS[_SWEPT[m][0]] for m in shown])
    )
    dash = alt.StrokeDash("said:N", legend=legend, scale=alt.Scale(domain=names, range=[_SWEPT[m][1] for m in shown]))
    values = sorted({point.x for point in points})
    label = {"rate": "'×' + datum.label", "models": "replace(datum.label, 'G', 'B')"}.get(axis, "datum.label")
    # Parameters in millions and billions, two figures of them; other values as they are.
    form = ".2~s" if axis == "models" else "~g"
    x = alt.X(
        "x:Q",
        axis=alt.Axis(title=name, values=values, format=form, labelExpr=label, grid=False, domain=True),
        scale=alt.Scale(type="linear" if axis == "seeds" else "log", domain=[values[0], values[-1]], nice=False),
    )  # fmt: skip
    y = alt.Y(
        "y:Q", scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(title=None, values=[0, 0.25, 0.5, 0.75, 1], labelExpr="datum.value * 100 + ' %'", domain=False),
    )  # fmt: skip
    marks = [
        _drawn(band).mark_area(opacity=0.18, color=COLOURS["lora"]).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        _drawn(line).mark_line(strokeWidth=2.2).encode(x=x, y=y, color=colour, strokeDash=dash),
        _drawn(line).mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, color=colour),
        _drawn(apart)
        .mark_point(shape="diamond", filled=False, size=110, strokeWidth=2, color=COLOURS["lora"])
        .encode(x=x, y=y),
    ]
    return _styled(alt.layer(*marks), size).properties(width=size.width, height=240 if size is WIDE else 200)


def _drawn(rows: Sequence[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Chart(alt.Data(values=list(rows)))


def _thinned(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    """At most `MAX_POINTS`, dense where the logarithmic axis is wide; first and last are kept."""
    if len(points) <= MAX_POINTS:
        return list(points)
    ratio = (len(points) - 1) ** (1 / (MAX_POINTS - 1))
    picked = sorted({min(len(points) - 1, max(number, round(ratio**number) - 1)) for number in range(MAX_POINTS)})
    return [points[number] for number in sorted({0, *picked, len(points) - 1})]


def _styled(chart: Any, size: ChartSize) -> Any:
    """The tokens and the type of all charts; no frame, no background."""
    quiet = {"labelColor": COLOURS["soft"], "titleColor": COLOURS["soft"], "titleFontWeight": "normal"}
    lines = dict.fromkeys(("gridColor", "tickColor", "domainColor"), COLOURS["rule"])
    fonts = {"labelFont": FONT, "titleFont": FONT, "labelFontSize": size.font - 2, "titleFontSize": size.font - 1}
    return (
        chart.configure(background="transparent", padding=2, font=FONT)
        .configure_view(stroke=None)
        .configure_axis(titlePadding=8, labelPadding=6, **quiet, **lines, **fonts)
        .configure_text(font=FONT, fontSize=size.font)
        .configure_legend(labelFont=FONT, labelFontSize=size.font - 1, labelColor=COLOURS["ink"])
    )


def _svg(chart: Any, title: str, summary: str) -> str:
    """The chart as an SVG element that scales to its column, follows the page's colours, and can be read aloud."""
    out = io.StringIO()
    chart.save(out, format="svg")
    svg = out.getvalue()
    for token, colour in COLOURS.items():
        svg = re.sub(f'"{colour}"', f'"var(--{token}, {colour})"', svg, flags=re.IGNORECASE)
    width, height = re.findall(r'<svg[^>]* (?:width|height)="([\d.]+)"[^>]*?(?: (?:width|height)="([\d.]+)")', svg)[0]
    told = f"<title>{html.escape(title)}</title><desc>{html.escape(summary)}</desc>"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(title)}. {html.escape(summary)}">{told}'
    )
    return head + re.sub(r"^.*?<svg[^>]*>", "", svg, count=1, flags=re.DOTALL)
