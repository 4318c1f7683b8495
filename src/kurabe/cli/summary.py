"""The results of a run on the screen: the verdict first and last, between them answers, table, reasons, next commands.

Knows no model and no run folder but its name: it draws `Results`.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kurabe import texts
from kurabe.charts import arm_name
from kurabe.cli.lines import Words
from kurabe.cli.screen import Screen, hanging
from kurabe.cli.sidebyside import show_answers
from kurabe.report import sentences
from kurabe.report.answers import shown
from kurabe.schema import ArmResult, CostEstimate, Estimate, Results
from kurabe.texts import Texts


def show_results(screen: Screen, results: Results, folder: Path, report: Path) -> None:
    """Everything a person needs to know about a finished run."""
    t = screen.t
    screen.show()
    screen.show(verdict_panel(results, t))
    screen.show()
    show_answers(screen, results)
    screen.show()
    screen.show(arms_table(results, t))
    screen.show(Text(t("cli.table.note"), style="dim"))
    screen.show()
    listed = {"cli.verdict.more": sentences.reasons(results.verdict, t)[1:],  # the first one stands with the verdict
              "cli.verdict.change": sentences.changes(results.verdict, t)}  # fmt: skip
    for title, lines in listed.items():
        if lines:
            screen.show(Text(t(title), style="bold"))
        for sentence in lines:
            screen.show(hanging(Text("·"), sentence))
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
    caveat = sentences.reservation(results.verdict, t)
    if caveat:
        lines.append(Words(caveat, "yellow"))
    return Panel(Group(*lines), title=t("cli.verdict.title"), title_align="left", border_style="bold", expand=True)


def arms_table(results: Results, t: Texts) -> RenderableType:
    """One row per arm: recall with its interval, what went wrong, what an answer costs."""
    costs = {cost.label: cost for cost in results.costs}
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column(t("cli.table.arm"), no_wrap=True)
    for name in ("recall", "interval", "trained", "wrong", "extra", "tokens", "seconds"):
        table.add_column(t(f"cli.table.{name}"), justify="right")
    for arm in results.arms:
        table.add_row(arm_name(arm.label, t), *_cells(arm, costs.get(arm.label)), style=_style(arm, results))
    return table


def _cells(arm: ArmResult, cost: CostEstimate | None) -> list[str]:
    return [
        texts.percent(arm.recall.value),
        texts.interval(arm.recall.low, arm.recall.high) or "–",
        _share(arm.trained),
        _share(arm.wrong),
        "–" if arm.extra.value is None else f"{arm.extra.value:.2f}",
        f"{cost.prompt_tokens:.0f}" if cost else "–",
        texts.count(cost.seconds_per_answer * 1000) if cost else "–",
    ]


def _share(estimate: Estimate) -> str:
    return texts.percent(estimate.value)


def _style(arm: ArmResult, results: Results) -> str:
    """The arms that the verdict compares are drawn bold."""
    return "bold" if arm.label in ("prompt", "lora") else ""


def stage_times(results: Results, t: Texts) -> str:
    """How long each stage took, and all together."""
    parts = [f"{t(f'stage.{name}')} {texts.seconds(value)}" for name, value in results.seconds.items()]
    return t("cli.times", stages=t("comma").join(parts), total=texts.seconds(sum(results.seconds.values())))


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
