"""What the show says was learned, counted in a run's results: the form of the answers, one price, one time.

Knows no screen. Nothing here is written by hand: which price and which time is what the data has first, and each count
is of the run's own held-out answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from kurabe.schema import Fact, FactKind, Outcome, Results
from kurabe.texts import Texts

SIGN = {"all": "✓", "some": "~", "none": "✗"}
KINDS: tuple[FactKind, ...] = ("money", "duration")
GIVEN = ("right", "wrong")  # a value of the expected kind stands there, whichever


class Count(NamedTuple):
    """How many of the held-out answers had it. `what` is "form", or the value itself as the data writes it."""

    what: str
    had: int
    asked: int

    def name(self, t: Texts) -> str:
        """In words: "form" is the catalogue's, a value is itself."""
        return t("workshop.counted.form") if self.what == "form" else self.what

    @property
    def mark(self) -> Literal["all", "some", "none"]:
        return "none" if not self.had else "all" if self.had == self.asked else "some"


def counted(results: Results) -> dict[str, tuple[Count, ...]]:
    """Arm -> its counts: values of the expected kind in its answers, then each chosen value. Unscored answers count in
    none of them."""
    chosen = [(fact.text, example, fact) for example, fact in chosen_facts(results)]
    table = {}
    for label in (arm.label for arm in results.arms):
        outcomes = list(_outcomes(results, label))
        given = [outcome.status in GIVEN for _, outcome in outcomes]
        counts = [Count("form", sum(given), len(given))]
        for text, example, fact in chosen:
            right = [o.status == "right" for e, o in outcomes if e == example and o.fact.value == fact.value]
            counts.append(Count(text, sum(right), len(right)))
        table[label] = tuple(counts)
    return table


def chosen_facts(results: Results) -> list[tuple[str, Fact]]:
    """(example, fact): the first of each kind in the data, each of another example, so that one lucky answer is one."""
    found: list[tuple[str, Fact]] = []
    for kind in KINDS:
        taken = {example for example, _ in found}
        facts = ((q.example, f) for q in results.questions if q.probe == "held_out" for f in q.facts if f.kind == kind)
        first = next(((example, fact) for example, fact in facts if example not in taken), None)
        found += [first] if first else []
    return found


def _outcomes(results: Results, label: str) -> Iterator[tuple[str, Outcome]]:
    for question in results.questions:
        if question.probe == "held_out":
            for answer in question.answers:
                if answer.label == label:
                    yield from ((question.example, o) for o in answer.outcomes if o.status != "unscored")
