"""The questions by which forgetting is measured: general knowledge, and other shops' facts read from their prompts.

Knows no model and no score: the same language, number and seed always give the same questions. What a model answers
right before tuning is the measure; how much of that is still right afterwards is its retention.
"""

from __future__ import annotations

import itertools
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

FILES = ("general", "world")  # data/<name>-<language>.jsonl
ROWS_PER_MIXED_SHOP = 3  # a short prompt: it is paid for in every epoch
ROWS_PER_SHOP = 6  # one prompt serves as many questions, so that backends which share prefixes pay for it once
_ROLE = {"en": "You are the assistant of {name}.", "ja": "あなたは{name}の担当です。"}


def general_questions(language: str, n: int) -> tuple[Question, ...]:
    """`n` questions with fixed answers; fewer where there are fewer.

    They are spread evenly over the first file, which the stand-in has learned, too, and then over the second one, which
    asks what larger models know.
    """
    chosen: list[Question] = []
    for file in FILES:
        rows = [question for question in _general(file, language) if not _mixable(question)]
        wanted = min(n - len(chosen), len(rows))
        chosen.extend(rows[i * len(rows) // wanted] for i in range(wanted))
    return tuple(chosen)


def mixable_questions(language: str, n: int, seed: int) -> tuple[Question, ...]:
    """`n` general prompts to be trained on: questions that are never measured, in turn with other shops' short prompts,
    and of these as many more as it takes. The first of many are those of few."""
    general = [q for file in FILES for q in _general(file, language) if _mixable(q)]
    Random(f"mix/{language}/{seed}").shuffle(general)
    reading = _reading(language, max(n - n // 2, n - len(general)), "mix", seed, ROWS_PER_MIXED_SHOP)
    turns = (question for pair in itertools.zip_longest(reading, general[:n]) for question in pair if question)
    return tuple(q.model_copy(update={"id": f"mix-{q.id}", "probe": "mix"}) for q in itertools.islice(turns, n))


def reading_questions(language: str, n: int, seed: int) -> tuple[Question, ...]:
    """`n` questions on invented shops; each carries the shop's facts as its own system message.

    Shops take turns between two layouts: questions with answers, as the `prompt` arm has them, and a list of values.
    """
    return _reading(language, n, "retention", seed, ROWS_PER_SHOP)


def _reading(language: str, n: int, use: str, seed: int, rows: int) -> tuple[Question, ...]:
    questions: list[Question] = []
    number = 0
    while len(questions) < n:
        rng = Random(f"{use}/{language}/{seed}/{number}")
        shop = invent_shop(f"{use}/{seed}/{number}", rows, language)
        questions.extend(_blocks(shop, number, rng) if number % 2 == 0 else _values(shop, number, rng))
        number += 1
    return tuple(questions[:n])


def _mixable(question: Question) -> bool:
    """Whether a general question may be trained on: every fifth, by its number, and these are never measured."""
    return int(question.id.rsplit("-", 1)[1]) % 5 == 0


@cache
def _general(name: str, language: str) -> tuple[Question, ...]:
    file = resources.files("kurabe").joinpath(f"data/{name}-{language}.jsonl")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise MissingError(
            "The general questions that retention is measured on are not there.",
            where=str(file),
            fix="Install kurabe again, or set `retention` to 0.",
        ) from None
    rows = [json.loads(line) for line in lines if line.strip()]
    return tuple(
        Question(
            id=row["id"], example=row["id"], probe="general", text=row["question"], expected=row["answer"],
            accept=tuple(row["accept"]),
        )
        for row in rows
    )  # fmt: skip


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
