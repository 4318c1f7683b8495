"""The rows that a trial learns from, and whose words they are: the file's, or the model's own from before training.

Knows no model and no training. What the model has to say first is a question like any other: it is asked without an
adapter, and its answer is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from kurabe import arms, unknown
from kurabe.recipes import Recipe
from kurabe.retention import mixable_questions
from kurabe.schema import Answer, Example, Message, Probe, Question, Sample
from kurabe.scoring import score


class Lesson(NamedTuple):
    """One kind of answers to learn from: the arm that gives them, without adapter, and the recipes that learn them."""

    arm: str
    learned_by: Callable[[Recipe], bool]


LESSONS: dict[Probe, Lesson] = {
    "teacher": Lesson("ceiling", lambda recipe: recipe.teacher),
    "mix": Lesson("base", lambda recipe: recipe.retention_mix > 0),
}


def rows(recipe: Recipe, material: arms.Material, examples: Sequence[Example], seed: int) -> tuple[Sample, ...]:
    """All rows of one epoch: these examples in their trained wordings, then what the recipe mixes in. Where the model
    is to answer itself, the expected answer still stands."""
    own = arms.samples(examples, material.language, recipe.wordings)
    mixed, declined = _beside(recipe, material, len(own), seed)
    plain = arms.prepare_plain(material)
    return (
        *(_with_teacher(own, material, examples) if recipe.teacher else own),
        *(_row(plain(q), q.expected, source=q.id) for q in mixed),
        *(_row(plain(q), q.expected) for q in declined),
    )


def asked(recipes: Iterable[Recipe], material: arms.Material, seed: int) -> tuple[Question, ...]:
    """What the model has to answer before any of these recipes can be trained."""
    questions: list[Question] = []
    for recipe in recipes:
        if recipe.teacher:
            questions += (q for e in material.examples for q in _wordings(e)[: recipe.wordings])
        own = len(arms.samples(material.examples, material.language, recipe.wordings))
        questions += _beside(recipe, material, own, seed)[0]
    return tuple({question.id: question for question in questions}.values())


def answered(
    samples: Sequence[Sample],
    questions: Mapping[str, Question],
    answers: Mapping[str, Answer],
    fits: Callable[[Sample], bool],
) -> tuple[Sample, ...]:
    """The rows with the model's own answers (by question), where it read right, and where its answer came, was not cut
    and `fits`; in all others the expected answer is learned as it stands."""
    return tuple(_answered(sample, questions, answers, fits) if sample.source else sample for sample in samples)


def reads_right(answer: Answer, question: Question) -> bool | None:
    """Whether a teacher's answer may be learned: it is whole, holds every expected value and no other. None where there
    is nothing to check it by, or it did not come."""
    if not question.facts or answer.finish == "error":
        return None
    found = score(answer, question)
    return not (found.cut or found.extra) and all(outcome.status == "right" for outcome in found.outcomes)


def _beside(
    recipe: Recipe, material: arms.Material, own: int, seed: int
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """(general prompts, questions that the data does not answer) beside so many rows of the user's own."""
    said = unknown.said_in(material)
    return (
        mixable_questions(material.language, round(recipe.retention_mix * own), seed),
        unknown.trained(material.language, round(recipe.unknown_rows * own), seed, said),
    )


def _row(asked: Sequence[Message], answer: str, source: str = "") -> Sample:
    return Sample(example="", messages=(*asked, Message(role="assistant", content=answer)), source=source)


def _wordings(example: Example) -> list[Question]:
    """The example in each trained wording, as the teacher is asked."""
    return [
        Question(
            id=f"{example.id}/d{n}", example=example.id, probe="teacher", text=text, expected=example.answer,
            facts=example.facts,
        )
        for n, text in enumerate(example.texts("trained"), start=1)
    ]  # fmt: skip


def _with_teacher(samples: Sequence[Sample], material: arms.Material, examples: Sequence[Example]) -> Iterator[Sample]:
    """Each row with what the teacher is asked: the same question under the one right row."""
    build = arms.ARMS[LESSONS["teacher"].arm].prepare(material)
    questions = {(q.example, q.text): q for example in examples for q in _wordings(example)}
    for sample in samples:
        question = questions[sample.example, sample.messages[-2].content]
        spans = tuple((fact.start, fact.end) for fact in question.facts)
        yield sample.model_copy(update={"source": question.id, "teacher": build(question), "values": spans})


def _answered(
    sample: Sample,
    questions: Mapping[str, Question],
    answers: Mapping[str, Answer],
    fits: Callable[[Sample], bool],
) -> Sample:
    expected = sample.model_copy(update={"source": "", "teacher": (), "values": ()})
    question, answer = questions[sample.source], answers[sample.source]
    usable = reads_right(answer, question) if sample.teacher else answer.finish == "stop" and bool(answer.text)
    if not usable:
        return expected
    own = Message(role="assistant", content=answer.text)
    spans = tuple((o.found.start, o.found.end) for o in score(answer, question).outcomes if o.found)
    taught = sample.model_copy(update={"messages": (*sample.messages[:-1], own), "values": spans})
    return taught if fits(taught) else expected
