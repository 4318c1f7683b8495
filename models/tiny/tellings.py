"""Natural answers in many more forms than the package holds, from the text files beside this.

A model that meets a topic's answers in a few forms finds the row by the form and not by its subject: it then misses a
row that says the same in other words. `wordings/answers-LANGUAGE.txt` has a block of answers per topic, with the slots
of `shops.py`. It knows nothing about prompts, tokens or training.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from kurabe.shop_values import makers
from kurabe.shop_wordings import articles
from kurabe.shops import Maker, Row, Shop, fill, fill_values
from models.tiny.wordings import blocks

_TOLD = 0.7  # of the rows that have such answers
_BOTH = 0.12  # of these have two of them, one after the other


def retell(shop: Shop, rng: Random) -> Shop:
    """The same subjects; most answers in other words, with values of their own. Short answers keep the old ones."""
    host = f"{shop.name.split()[0].lower()}.example"
    make = makers(rng, shop.language, host)
    return replace(shop, rows=tuple(_retold(row, make, rng) for row in shop.rows))


def _retold(row: Row, make: dict[str, Maker], rng: Random) -> Row:
    written = blocks(f"answers-{row.language}")
    topics = [topic for topic in (row.topic, row.also) if topic in written]
    if not topics or len(topics) < (2 if row.also else 1) or rng.random() > _TOLD:
        return row
    lines = [rng.choice(written[topic]) for topic in topics]
    if len(lines) == 1 and rng.random() < _BOTH:
        lines = rng.sample(written[topics[0]], 2)
    answers, values = [], []
    for line in lines:
        text, found = fill(articles(line), fill_values([line], make))
        answers.append(text.replace("m..", "m."))  # a time ends in "p.m.", its sentence in a full stop
        values += found
    joined = ("" if row.language == "ja" else " ").join(answers)
    return replace(row, answer=joined, values=tuple(dict.fromkeys(values)))
