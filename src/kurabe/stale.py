"""The stale-fact test: one value per example is changed in what an arm is shown; which one does the model then say?

A tuned model may go on saying what it learned after its prompt, its rows or its documents were brought up to date.
Knows no model and no file: it changes values, asks about them and reads the answers.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from kurabe import arms, stats
from kurabe.facts import find_facts, same
from kurabe.schema import Answer, Example, Fact, Question, StaleResult
from kurabe.scoring import score
from kurabe.settings import ARM_NAMES

KINDS = ("money", "duration", "percentage", "count")  # a changed date or address would be checked by nobody's eye
_NUMBER = re.compile(r"(?<![\d.,])\d+")  # what stands behind a point or a comma stays as it is
TRIES = 20
MOST = 50  # examples that are changed; a risk needs no more, and each is asked about in every arm that is shown facts
Said: TypeAlias = Literal["new", "old", "other"]


class Change(NamedTuple):
    """One value of an answer, before and after."""

    old: Fact
    new: Fact
    answer: str  # with the new value in it


def changes(examples: Sequence[Example]) -> dict[str, Change]:
    """Example id -> its change: the first value that can be changed into one of its kind that no example holds already.
    Of many examples, `MOST` spread over the file; those without such a value are left out. The same examples give the
    same changes."""
    known = [fact for example in examples for fact in example.facts]
    asked = [example for example in examples if example.texts("held_out")]
    if len(asked) > MOST:
        asked = [asked[number * len(asked) // MOST] for number in range(MOST)]
    found: dict[str, Change] = {}
    for example in asked:
        places = replacements(example.answer, example.facts, known)
        change = next(itertools.chain.from_iterable(places), None)
        if change is not None:
            found[example.id] = change
            known.append(change.new)
    return found


def changed(material: arms.Material) -> arms.Material:
    """What the arms are prepared from, brought up to date: the rows, and the prompt that was written from them; in the
    user's own prompt and documents each value that stands there once."""
    new = changes(material.examples)
    examples = tuple(e.model_copy(update={"answer": new[e.id].answer}) if e.id in new else e for e in material.examples)
    prompt = material.prompt
    if prompt == arms.write_prompt(material.examples, material.language):
        prompt = arms.write_prompt(examples, material.language)
    texts = [prompt, *(passage.text for passage in material.passages)]
    for change in new.values():
        texts = _replaced(texts, change)
    passages = tuple(p.model_copy(update={"text": t}) for p, t in zip(material.passages, texts[1:], strict=True))
    return material._replace(examples=examples, prompt=texts[0], passages=passages)


def questions(examples: Sequence[Example]) -> tuple[Question, ...]:
    """The first held-out wording of each example with a changed value; what is expected is the new one."""
    wordings = {example.id: example.texts("held_out") for example in examples}
    return tuple(
        Question(
            id=f"{name}/s1", example=name, probe="stale", text=wordings[name][0], expected=change.answer,
            facts=(change.new,),
        )
        for name, change in changes(examples).items()
    )  # fmt: skip


def said(answer: Answer, question: Question, change: Change) -> Said | None:
    """Which of the two values the answer holds, by the one scorer; "other" where it holds neither or both. None: no
    answer came."""
    if answer.finish == "error":
        return None
    new, old = (
        score(answer, question.model_copy(update={"facts": (fact,)})).outcomes[0].status == "right"
        for fact in (change.new, change.old)
    )
    return "other" if new == old else "new" if new else "old"


def unseen(names: Iterable[str], material: arms.Material) -> set[tuple[str, str]]:
    """(arm, question id) where an arm is not shown the new value: a search that misses the row, a prompt of the user's
    own that does not hold it. There is no choice then between two values, and nothing is asked."""
    new, asked = changes(material.examples), questions(material.examples)
    updated = changed(material)
    missed = set()
    for name in names:
        build = arms.ARMS[name].prepare(updated)
        for question in asked:
            if new[question.example].new.text not in build(question)[0].content:
                missed.add((name, question.id))
    return missed


def results(
    answers: Sequence[Answer], asked: Mapping[str, Question], examples: Sequence[Example], seed: int
) -> Iterator[StaleResult]:
    """Per arm, which value it said. `asked` are the questions by their ids."""
    answers = [answer for answer in answers if answer.key.probe == "stale"]
    new = changes(examples) if answers else {}
    told: dict[str, dict[str, Said]] = {}
    for answer in answers:
        question = asked[answer.key.question]
        which = said(answer, question, new[question.example])
        told.setdefault(answer.key.arm, {}).update({question.example: which} if which else {})
    for arm in sorted(told, key=ARM_NAMES.index):
        followed, old, other = (
            stats.share({name: stats.Cluster(which == wanted, 1) for name, which in told[arm].items()}, seed)
            for wanted in ("new", "old", "other")
        )
        yield StaleResult(label=arm, followed=followed, old=old, other=other)


def replacements(answer: str, facts: Sequence[Fact], known: Sequence[Fact]) -> Iterator[Iterator[Change]]:
    """For each value of the answer that is one of `facts` and can be changed: its changes into others of its kind that
    are not `known`, the nearest first."""
    read = find_facts(answer)
    for place, old in enumerate(read):
        if old.kind in KINDS and any(same(old, fact) for fact in facts):
            yield _replacements(answer, read, place, known)


def _replacements(answer: str, facts: Sequence[Fact], place: int, known: Sequence[Fact]) -> Iterator[Change]:
    old = facts[place]
    for by in range(1, TRIES):
        text = _NUMBER.sub(lambda number, by=by: _more(number[0], by), old.text)  # type: ignore[misc]
        changed = answer[: old.start] + text + answer[old.end :]
        read = find_facts(changed)
        # Nothing else in the answer may read otherwise than before.
        if len(read) != len(facts) or any(read[n].value != facts[n].value for n in range(len(facts)) if n != place):
            continue
        if read[place].kind == old.kind and not any(same(read[place], fact) for fact in known):
            yield Change(old, read[place], changed)


def _more(number: str, by: int) -> str:
    """The number, larger by so many of its first digit's place: a change that nobody takes for rounding."""
    return str(int(number) + by * 10 ** (len(number) - 1)).zfill(len(number))


def _replaced(texts: list[str], change: Change) -> list[str]:
    """The old value replaced where it stands once in all of the texts; else nobody knows which place is meant."""
    pattern = re.compile(rf"(?<![\w.,]){re.escape(change.old.text)}(?![\w]|[.,]\d)")
    if sum(len(pattern.findall(text)) for text in texts) != 1:
        return texts
    return [pattern.sub(lambda _: change.new.text, text) for text in texts]
