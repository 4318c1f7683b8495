"""What the user's file becomes: facts, wordings, examples, training rows and the questions that are asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from kurabe.schema.base import Record

FactKind: TypeAlias = Literal[
    "money", "duration", "percentage", "count", "phone", "email", "url", "date", "time", "code", "name", "yes_no"
]
Speaker: TypeAlias = Literal["system", "user", "assistant"]
Role: TypeAlias = Literal["trained", "check", "held_out"]
Probe: TypeAlias = Literal[
    "held_out",
    "trained",
    "check",
    "general",
    "reading",
    "stale",
    "sampled",
    "weighed",
    "ask",
    "teacher",
    "mix",
    "unknown",
]
Term: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]


class Fact(Record):
    """One checkable value. `value` is the canonical form that is compared; `text` is how it was written."""

    kind: FactKind
    value: str
    text: str
    start: int = -1  # character span of `text` in the string it was found in; -1 where a row named it explicitly
    end: int = -1


class Checks(Record):
    """What the form of an answer must be; each entry that is given is one check, and holds as a whole or fails."""

    pattern: str | None = Field(
        None, min_length=1, max_length=300
    )  # a regular expression, found anywhere in the answer
    sections: tuple[Term, ...] = Field((), max_length=20)  # headings, each on a line of its own, in this order
    min_length: int | None = Field(None, ge=1, le=4000)  # characters
    max_length: int | None = Field(None, ge=1, le=4000)  # characters
    language: Literal["en", "ja"] | None = None
    wanted: tuple[Term, ...] = Field((), max_length=20)  # words that must all stand in the answer
    unwanted: tuple[Term, ...] = Field((), max_length=20)  # words of which none may
    json_schema: dict[str, Any] | None = None  # the whole answer is JSON of this schema (draft 2020-12)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the checks that the row asks for."""
        return tuple(name for name, value in self if value not in (None, ()))


class Wording(Record):
    """One way to ask an example's question."""

    text: str
    role: Role
    generated: bool = False  # made by rules or by a model, not by the user


class Example(Record):
    """One row of the user's file: a question with its expected answer. The first wording is the row's own question."""

    id: str
    answer: str
    facts: tuple[Fact, ...]
    wordings: tuple[Wording, ...]
    line: int = 0  # 1-based line of the source file, 0 where there is none
    checks: Checks | None = None  # what the form of an answer must be, where the row says it

    def texts(self, role: Role) -> tuple[str, ...]:
        """The wordings of one role, in file order."""
        return tuple(w.text for w in self.wordings if w.role == role)

    @property
    def question(self) -> str:
        """The row's own question."""
        return self.wordings[0].text


class Passage(Record):
    """A piece of the user's documents, long enough to be read by itself."""

    source: str  # the document's file name
    text: str


class Message(Record):
    role: Speaker
    content: str


class Sample(Record):
    """One training row: messages that end with the answer that is learned."""

    example: str  # "" for a row beside the user's own
    messages: tuple[Message, ...]
    source: str = ""  # the question whose answer, by the model itself before training, takes the expected one's place
    teacher: tuple[Message, ...] = ()  # what it was asked then, where its likelihoods are learned, too
    values: tuple[tuple[int, int], ...] = ()  # spans of the answer's characters that are learned as they stand


class Question(Record):
    """One thing to be asked, by whichever arms. An answer is right when all `facts` are; or, where `accept` is given
    (general questions), when any of its strings stands in the answer."""

    id: str  # "<example id>/h1" (held-out), "/t1" (trained), "/c1" (check), "/s1" (stale); of retention its own id
    example: str  # the cluster: its example; of a retention question its shop, or itself
    probe: Probe
    text: str
    expected: str
    facts: tuple[Fact, ...] = ()
    accept: tuple[str, ...] = ()
    checks: Checks | None = None
    system: str | None = None  # the question's own system message (probe "reading"); None: the arm's


class Review(Record):
    """One line of wordings.jsonl: the generated wordings of one question. The field names are those of a data file, so
    that a corrected line can be pasted there."""

    id: str
    question: str
    wordings: tuple[str, ...]
    held_out: tuple[str, ...]
