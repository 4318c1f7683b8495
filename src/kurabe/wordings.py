"""Rules that reword a question: read what it asks, put that into other sentences. English and Japanese.

Knows no examples and no split. Trained and held-out sentences come from disjoint frames, `data/wordings-*.yaml`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import resources
from typing import NamedTuple

import yaml

from kurabe import wordings_en, wordings_ja

MOST_TRAINED = 12
MOST_HELD_OUT = 6
_SHAPES = {"en": wordings_en.shapes, "ja": wordings_ja.shapes}
_ASCII_WORD = re.compile("[a-z0-9]+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")


class Reworded(NamedTuple):
    """Other ways to ask one question; both empty where the rules can't read it."""

    trained: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()


class Frames(NamedTuple):
    """The sentences that one reading of a question can be put into."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]


def reword(question: str, language: str) -> Reworded:
    """The question in other words, by rules. The same question always gives the same wordings."""
    trained, held_out = [], []
    for name, slots in _SHAPES[language](question):
        trained += [_fill(sentence, slots) for sentence in frames(language)[name].trained]
        held_out += [_fill(sentence, slots) for sentence in frames(language)[name].held_out]
    seen = {normal(question)}
    # The trained ones choose first, so that nothing which is trained is asked at the end.
    return Reworded(_pick(trained, MOST_TRAINED, seen), _pick(held_out, MOST_HELD_OUT, seen))


@cache
def frames(language: str) -> dict[str, Frames]:
    """Name of a reading -> its frames, from the package's data."""
    text = resources.files("kurabe").joinpath(f"data/wordings-{language}.yaml").read_text(encoding="utf-8")
    return {
        name: Frames(tuple(sides["trained"]), tuple(sides["held_out"])) for name, sides in yaml.safe_load(text).items()
    }


def normal(text: str) -> str:
    """The form in which two wordings are compared: width, case, punctuation and spacing do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if folded.isascii():
        return " ".join(_ASCII_WORD.findall(folded))
    words = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded).split()
    return ("" if _CJK.search(folded) else " ").join(words)


def _fill(sentence: str, slots: dict[str, str]) -> str:
    """The frame with its places filled; a sentence begins with a capital, whatever stood in the question."""
    named = {**slots, **{name.capitalize(): value.capitalize() for name, value in slots.items() if len(name) > 1}}
    text = sentence.format(**named)
    return text[0].upper() + text[1:]


def _pick(sentences: list[str], most: int, seen: set[str]) -> tuple[str, ...]:
    """The first `most` sentences that do not say the same as one in `seen`, which they join."""
    chosen: list[str] = []
    for sentence in sentences:
        key = normal(sentence)
        if key not in seen and len(chosen) < most:
            seen.add(key)
            chosen.append(sentence)
    return tuple(chosen)
