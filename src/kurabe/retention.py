"""The questions by which forgetting is measured: general knowledge, and other shops' facts read from their prompts.

Knows no model and no score: the same language, number and seed always give the same questions. What a model answers
right before tuning is the measure; how much of that is still right afterwards is its retention.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from random import Random

from kurabe.errors import MissingError
from kurabe.facts import find_facts, named_facts, same
from kurabe.schema import Fact, Question
from kurabe.shops import Row, Shop, invent_shop, wording

ROWS_PER_SHOP = 6  # one prompt serves as many questions, so that backends which share prefixes pay for it once
_MARKS = {"en": ("Q: ", "A: "), "ja": ("質問: ", "回答: ")}
_ROLE = {"en": "You are the assistant of {name}.", "ja": "あなたは{name}の担当です。"}
_INSTRUCTION = {
    "en": "Answer from these facts. If the answer is not there, say that you don't have it.",
    "ja": "次の事実だけをもとに答えてください。書かれていないことは、情報がないと答えてください。",
}


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
    ask, reply = _MARKS[shop.language]
    body = "\n\n".join(f"{ask}{row.question}\n{reply}{row.answer}" for row in shop.rows)
    system = f"{_head(shop)}\n\n{body}"
    return [
        question
        for i, row in enumerate(shop.rows)
        if (question := _question(row, f"r{number}-{i}", row.answer, row.values, system, rng))
    ]


def _values(shop: Shop, number: int, rng: Random) -> list[Question]:
    system = f"{_head(shop)}\n\n" + "\n".join(f"- {_title(row)}: {row.short}" for row in shop.rows)
    return [
        question
        for i, row in enumerate(shop.rows)
        if (question := _question(row, f"r{number}-{i}", row.short, row.short_values, system, rng))
    ]


def _head(shop: Shop) -> str:
    return f"{_ROLE[shop.language].format(name=shop.name)}\n{_INSTRUCTION[shop.language]}"


def _title(row: Row) -> str:
    label = row.labels[0].removeprefix("the ")
    return label[:1].upper() + label[1:]


def _question(row: Row, id: str, expected: str, values: tuple[str, ...], system: str, rng: Random) -> Question | None:
    """The row asked in other words than the prompt's; None where its answer holds nothing that can be checked."""
    facts = find_facts(expected)
    if all(fact.kind == "yes_no" for fact in facts) or not all(_holds(facts, value) for value in values):
        return None  # a yes alone would be right by chance
    text = row.question
    for _ in range(8):
        text = wording(row, rng, plain=True)
        if text != row.question:
            break
    return Question(id=id, example=id, probe="reading", text=text, expected=expected, facts=facts, system=system)


def _holds(facts: tuple[Fact, ...], value: str) -> bool:
    """Whether what the shop says can be checked is found; a name or a bare number cannot be found blindly."""
    return all(named.kind == "name" or any(same(named, fact) for fact in facts) for named in named_facts([value]))
