"""Wordings that a model suggests: how it is asked for them, which can be used, and why the others cannot.

Knows no backend: requests out, answers in. Trained and held-out wordings are asked for in different styles, and what
would be the same or nearly the same in both is refused. What cannot be checked by rules is left to the reader: that a
wording asks the same question.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kurabe import facts, forms
from kurabe.schema import Answer, AnswerKey, Example, Fact, Message, Reason, Record, Request, Role, Wording
from kurabe.splits import too_near
from kurabe.wordings import normal

TEMPERATURE = 0.8  # greedy answers repeat themselves
PER_WORDING = 100  # tokens
ROLES: tuple[Role, ...] = ("trained", "held_out")

_SYSTEM = {
    "en": "You write test questions for a support desk. You reply with a numbered list and nothing else.",
    "ja": "あなたはサポート窓口のテスト用の質問を書きます。番号付きの一覧だけを返してください。",
}
_STYLE: dict[str, dict[Role, str]] = {
    "en": {
        "trained": "Write {n} other ways to ask exactly this, as clear, complete, polite sentences, each of them built "
        "differently.",
        "held_out": "{n} customers want to know exactly this and have never seen the question. Write what each of them "
        "types into a chat: informal, in words that the question does not use, some of them with the reason why they "
        "ask, some of them in very few words.",
    },
    "ja": {
        "trained": "まったく同じことを尋ねる別の言い方を{n}個、丁寧で完全な文で書いてください。"
        "文の組み立てはそれぞれ変えてください。",
        "held_out": "この質問を見たことのない{n}人のお客さまが、まったく同じことを知りたがっています。"
        "それぞれがチャットに打ち込む文を書いてください。くだけた口調で、質問にない言葉を使い、"
        "尋ねる理由を添えたものや、ごく短いものも混ぜてください。",
    },
}
_RULES = {
    "en": "Question: {question}\n\n{style} Keep every name, number, amount and date as it stands. Ask for nothing else "
    "and do not answer.{known}\n\nOne per line, numbered from 1 to {n}.",
    "ja": "質問: {question}\n\n{style}名前、数、金額、日付はそのまま残してください。"
    "ほかのことは尋ねず、答えも書かないでください。{known}\n\n1行に1つずつ、1から{n}までの番号を付けてください。",
}
_KNOWN = {
    "en": "\n\nThese are there already; write others:\n",
    "ja": "\n\n次のものはすでにあります。別のものを書いてください。\n",
}

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_NUMBER = re.compile(r"\s*(?:[-*•・●]\s+|[(（]?\d{1,2}\s*[.)．）、:：](?!\d)|[①-⑳])\s*")
_QUOTES = {'"': '"', "“": "”", "'": "'", "「": "」", "『": "』", "**": "**", "`": "`"}
_KANA = re.compile(r"[\u3041-\u30ff]")
_ASKS = re.compile(r"[?？]|か[。.]?$")
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9&'’-]*")
_DIGITS = re.compile(r"\d+")


class Asked(NamedTuple):
    """One request for wordings: of which example (its place in the list), in which role, how many."""

    place: int
    role: Role
    lacking: int
    request: Request


class Unused(Record):
    """A suggestion that is not used, and why."""

    id: str
    line: int
    role: Role
    wording: str
    reason: Reason


class Sorted(NamedTuple):
    """The examples with the suggestions that can be used, marked as generated, and those that can't."""

    examples: tuple[Example, ...]
    unused: tuple[Unused, ...]


def ask(examples: Sequence[Example], count: int, model: str, thoughts: int = 0) -> list[Asked]:
    """What to ask so that each example has `count` trained wordings beside its question and half as many held-out ones.

    Held-out wordings of the user's own are enough, however few. `thoughts`: tokens that the model may think first.
    """
    asked = []
    for place, example in enumerate(examples):
        for role in ROLES:
            lacking = _lacking(example, role, count)
            if lacking:
                asked.append(Asked(place, role, lacking, _request(example, role, lacking, model, thoughts)))
    return asked


def sort_out(examples: Sequence[Example], asked: Sequence[Asked], answers: Sequence[Answer]) -> Sorted:
    """Put the answers' wordings where they belong. `answers` are those to the first so many of `asked`.

    Trained wordings choose first, so that no held-out one is trained; of answers that failed nothing is taken.
    """
    full = list(examples)
    known = {normal(wording.text): example.id for example in examples for wording in example.wordings}
    unused: list[Unused] = []
    answered = list(zip(asked, answers, strict=False))
    for one, answer in sorted(answered, key=lambda pair: ROLES.index(pair[0].role)):
        example = full[one.place]
        new: list[str] = []
        for text, reason in _read(answer, example, known):
            if reason is None and len(new) == one.lacking:
                reason = Reason(key="reword.more", values={"count": one.lacking})
            near = too_near(text, [*(w.text for w in example.wordings), *new]) if reason is None else None
            if near is not None:
                reason = Reason(key="reword.near", values={"other": near})
            if reason is None:
                known[normal(text)] = example.id
                new.append(text)
            else:
                unused.append(Unused(id=example.id, line=example.line, role=one.role, wording=text, reason=reason))
        added = tuple(Wording(text=text, role=one.role, generated=True) for text in new)
        full[one.place] = example.model_copy(update={"wordings": example.wordings + added})
    return Sorted(tuple(full), tuple(sorted(unused, key=lambda one: one.line)))


# --- asking ----------------------------------------------------------------------------------------------------


def _lacking(example: Example, role: Role, count: int) -> int:
    if role == "trained":
        return max(0, count - (len(example.texts("trained")) - 1) - len(example.texts("check")))
    if any(w.role == "held_out" and not w.generated for w in example.wordings):
        return 0
    return max(0, (count + 1) // 2 - len(example.texts("held_out")))


def _request(example: Example, role: Role, lacking: int, model: str, thoughts: int) -> Request:
    language = facts.language_of(example.question)
    there = [wording.text for wording in example.wordings[1:]]
    known = _KNOWN[language] + "\n".join(f"- {text}" for text in there) if there else ""
    words = _RULES[language].format(
        question=example.question, style=_STYLE[language][role].format(n=lacking), known=known, n=lacking
    )
    key = AnswerKey(
        model=model, trial=0, arm="reword", hop="live", probe="ask", question=f"{example.id}/{role}/{len(there)}"
    )
    return Request(
        key=key, messages=(Message(role="system", content=_SYSTEM[language]), Message(role="user", content=words)),
        max_new_tokens=PER_WORDING * (lacking + 1) + thoughts, temperature=TEMPERATURE,
        seed=zlib.crc32(key.question.encode()) >> 1,  # another one when more are asked for
    )  # fmt: skip


# --- reading ---------------------------------------------------------------------------------------------------


def listed(text: str) -> list[str]:
    """The entries of a numbered or bulleted list; of a text without marks its lines, headings left out."""
    lines = [line.strip() for line in _THOUGHT.sub("", text).splitlines() if line.strip()]
    marked = [line for line in lines if _NUMBER.match(line)]
    if marked:
        lines = [_NUMBER.sub("", line, count=1) for line in marked]
    else:
        lines = [line for line in lines if not line.endswith((":", "：", "```"))]
    return [bare for line in lines if (bare := _unquoted(line))]


def _unquoted(text: str) -> str:
    text = text.strip().removesuffix(",").strip()
    for left, right in _QUOTES.items():
        if len(text) > len(left + right) and text.startswith(left) and text.endswith(right):
            inner = text[len(left) : -len(right)]
            if right not in inner:
                return inner.strip()
    return text


def _read(answer: Answer, example: Example, known: dict[str, str]) -> Iterator[tuple[str, Reason | None]]:
    """Each wording of an answer, and why it cannot be used, as far as the others of its example do not decide that."""
    if answer.finish == "error":
        return
    entries = listed(answer.text)
    for i, text in enumerate(entries):
        # As one of several, "I'm not sure when you open." asks for the hours.
        if len(entries) == 1 and facts.is_refusal(text) and not _ASKS.search(text):
            yield text, Reason(key="reword.declines", values={})
        elif answer.finish == "length" and i == len(entries) - 1:
            yield text, Reason(key="reword.cut", values={})
        else:
            yield text, refusal(text, example, known)


# --- checking --------------------------------------------------------------------------------------------------


def refusal(text: str, example: Example, known: dict[str, str]) -> Reason | None:
    """Why the text is no other wording of the example's question, by rules; None where they find nothing.

    `known`: normal form of every wording of the file, and the id of its example.
    """
    question = example.question
    try:
        forms.clean(text, "wordings")
    except forms.Refused:
        return Reason(key="reword.no-text", values={})
    if normal(text) in known:
        return Reason(key="reword.known", values={"id": known[normal(text)]})
    if not _same_language(text, question):
        return Reason(key="reword.language", values={})
    if not len(question) // 6 <= len(text) <= 3 * len(question) + 40:
        return Reason(key="reword.length", values={"length": len(text), "question": len(question)})
    added, left_out = _changes(text, example)
    if added:
        return Reason(key="reword.added", values={"values": ", ".join(added)})
    if left_out:
        return Reason(key="reword.left-out", values={"values": ", ".join(left_out)})
    return None


def _same_language(text: str, question: str) -> bool:
    """Japanese without kana is Chinese; an English question takes no letters of other alphabets on."""
    language = facts.language_of(question)
    if facts.language_of(text) != language:
        return False
    if language == "ja":
        return bool(_KANA.search(text)) or not _KANA.search(question)
    return all(c in question for c in text if c.isalpha() and ord(c) > 0x24F)


def _changes(text: str, example: Example) -> tuple[list[str], list[str]]:
    """Values, numbers and names that the text has and the question has not, and the other way round. A value of the
    answer that the question does not give would give the answer away."""
    question = example.question
    asked, said = _values(question), _values(text)
    added = [fact.text for fact in said if not any(facts.same(fact, other) for other in asked)]
    left_out = [
        fact.text for fact in asked
        if not any(facts.same(fact, other) for other in said) and facts.seek(fact, text) is None
    ]  # fmt: skip
    told = [f for f in example.facts if f.kind != "yes_no" and not facts.seek(f, question) and facts.seek(f, text)]
    added += [fact.text for fact in told if fact.text not in added]
    for find in (_numbers, _names):
        before, after = find(question), find(text)
        added += [after[key] for key in after.keys() - before.keys() if key not in _letters(question)]
        left_out += [before[key] for key in before.keys() - after.keys() if key not in _letters(text)]
    return sorted(set(added)), sorted(set(left_out))


def _values(text: str) -> list[Fact]:
    return [fact for fact in facts.find_facts(text) if fact.kind != "yes_no"]


def _numbers(text: str) -> dict[str, str]:
    """Numbers that belong to no value: rooms, models, versions."""
    for fact in reversed(facts.find_facts(text)):
        text = text[: fact.start] + " " + text[fact.end :]
    return {number: number for number in _DIGITS.findall(text)}


def _names(text: str) -> dict[str, str]:
    """Words that are written like names, under their bare letters: in English those with a capital where no sentence
    begins, in Japanese all in Latin letters. A text with a capital on most words tells nothing."""
    words = list(_LATIN.finditer(text))
    japanese = facts.language_of(text) == "ja"
    if not japanese and 2 * sum(word.group()[0].isupper() for word in words) > len(words) > 2:
        return {}
    found = {}
    for word in words:
        name, before = word.group(), text[: word.start()].rstrip(" \"'“‘(")
        begins = not before or before[-1] in ".!?:…\n"
        capital = (name[0].isupper() and not begins) or any(c.isupper() for c in name[1:])
        if (japanese or capital) and not re.match("I(?:['’]|$)", name):
            found[_letters(re.sub("['’]?s$", "", name))] = name  # a plural or a genitive is no other name
    return found


def _letters(text: str) -> str:
    return "".join(c for c in normal(text) if c.isalnum())
