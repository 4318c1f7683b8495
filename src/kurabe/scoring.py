"""Score one answer against its expected values: an outcome per value, and the values nobody asked for.

Knows no arms, no averages, no intervals (`stats.py` does).

The rule, per kind of fact, expected and found values taken as sets:
1.  An expected value that is found is `right`.
2.  One that is not is `wrong` while a found value of its kind is left that matched nothing; each can make only one wrong.
3.  What then remains is `refused` where the answer declines, else `missing`.
4.  Found values that matched nothing and made nothing wrong are `extra`. A value that the question itself names is never
    extra ("Is it $50?" "No, it is $6.99, not $50."), and makes nothing wrong in an answer that declines. A yes or no is
    never extra: it is how people begin.
5.  An answer that did not come (finish "error") leaves everything `unscored`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from kurabe.facts import distinct, find_facts, is_refusal, same, seek
from kurabe.schema import Answer, Fact, Outcome, Question, Score
from kurabe.spans import folded


def score(answer: Answer, question: Question) -> Score:
    """What became of each expected value of `question` in `answer`; outcomes keep the order of `question.facts`."""
    expected = distinct(question.facts)
    if answer.finish == "error":
        outcomes = tuple(Outcome(fact=fact, status="unscored") for fact in expected)
        return Score(key=answer.key, example=question.example, outcomes=outcomes)
    refused = is_refusal(answer.text)
    found = list(find_facts(answer.text))
    matched = _match(expected, found)
    left = [fact for i, fact in enumerate(found) if i not in matched.values()]
    left = [fact for fact in left if not any(same(wanted, fact) for wanted in expected)]
    echoed = [fact for fact in left if any(same(named, fact) for named in _named_in(question.text))]
    right = {i: found[j] for i, j in matched.items()}
    for i, fact in enumerate(expected):
        sought = None if i in right else seek(fact, answer.text)
        if sought and (fact.kind != "yes_no" or sought.value == fact.value):
            right[i] = sought
        elif sought and all(other.kind != "yes_no" for other in left):
            left.append(sought)
    standing = [fact for fact in left if not (refused and fact in echoed)]
    wrong = _stand_ins([i for i in range(len(expected)) if i not in right], expected, standing)
    outcomes = tuple(_outcome(fact, right.get(i), wrong.get(i), refused) for i, fact in enumerate(expected))
    used = [*right.values(), *wrong.values()]
    extra = tuple(f for f in left if f not in used and f not in echoed and f.kind != "yes_no")
    return Score(
        key=answer.key, example=question.example, outcomes=outcomes, extra=extra, refused=refused,
        cut=answer.finish == "length",
    )  # fmt: skip


def is_right(answer: Answer, question: Question) -> bool | None:
    """Whether the whole question is answered right: every value, or any `accept` string. None: nothing to score."""
    if answer.finish == "error":
        return None
    if question.accept:
        text = folded(answer.text)
        return any(_accepts(string).search(text) is not None for string in question.accept)
    outcomes = score(answer, question).outcomes
    return all(outcome.status == "right" for outcome in outcomes) if outcomes else None


def _outcome(fact: Fact, right: Fact | None, wrong: Fact | None, refused: bool) -> Outcome:
    if right:
        return Outcome(fact=fact, status="right", found=right)
    if wrong:
        return Outcome(fact=fact, status="wrong", found=wrong)
    return Outcome(fact=fact, status="refused" if refused else "missing")


def _match(expected: Sequence[Fact], found: Sequence[Fact]) -> dict[int, int]:
    """Expected index -> found index, as many pairs as can be (`same` allows more than equality, so that the order in
    which pairs are taken could otherwise decide)."""
    options = [
        sorted((j for j, f in enumerate(found) if same(e, f)), key=lambda j, e=e: found[j].value != e.value)  # type: ignore[misc]
        for e in expected
    ]
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


def _stand_ins(missing: Sequence[int], expected: Sequence[Fact], left: Sequence[Fact]) -> dict[int, Fact]:
    """Per kind, missing values and unmatched found ones paired in text order; so the facts' order decides nothing."""
    pairs: dict[int, Fact] = {}
    for kind in {expected[i].kind for i in missing}:
        wanted = sorted(
            (i for i in missing if expected[i].kind == kind), key=lambda i: (expected[i].start, expected[i].value)
        )
        others = sorted((f for f in left if f.kind == kind), key=lambda f: f.start)
        pairs.update(zip(wanted, others, strict=False))
    return pairs


@lru_cache(maxsize=4096)
def _named_in(question: str) -> tuple[Fact, ...]:
    return find_facts(question)


@lru_cache(maxsize=4096)
def _accepts(string: str) -> re.Pattern[str]:
    """An accepted string as a pattern for folded text: whole words and whole numbers; Japanese in any place."""
    wanted = folded(string)
    before = r"(?<![a-z0-9_])(?<![0-9][.,])" if re.match(r"[a-z0-9_]", wanted) else ""
    after = r"(?![a-z0-9_]|[.,][0-9])" if re.search(r"[a-z0-9_]$", wanted) else ""
    return re.compile(before + re.escape(wanted) + after)
