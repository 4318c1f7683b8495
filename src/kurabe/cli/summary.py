"""The results of a run on the screen: the verdict first and last, between them answers, tables, reasons, next commands.

Knows no model and no run folder but its name: it draws `Results`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kurabe import texts
from kurabe.charts import arm_name
from kurabe.cli.lines import Words
from kurabe.cli.screen import Screen, hanging, plain
from kurabe.cli.sidebyside import show_answers
from kurabe.report import sentences, tables
from kurabe.report.answers import shown
from kurabe.schema import CostEstimate, Results
from kurabe.texts import Texts

# Notes that tell what the figures leave out; the report has every note.
LEFT_OUT = ("audit.note.trial-broken", "audit.note.rows-skipped", "data.note.no-facts", "data.note.trained-only",
            "audit.note.nothing-to-shuffle", "audit.note.retention-left-out", "audit.note.documents-hold-held-out",
            "audit.note.minutes-exceeded", "audit.note.cut-seeds", "audit.note.cut-retention",
            "audit.note.cut-held_out", "audit.note.cut-exposures", "audit.note.cut-wordings",
            "analysis.checks_passed", "data.note.documents-language")  # fmt: skip


CURVE_SHOWN = ("recall", "interval", "prompt", "trained", "general", "seeds")


def show_results(screen: Screen, results: Results, folder: Path, report: Path) -> None:
    """Everything a person needs to know about a finished run."""
    t = screen.t
    screen.show()
    screen.show(verdict_panel(results, t))
    screen.show()
    show_answers(screen, results)
    screen.show()
    for drawn, note in ((arms_table, "cli.table.note"), (costs_table, "cli.costs.note")):
        screen.show(drawn(results, t))
        screen.show(Text(t(note), style="dim"))
        screen.show()
    if results.beside:
        screen.show(beside_table(results, t))
        screen.show(Text(t("cli.beside.note"), style="dim"))
        screen.show()
    if any(arm.style for arm in results.arms):
        screen.show(style_table(results, t))
        screen.show(Text(t("cli.style.note"), style="dim"))
        screen.show()
    same = sentences.consistency(results, t)
    if same:
        screen.show(same)
        screen.show()
    for axis, curve in tables.curves(results, t):
        screen.show(curve_table(curve))
        for sentence in sentences.curve(results, axis, t):
            screen.show(hanging(Text("·"), sentence))
        screen.show()
    left_out = [plain(sentences.sentence(note, t)) for note in results.notes if note.key in LEFT_OUT]
    listed = {"cli.left_out": left_out,
              "cli.teacher": [plain(sentence) for sentence in sentences.teachers(results, t)],
              # The first reason stands with the verdict.
              "cli.verdict.more": [*sentences.reasons(results.verdict, t)[1:],
                                   *filter(None, [sentences.unknown_risk(results, t)])],
              "cli.verdict.change": sentences.changes(results.verdict, t)}  # fmt: skip
    for title, lines in listed.items():
        if lines:
            screen.show(Text(t(title), style="bold"))
        for sentence in lines:
            screen.show(hanging(Text("·"), sentence))
        if lines:
            screen.show()
    screen.show(Text(stage_times(results, t), style="dim"))
    for label, words in next_commands(results, folder, report, t):
        screen.show_to_copy(label, words)
    screen.show()
    screen.show(verdict_panel(results, t))


def verdict_panel(results: Results, t: Texts) -> RenderableType:
    """The verdict sentence; what has to be said beside it stands inside the same frame."""
    lines: list[RenderableType] = [Words(sentences.headline(results.verdict, t), "bold")]
    reasons = sentences.reasons(results.verdict, t)
    if reasons:
        lines.append(Words(reasons[0]))
    risk = sentences.stale_risk(results, t)
    if risk:
        lines.append(Words(risk))
    lines.extend(Words(plain(sentence)) for sentence in sentences.beside(results, t))
    beside = (sentences.reservation(results.verdict, t), sentences.poor_reading(results, t))
    lines += [Words(caveat, "yellow") for caveat in (*beside, sentences.missing_arms(results, t)) if caveat]
    return Panel(Group(*lines), title=t("cli.verdict.title"), title_align="left", border_style="bold", expand=True)


def arms_table(results: Results, t: Texts) -> Table:
    """One row per arm: recall with its interval, what went wrong, how many examples say so."""
    names = ("recall", "interval", "trained", "wrong", "extra", "examples")
    table = _table(t("cli.table.arm"), [t(f"cli.table.{name}") for name in names])
    for arm in results.arms:
        _add_row(table, arm.label, t, [
            texts.percent(arm.recall.value),
            texts.interval(arm.recall.low, arm.recall.high) or "–",
            texts.percent(arm.trained.value),
            texts.percent(arm.wrong.value),
            "–" if arm.extra.value is None else f"{arm.extra.value:.2f}",
            texts.count(arm.recall.n),
        ])  # fmt: skip
    return table


def costs_table(results: Results, t: Texts) -> Table:
    """One row per arm: its training once, then what an answer takes; money only where there are prices."""
    priced = any(cost.money_per_thousand is not None for cost in results.costs)
    names = ("preparation", "positions", "prompt", "new", "answer", *(("money",) if priced else ()))
    table = _table(t("cli.table.arm"), [t(f"cli.costs.{name}") for name in names])
    for cost in results.costs:
        price = [plain(tables.money(cost, results))] if priced else []
        _add_row(table, cost.label, t, [*_cost_cells(cost, t), *price])
    return table


def beside_table(results: Results, t: Texts) -> Table:
    """One row per arm of each other model; the report has more columns."""
    whole = tables.beside(results, t)
    shown = (1, 2, 3, 6, 7, *((9,) if any(row[9] != "–" for row in whole.rows) else ()))
    table = _table(whole.head[0], [t(f"cli.beside.{column}") for column in shown])
    for row in whole.rows:
        table.add_row(plain(row[0]), *(plain(row[column]) for column in shown))
    return table


def curve_table(curve: tables.Table) -> Table:
    """One row per value of x; the report has more columns."""
    shown = [0, *(1 + tables.CURVE_COLUMNS.index(name) for name in CURVE_SHOWN)]
    table = _table(curve.head[0], [curve.head[column] for column in shown[1:]])
    for cells in curve.rows:
        table.add_row(*(cells[column] for column in shown))
    return table


def style_table(results: Results, t: Texts) -> Table:
    """One row per arm: the share of checks of form that hold with its interval, then check by check."""
    names = tuple(dict.fromkeys(name for arm in results.arms for name in arm.checks))
    table = _table(
        t("cli.table.arm"), [t("cli.style.form"), t("cli.table.interval"), *(t(f"check.{name}") for name in names)]
    )
    for arm in results.arms:
        if arm.style:
            _add_row(table, arm.label, t, [
                texts.percent(arm.style.value),
                texts.interval(arm.style.low, arm.style.high) or "–",
                *(texts.percent(arm.checks[name].value) if name in arm.checks else "–" for name in names),
            ])  # fmt: skip
    return table


def _cost_cells(cost: CostEstimate, t: Texts) -> list[str]:
    return [
        texts.seconds(cost.preparation_seconds, t.language) if cost.preparation_seconds else "–",
        texts.count(cost.preparation_tokens) if cost.preparation_tokens else "–",
        texts.count(cost.prompt_tokens),
        texts.count(cost.new_tokens),
        texts.seconds(cost.seconds_per_answer, t.language),
    ]


def _table(first: str, others: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _add_row(table: Table, label: str, t: Texts, cells: Sequence[str]) -> None:
    """The arms that the verdict compares are drawn bold."""
    table.add_row(arm_name(label, t), *cells, style="bold" if label in ("prompt", "lora") else "")


def stage_times(results: Results, t: Texts) -> str:
    """How long each stage took, and all together, beside what was planned."""
    parts = [f"{t(f'stage.{name}')} {texts.seconds(value, t.language)}" for name, value in results.seconds.items()]
    told = {"stages": t("comma").join(parts), "total": texts.seconds(sum(results.seconds.values()), t.language)}
    if results.planned:
        return t("cli.times_planned", **told, planned=texts.seconds(tables.sum_planned(results), t.language))
    return t("cli.times", **told)


def next_commands(results: Results, folder: Path, report: Path, t: Texts) -> list[tuple[str, str]]:
    """Where the report lies, and what can be done next."""
    run = shlex.quote(str(folder))
    lines = [(t("cli.next.report"), str(report)), (t("cli.next.open"), f"kurabe report {run} --open")]
    asked = shown(results.questions)
    if asked:
        lines.append((t("cli.next.ask"), f"kurabe ask {run} {shlex.quote(asked[0].text)}"))
    if results.stand_in:
        lines.append((t("cli.next.own"), "kurabe run FILE --model FOLDER"))
    return lines
