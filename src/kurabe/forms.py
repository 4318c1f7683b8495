"""The forms in which the field writes a question with its answer, and how each is read.

Knows no file and no fact: fields of one row in, question and answer out, with notes on what was left out.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kurabe import checks
from kurabe.schema import Checks

MAX_TEXT = 4000  # characters of one question, answer or wording
MAX_ID = 100
# Names that mean the same; everything is read under the first. The Japanese ones are headings of spreadsheets.
_SAME = {
    "q": "question", "質問": "question", "問い": "question", "問": "question",
    "a": "answer", "回答": "answer", "答え": "answer", "答": "answer",
    "言い回し": "wordings", "言い換え": "wordings", "paraphrases": "wordings", "context": "input",
    "heldout": "held_out", "held-out": "held_out", "取り置き": "held_out", "事実": "facts", "形式": "checks",
}  # fmt: skip
OPTIONAL = ("id", "wordings", "held_out", "facts", "generated_wordings", "checks")
FORMS = ("question/answer", "instruction/input/output", "prompt/completion", "messages", "conversations")
_SPEAKERS = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
    "chatgpt": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


class Refused(Exception):
    """This row can't be used; `key` and `values` say why."""

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(key)
        self.key, self.values = key, values


class Parsed(NamedTuple):
    """One row, read. `notes` are (key, values) of what was changed or left out."""

    form: str
    question: str
    answer: str
    id: str
    wordings: tuple[str, ...]
    held_out: tuple[str, ...]
    facts: tuple[str | Mapping[str, Any], ...]
    generated: tuple[str, ...]  # those of the wordings that no person wrote
    notes: tuple[tuple[str, dict[str, Any]], ...]
    checks: Checks | None = None  # of the form of an answer


def parse(fields: Mapping[str, Any]) -> Parsed:
    """The question, the answer and the optional fields of one row. Raises `Refused`."""
    notes: list[tuple[str, dict[str, Any]]] = []
    row = _named(fields)
    form, used = _form(row, fields)
    if form in ("messages", "conversations"):
        question, answer = _turns(_listed(row[form]), notes)
    else:
        question, answer = _pair(row, form, notes)
    unused = [name for name in row if name not in used and name not in OPTIONAL and _filled(row[name])]
    if unused:
        near = [difflib.get_close_matches(name, OPTIONAL, n=1, cutoff=0.75) for name in unused]
        meant = next(((name, match[0]) for name, match in zip(unused, near, strict=True) if match), None)
        if meant:
            raise Refused("field-name", field=meant[0], near=meant[1])
        notes.append(("fields-unused", {"fields": ", ".join(unused[:5])}))
    return Parsed(
        form, question, answer, _id(row.get("id"), notes),
        _texts(row.get("wordings"), "wordings"), _texts(row.get("held_out"), "held_out"), _facts(row.get("facts")),
        _texts(row.get("generated_wordings"), "generated_wordings"), tuple(notes),
        _checks(row.get("checks"), answer),
    )  # fmt: skip


def _named(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields under their first names; case and spaces do not count, for spreadsheets have them."""
    row: dict[str, Any] = {}
    for name, value in fields.items():
        plain = str(name).strip().lower()
        plain = _SAME.get(plain, plain)
        if plain in row and _filled(value) and _filled(row[plain]):
            raise Refused("field-twice", field=plain)
        if plain not in row or _filled(value):
            row[plain] = value
    return row


def _filled(value: Any) -> bool:
    return value is not None and value != "" and value != []


def _form(row: Mapping[str, Any], written: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The form of a row and the fields that belong to it; `written` has the fields under the file's own names."""
    if "messages" in row:
        return "messages", ("messages",)
    if "conversations" in row:
        return "conversations", ("conversations", "system")
    if "question" in row:
        return "question/answer", ("question", "answer")
    if "instruction" in row:
        return "instruction/input/output", ("instruction", "input", "output" if "output" in row else "response")
    if "prompt" in row and "chosen" not in row:
        return "prompt/completion", ("prompt", "completion" if "completion" in row else "response")
    if "chosen" in row:
        raise Refused("preference-pair")
    raise Refused("no-form", fields=", ".join(map(str, list(written)[:8])) or "–", forms=", ".join(FORMS))


def _pair(row: Mapping[str, Any], form: str, notes: list[tuple[str, dict[str, Any]]]) -> tuple[str, str]:
    """Question and answer from two fields (three with an `input`)."""
    first, *middle, last = _form(row, row)[1]
    if isinstance(row.get(first), list):  # prompt and completion as lists of messages
        return _turns([*row[first], *_listed(row.get(last))], notes)
    question, answer = _text(row, first, notes), _text(row, last, notes)
    if middle and _filled(row.get("input")):
        question = f"{question}\n{_text(row, 'input', notes)}"
    return question, answer


def _text(row: Mapping[str, Any], name: str, notes: list[tuple[str, dict[str, Any]]]) -> str:
    """One field as text. A number becomes text with a note; nothing else does."""
    if name not in row:
        raise Refused("missing", field=name, fields=", ".join(list(row)[:8]))
    value = row[name]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        notes.append(("number-as-text", {"field": name}))
        value = str(value)
    return clean(value, name)


def clean(value: Any, name: str) -> str:
    """A text that is one: not empty, not over-long, with whole characters. Raises `Refused`."""
    if not isinstance(value, str):
        raise Refused("not-text", field=name, found=type_name(value))
    text = value.strip().strip(_INVISIBLE).strip()
    if not any(character.isalnum() for character in text):
        raise Refused("empty", field=name)
    if len(text) > MAX_TEXT:
        raise Refused("too-long", field=name, length=len(text), limit=MAX_TEXT)
    if re.search("[\ud800-\udfff]", text):
        raise Refused("half-character", field=name)
    return text


def type_name(value: Any) -> str:
    """JSON's own word for a value's type."""
    names = {
        dict: "object",
        list: "array",
        str: "string",
        bool: "boolean",
        type(None): "null",
        int: "number",
        float: "number",
    }
    return names.get(type(value), type(value).__name__)


# --- conversations ---------------------------------------------------------------------------------------------


def _turns(messages: Sequence[Any], notes: list[tuple[str, dict[str, Any]]]) -> tuple[str, str]:
    """The first answer of a conversation and the question before it; what is left out is noted.

    Later answers depend on earlier ones, so that asking their questions alone would be another question.
    """
    question: list[str] = []
    for i, message in enumerate(messages):
        role, content = _message(message)
        if role == "user":
            question.append(clean(content, "user"))
        elif role == "system":
            notes.append(("system-left-out", {}))
        elif role == "assistant" and question:
            if len(messages) > i + 1:
                notes.append(("later-turns", {}))
            return "\n".join(question), clean(content, "assistant")
        else:
            raise Refused("speaker", role=role)
    raise Refused("no-answer" if question else "no-question")


def _message(message: Any) -> tuple[str, Any]:
    """(role, content) of {"role", "content"} or {"from", "value"}; content in parts is joined when all are text."""
    if not isinstance(message, Mapping):
        raise Refused("not-a-message", found=type_name(message))
    role = message.get("role", message.get("from"))
    content = message.get("content", message.get("value"))
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise Refused("not-only-text")
        content = "\n".join(str(part) for part in parts)
    return _SPEAKERS.get(str(role).lower(), str(role)[:30]), content


# --- optional fields -------------------------------------------------------------------------------------------


def _listed(value: Any) -> list[Any]:
    """A list, also as JSON in a cell of a spreadsheet."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Refused("list-cell") from None
    if not isinstance(value, list):
        raise Refused("not-a-list", found=type_name(value))
    return value


def _texts(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts; a single text may hold several, on lines of their own or between bars."""
    if not _filled(value):
        return ()
    if isinstance(value, str) and not value.lstrip().startswith("["):
        value = [part for part in re.split(r"[\n|｜]", value) if part.strip()]
    return tuple(clean(text, name) for text in _listed(value))


def _facts(value: Any) -> tuple[str | Mapping[str, Any], ...]:
    """Values that the row names: texts, or objects of kind and value."""
    if not _filled(value):
        return ()
    if isinstance(value, str) and not value.lstrip().startswith("["):
        value = [part for part in re.split(r"[\n|｜]", value) if part.strip()]
    return tuple(item if isinstance(item, Mapping) else clean(item, "facts") for item in _listed(value))


def _checks(value: Any, answer: str) -> Checks | None:
    """What the form of an answer must be: an object, also as JSON in a cell of a spreadsheet."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Refused("checks-cell") from None
    if value is None or value == "":
        return None
    if not isinstance(value, Mapping):
        raise Refused("checks-type", found=type_name(value))
    try:
        return checks.read(value, answer)
    except checks.BadChecks as bad:
        raise Refused(bad.key, **bad.values) from None


def _id(value: Any, notes: list[tuple[str, dict[str, Any]]]) -> str:
    """The row's own name, "" where it has none."""
    if not _filled(value):
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = clean(value, "id")
    if len(text) > MAX_ID or not text.isprintable():
        raise Refused("id", limit=MAX_ID)
    return text
