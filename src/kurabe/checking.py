"""Everything that can be said about a user's file before a run: what is in it, what is wrong with it, all at once.

Knows no model (tokens are counted by whoever calls) and prints nothing.
"""

from __future__ import annotations

import statistics
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from kurabe import splits
from kurabe.dataset import Contradiction, Reading, merge, no_row_left
from kurabe.evidence import MIN_EXAMPLES
from kurabe.rows import Problem
from kurabe.schema import Example, Message, Reason, Record
from kurabe.splits import Pair

# Examples whose wordings are compared and generated and whose tokens are counted; the rows behind them are read, and
# their values and characters counted.
MOST_LOOKED_AT = 5_000
_SHOWN = 20


class Lengths(Record):
    """Shortest, median and longest, and the line of the longest."""

    shortest: int
    median: float
    longest: int
    longest_line: int


class CheckReport(Record):
    """What a file holds and what is wrong with it. `ok`: a run would take it as it is."""

    file: str
    format: str
    form: str
    encoding: str
    language: str
    sha256: str
    ok: bool
    refusal: str  # why a run would not take it
    rows: int
    skipped: int  # rows that can't be used
    examples: int  # rows that can, duplicates merged
    measurable: int  # examples with a value or a form to check and a held-out wording
    repeated: int
    facts: dict[str, int]
    without_facts: int
    checks: dict[str, int]  # check of form -> rows that ask for it; the expected answers pass them, or are refused
    checked: int  # rows with such checks
    wordings: dict[str, int]  # role -> count, generated ones included
    generated: dict[str, int]  # role -> how many of them the rules made
    trained_only: tuple[str, ...]  # ids of examples that have no held-out wording
    question_length: Lengths | None  # characters
    answer_length: Lengths | None
    tokens: Lengths | None  # question and answer as the model reads them, where a tokenizer was given
    contradictions: tuple[Contradiction, ...]
    leaks: tuple[Pair, ...]
    close: tuple[Pair, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Reason, ...]
    shown: tuple[Example, ...]  # the first examples, every wording in its role


def check(
    path: str | Path,
    *,
    encoding: str | None = None,
    skip_bad: bool = False,
    count: Callable[[Sequence[Message]], int] | None = None,
) -> CheckReport:
    """Read a file and report on it. Raises only where there is nothing to report on: no file, no text, no rows."""
    reading = Reading(path, encoding)
    tally = _Tally(count)
    kept: dict[int, Example] = {}
    for example, first in reading:
        if first in kept:
            kept[first] = merge(kept[first], example)
        elif not first:
            tally.add(example)
            if len(kept) < MOST_LOOKED_AT:
                tally.add_tokens(example)
                kept[example.line] = example
    refusal = reading.refusal(skip_bad)
    if refusal and reading.rows == 0:
        raise refusal
    if not refusal and reading.examples == 0:
        refusal = no_row_left(reading.file.path)
    examples = [example for line, example in kept.items() if line not in reading.contradicting]
    leaks = splits.find_leaks(examples)
    refusal = refusal or (splits.leak_error(leaks) if leaks else None)
    prepared = splits.generate(examples, reading.language) if leaks else None
    notes: tuple[Reason, ...] = ()
    if prepared is None:
        prepared, notes = splits.prepare(examples, reading.language, seed=0)
    if reading.examples > len(examples):
        notes += (Reason(key="data.note.first-only", values={"examples": len(examples), "all": reading.examples}),)
    measurable = sum(bool((e.facts or e.checks) and e.texts("held_out")) for e in prepared)
    if measurable < MIN_EXAMPLES:
        notes += (Reason(key="data.note.few", values={"examples": measurable, "minimum": MIN_EXAMPLES}),)
    roles = Counter(wording.role for example in prepared for wording in example.wordings)
    made = Counter(wording.role for example in prepared for wording in example.wordings if wording.generated)
    return CheckReport(
        file=Path(path).name, format=reading.file.format, form=reading.form, encoding=reading.file.encoding,
        language=reading.language, sha256=reading.file.sha256,
        ok=refusal is None, refusal=refusal.what if refusal else "",
        rows=reading.rows, skipped=reading.refused + len(reading.contradicting), examples=reading.examples,
        measurable=measurable,
        repeated=reading.repeated, facts=dict(tally.facts), without_facts=tally.without_facts,
        checks=dict(tally.checks), checked=tally.checked,
        wordings=dict(roles), generated=dict(made),
        trained_only=tuple(example.id for example in prepared if not example.texts("held_out")),
        question_length=tally.questions.summary(), answer_length=tally.answers.summary(), tokens=tally.tokens.summary(),
        contradictions=tuple(reading.contradictions), leaks=leaks, close=splits.find_close(examples),
        problems=reading.problems(), notes=notes, shown=tuple(prepared[:_SHOWN]),
    )  # fmt: skip


class _Tally:
    """What is counted while the rows pass by."""

    def __init__(self, count: Callable[[Sequence[Message]], int] | None) -> None:
        self.facts: Counter[str] = Counter()
        self.checks: Counter[str] = Counter()
        self.without_facts = self.checked = 0
        self.questions, self.answers, self.tokens = _Measure(), _Measure(), _Measure()
        self._count = count

    def add(self, example: Example) -> None:
        self.facts.update(fact.kind for fact in example.facts)
        self.without_facts += not example.facts
        if example.checks:
            self.checks.update(example.checks.given)
            self.checked += 1
        self.questions.add(len(example.question), example.line)
        self.answers.add(len(example.answer), example.line)

    def add_tokens(self, example: Example) -> None:
        """Rendering a chat template under its time limit costs twice what all the rest of a row does."""
        if self._count:
            asked = Message(role="user", content=example.question)
            answered = Message(role="assistant", content=example.answer)
            self.tokens.add(self._count([asked, answered]), example.line)


class _Measure:
    """Lengths as they come: four bytes each."""

    def __init__(self) -> None:
        self._all = array("I")
        self._longest = (0, 0)

    def add(self, length: int, line: int) -> None:
        self._all.append(length)
        self._longest = max(self._longest, (length, line), key=lambda pair: pair[0])

    def summary(self) -> Lengths | None:
        if not self._all:
            return None
        longest, line = self._longest
        return Lengths(shortest=min(self._all), median=statistics.median(self._all), longest=longest, longest_line=line)
