"""The questions kurabe-tiny is measured on: shops, values and wordings that its corpus does not hold.

It knows nothing about models; a probe is messages and what a right answer holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from kurabe.facts import find_facts, named_facts
from kurabe.prompts import NEUTRAL, write
from kurabe.shops import Shop, invent_shop, missing_row
from models.tiny.corpus import ROOT
from models.tiny.layouts import lay_out


@dataclass(frozen=True)
class Probe:
    """`values` must all be in the answer; with `declined` it must begin with the decline and hold no digit."""

    system: str
    question: str
    values: tuple[str, ...]
    declined: bool = False
    any_value: bool = False
    expected: str = ""


def _held_out_shop(kind: str, number: int, language: str, rows: int = 12) -> tuple[Shop, Random]:
    seed = f"held-out-{kind}-{number}"
    return invent_shop(seed, rows, language), Random(f"probe/{language}/{seed}")


def _read(
    language: str, least: int, most: int, held_out: bool = True, free: bool = False, count: int = 12
) -> Iterator[Probe]:
    number = 0
    while True:
        number += 1
        shop, rng = _held_out_shop(f"read-{least}-{count}", number, language, count)
        rows = [row for row in shop.rows if least <= len(row.values) <= most]
        if not rows:
            continue
        row = rng.choice(rows)
        if free:
            system, answers = lay_out(shop, rng)
            answer = answers[shop.rows.index(row)]
            values = row.values if all(value in answer for value in row.values) else row.short_values
        else:
            system, answer, values = (
                write(NEUTRAL[language], [(r.question, r.answer) for r in shop.rows], language),
                row.answer,
                row.values,
            )
        question = row.ask(rng, held_out)
        while question == row.question:
            question = row.ask(rng, held_out)
        yield Probe(system, question, values, expected=answer)


def _decline(language: str, facts: bool, kind: str) -> Iterator[Probe]:
    number = 0
    while True:
        number += 1
        shop, rng = _held_out_shop(kind, number, language)
        row = missing_row(shop, rng) if facts else rng.choice(shop.rows)
        system = (
            write(NEUTRAL[language], [(r.question, r.answer) for r in shop.rows], language)
            if facts
            else NEUTRAL[language]
        )
        yield Probe(system, row.ask(rng, True), row.values, declined=True)


def _general(language: str) -> Iterator[Probe]:
    text = (ROOT / f"src/kurabe/data/general-{language}.jsonl").read_text(encoding="utf-8")
    for line in text.splitlines():
        row = json.loads(line)
        yield Probe(NEUTRAL[language], row["question"], tuple(row["accept"]), any_value=True, expected=row["answer"])


def _example_rows(language: str) -> list[dict[str, object]]:
    path: Path = ROOT / f"examples/support-{language}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _examples(language: str, facts: bool) -> Iterator[Probe]:
    """Every held-out wording of the example shop, with its whole prompt or without any."""
    rows = _example_rows(language)
    system = (
        write(NEUTRAL[language], [(str(row["question"]), str(row["answer"])) for row in rows], language)
        if facts
        else NEUTRAL[language]
    )
    for row in rows:
        listed = row.get("facts")
        named = named_facts(listed) if isinstance(listed, list) else find_facts(str(row["answer"]))
        values = tuple(fact.text for fact in named)
        wordings = row.get("held_out")
        for wording in wordings if isinstance(wordings, list) else []:
            yield Probe(system, str(wording), values, expected=str(row["answer"]))


KINDS: dict[str, Callable[[str], Iterator[Probe]]] = {
    "reading": lambda language: _read(language, 1, 1),
    "reading, trained wordings": lambda language: _read(language, 1, 1, held_out=False),
    "reading, one fact": lambda language: _read(language, 1, 1, count=1),
    "reading, four facts": lambda language: _read(language, 1, 1, count=4),
    "several values": lambda language: _read(language, 2, 6),
    "other layouts": lambda language: _read(language, 1, 6, free=True),
    "declines without facts": lambda language: _decline(language, False, "bare"),
    "declines beside other facts": lambda language: _decline(language, True, "beside"),
    "general questions": _general,
    "example shop, its own prompt": lambda language: _examples(language, True),
    "example shop, no prompt": lambda language: _examples(language, False),
}


def probes(kind: str, language: str, count: int) -> list[Probe]:
    """The first `count` probes of a kind; always the same ones."""
    return list(islice(KINDS[kind](language), count))
