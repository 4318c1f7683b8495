"""A user's file as examples: rows read, facts found, duplicates merged, contradictions left out, all problems at once.

Knows no roles beyond what the file says (`splits.py` gives them) and no model.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kurabe import facts, forms, rows
from kurabe.errors import DataError
from kurabe.rows import Problem, Row, RowFile
from kurabe.schema import Example, Fact, Reason, Record, Wording
from kurabe.texts import Texts
from kurabe.wordings import normal

MOST_KEPT = 1000  # problems and contradictions kept with their lines; more are only counted
CONTRADICTIONS_ALLOWED = 0.05  # of all rows; above that the file does not know its own answers
_LINES_NAMED = 5


class Contradiction(Record):
    """One question with two answers."""

    question: str
    line: int
    other_line: int


class Dataset(NamedTuple):
    """What a file holds. `problems` are the rows left out (`skipped` of them) and notes on the ones used."""

    examples: tuple[Example, ...]
    form: str
    encoding: str
    sha256: str
    language: str
    problems: tuple[Problem, ...]
    skipped: int


def read_examples(path: str | Path, *, encoding: str | None = None, skip_bad: bool = False) -> Dataset:
    """The examples of a file. Raises `DataError` with every problem, unless bad rows are to be skipped."""
    reading = Reading(path, encoding)
    by_line: dict[int, Example] = {}
    for example, first in reading:
        if first in by_line:
            by_line[first] = merge(by_line[first], example)
        elif not first:
            by_line[example.line] = example
    refusal = reading.refusal(skip_bad)
    if refusal:
        raise refusal
    examples = tuple(example for line, example in by_line.items() if line not in reading.contradicting)
    if not examples:
        raise no_row_left(path)
    return Dataset(
        own_names(examples), reading.form, reading.file.encoding, reading.file.sha256, reading.language,
        reading.problems(), reading.refused + len(reading.contradicting),
    )  # fmt: skip


def no_row_left(path: str | Path) -> DataError:
    """The refusal of a file of which nothing can be used, not even with bad rows left out."""
    return DataError("No row is left.", where=str(path), fix="Mend the rows; `kurabe check` lists what is wrong.")


def own_names(examples: Sequence[Example]) -> tuple[Example, ...]:
    """The examples, each with an id of its own: one that is named by its line gives way to a row's own name."""
    taken = Counter(example.id for example in examples)
    renamed = []
    for example in examples:
        name = f"row-{example.line}"
        if example.id == name and taken[name] > 1:
            taken[name] -= 1
            name = next(free for n in itertools.count(2) if not taken[free := f"row-{example.line}-{n}"])
            taken[name] += 1
            example = example.model_copy(update={"id": name})
        renamed.append(example)
    return tuple(renamed)


class Reading:
    """One pass over a file: (example, line of the row it repeats or 0); what else was found stands in the attributes.

    Of each text only a hash is kept, so that a million rows need no more memory than their hashes.
    """

    def __init__(self, path: str | Path, encoding: str | None = None) -> None:
        self.file = RowFile(path, encoding)
        self.rows = self.examples = self.refused = self.repeated = 0
        self.contradictions: list[Contradiction] = []
        self.contradicting: set[int] = set()  # lines of rows that contradict one another
        self._refused: list[Problem] = []
        self._notes: dict[tuple[Any, ...], list[int]] = {}  # a note and the lines of its rows
        self._forms: Counter[str] = Counter()
        self._japanese = 0
        self._asked: dict[int, int] = {}  # hash of a question: hash of its answer, and its line
        self._ids: dict[int, int] = {}  # hash of an id: its line

    def __iter__(self) -> Iterator[tuple[Example, int]]:
        for row in self.file:
            self.rows += 1
            problem = row if isinstance(row, Problem) else None
            if isinstance(row, Row):
                try:
                    parsed = forms.parse(row.fields)
                    trained = _distinct([parsed.question, *parsed.wordings])
                    example = self._example(parsed, trained.values(), row.line)
                    first = self._known(example, parsed.id, trained)
                    if first is not None:
                        self.examples += not first
                        yield example, first
                except forms.Refused as refused:
                    problem = rows.refuse(refused.key, row.line, **refused.values)
            if problem:
                self.refused += 1
                if self.refused <= MOST_KEPT:
                    self._refused.append(problem)

    @property
    def form(self) -> str:
        """The form of most rows, "" where there is none."""
        return self._forms.most_common(1)[0][0] if self._forms else ""

    @property
    def language(self) -> str:
        """The language of most rows."""
        return "ja" if 2 * self._japanese > sum(self._forms.values()) else "en"

    def problems(self) -> tuple[Problem, ...]:
        """Rows left out and rows changed, in the order of their lines; of many, the first thousand."""
        said = [
            rows.refuse("contradiction", pair.line, other=pair.other_line, question=_short(pair.question))
            for pair in self.contradictions
        ]
        return tuple(sorted([*self._refused, *said, *self._said()], key=lambda problem: problem.line))

    def refusal(self, skip_bad: bool) -> DataError | None:
        """Why these rows can't be used as they are; None where they can."""
        opposed = len(self.contradicting)
        if self.rows == 0:
            return DataError(
                "The file has no rows.", where=str(self.file.path), fix="Put a question and an answer in it."
            )
        too_many = opposed > CONTRADICTIONS_ALLOWED * self.rows
        if skip_bad or not (self.refused or too_many):
            return None
        t = Texts("en")
        bad = [p for p in self.problems() if p.level == "refuse"]
        name = str(self.file.path)
        listed = [f"{problem.place(name)}: {problem.sentence(t)}" for problem in bad]
        more = self.refused + opposed - len(bad)
        if more > 0 and len(bad) >= MOST_KEPT:
            listed.append(f"{more:,} more are not listed.")
        what = f"{self.refused + opposed:,} of {self.rows:,} rows can't be used."
        if too_many:
            what += f" {opposed:,} of them contradict one another: one question, different answers."
        return DataError(
            what, where=bad[0].place(name), why=bad[0].sentence(t), problems=tuple(listed),
            fix="Mend them, or leave them out with --skip-bad (they are counted in the report).",
        )  # fmt: skip

    # --- one row -----------------------------------------------------------------------------------------------

    def _example(self, parsed: forms.Parsed, trained: Collection[str], line: int) -> Example:
        held_out = _distinct(parsed.held_out).values()
        for key, values in parsed.notes:
            self._note(line, key, **values)
        if len(trained) + len(held_out) < 1 + len(parsed.wordings) + len(parsed.held_out):
            self._note(line, "wordings-repeated")
        found = _facts(parsed)
        if not found and not parsed.checks:
            self._note(line, "no-facts")
        self._forms[parsed.form] += 1
        self._japanese += facts.language_of(parsed.question + " " + parsed.answer) == "ja"
        made = set(parsed.generated)  # one that somebody corrected is no longer among them
        wordings = [Wording(text=text, role="trained", generated=text in made) for text in trained]
        wordings += [Wording(text=text, role="held_out", generated=text in made) for text in held_out]
        wordings[0] = wordings[0].model_copy(update={"generated": False})  # the row's own question
        return Example(
            id=parsed.id or f"row-{line}", answer=parsed.answer, facts=found, wordings=tuple(wordings), line=line,
            checks=parsed.checks,
        )  # fmt: skip

    def _known(self, example: Example, name: str, trained: Mapping[str, str]) -> int | None:
        """The line of the row that this one repeats, 0 for a new one, None for one that contradicts another."""
        answer = hash(_plain(example.answer)) & 0xFFFFFFFF
        repeats, opposed = 0, False
        for i, (key, text) in enumerate(trained.items()):
            known = self._asked.setdefault(hash(key), answer << 32 | example.line)
            other = known & 0xFFFFFFFF
            if other == example.line:
                continue
            if known >> 32 != answer:
                self._contradict(text, example.line, other)
                opposed = True
            elif i == 0:
                repeats = other
        if opposed:
            return None
        if repeats:
            self.repeated += 1
            self._note(example.line, "repeated")
            return repeats
        if name:
            other = self._ids.setdefault(hash(name), example.line)
            if other != example.line:
                raise forms.Refused("id-twice", id=_short(name), other=other)
        return 0

    def _contradict(self, question: str, line: int, other: int) -> None:
        self.examples -= other not in self.contradicting
        self.contradicting |= {line, other}
        if len(self.contradictions) < MOST_KEPT:
            self.contradictions.append(Contradiction(question=question, line=line, other_line=other))

    # --- notes -------------------------------------------------------------------------------------------------

    def _note(self, line: int, key: str, **values: Any) -> None:
        """Count a note under its first line; a file of a million rows has a few notes, not a million."""
        lines = self._notes.setdefault((key, *values.items()), [0]) if len(self._notes) < MOST_KEPT else [0]
        lines[0] += 1
        if len(lines) <= _LINES_NAMED:
            lines.append(line)

    def _said(self) -> Iterator[Problem]:
        for (key, *values), (count, *lines) in self._notes.items():
            named = ", ".join(str(line) for line in lines) + (" …" if count > len(lines) else "")
            reason = Reason(key=f"data.note.{key}", values={**dict(values), "rows": count, "lines": named})
            yield Problem(level="note", line=lines[0], reason=reason)
        if len(self._forms) > 1:
            counted = ", ".join(f"{form}: {count}" for form, count in self._forms.most_common())
            yield Problem(level="note", line=0, reason=Reason(key="data.note.mixed-forms", values={"forms": counted}))


def merge(first: Example, again: Example) -> Example:
    """Two rows with one question and answer as one example: the first one's, with the wordings and facts of both, and
    the first checks that are given."""
    known = {normal(wording.text) for wording in first.wordings}
    new = tuple(wording for wording in again.wordings if normal(wording.text) not in known)
    return first.model_copy(
        update={
            "wordings": first.wordings + new,
            "facts": facts.distinct([*first.facts, *again.facts]),
            "checks": first.checks or again.checks,
        }
    )


def _facts(parsed: forms.Parsed) -> tuple[Fact, ...]:
    """What the rules find in the answer, and what the row names; a named value must stand in the answer."""
    found = facts.find_facts(parsed.answer)
    try:
        named = facts.named_facts(parsed.facts)
    except DataError as error:
        raise forms.Refused("fact", detail=error.what) from None
    new = [fact for fact in named if not any(facts.same(fact, other) for other in found)]
    for fact in new:
        if facts.seek(fact, parsed.answer) is None:
            raise forms.Refused("fact-not-in-answer", fact=_short(fact.text))
    return facts.distinct([*found, *new])


def _distinct(texts: Iterable[str]) -> dict[str, str]:
    """The texts under their normal forms, without those that say the same as an earlier one."""
    kept: dict[str, str] = {}
    for text in texts:
        kept.setdefault(normal(text), text)
    return kept


def _plain(answer: str) -> str:
    """The form in which answers are compared: punctuation counts, for it can be a minus or a currency."""
    return " ".join(unicodedata.normalize("NFKC", answer).casefold().split())


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
