"""A shop's rows told in other words, their values kept: half of its answers become sentences of no fixed form.

It knows nothing about prompts, tokens or training; each language brings its own sentences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from kurabe.shops import Row, Shop
from models.tiny import english, japanese

# language -> a sentence around these values, what joins two sentences, how a sentence ends
Sentence = Callable[[Random, tuple[str, ...]], str]
_STYLES: dict[str, tuple[Sentence, str, str]] = {
    "en": (english.sentence, " ", "."),
    "ja": (japanese.sentence, "", "。"),
}


def retold(row: Row, rng: Random) -> str:
    """The row's answer with other sentences around it, or its values in sentences of no fixed form."""
    sentence, joint, end = _STYLES[row.language]
    if "\n" in row.answer or rng.random() < 0.4:
        return row.answer
    if rng.random() < 0.35:
        ended = row.answer if row.answer.endswith((end, "!")) else f"{row.answer}{end}"
        return joint.join([sentence(rng, ()), ended] if rng.random() < 0.5 else [ended, sentence(rng, ())])
    texts, values = [], list(row.values)
    while values:
        count = min(len(values), rng.randint(1, 2))
        texts.append(sentence(rng, tuple(values[:count])))
        del values[:count]
    if rng.random() < 0.4:
        texts.insert(rng.randint(0, len(texts)), sentence(rng, ()))
    return joint.join(texts)


def retell(shop: Shop, rng: Random) -> Shop:
    """The same rows told otherwise; of Japanese shops, a third take another currency."""
    if shop.language == "ja":
        shop = japanese.exchange(shop, rng)
    return replace(shop, rows=tuple(replace(row, answer=retold(row, rng)) for row in shop.rows))
