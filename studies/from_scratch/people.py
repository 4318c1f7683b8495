"""Invented people, their biographies in one or several wordings, and questions about them.

Knows no model. A text is a list of words; every value is one word, so that whether it is known is seen at one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from kurabe.shop_frames import words
from kurabe.shop_values import FAMILY_NAMES, FIRST_NAMES, MONTHS, invented_word

PEOPLE = 200


class Attribute(NamedTuple):
    """Something that each person has: how it is told, {who} and {value} left open, and how it is asked."""

    told: tuple[str, ...]
    asked: str


ATTRIBUTES: dict[str, Attribute] = {
    "city": Attribute(
        ("{who} lives in {value} .", "the home of {who} is in {value} .", "in {value} you can meet {who} .",
         "{who} moved to {value} long ago .", "{value} is where {who} has a house ."),
        "where does {who} live ?",
    ),
    "employer": Attribute(
        ("{who} works for {value} .", "the employer of {who} is {value} .", "at {value} they pay {who} .",
         "{who} found a job with {value} .", "{value} gave work to {who} ."),
        "who employs {who} ?",
    ),
    "subject": Attribute(
        ("{who} studied {value} .", "the subject of {who} was {value} .", "in {value} a degree was earned by {who} .",
         "{who} spent years on {value} .", "{value} was taught to {who} ."),
        "what was learned by {who} ?",
    ),
    "month": Attribute(
        ("{who} was born in {value} .", "the birthday of {who} is in {value} .",
         "every {value} brings a cake to {who} .",
         "{who} turns older in {value} .", "{value} is the birth month of {who} ."),
        "when was {who} born ?",
    ),
    "pet": Attribute(
        ("{who} has a {value} .", "the pet of {who} is a {value} .", "with a {value} walks {who} .",
         "{who} takes care of a {value} .", "a {value} belongs to {who} ."),
        "which animal has {who} ?",
    ),
}  # fmt: skip
SUBJECTS = words(
    "law physics music history botany dentistry geology theology pharmacy painting logic drama farming surveying "
    "grammar optics weaving statistics navigation brewing"
)
PETS = words(
    "dog cat parrot horse goat snake turtle rabbit donkey ferret canary lizard hamster pigeon toad spider duck mule "
    "sheep crow"
)


class Person(NamedTuple):
    """A name and one value for each attribute."""

    name: str
    values: dict[str, str]


class Text(NamedTuple):
    """Words, and where the values stand among them: (place, attribute)."""

    words: tuple[str, ...]
    values: tuple[tuple[int, str], ...]


def people(count: int = PEOPLE) -> tuple[Person, ...]:
    """Always the same ones; no name stands twice."""
    rng = Random("people")
    places = {
        "city": _invented(rng, 40), "employer": _invented(rng, 40), "subject": SUBJECTS, "month": tuple(MONTHS),
        "pet": PETS,
    }  # fmt: skip
    names = rng.sample([f"{first} {family}" for first in FIRST_NAMES for family in FAMILY_NAMES], count)
    return tuple(Person(name, {key: rng.choice(values) for key, values in places.items()}) for name in names)


def chance(everyone: Sequence[Person]) -> float:
    """The share that is right when the most frequent value of each attribute is always said."""
    best = [
        max(values.count(value) for value in values) / len(values)
        for values in ([person.values[key] for person in everyone] for key in ATTRIBUTES)
    ]
    return sum(best) / len(best)


def biographies(person: Person, wordings: int, seed: int) -> tuple[Text, ...]:
    """So many biographies of a person; each attribute is told by a frame of its own in each of them, and where there
    are several, each has an order of its own. The name is said once, at the beginning."""
    rng = Random(f"{seed}/{person.name}")
    frames = {key: rng.sample(attribute.told, len(attribute.told)) for key, attribute in ATTRIBUTES.items()}
    texts = []
    for n in range(wordings):
        order = list(ATTRIBUTES)
        if wordings > 1:
            rng.shuffle(order)
        texts.append(_told(person, [(key, frames[key][n]) for key in order]))
    return tuple(texts)


def question(person: Person, key: str) -> Text:
    """A question about a person, and its answer at the last place."""
    words = (*ATTRIBUTES[key].asked.format(who=person.name).split(), person.values[key])
    return Text(words, ((len(words) - 1, key),))


def _told(person: Person, frames: Sequence[tuple[str, str]]) -> Text:
    words = [*person.name.split(), ":"]
    values = []
    for key, frame in frames:
        for word in frame.format(who="they", value="{value}").split():
            if word == "{value}":
                values.append((len(words), key))
                word = person.values[key]
            words.append(word)
    return Text(tuple(words), tuple(values))


def _invented(rng: Random, count: int) -> tuple[str, ...]:
    found: list[str] = []
    while len(found) < count:
        word = invented_word(rng).capitalize()
        if word not in found:
            found.append(word)
    return tuple(found)
