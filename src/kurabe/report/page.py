"""Results -> one HTML file: no script, no request, the page's style and charts inside.

Knows no statistics and no sentences of its own; it places what `sentences`, `tables`, `answers` and `charts` make.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from kurabe import charts
from kurabe.charts import NARROW, WIDE
from kurabe.report import answers, sentences, tables
from kurabe.schema import ArmAnswer, QuestionResult, Results
from kurabe.texts import Texts

_WHOLE = re.compile(r"--[a-z-]{1,20}(?: [A-Z]{1,9})?|(?:\d{1,3}–)?\d[\d.]{0,4} %|[+−]\d+ (?:to|〜) [+−]\d+")


class Cell(NamedTuple):
    """One arm's answer as the page shows it."""

    label: str
    token: str
    absent: str
    pieces: Sequence[answers.Piece]
    groups: Sequence[tuple[answers.Mark, Sequence[answers.Value]]]
    cut: bool
    failed: Sequence[str]  # checks of form that this answer does not pass


class Row(NamedTuple):
    """One question with the expected answer, the main arms and the others."""

    question: QuestionResult
    expected: Sequence[answers.Piece]
    main: Sequence[Cell]
    others: Sequence[Cell]


def page(results: Results, t: Texts) -> str:
    """The page as text. The same results give the same bytes."""
    return _template().render(
        t=t,
        results=results,
        signs=answers.SIGNS,
        headline=sentences.headline(results.verdict, t),
        reservation=" ".join(
            filter(None, (sentences.reservation(results.verdict, t), sentences.poor_reading(results, t)))
        ),
        missing=sentences.missing_arms(results, t),
        risks=sentences.risks(results, t),
        reasons=sentences.reasons(results.verdict, t),
        changes=sentences.changes(results.verdict, t),
        beside=sentences.beside(results, t),
        served=sentences.served(results, t),
        filled=tables.filled,
        notes=[*(sentences.sentence(note, t) for note in results.notes), *sentences.teachers(results, t)],
        command=sentences.command(results),
        charts={name: _drawn(name, results, t) for name in ("recall", "loss", "retention", "parity")},
        tables={name: getattr(tables, name)(results, t) for name in _TABLES},
        curves=[
            (
                table,
                _pair(*(charts.curve(results, axis, t, size) for size in (WIDE, NARROW))),
                sentences.curve(results, axis, t),
            )
            for axis, table in tables.curves(results, t)
        ],
        parity=(tables.parity(results.parity, t), sentences.parity(results.parity, t)) if results.parity else None,
        shipped_arm=charts.arm_name(results.parity.arm, t) if results.parity else "",
        findings=_findings(results, t),
        rows=[_row(question, results, t) for question in answers.shown(results.questions)],
        counted={"questions": len([q for q in results.questions if q.probe == "held_out"])},
    )


_TABLES = (
    "arms",
    "beside",
    "differences",
    "style",
    "style_differences",
    "consistency",
    "likelihood",
    "trials",
    "stale",
    "retention",
    "unknown",
    "costs",
    "settings",
    "provenance",
)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("kurabe.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=lambda value: answers.visible(value) if type(value) is str else value,
    )  # fmt: skip
    environment.filters["tied"] = _tied
    return environment.get_template("report.html")


def _tied(sentence: str) -> Markup:
    """The sentence, escaped; no line ends within a number, a range, or a flag and what it takes."""
    return Markup(_WHOLE.sub(r'<span class="whole">\g<0></span>', str(escape(answers.visible(sentence)))))


def _drawn(name: str, results: Results, t: Texts) -> tuple[Markup, Markup] | None:
    """A chart for a wide and for a narrow column. Its words went through Vega's own escaping."""
    draw = getattr(charts, name)
    return _pair(draw(results, t, WIDE), draw(results, t, NARROW))


def _pair(wide: str | None, narrow: str | None) -> tuple[Markup, Markup] | None:
    return (Markup(wide), Markup(narrow)) if wide and narrow else None


def _findings(results: Results, t: Texts) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """(recipe, [(level, what, why)]) for every recipe that was trained, also where nothing was found."""
    return [
        (trial.recipe, [(f.level, *sentences.finding(f, t)) for f in results.audit if f.recipe == trial.recipe])
        for trial in results.trials
        if not trial.shuffled
    ]


def _row(question: QuestionResult, results: Results, t: Texts) -> Row:
    cells = {answer.label: _cell(answer, results, t) for answer in question.answers}
    main = answers.main_arms(results)  # side by side with the expected answer; the other arms stand below them
    return Row(
        question=question,
        expected=answers.expected_pieces(question),
        main=[cells[label] for label in main if label in cells],
        others=[cell for label, cell in cells.items() if label not in main],
    )


def _cell(answer: ArmAnswer, results: Results, t: Texts) -> Cell:
    everything = (*results.arms, *(arm for other in results.beside for arm in other.arms))
    arm = next(arm.arm for arm in everything if arm.label == answer.label)
    listed = groupby(answers.values(answer), key=lambda value: value.mark)
    groups: list[Any] = [(mark, list(values)) for mark, values in listed]
    return Cell(
        label=charts.arm_name(answer.label, t),
        token=charts.colour_token(answer.label, arm),
        absent=answers.absent(answer),
        pieces=answers.pieces(answer),
        groups=groups,
        cut=answer.finish == "length",
        failed=[name for name, held in answer.checks.items() if not held],
    )
