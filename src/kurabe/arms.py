"""The arms: each a message builder plus an optional adapter.

Knows no model, no file and no score. Everything an arm says to a model is made from training rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from kurabe import prompts
from kurabe.prompts import NEUTRAL
from kurabe.schema import Example, Message, Probe, Question, Sample

MessageBuilder: TypeAlias = Callable[[Question], tuple[Message, ...]]


class Material(NamedTuple):
    """What the arms are prepared from: training rows, the prompt of the `prompt` arms, the language of the data."""

    examples: tuple[Example, ...]
    prompt: str
    language: str


class Arm(NamedTuple):
    """One way to answer. `trials` says under which adapters: none, each trial's, or the first trial's only."""

    prepare: Callable[[Material], MessageBuilder]
    trials: Literal["none", "each", "first"]
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


ARMS: dict[str, Arm] = {
    "base": Arm(prepare_plain, "none", ("held_out", "trained")),
    "prompt": Arm(prepare_prompt, "none", ("held_out",)),
    "ceiling": Arm(prepare_ceiling, "none", ("held_out",)),
    "lora": Arm(prepare_plain, "each", ("held_out", "trained")),
    "lora+prompt": Arm(prepare_prompt, "first", ("held_out", "trained")),
}


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
