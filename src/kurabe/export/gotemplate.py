"""A chat template in the form that Ollama took before 0.30: Go's text/template over `.Messages`.

Only templates that write one message after the other, each between two fixed texts, are said in it, the system message
also at the head of the first question. That is found by rendering conversations, not by reading the template, and a
template that is not so is refused (blanks around a message, which some trim, are not looked at). The fields of a
template: https://github.com/ollama/ollama/blob/v0.29.0/docs/template.mdx
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from kurabe.chat import Template
from kurabe.errors import MissingError
from kurabe.schema import Message, Speaker

_MARKS: dict[Speaker, str] = {"system": "kurabeone", "user": "kurabetwo", "assistant": "kurabethree"}
# What a conversation may look like: with and without a system message, one turn or several.
_SHAPES: tuple[tuple[Speaker, ...], ...] = (
    ("user",), ("system", "user"), ("user", "assistant", "user"), ("system", "user", "assistant", "user"),
    ("system", "user", "assistant", "user", "assistant", "user"),
)  # fmt: skip
_WORDS = ("What does it cost?", "$6.99: 3-5 days.\n- free over $50", "返品は14日以内です。", 'A "quote" {and} <tags>')


class GoTemplate(NamedTuple):
    """The template's text, and the words that end an answer."""

    text: str
    stop: tuple[str, ...]


class _Parts(NamedTuple):
    """What a template writes around messages."""

    alone: str  # before the first message where no system message comes
    before: str  # and where one does
    around: dict[Speaker, tuple[str, str]]
    answer: str  # the header of the answer that is to come
    folded: str | None = None  # what parts the system message from the first question where it stands at its head

    def render(self, messages: Sequence[Message]) -> str:
        system = messages[0].content if messages[0].role == "system" else None
        begin = self.alone if system is None else self.before
        talk = [m.content.join(self.around[m.role]) for m in messages if m.role in self.around]
        if system is not None and self.folded is not None:
            left, right = self.around["user"]
            talk[0] = left + system + self.folded + messages[1].content + right
        return begin + "".join(talk) + self.answer


def translate(template: Template, begins: str = "") -> GoTemplate:
    """The same template for old servers. `begins` is the text that the server's tokenizer puts first by itself: a
    template that writes it, too, leaves it to it. Raises MissingError for one that cannot be said so."""
    parts = _parts(template)
    for n, shape in enumerate(_SHAPES if parts else ()):
        talk = [Message(role=role, content=_WORDS[(n + k) % len(_WORDS)]) for k, role in enumerate(shape)]
        if parts and parts.render(talk) != template.render(talk, answer_next=True):
            parts = None
    if parts is None:
        raise MissingError(
            "This Ollama takes no chat template from a file, and this one cannot be said in its own form.",
            where=template.where, why="It does more than to put each message between two fixed texts.",
            fix="Install Ollama 0.30 or newer, or use the GGUF file with kurabe chat or llama.cpp.",
        )  # fmt: skip
    alone, before = (text.removeprefix(begins) for text in (parts.alone, parts.before))
    if not parts.before and "system" in parts.around:  # then a conversation may begin with its system message
        left, right = parts.around["system"]
        parts.around["system"] = left.removeprefix(begins), right
    begin = [_text(alone)]
    if before != alone:
        begin = ["{{ if .System }}", _text(before), "{{ else }}", _text(alone), "{{ end }}"]
    each: list[str] = []
    for role, (left, right) in parts.around.items():
        each += [f'{{{{ {"else " if each else ""}if eq $m.Role "{role}" }}}}', _text(left)]
        if role == "user" and parts.folded is not None:  # the system message is number 0 of all messages
            each += ["{{ if and $.System (eq $i 1) }}", "{{ $.System }}", _text(parts.folded), "{{ end }}"]
        each += ["{{ $m.Content }}", _text(right)]
    every = ["{{ range $i, $m := .Messages }}", *each, "{{ end }}", "{{ end }}"]
    stop = parts.around["assistant"][1].strip()
    return GoTemplate("".join([*begin, *every, _text(parts.answer)]), (stop,) if stop else ())


def _parts(template: Template) -> _Parts | None:
    """The fixed texts, from where a mark stands in renderings of growing conversations; None where they do not grow
    at their end."""

    def told(*roles: Speaker, answer_next: bool = False) -> str:
        talk = [Message(role=role, content=_MARKS[role]) for role in roles]
        return template.render(talk, answer_next=answer_next)

    one, two = told("user"), told("user", "assistant")
    three, asked = told("user", "assistant", "user"), told("user", "assistant", "user", answer_next=True)
    if not (two.startswith(one) and three.startswith(two) and asked.startswith(three)):
        return None
    user, assistant, answer = three[len(two) :], two[len(one) :], asked[len(three) :]
    shown = told("system", "user")
    if not one.endswith(user):
        return None
    alone = one[: -len(user)]
    written: dict[Speaker, str] = {"user": user, "assistant": assistant}
    if shown.endswith(user):
        written = {"system": shown[: -len(user)], **written}
    around: dict[Speaker, tuple[str, str]] = {}
    for role, text in written.items():
        if text.count(_MARKS[role]) != 1:
            return None
        left, _, right = text.partition(_MARKS[role])
        around[role] = (left, right)
    if "system" not in around:
        begin, _, rest = shown.partition(_MARKS["system"])
        if begin != alone + around["user"][0] or not rest.endswith(_MARKS["user"] + around["user"][1]):
            return None
        return _Parts(alone, alone, around, answer, rest.partition(_MARKS["user"])[0])
    # What stands before every conversation is no part of the system message.
    before = alone if around["system"][0].startswith(alone) else ""
    around["system"] = (around["system"][0].removeprefix(before), around["system"][1])
    return _Parts(alone, before, around, answer)


def _text(text: str) -> str:
    """Text as it is, or as a string of Go's where it would be read as an action."""
    quoted = "{{" in text or "}}" in text or text.endswith("{")
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if quoted else text
