"""An answer -> pieces of text with their marks, and the same marks as a list of words. For the side-by-side view.

Knows no layout and no language: a mark is a sign and a status, its word is the catalogue's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from kurabe.schema import Answer, ArmAnswer, Fact, QuestionResult, Results

Mark: TypeAlias = Literal["right", "wrong", "missing", "refused", "unscored", "extra", "expected"]
SIGNS: dict[Mark, str] = {
    "right": "✓", "wrong": "✗", "missing": "–", "refused": "∅", "unscored": "?", "extra": "+", "expected": "",
}  # fmt: skip
SHOWN_EXAMPLES = 24
SHOWN_CHARACTERS = 1200  # of one answer; a model that cannot stop would fill the page
# Control characters, and the marks that turn the reading direction of everything behind them.
_ACTIVE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Piece(NamedTuple):
    """A stretch of an answer; `mark` is None where nothing was expected."""

    text: str
    mark: Mark | None = None


class Value(NamedTuple):
    """One value in the list under an answer: what stood there, and what should have where that differs."""

    mark: Mark
    text: str
    instead_of: str = ""


def main_arms(results: Results) -> tuple[str, ...]:
    """The arms that are shown side by side; where the prompt does not fit the model, retrieval stands in its place."""
    labels = {arm.label for arm in results.arms}
    return ("base", "rag" if "rag" in labels and "prompt" not in labels else "prompt", "lora")


def visible(text: str) -> str:
    """`text` with a replacement mark for each character that is not there to be read."""
    return _ACTIVE.sub("\ufffd", text)


def pieces(answer: ArmAnswer) -> list[Piece]:
    """The answer's text, cut where a value begins or ends."""
    found: list[tuple[Fact, Mark]] = [(o.found, o.status) for o in answer.outcomes if o.found is not None]
    return _cut(answer.text, [*found, *((fact, "extra") for fact in answer.extra)])


def absent(answer: ArmAnswer | Answer) -> Literal["", "none", "empty"]:
    """What is missing where a text should stand: an answer that never came is not an empty one."""
    return "none" if answer.finish == "error" else "" if answer.text.strip() else "empty"


def expected_pieces(question: QuestionResult) -> list[Piece]:
    """The expected answer with its values marked."""
    return _cut(question.expected, [(fact, "expected") for fact in question.facts])


def values(answer: ArmAnswer) -> list[Value]:
    """Every expected value with what became of it, then the ones that nobody asked for; grouped by mark."""
    listed = [
        Value("wrong", outcome.found.text, outcome.fact.text)
        if outcome.status == "wrong" and outcome.found is not None
        else Value(outcome.status, outcome.fact.text)
        for outcome in answer.outcomes
    ] + [Value("extra", fact.text) for fact in answer.extra]
    order = list(SIGNS)
    return sorted(listed, key=lambda value: order.index(value.mark))


def shown(questions: Sequence[QuestionResult]) -> list[QuestionResult]:
    """The first held-out question of each example, of at most `SHOWN_EXAMPLES` examples spread over the file: chosen
    before any answer is looked at."""
    first: dict[str, QuestionResult] = {}
    for question in questions:
        if question.probe == "held_out":
            first.setdefault(question.example, question)
    rows = list(first.values())
    if len(rows) <= SHOWN_EXAMPLES:
        return rows
    return [rows[number * len(rows) // SHOWN_EXAMPLES] for number in range(SHOWN_EXAMPLES)]


def _cut(text: str, marked: Sequence[tuple[Fact, Mark]]) -> list[Piece]:
    """Values that overlap an earlier one, or that have no place in the text, stay unmarked there."""
    limit = min(len(text), SHOWN_CHARACTERS)
    result, at = [], 0
    for (start, end), mark in sorted((_place(text, fact), mark) for fact, mark in marked):
        if start < at or end > limit or start >= end:
            continue
        if start > at:
            result.append(Piece(text[at:start]))
        result.append(Piece(text[start:end], mark))
        at = end
    rest = text[at:limit] + ("…" if len(text) > limit else "")
    return [*result, Piece(rest)] if rest else result


def _place(text: str, fact: Fact) -> tuple[int, int]:
    """Where the value stands; one that a row named explicitly is looked for."""
    if fact.start >= 0:
        return fact.start, fact.end
    start = text.find(fact.text)
    return start, start + len(fact.text) if start >= 0 else -1
