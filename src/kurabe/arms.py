"""The arms: each a message builder plus an optional adapter.

Knows no model, no file and no score. Everything an arm says to a model is made from training rows, or from what the
user handed over for it: a prompt, documents.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal, NamedTuple, TypeAlias

from kurabe import prompts
from kurabe.prompts import NEUTRAL
from kurabe.retrieval import Index
from kurabe.schema import Example, Message, Passage, Probe, Question, Sample

MessageBuilder: TypeAlias = Callable[[Question], tuple[Message, ...]]


class Material(NamedTuple):
    """What the arms are prepared from: training rows, the prompt of the `prompt` arms, the language of the data."""

    examples: tuple[Example, ...]
    prompt: str
    language: str
    passages: tuple[Passage, ...] = ()  # of the user's documents, for the `rag` arms; none: the training rows
    nearest: int = 3  # rows or passages that are shown before a question, at most


class Arm(NamedTuple):
    """One way to answer. `trials` says under which adapters: none, each recipe's, the first recipe's only, or the
    control's, whose answers were shuffled."""

    prepare: Callable[[Material], MessageBuilder]
    trials: Literal["none", "each", "first", "control"]
    probes: tuple[Probe, ...]


def write_prompt(examples: Sequence[Example], language: str) -> str:
    """The system prompt that holds these rows: who answers, how, and each row's own question with its answer."""
    return prompts.write(NEUTRAL[language], ((example.question, example.answer) for example in examples), language)


def messages(system: str, question: Question) -> tuple[Message, ...]:
    """The question under a system message; a question that brings its own keeps it."""
    return (Message(role="system", content=question.system or system), Message(role="user", content=question.text))


def prepare_plain(material: Material) -> MessageBuilder:
    """The neutral system message, the same as in training."""
    return lambda question: messages(NEUTRAL[material.language], question)


def prepare_prompt(material: Material) -> MessageBuilder:
    """All facts in the system prompt."""
    return lambda question: messages(material.prompt, question)


def prepare_ceiling(material: Material) -> MessageBuilder:
    """The one right row in the system prompt: how well this model reads when nothing has to be found."""
    prompts = {example.id: write_prompt([example], material.language) for example in material.examples}
    return lambda question: messages(prompts[question.example], question)


def prepare_few_shot(material: Material) -> MessageBuilder:
    """The nearest rows as turns of the conversation, the nearest one last, under the neutral system message.

    Turns and no list: they show what an answer looks like in the very form in which the next one is asked for, which
    is what examples are for. Rows listed as facts under an instruction are the `rag` arm.
    """
    index, neutral = index_rows(material.examples), Message(role="system", content=NEUTRAL[material.language])

    def build(question: Question) -> tuple[Message, ...]:
        rows = [material.examples[n] for n in reversed(index.search(question.text, material.nearest))]
        turns = [
            turn
            for row in rows
            for turn in (Message(role="user", content=row.question), Message(role="assistant", content=row.answer))
        ]
        return (neutral, *turns, Message(role="user", content=question.text))

    return build


def prepare_rag(material: Material) -> MessageBuilder:
    """What a search finds for the question, in the system prompt: rows in the layout of the `prompt` arm, or passages
    of the user's documents. Where nothing is found, the prompt holds no fact, and says to answer from none."""
    documents = material.passages
    index = Index([passage.text for passage in documents]) if documents else index_rows(material.examples)

    def build(question: Question) -> tuple[Message, ...]:
        found = index.search(question.text, material.nearest)
        if not documents:
            return messages(write_prompt([material.examples[n] for n in found], material.language), question)
        facts = "\n\n".join(documents[n].text for n in found)
        return messages(prompts.under(NEUTRAL[material.language], material.language, facts), question)

    return build


def index_rows(examples: Sequence[Example]) -> Index:
    """Each training row is found by all its trained wordings and its answer together: the same words that a LoRA learns
    from. (By its answer, or its own question and answer alone, it is found less often; by the best of its wordings,
    more often among three and less often first: `benchmarks/retrieval.py`.)"""
    return Index(["\n".join((*example.texts("trained"), example.answer)) for example in examples])


ARMS: dict[str, Arm] = {
    "base": Arm(prepare_plain, "none", ("held_out", "trained", "unknown")),
    "prompt": Arm(prepare_prompt, "none", ("held_out", "stale", "unknown")),
    "few-shot": Arm(prepare_few_shot, "none", ("held_out", "unknown")),
    "rag": Arm(prepare_rag, "none", ("held_out", "stale", "unknown")),
    "lora": Arm(prepare_plain, "each", ("held_out", "trained", "unknown")),
    "lora+prompt": Arm(prepare_prompt, "first", ("held_out", "trained", "stale", "unknown")),
    "lora+rag": Arm(prepare_rag, "first", ("held_out", "stale", "unknown")),
    "ceiling": Arm(prepare_ceiling, "none", ("held_out",)),
    "shuffled": Arm(prepare_plain, "control", ("held_out",)),
}
INDEXED = ("few-shot", "rag", "lora+rag")  # arms whose preparation is work: an index is built


def samples(examples: Sequence[Example], language: str, wordings: int | None) -> tuple[Sample, ...]:
    """Training rows: each example in its first `wordings` trained wordings (none: all), under the neutral message.

    Every example has as many rows as any other; one with fewer wordings repeats them. A fact is learned by how often it
    is seen, and the rules leave some examples with a single wording.
    """
    neutral = Message(role="system", content=NEUTRAL[language])
    own = {example.id: example.texts("trained")[:wordings] for example in examples}
    rows = max(map(len, own.values()), default=0)
    return tuple(
        Sample(
            example=example.id,
            messages=(neutral, Message(role="user", content=text), Message(role="assistant", content=example.answer)),
        )
        for example in examples
        for text in itertools.islice(itertools.cycle(own[example.id]), rows)
    )


def shuffle(examples: Sequence[Example], seed: int) -> tuple[Example, ...]:
    """The examples with their answers dealt out anew: each answer is given once, and no example keeps its own.

    Equal answers count as one and the same: an example gets another text than its own wherever no answer makes up more
    than half of the rows. What a LoRA learns from this is the form of the answers, and which facts there are, but not
    which belongs to which question.
    """
    groups: dict[str, list[Example]] = {}
    for example in Random(f"shuffled/{seed}").sample(list(examples), len(examples)):
        groups.setdefault(example.answer, []).append(example)
    # Equal answers stand together; moving on by the largest group leads out of every one of them.
    lined_up = [example for group in groups.values() for example in group]
    step = max(map(len, groups.values()), default=0)
    dealt = {
        example.id: lined_up[(place + step) % len(lined_up)].answer for place, example in enumerate(lined_up)
    }  # fmt: skip
    return tuple(example.model_copy(update={"answer": dealt[example.id]}) for example in examples)


def can_shuffle(examples: Sequence[Example]) -> bool:
    """Whether there are answers to exchange."""
    return len({example.answer for example in examples}) > 1
