"""The answers of the arms beside the expected one, each expected value marked by a sign and a word.

Knows no run folder: it draws `Results`. Wide screens get columns, narrow ones get lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from kurabe.charts import arm_name
from kurabe.cli.lines import Words
from kurabe.cli.screen import Screen, plain
from kurabe.report.answers import SIGNS, Mark, absent, expected_pieces, main_arms, pieces, shown, values
from kurabe.schema import ArmAnswer, QuestionResult, Results
from kurabe.texts import Texts

SHOWN = 10  # of the questions that the report shows
COLUMN = 28  # characters below which a column is no column
STYLES: dict[Mark, str] = {
    "right": "green", "wrong": "bold red", "missing": "yellow", "refused": "yellow", "unscored": "magenta",
    "extra": "magenta", "expected": "bold",
}  # fmt: skip
ABOUT_THE_ANSWER: tuple[Mark, ...] = ("refused", "unscored")  # their values need no naming one by one


def show_answers(screen: Screen, results: Results) -> None:
    """One held-out question per example with the answers to it; of many examples, some spread over the file."""
    t = screen.t
    questions = shown(results.questions)
    chosen = questions if len(questions) <= SHOWN else [questions[k * len(questions) // SHOWN] for k in range(SHOWN)]
    main = main_arms(results)  # and each further recipe's LoRA; the report has all arms
    labels = [arm.label for arm in results.arms if arm.arm in main]
    draw = columns if screen.out.width >= COLUMN * (len(labels) + 1) else rows
    screen.show(Text(t("cli.answers.title", shown=len(chosen)), style="bold"))
    for question in chosen:
        screen.show(Text("\n" + plain(question.text), style="bold"))
        screen.show(draw(question, [a for a in question.answers if a.label in labels], t))


def columns(question: QuestionResult, answers: Sequence[ArmAnswer], t: Texts) -> RenderableType:
    """One column per arm and one for the expected answer."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, expand=True, header_style="cyan")
    for name in (*(arm_name(a.label, t) for a in answers), t("cli.answers.expected")):
        table.add_column(name, ratio=1)
    table.add_row(*(Words(answer_text(a, t)) for a in answers), Words(expected_text(question)))
    table.add_row(*(Words(marks(a, t)) for a in answers))
    return table


def rows(question: QuestionResult, answers: Sequence[ArmAnswer], t: Texts) -> RenderableType:
    """One line per arm, the marks under each answer, the expected answer last."""
    grid = Table.grid(padding=(0, 2, 0, 2))
    grid.add_column(no_wrap=True, style="cyan")
    for answer in answers:
        grid.add_row(arm_name(answer.label, t), Words(answer_text(answer, t)))
        grid.add_row("", Words(marks(answer, t)))
    grid.add_row(t("cli.answers.expected"), Words(expected_text(question)))
    return grid


def answer_text(answer: ArmAnswer, t: Texts) -> Text:
    """The answer with its values marked where they stand."""
    missing = absent(answer)
    if missing:
        return Text(t(f"absent.{missing}"), style="magenta")
    return Text.assemble(*((plain(p.text), STYLES[p.mark] if p.mark else "") for p in pieces(answer)))


def expected_text(question: QuestionResult) -> Text:
    """The expected answer with its values marked."""
    return Text.assemble(*((plain(p.text), STYLES[p.mark] if p.mark else "") for p in expected_pieces(question)))


def marks(answer: ArmAnswer, t: Texts) -> Text:
    """Signs and words: which expected values are right, wrong or missing, and which values nobody asked for."""
    parts = []
    for mark, group in groupby(values(answer), key=lambda value: value.mark):
        named = t("comma").join(
            t("cli.answers.instead", found=plain(v.text), expected=plain(v.instead_of)) if v.instead_of
            else plain(v.text) for v in group
        )  # fmt: skip
        words = f"{SIGNS[mark]} {t(f'mark.{mark}')}"
        parts.append(Text(words if mark in ABOUT_THE_ANSWER else f"{words} {named}", style=STYLES[mark]))
    if answer.finish == "length":
        parts.append(Text(t("mark.cut"), style="magenta"))
    return Text("  ").join(parts)
