"""The training rows in numbers: how many, in how many wordings, how long.

Knows no configuration. Tokens are estimated from characters, unless a counter is handed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kurabe import facts, forms
from kurabe.auditing.configured import Rows
from kurabe.dataset import read_examples
from kurabe.schema import Example, Message, Wording
from kurabe.wordings import normal

Counter = Callable[[Sequence[Message]], int]
# English tokens have about four characters; Japanese and Chinese characters are about a token each.
CHARACTERS_PER_TOKEN = 4
_WIDE = re.compile("[぀-ヿ㐀-䶿一-鿿가-힯]")


def read_rows(path: Path, count: Counter | None = None) -> Rows:
    """The rows of a data file; a row that cannot be used is left out. Raises what `read_examples` raises."""
    return counted(path.name, read_examples(path, skip_bad=True).examples, count)


def literal_rows(source: str, rows: Iterable[Any], count: Counter | None = None) -> Rows | None:
    """Rows that stand in a script: a list of tables or of pairs. None where they are no questions and answers."""
    examples: dict[str, Example] = {}
    for number, row in enumerate(rows, start=1):
        fields = {"question": row[0], "answer": row[1]} if isinstance(row, (list, tuple)) and len(row) == 2 else row
        if not isinstance(fields, Mapping):
            return None
        try:
            parsed = forms.parse(fields)
        except forms.Refused:
            continue
        asked = {normal(text): text for text in (parsed.question, *parsed.wordings)}
        known = examples.get(parsed.answer)
        if known:
            asked = {normal(wording.text): wording.text for wording in known.wordings} | asked
        examples[parsed.answer] = Example(
            id=f"row-{number}", answer=parsed.answer, facts=facts.find_facts(parsed.answer),
            wordings=tuple(Wording(text=text, role="trained") for text in asked.values()),
        )  # fmt: skip
    return counted(source, examples.values(), count) if examples else None


def counted(source: str, examples: Iterable[Example], count: Counter | None = None) -> Rows:
    """The numbers of these examples, each trained in all its trained wordings."""
    by_answer: dict[str, list[str]] = {}
    factual: set[str] = set()
    for example in examples:
        by_answer.setdefault(example.answer, []).extend(example.texts("trained"))
        if example.facts:
            factual.add(example.answer)
    measured = [_tokens(asked, answer, count) for answer, every in by_answer.items() for asked in every]
    return Rows(
        source=source, rows=len(measured), examples=len(by_answer),
        single=sum(len(every) == 1 for every in by_answer.values()),
        factual=len(factual),
        longest=max((question + answer for question, answer in measured), default=0),
        longest_answer=max((answer for _, answer in measured), default=0),
        question_tokens=sum(question for question, _ in measured), answer_tokens=sum(answer for _, answer in measured),
        estimated=count is None,
    )  # fmt: skip


def _tokens(question: str, answer: str, count: Counter | None) -> tuple[int, int]:
    if count is None:
        return estimate(question), estimate(answer)
    asked = Message(role="user", content=question)
    prompt = count([asked])
    return prompt, count([asked, Message(role="assistant", content=answer)]) - prompt


def estimate(text: str) -> int:
    """About how many tokens a text has."""
    wide = len(_WIDE.findall(text))
    return wide + -(-(len(text) - wide) // CHARACTERS_PER_TOKEN)
