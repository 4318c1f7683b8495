"""Results -> CSV for a spreadsheet: one line per question and arm.

Knows no language: the column names are those of `results.json`. Cells that a spreadsheet would calculate are escaped;
`results.json` is the lossless form.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from kurabe.report.answers import visible
from kurabe.schema import ArmAnswer, QuestionResult, Results

COLUMNS = (
    "run", "stand_in", "verdict", "example", "question_id", "probe", "question", "expected", "arm", "answer", "finish",
    "right", "wrong", "missing", "refused", "unscored", "extra", "wrong_values", "extra_values",
    "checks_held", "checks_failed",
)  # fmt: skip
# A cell that begins with one of these is a formula, or hides the character that makes it one.
ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\0", "＝", "＋", "－", "＠")


def sheet(results: Results) -> str:
    """Lines with CRLF, as RFC 4180 has them, after a byte order mark: without one, spreadsheets misread Japanese."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for question in results.questions:
        for answer in question.answers:
            writer.writerow([inert(cell) for cell in _cells(results, question, answer)])
    return "\ufeff" + out.getvalue()


def inert(cell: object) -> object:
    """Text that a spreadsheet shows and never calculates; numbers stay numbers."""
    if not isinstance(cell, str):
        return cell
    text = visible(cell)  # a sheet may be shown by a terminal, too
    return "'" + text if cell.startswith(ACTIVE) else text


def _cells(results: Results, question: QuestionResult, answer: ArmAnswer) -> Iterator[object]:
    yield from (results.run, results.stand_in, results.verdict.choice)
    yield from (question.example, question.id, question.probe, question.text, question.expected)
    yield from (answer.label, answer.text, answer.finish)
    for status in ("right", "wrong", "missing", "refused", "unscored"):
        yield sum(outcome.status == status for outcome in answer.outcomes)
    yield len(answer.extra)
    yield "; ".join(o.found.text for o in answer.outcomes if o.status == "wrong" and o.found)
    yield "; ".join(fact.text for fact in answer.extra)
    yield sum(answer.checks.values())
    yield "; ".join(name for name, held in answer.checks.items() if not held)
