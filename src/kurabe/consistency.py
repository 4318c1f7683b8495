"""Consistency: whether an arm says the same however it is asked, and however often.

Knows no model and no file: it plans which answers are drawn again, and compares what the one scorer and the checks
read in the answers that belong together.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from kurabe import checks, stats
from kurabe.schema import Answer, AnswerKey, ConsistencyResult, Estimate, Question, Score
from kurabe.scoring import score

TEMPERATURE = 0.7
By: TypeAlias = Literal["wordings", "samples"]


class Read(NamedTuple):
    """What was read in one answer: the values, whether all expected ones are right, and which checks hold. None where
    the row asks for no values, or no form."""

    values: Hashable | None
    right: bool | None
    form: Hashable | None


def sampled(questions: Sequence[Question]) -> tuple[Question, ...]:
    """What is asked again and again: the first held-out wording of each example."""
    first: dict[str, Question] = {}
    for question in questions:
        if question.probe == "held_out":
            first.setdefault(question.example, question)
    return tuple(first.values())


def seed(key: AnswerKey) -> int:
    """The seed by which a sampled answer is drawn: of its question and its number, so that all arms draw alike and
    neither the batch nor a resumed run can change it."""
    return zlib.crc32(f"{key.question}/{key.sample}".encode())


def result(
    label: str, by: By, answers: Sequence[tuple[Question, Answer, Score]], seed: int
) -> ConsistencyResult | None:
    """How often one arm's answers to an example agree; None where no example was answered twice."""
    groups: dict[str, list[Read]] = {}
    for question, answer, scored in answers:
        if answer.finish != "error":
            groups.setdefault(question.example, []).append(_read(question, answer, scored))
    groups = {example: reads for example, reads in groups.items() if len(reads) > 1}
    values = {e: len({r.values for r in reads}) == 1 for e, reads in groups.items() if reads[0].values is not None}
    right = {e: all(r.right for r in reads) for e, reads in groups.items() if reads[0].right is not None}
    form = {e: len({r.form for r in reads}) == 1 for e, reads in groups.items() if reads[0].form is not None}
    if not values and not form:
        return None
    return ConsistencyResult(
        label=label,
        by=by,
        values=_share(values, seed),
        right=_share(right, seed),
        form=_share(form, seed) if form else None,
    )


def results(
    arms: Mapping[str, tuple[str, int]],
    greedy: Mapping[str, Sequence[tuple[Question, Answer, Score]]],
    answers: Sequence[Answer],
    asked: Mapping[str, Question],
    seed: int,
) -> Iterator[ConsistencyResult]:
    """Per arm, over its wordings and, where answers were drawn again, over its samples. `arms` names each label's arm
    and trial, `greedy` its held-out answers, `asked` are the questions by their ids."""
    drawn: dict[tuple[str, int], list[tuple[Question, Answer, Score]]] = {}
    for answer in answers:
        if answer.key.probe == "sampled":
            question = asked[answer.key.question]
            row = (question, answer, score(answer, question))
            drawn.setdefault((answer.key.arm, answer.key.trial), []).append(row)
    for label, key in arms.items():
        for found in (
            result(label, "wordings", greedy[label], seed),
            result(label, "samples", drawn.get(key, []), seed),
        ):
            if found is not None:
                yield found


def _read(question: Question, answer: Answer, scored: Score) -> Read:
    """Of an expected value counts whether it is right, and which other value stands for it; that an answer declines or
    leaves it out is the same."""
    values, right = None, None
    if question.facts:
        found = tuple(
            "right" if o.status == "right" else o.found.value if o.status == "wrong" and o.found else ""
            for o in scored.outcomes
        )
        values = (found, frozenset((fact.kind, fact.value) for fact in scored.extra))
        right = all(o.status == "right" for o in scored.outcomes)
    form = tuple(sorted(checks.judged(answer, question).items())) if question.checks is not None else None
    return Read(values, right, form)


def _share(same: Mapping[str, bool], seed: int) -> Estimate:
    return stats.share({example: stats.Cluster(agrees, 1) for example, agrees in same.items()}, seed)
