"""Invented facts for the studies: things that a shop could know, each with a short answer and many wordings.

Knows no model and no study. The same numbers and seed always give the same facts; held-out wordings come from patterns
that no trained wording uses (`kurabe.shops`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from random import Random

from kurabe.facts import find_facts
from kurabe.schema import Example, Probe, Question, Role, Wording
from kurabe.shops import Row, invent_shop, wording
from kurabe.wordings import normal

TRIES = 60  # per wording that is wanted: the patterns of some rows are few


def invented(count: int, *, trained: int = 1, held_out: int = 5, seed: int = 0) -> tuple[Example, ...]:
    """`count` facts of one invented shop, each with so many trained and held-out wordings; the row's plain question is
    the first trained one. Rows whose wordings do not suffice, or whose answer holds nothing to check, are left out."""
    found: list[Example] = []
    size = count
    while len(found) < count:
        size *= 2  # a larger shop is another shop: what is drawn for one count says nothing about another
        rows = invent_shop(f"studies/{seed}", size, "en", "invented").rows
        made = (_example(row, n, trained, held_out, seed) for n, row in enumerate(rows, start=1))
        found = [example for example in made if example is not None][:count]
    return tuple(found)


def with_wordings(examples: Sequence[Example], count: int, seed: int) -> tuple[Example, ...]:
    """The examples with `count` of their trained wordings, drawn by the seed; more of them always hold the fewer."""
    return tuple(_drawn(example, count, seed) for example in examples)


def asked(examples: Sequence[Example], role: Role, most: int | None = None) -> tuple[Question, ...]:
    """Each example in its first `most` wordings of a role; none: in all of them."""
    probe: Probe = role
    return tuple(
        Question(
            id=f"{example.id}/{role[0]}{n}", example=example.id, probe=probe, text=text, expected=example.answer,
            facts=example.facts,
        )
        for example in examples
        for n, text in enumerate(example.texts(role)[:most], start=1)
    )  # fmt: skip


def digest(examples: Sequence[Example]) -> str:
    """SHA-256 of the facts: trials of other facts never join a results file."""
    return hashlib.sha256(b"\n".join(example.model_dump_json().encode() for example in examples)).hexdigest()


def _example(row: Row, number: int, trained: int, held_out: int, seed: int) -> Example | None:
    rng = Random(f"studies/{seed}/{row.topic}")
    facts = find_facts(row.short)
    own = _texts(lambda: row.ask(rng), trained, [row.question])
    other = _texts(lambda: wording(row, rng, held_out=True), held_out, [], {normal(text) for text in own})
    if not facts or len(own) < trained or len(other) < held_out:
        return None
    roles: list[tuple[Role, list[str]]] = [("trained", own), ("held_out", other)]
    wordings = tuple(Wording(text=text, role=role) for role, texts in roles for text in texts)
    return Example(id=f"f{number}", answer=row.short, facts=facts, wordings=wordings)


def _texts(make: Callable[[], str], count: int, texts: list[str], taken: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """`texts` and further ones that `make` gives, none of them the same as another or as one in `taken`."""
    seen = {*taken, *map(normal, texts)}
    for _ in range(TRIES * count):
        if len(texts) >= count:
            break
        text = make()
        if normal(text) not in seen:
            seen.add(normal(text))
            texts.append(text)
    return texts[:count]


def _drawn(example: Example, count: int, seed: int) -> Example:
    order = [w for w in example.wordings if w.role == "trained"]
    Random(f"wordings/{seed}/{example.id}").shuffle(order)
    kept = (*order[:count], *(w for w in example.wordings if w.role != "trained"))
    return example.model_copy(update={"wordings": kept})
