"""Questions that the data does not answer: does an arm say that it does not know, or does it make something up?

Tuning on nothing but answers teaches to answer always. Knows no model and no file: it makes the questions, and reads
what was said to them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Literal, TypeAlias

from kurabe import arms, prompts, stats
from kurabe.facts import find_facts
from kurabe.schema import Answer, Probe, Question, UnknownResult
from kurabe.scoring import score
from kurabe.shops import Row, Shop, missing_row, wording
from kurabe.wordings import normal

TRIES = 50  # subjects looked at per question wanted
Said: TypeAlias = Literal["declined", "invented", "other"]


def said_in(material: arms.Material) -> str:
    """All that the arms are prepared from: what a word of it names is no unknown subject."""
    rows = [text for e in material.examples for text in (e.answer, *(w.text for w in e.wordings))]
    return "\n".join((*rows, material.prompt, *(passage.text for passage in material.passages)))


def trained(language: str, n: int, seed: int, said: str) -> tuple[Question, ...]:
    """`n` such questions with the answer that declines, to be trained on."""
    return _questions(language, n, seed, said, "mix")


def asked(language: str, n: int, seed: int, said: str) -> tuple[Question, ...]:
    """`n` such questions to be measured by: on subjects that no `trained` one is about, whatever their seeds."""
    return _questions(language, n, seed, said, "unknown")


def said(answer: Answer, question: Question) -> Said | None:
    """What became of one question: "declined"; "invented", a value or a yes or no that nobody gave it; "other", neither
    of them, such as a policy without a number. None: no answer came. A value beside a refusal is invented, too; one
    that the question itself names is not."""
    if answer.finish == "error":
        return None
    read = score(answer, question)
    if read.refused:
        return "invented" if read.extra else "declined"
    return "invented" if read.extra or any(f.kind == "yes_no" for f in find_facts(answer.text)) else "other"


def results(
    labels: Mapping[tuple[str, int], str], answers: Sequence[Answer], asked: Mapping[str, Question], seed: int
) -> Iterator[UnknownResult]:
    """Per arm, how often it declined. `labels` names each (arm, trial), `asked` are the questions by their ids."""
    told: dict[str, dict[str, Said]] = {}
    for answer in answers:
        if answer.key.probe == "unknown" and (answer.key.arm, answer.key.trial) in labels:
            which = said(answer, asked[answer.key.question])
            own = told.setdefault(labels[answer.key.arm, answer.key.trial], {})
            own.update({answer.key.question: which} if which else {})
    for label in (label for label in labels.values() if told.get(label)):
        declined, invented, other = (
            stats.share({name: stats.Cluster(which == wanted, 1) for name, which in told[label].items()}, seed)
            for wanted in ("declined", "invented", "other")
        )
        yield UnknownResult(label=label, declined=declined, invented=invented, other=other)


def _questions(language: str, n: int, seed: int, said: str, probe: Probe) -> tuple[Question, ...]:
    """Fewer than `n` where almost every word is said."""
    known, everything, measured = _words(said, language), normal(said), probe == "unknown"
    rng, texts = Random(f"{probe}/{language}/{seed}"), dict[str, None]()
    for _ in range(TRIES * n):
        row = missing_row(Shop("", language, ()), rng)
        free = not any(_words(label, language) & known for label in row.labels)
        if len(texts) < n and free and _for_measuring(row) == measured:
            text = wording(row, rng, plain=True) if measured else row.ask(rng)
            if normal(text) not in everything:
                texts[text] = None
    letter = "n" if measured else "u"
    return tuple(
        Question(
            id=f"{letter}{i}", example=f"{letter}{i}", probe=probe, text=text, expected=prompts.DECLINE[language]
        )
        for i, text in enumerate(texts)
    )  # fmt: skip


def _for_measuring(row: Row) -> bool:
    """Which half of all subjects this one is in; the same in every run."""
    return zlib.crc32(row.topic.encode()) % 2 == 1


def _words(text: str, language: str) -> set[str]:
    """What tells one subject from another: words of four letters and more; in Japanese, pairs of kanji or katakana."""
    if language == "ja":
        return set(re.findall(r"(?=([一-龯々ァ-ヴー]{2}))", text))
    return set(re.findall(r"[a-z]{4,}", text.casefold()))
