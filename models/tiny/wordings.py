"""How the rows of the corpus are asked: many more wordings than the package holds, from the text files beside this.

It knows nothing about prompts or tokens. `wordings/LANGUAGE.txt` has a block of wordings per topic, and
`LANGUAGE-wide.txt` a second one, `answers-LANGUAGE.txt` one of answers (see `tellings.py`); `frames-LANGUAGE.txt` has a
block of frames around a label per kind, and frames around a verb. No line equals a held-out wording (a test).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from random import Random

from kurabe import shop_frames as frames
from kurabe.shop_wordings import articles, choose, dress
from kurabe.shops import Row

FOLDER = Path(__file__).with_name("wordings")
_DOING = {doing: verb for verb, _, doing in (pair.partition("|") for pair in frames.VERBS)}


@cache
def blocks(name: str) -> dict[str, tuple[str, ...]]:
    """A file's lines under each `#` heading."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    found = {}
    for block in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        heading, *lines = block.strip().split("\n")
        found[heading] = tuple(line.removeprefix("? ").removeprefix("! ") for line in lines)
    return found


def _own(row: Row, wide: bool) -> tuple[str, ...]:
    """A merged row is asked by either of its subjects."""
    sets = [blocks(row.language), blocks(f"{row.language}-wide")] if wide else [blocks(row.language)]
    return tuple(line for topics in sets for topic in (row.topic, row.also) for line in topics.get(topic, ()))


def _verb(row: Row) -> dict[str, str] | None:
    """The parts of "renting a bicycle"."""
    doing, a, thing = row.topic.partition(" a ")
    return {"verb": _DOING[doing], "doing": doing, "thing": thing} if a and doing in _DOING else None


def ask(row: Row, rng: Random, plain: bool = False, wide: bool = False) -> str:
    """One wording of a row's question: mostly a line of its topic, else a frame, else as the package asks it.

    `plain` leaves out greetings and carelessness, as the questions in a file do; `wide` adds the second set.
    """
    own, dice = _own(row, wide), rng.random()
    framed = blocks(f"frames-{row.language}")
    if dice < 0.2 and own:
        return row.ask(rng) if not plain else row.question
    parts = _verb(row)
    if own and dice < 0.85:
        text = choose(rng.choice(own), rng)
    elif not own and dice < 0.45:
        return row.ask(rng) if not plain else row.question
    elif parts:
        text = choose(rng.choice(framed["verbs"]), rng).format(**parts)
    else:
        kind = row.kind if row.kind in framed and rng.random() < 0.7 else "any"
        text = choose(rng.choice(framed[kind]), rng).replace("{L}", rng.choice(row.labels))
    text = re.sub(r" {2,}", " ", articles(text)).strip()
    text = text[0].upper() + text[1:]
    return text if plain else dress(text, row.language == "ja", rng)
