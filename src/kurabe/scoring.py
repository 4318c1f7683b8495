"""Score one answer against its expected values: an outcome per value, and the values nobody asked for.

Knows no arms, no averages, no intervals (`stats.py` does).

The rule, per kind of fact, expected and found values taken as sets:
1.  An expected value that is found is `right`; also a range of times or dates whose two ends stand there one by one
    ("it opens at 9:00 and shuts at 17:00"), and two ends that stand there as their range.
2.  One that is not is `wrong` while a found value of its kind is left that matched nothing; each makes only one wrong.
3.  What then remains is `refused` where the answer declines, else `missing`.
4.  Found values that matched nothing and made nothing wrong are `extra`. A value that the question itself names is
    never extra ("Is it $50?" "No, it is $6.99, not $50."), and makes nothing wrong in an answer that declines. A yes or
    no is never extra: it is how people begin.
5.  An answer that did not come (finish "error") leaves everything `unscored`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from kurabe.facts import distinct, find_facts, is_refusal, same, seek
from kurabe.schema import Answer, Fact, Outcome, Question, Score, Status
from kurabe.spans import folded


def score(answer: Answer, question: Question) -> Score:
    """What became of each distinct expected value of `question`; outcomes keep the order of `question.facts`."""
    expected = distinct(question.facts)
    if answer.finish == "error":
        outcomes = tuple(Outcome(fact=fact, status="unscored") for fact in expected)
        return Score(key=answer.key, example=question.example, outcomes=outcomes)
    refused = is_refusal(answer.text)
    right, left = _find(expected, answer.text, refused)
    echoed = [fact for fact in left if any(same(named, fact) for named in _named_by(question.text))]
    standing = [fact for fact in left if not (refused and fact in echoed)]
    wrong = _stand_ins({i: fact for i, fact in enumerate(expected) if i not in right}, standing)
    scored: list[Outcome] = []
    for i, fact in enumerate(expected):
        status: Status = "right" if i in right else "wrong" if i in wrong else "refused" if refused else "missing"
        scored.append(Outcome(fact=fact, status=status, found=right.get(i) or wrong.get(i)))
    return Score(
        key=answer.key,
        example=question.example,
        outcomes=tuple(scored),
        extra=tuple(f for f in left if f not in wrong.values() and f not in echoed and f.kind != "yes_no"),
        refused=refused,
        cut=answer.finish == "length",
    )


def is_right(answer: Answer, question: Question) -> bool | None:
    """Whether the whole question is answered right: any `accept` string, or else every value. None: unscored."""
    if answer.finish == "error":
        return None
    if question.accept:
        text = folded(answer.text)
        return any(accepting(string).search(text) for string in question.accept)
    outcomes = score(answer, question).outcomes
    return all(outcome.status == "right" for outcome in outcomes) if outcomes else None


class _Found(NamedTuple):
    """Expected index -> the value that matched it, and the found values that are none of the expected ones."""

    right: dict[int, Fact]
    left: list[Fact]


def _find(expected: Sequence[Fact], text: str, refused: bool) -> _Found:
    found = find_facts(text)
    right = {i: found[j] for i, j in _pairs(expected, found).items()}
    left = [fact for fact in found if not any(same(wanted, fact) for wanted in expected)]
    _find_ends(expected, text, right, left)
    for i, fact in enumerate(expected):
        # "Sorry, I don't have that information" is not the "no" of "No, we don't".
        known = i in right or (refused and fact.kind == "yes_no")
        sought = None if known else seek(fact, text)
        if sought and same(fact, sought):
            right[i] = sought
        elif sought and not any(other.kind == sought.kind for other in left):
            left.append(sought)  # the opposite of an expected yes or no, in other words
    return _Found(right, left)


def _find_ends(expected: Sequence[Fact], text: str, right: dict[int, Fact], left: list[Fact]) -> None:
    """Ranges that one side says as one value and the other as two; what is found moves from `left` to `right`."""
    missing = {i: fact for i, fact in enumerate(expected) if i not in right}
    for i, fact in missing.items():
        ends = [next((f for f in left if same(end, f)), None) for end in _ends(fact)]
        if len(ends) == 2 and ends[0] and ends[1] and ends[0].start < ends[1].start:
            start, end = ends[0].start, ends[1].end
            right[i] = fact.model_copy(update={"text": text[start:end], "start": start, "end": end})
            left[:] = [f for f in left if f not in ends]
    for fact in tuple(left):
        halves = [next((i for i, f in missing.items() if i not in right and same(f, end)), -1) for end in _ends(fact)]
        if halves and -1 not in halves:
            right.update((i, fact) for i in halves)
            left.remove(fact)


def _ends(fact: Fact) -> tuple[Fact, ...]:
    """The first and the last of a range of times or dates; nothing of other values, nor of days of the week."""
    sign = {"time": "-", "date": "/"}.get(fact.kind, "")
    parts = fact.value.split(sign) if sign else ()
    return tuple(fact.model_copy(update={"value": part}) for part in parts) if len(parts) == 2 else ()


def _pairs(expected: Sequence[Fact], found: Sequence[Fact]) -> dict[int, int]:
    """Expected index -> found index, as many pairs as there can be, equal values first.

    `same` allows more than equality, so a greedy choice could depend on the order; augmenting paths do not.
    """
    options = [[j for j, other in enumerate(found) if same(fact, other)] for fact in expected]
    for fact, others in zip(expected, options, strict=True):
        others.sort(key=lambda j, value=fact.value: found[j].value != value)  # type: ignore[misc]
    owner: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j in options[i]:
            if j not in tried:
                tried.add(j)
                if j not in owner or place(owner[j], tried):
                    owner[j] = i
                    return True
        return False

    for i in range(len(expected)):
        place(i, set())
    return {i: j for j, i in owner.items()}


def _stand_ins(missing: dict[int, Fact], left: Sequence[Fact]) -> dict[int, Fact]:
    """Per kind, missing values and unmatched found ones paired in text order; so the facts' order decides nothing."""
    pairs: dict[int, Fact] = {}
    for kind in {fact.kind for fact in missing.values()}:
        wanted = sorted((f.start, f.value, i) for i, f in missing.items() if f.kind == kind)
        others = sorted((f for f in left if f.kind == kind), key=lambda f: f.start)
        pairs.update((i, other) for (_, _, i), other in zip(wanted, others, strict=False))
    return pairs


@lru_cache(maxsize=4096)
def _named_by(question: str) -> tuple[Fact, ...]:
    return find_facts(question)


@lru_cache(maxsize=4096)
def accepting(string: str) -> re.Pattern[str]:
    """An accepted string as a pattern for folded text: whole words, whole numbers; other Japanese in any place."""
    wanted = folded(string)
    first, last = wanted[:1], wanted[-1:]
    before = after = ""
    if re.match(r"[a-z0-9_]", first):
        before = r"(?<![a-z0-9_])(?<![0-9][.,])"
    if re.match(r"[a-z0-9_]", last):
        after = r"(?![a-z0-9_]|[.,][0-9])"
    if re.fullmatch(_KANJI_NUMBER, wanted):
        before, after = f"(?<!{_KANJI_NUMBER[:-1]})", f"(?!{_KANJI_NUMBER[:-1]})"
    return re.compile(before + re.escape(wanted) + after)


_KANJI_NUMBER = "[〇一二三四五六七八九十百千万]+"
