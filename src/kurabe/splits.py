"""Which wordings are trained, which are checked, which are held out; and whether any held-out one leaked into training.

Knows no file and no model. The rules of `wordings.py` fill a role that the user's file leaves empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from kurabe.errors import DataError
from kurabe.schema import Example, Reason, Record, Role, Wording
from kurabe.wordings import normal, reword

CHECK_WORDINGS = 2
LEAST_TRAINED = 4  # so many trained wordings of the user's own are needed before two of them are kept out of training
CLOSE = 0.75  # share of words (Japanese: pairs of characters) in common above which a held-out wording proves little
_SHOWN = 5


class Prepared(NamedTuple):
    """Examples with every wording in its role, and what the reader of the results must know about them."""

    examples: tuple[Example, ...]
    notes: tuple[Reason, ...]


class Pair(Record):
    """A held-out wording and the training wording that is the same or nearly the same."""

    held_out: str
    trained: str
    example: str  # of the held-out one
    other: str  # of the trained one
    line: int
    other_line: int


def prepare(examples: Sequence[Example], language: str, seed: int) -> Prepared:
    """The examples as an experiment needs them. Raises `DataError` for a held-out wording that is trained as well.

    Examples without any held-out wording stay, for they can be trained; nothing that is measured comes from them.
    """
    leaks = find_leaks(examples)
    if leaks:
        raise leak_error(leaks)
    prepared = tuple(_with_checks(example, seed) for example in generate(examples, language))
    return Prepared(prepared, tuple(_notes(prepared, find_close(examples))))


def find_leaks(examples: Sequence[Example]) -> tuple[Pair, ...]:
    """Held-out wordings that stand in training: the same words as any example's trained wording, or nearly the whole
    of one of their own example's."""
    trained = {normal(text): (example, text) for example in examples for text in _training(example)}
    leaks = []
    for example in examples:
        own = [(normal(text), text) for text in _training(example)]
        for text in example.texts("held_out"):
            key = normal(text)
            if key in trained:
                leaks.append(_pair(text, example, trained[key][1], trained[key][0]))
                continue
            # "Hello, <held-out>" in training shows the model the held-out wording.
            wrapped = next((other for text_key, other in own if _most_of(key, text_key)), None)
            if wrapped is not None:
                leaks.append(_pair(text, example, wrapped, example))
    return tuple(leaks)


def find_close(examples: Sequence[Example]) -> tuple[Pair, ...]:
    """The user's held-out wordings that share most words with a trained one of their example, without being it."""
    pairs = []
    for example in examples:
        own = [(_tokens(text), text) for text in _training(example)]
        known = {normal(text) for _, text in own}
        for text in example.texts("held_out"):
            if normal(text) in known:
                continue  # that is a leak
            tokens = _tokens(text)
            share, nearest = max(((_overlap(tokens, other), trained) for other, trained in own), default=(0.0, ""))
            if share >= CLOSE:
                pairs.append(_pair(text, example, nearest, example))
    return tuple(pairs)


def too_near(text: str, others: Iterable[str]) -> str | None:
    """The first of the others that the text nearly is: most words in common, or one of them most of the other."""
    key, tokens = normal(text), _tokens(text)
    for other in others:
        known = normal(other)
        if _most_of(key, known) or _most_of(known, key) or _overlap(tokens, _tokens(other)) >= CLOSE:
            return other
    return None


def generate(examples: Sequence[Example], language: str) -> tuple[Example, ...]:
    """The examples with generated wordings in the roles that they lack. None of them repeats another example's wording,
    and no held-out one a trained one."""
    made = [reword(example.question, language) for example in examples]
    held_out = {normal(text) for example in examples for text in example.texts("held_out")}
    taken = {normal(text) for example in examples for text in _training(example)}
    full = []
    for example, new in zip(examples, made, strict=True):
        wanted = new.trained if len(_training(example)) == 1 else ()
        full.append(_add(example, "trained", wanted, taken, held_out))
    for i, (example, new) in enumerate(zip(full, made, strict=True)):
        wanted = () if example.texts("held_out") else new.held_out
        full[i] = _add(example, "held_out", wanted, held_out, taken)
    return tuple(full)


def _add(example: Example, role: Role, texts: Sequence[str], taken: set[str], opposite: set[str]) -> Example:
    """The example with those texts that are in neither set; they join `taken`."""
    new = []
    for text in texts:
        key = normal(text)
        if key not in taken and key not in opposite:
            taken.add(key)
            new.append(Wording(text=text, role=role, generated=True))
    return example.model_copy(update={"wordings": (*example.wordings, *new)}) if new else example


def _with_checks(example: Example, seed: int) -> Example:
    """Two of the user's trained wordings become check wordings; never the row's own question, which prompts show."""
    own = [i for i, w in enumerate(example.wordings) if w.role == "trained" and not w.generated]
    if len(own) < LEAST_TRAINED or example.texts("check"):
        return example
    chosen = set(Random(f"{seed}/{example.id}").sample(own[1:], CHECK_WORDINGS))
    wordings = tuple(
        w.model_copy(update={"role": "check"}) if i in chosen else w for i, w in enumerate(example.wordings)
    )
    return example.model_copy(update={"wordings": wordings})


def _notes(examples: Sequence[Example], close: Sequence[Pair]) -> Iterator[Reason]:
    """What the reader of a result must know about its wordings."""
    generated = [e for e in examples if any(w.generated and w.role == "held_out" for w in e.wordings)]
    if generated:
        made = sum(w.generated and w.role == "held_out" for e in generated for w in e.wordings)
        yield Reason(key="data.note.generated", values={"examples": len(generated), "wordings": made})
    lacking = [e.id for e in examples if not e.texts("held_out")]
    if lacking:
        yield Reason(key="data.note.trained-only", values={"examples": len(lacking), "ids": _some(lacking)})
    if close:
        pairs = [f"“{pair.held_out}” ~ “{pair.trained}”" for pair in close]
        yield Reason(key="data.note.close", values={"wordings": len(close), "pairs": _some(pairs)})


def leak_error(leaks: Sequence[Pair]) -> DataError:
    """The refusal of a file whose held-out wordings are trained, each of them named."""
    listed = tuple(
        f"line {pair.line}: the held-out wording “{pair.held_out}” is trained as “{pair.trained}”"
        + (f" (line {pair.other_line})" if pair.other_line != pair.line else "")
        for pair in leaks
    )
    return DataError(
        f"{len(leaks)} held-out wording{'s stand' if len(leaks) > 1 else ' stands'} in the training text, "
        f"so that {'they' if len(leaks) > 1 else 'it'} would measure nothing.",
        where=f"line {leaks[0].line}", why=listed[0].split(": ", 1)[1] + ".",
        fix="Take each of them out of `held_out`, or out of `question` and `wordings`.", problems=listed,
    )  # fmt: skip


def _training(example: Example) -> tuple[str, ...]:
    return example.texts("trained") + example.texts("check")


def _pair(held_out: str, example: Example, trained: str, other: Example) -> Pair:
    return Pair(
        held_out=held_out, trained=trained, example=example.id, other=other.id, line=example.line, other_line=other.line
    )


def _most_of(key: str, other: str) -> bool:
    """Whether one normal form stands inside the other and makes up most of it. Of short ones that says nothing: "is
    parking free" stands in "when is parking free" and asks something else."""
    words = " " in key
    if len(key.split()) < 5 if words else len(key) < 10:
        return False
    inside = f" {key} " in f" {other} " if words else key in other
    return inside and len(key) >= 0.6 * len(other)


def _tokens(text: str) -> frozenset[str]:
    """Words; of Japanese, which writes no spaces, pairs of characters."""
    key = normal(text)
    if re.search(r"[\u3040-\u30ff\u3400-\u9fff]", key):
        return frozenset(key[i : i + 2] for i in range(max(1, len(key) - 1)))
    return frozenset(key.split())


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_SHOWN]) + (" …" if len(texts) > _SHOWN else "")
