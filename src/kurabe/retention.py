"""The questions by which forgetting is measured: general knowledge, and other shops' facts read from their prompts.

Knows no model and no score: the same language, number and seed always give the same questions. What a model answers
right before tuning is the measure; how much of that is still right afterwards is its retention.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from random import Random

from kurabe import prompts
from kurabe.errors import MissingError
from kurabe.facts import find_facts, named_facts, same
from kurabe.schema import Fact, Question
from kurabe.shops import Row, Shop, invent_shop, wording

ROWS_PER_SHOP = 6  # one prompt serves as many questions, so that backends which share prefixes pay for it once
_ROLE = {"en": "You are the assistant of {name}.", "ja": "あなたは{name}の担当です。"}


def general_questions(language: str, n: int) -> tuple[Question, ...]:
    """`n` questions with fixed answers, spread evenly over all that there are; fewer where there are fewer."""
    rows = _general(language)
    chosen = (rows[i * len(rows) // n] for i in range(n)) if n < len(rows) else rows
    return tuple(
        Question(
            id=row["id"], example=row["id"], probe="general", text=row["question"], expected=row["answer"],
            accept=tuple(row["accept"]),
        )
        for row in chosen
    )  # fmt: skip


def reading_questions(language: str, n: int, seed: int) -> tuple[Question, ...]:
    """`n` questions on invented shops; each carries the shop's facts as its own system message.

    Shops take turns between two layouts: questions with answers, as the `prompt` arm has them, and a list of values.
    """
    questions: list[Question] = []
    number = 0
    while len(questions) < n:
        rng = Random(f"retention/{language}/{seed}/{number}")
        shop = invent_shop(f"retention/{seed}/{number}", ROWS_PER_SHOP, language)
        questions.extend(_blocks(shop, number, rng) if number % 2 == 0 else _values(shop, number, rng))
        number += 1
    return tuple(questions[:n])


@cache
def _general(language: str) -> list[dict[str, str]]:
    file = resources.files("kurabe").joinpath(f"data/general-{language}.jsonl")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise MissingError(
            "The general questions that retention is measured on are not there.",
            where=str(file),
            fix="Install kurabe again, or set `retention` to 0.",
        ) from None
    return [json.loads(line) for line in lines if line.strip()]


def _blocks(shop: Shop, number: int, rng: Random) -> list[Question]:
    system = prompts.write(_role(shop), ((row.question, row.answer) for row in shop.rows), shop.language)
    expected = [(row.answer, row.values) for row in shop.rows]
    return _questions(shop, number, system, expected, rng)


def _values(shop: Shop, number: int, rng: Random) -> list[Question]:
    system = prompts.under(_role(shop), shop.language, "\n".join(f"- {_title(row)}: {row.short}" for row in shop.rows))
    expected = [(row.short, row.short_values) for row in shop.rows]
    return _questions(shop, number, system, expected, rng)


def _role(shop: Shop) -> str:
    return _ROLE[shop.language].format(name=shop.name)


def _title(row: Row) -> str:
    label = row.labels[0].removeprefix("the ")
    return label[:1].upper() + label[1:]


def _questions(
    shop: Shop, number: int, system: str, expected: Sequence[tuple[str, tuple[str, ...]]], rng: Random
) -> list[Question]:
    """The shop's rows asked in other words than the prompt's, but for those whose answer holds nothing to check. They
    share one prompt, read or not read as a whole: the shop is their example."""
    questions = []
    for i, (row, (answer, values)) in enumerate(zip(shop.rows, expected, strict=True)):
        facts = find_facts(answer)
        if all(fact.kind == "yes_no" for fact in facts) or not all(_holds(facts, value) for value in values):
            continue  # a yes alone would be right by chance
        questions.append(
            Question(
                id=f"r{number}-{i}", example=f"r{number}", probe="reading", text=_asked(row, rng), expected=answer,
                facts=facts, system=system,
            )
        )  # fmt: skip
    return questions


def _asked(row: Row, rng: Random) -> str:
    text = row.question
    for _ in range(8):
        text = wording(row, rng, plain=True)
        if text != row.question:
            break
    return text


def _holds(facts: tuple[Fact, ...], value: str) -> bool:
    """Whether what the shop says can be checked is found; a name or a bare number cannot be found blindly."""
    return all(named.kind == "name" or any(same(named, fact) for fact in facts) for named in named_facts([value]))
