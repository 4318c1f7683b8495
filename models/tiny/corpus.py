"""The dialogues that kurabe-tiny learns from, as trees: one system prompt, many independent branches.

It knows nothing about tokens or training. Everything comes from seeds; the wordings of `examples/` are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from kurabe import shop_frames as frames
from kurabe.prompts import NEUTRAL
from kurabe.shop_values import invented_word
from kurabe.shops import Row, Shop, invent_shop, missing_row
from models.tiny import japanese, tellings
from models.tiny.layouts import DECLINE, lay_out
from models.tiny.wordings import ask

ROOT = Path(__file__).resolve().parents[2]
Turn = tuple[str, str]


@dataclass(frozen=True)
class Tree:
    """A system prompt and its branches; a branch is a dialogue of one to three turns that sees no other branch."""

    system: str
    branches: tuple[tuple[Turn, ...], ...]


@dataclass(frozen=True)
class Mix:
    """What a phase of training draws from."""

    rows: tuple[tuple[int, int, float], ...]  # (least, most, weight) of the number of rows
    japanese: float = 0.0
    neutral: float = 0.12
    copying: float = 0.0
    asked: int = 15
    declined: tuple[int, ...] = (30, 45, 25)  # weights of 0, 1, 2, ... questions per prompt that it cannot answer
    wide: bool = False  # also the second set of wordings, and Japanese answers of words in no fixed order
    told: bool = False  # also many more forms of answers


@cache
def general(language: str) -> tuple[Turn, ...]:
    """General questions with their fixed answers."""
    text = (ROOT / "src/kurabe/data" / f"general-{language}.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return tuple((row["question"], row["answer"]) for row in rows)


_COMMON = set(
    frames.words(
        "a an the is are do does can could may i you your my me to for of on in it what how much please hi hello "
        "tell about thanks thank and be will would if"
    )
)


def content_key(question: str) -> frozenset[str]:
    if re.search(r"[぀-ヿ一-鿿]", question):
        return frozenset([re.sub(r"[\s？?。、.]", "", question)])
    return frozenset(word for word in re.findall(r"[a-z0-9]+", question.lower()) if word not in _COMMON)


@cache
def excluded() -> frozenset[frozenset[str]]:
    """Every wording of `examples/` by its content words: a generated question with the same words is dropped."""
    found = set()
    for path in sorted((ROOT / "examples").glob("support-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for text in [row.get("question", ""), *row.get("wordings", []), *row.get("held_out", [])]:
                found.add(content_key(text))
    return frozenset(found)


def _allowed(question: str) -> bool:
    key = content_key(question)
    return len(key) < 2 or key not in excluded()


def _ask(row: Row, rng: Random, mix: Mix, plain: bool = False) -> str:
    for _ in range(8):
        question = ask(row, rng, plain, mix.wide)
        if _allowed(question):
            return question
    return f"{row.labels[0]}?"


def _with_questions(shop: Shop, rng: Random, mix: Mix) -> Shop:
    """The questions that stand in the prompt; they, too, are none of the examples'."""
    return replace(shop, rows=tuple(replace(row, question=_ask(row, rng, mix, plain=True)) for row in shop.rows))


def _count(mix: Mix, rng: Random) -> int:
    low, high, _ = rng.choices(mix.rows, [weight for *_, weight in mix.rows])[0]
    return rng.randint(low, high)


def shop_tree(seed: str, mix: Mix, language: str) -> Tree:
    """A shop's facts in its system prompt; rows asked in other wordings, and things it does not hold."""
    rng = Random(f"tree/{seed}")
    shop = invent_shop(seed, _count(mix, rng), language)
    if mix.told:
        shop = tellings.retell(shop, rng)
    if mix.wide and language == "ja":
        shop = japanese.retell(shop, rng)
    shop = _with_questions(shop, rng, mix)
    system, answers = lay_out(shop, rng)
    branches: list[tuple[Turn, ...]] = []
    # A row is asked up to three times, in other wordings: the prefix is paid for already.
    repeats = min(3, -(-mix.asked // len(shop.rows)))
    order = [index for _ in range(repeats) for index in rng.sample(range(len(shop.rows)), len(shop.rows))]
    for index in order[: mix.asked]:
        turns = [(_ask(shop.rows[index], rng, mix), answers[index])]
        while rng.random() < 0.1 and len(turns) < 3:
            turns.append(_further_turn(shop, answers, rng, mix))
        branches.append(tuple(turns))
    for _ in range(rng.choices(range(len(mix.declined)), mix.declined)[0]):
        branches.append(((_ask(missing_row(shop, rng), rng, mix), DECLINE[language]),))
    return Tree(system, tuple(branches))


def _further_turn(shop: Shop, answers: list[str], rng: Random, mix: Mix) -> Turn:
    if rng.random() < 0.15:
        return _ask(missing_row(shop, rng), rng, mix), DECLINE[shop.language]
    index = rng.randrange(len(shop.rows))
    return _ask(shop.rows[index], rng, mix), answers[index]


def neutral_tree(seed: str, mix: Mix, language: str) -> Tree:
    """The neutral system message: general questions are answered, a shop's are declined, words are repeated."""
    rng = Random(f"neutral/{seed}")
    shop = invent_shop(seed, 10, language)
    branches: list[tuple[Turn, ...]] = []
    for question, answer in rng.sample(general(language), 12):
        opener = rng.choice(frames.OPEN_JA if language == "ja" else frames.OPEN_EN) if rng.random() < 0.2 else ""
        branches.append(((opener + question, answer),))
    for row in shop.rows:
        branches.append(((_ask(row, rng, mix), DECLINE[language]),))
    for _ in range(3):
        words = " ".join(invented_word(rng) for _ in range(rng.randint(2, 7)))
        branches.append(((f"Repeat: {words}" if language == "en" else f"繰り返してください: {words}", words),))
    rng.shuffle(branches)
    return Tree(NEUTRAL[language], tuple(branches))


def _jumble(rng: Random, least: int, most: int) -> str:
    """Words, numbers and codes in no order at all: only copying can continue them."""
    words = []
    for _ in range(rng.randint(least, most)):
        kind = rng.random()
        if kind < 0.4:
            words.append(rng.choice(rng.choice([frames.NOUNS, frames.ADJECTIVES])))
        elif kind < 0.7:
            words.append(invented_word(rng))
        elif kind < 0.9:
            words.append(str(rng.randrange(10 ** rng.randint(1, 5))))
        else:
            words.append(f"{rng.choice('$€£')}{rng.randrange(200)}.{rng.randrange(100):02d}")
    return " ".join(words)


def copying_tree(seed: str, mix: Mix, language: str) -> Tree:
    """Lines under invented names, asked by name, and words to repeat: teaches to look up and to copy, nothing else."""
    rng = Random(f"copying/{seed}")
    names = list(dict.fromkeys(invented_word(rng).capitalize() for _ in range(rng.choice([1, 2, 3, 4, 6, 8]))))
    jumble = japanese.jumble if mix.wide and language == "ja" else _jumble
    lines = {name: jumble(rng, 3, 14) for name in names}
    form = rng.choice(["{}: {}", "{} = {}", "Q: {}\nA: {}", "- {}: {}"])
    system = NEUTRAL[language] + "\n" + "\n".join(form.format(name, line) for name, line in lines.items())
    branches: list[tuple[Turn, ...]] = [
        ((rng.choice(["{}?", "What is {}?", "{}"]).format(name), lines[name]),) for name in names
    ]
    for _ in range(4):
        words = jumble(rng, 4, 20)
        branches.append(((f"Repeat: {words}", words),))
    return Tree(system, tuple(branches))


def trees(seed: str, mix: Mix) -> Iterator[Tree]:
    """An endless stream; the same seed and mix give the same trees."""
    rng = Random(f"trees/{seed}")
    number = 0
    while True:
        number += 1
        language = "ja" if rng.random() < mix.japanese else "en"
        name = f"train-{seed}-{number}"
        if rng.random() < mix.copying:
            yield copying_tree(name, mix, language)
        elif rng.random() < mix.neutral:
            yield neutral_tree(name, mix, language)
        else:
            yield shop_tree(name, mix, language)
