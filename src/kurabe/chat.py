"""Messages to token ids and labels, and back: the one place where a chat template is rendered.

Knows no torch and no model. `tokenizer.json` is used as it is, by the `tokenizers` library: a class that rebuilds its
normaliser gives other ids than the runtime where the model is deployed.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any, Literal, NamedTuple

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from kurabe.errors import COPY_AGAIN, MissingError, UserError
from kurabe.schema import Message

IGNORE = -100  # the label of a position that no loss is taken on
TEMPLATE_LIMIT = 64 * 1024  # characters; the longest published chat templates have about 20,000
RENDER_SECONDS = 2.0
_PROBE = (Message(role="user", content="a"), Message(role="assistant", content="b"))


class Soft(NamedTuple):
    """What a teacher held likely in one place: tokens, and their shares, which add up to 1."""

    ids: array[int]
    shares: array[float]


class Rendered(NamedTuple):
    """One training row: `labels[i]` is the id at position i, or IGNORE. `soft[i]`, where there is one, is learned in
    that label's place."""

    ids: list[int]
    labels: list[int]
    soft: Mapping[int, Soft] = MappingProxyType({})


class Template:
    """A chat template in its sandbox: messages to text. It needs no tokenizer: a GGUF file's runtime has its own."""

    def __init__(self, template: str, special: Mapping[str, str], where: str) -> None:
        if len(template) > TEMPLATE_LIMIT:
            _refuse_length(len(template), where)
        self.special, self.where = dict(special), where
        self._compiled = _compile(template, where)

    def render(self, messages: Sequence[Message], *, answer_next: bool) -> str:
        """The conversation as one text; with `answer_next` it ends with the header of the answer that is to come."""
        rows = [{"role": m.role, "content": m.content} for m in messages]
        try:
            with _time_limit(RENDER_SECONDS):
                rendered: str = self._compiled.render(
                    messages=rows, add_generation_prompt=answer_next, tools=None, documents=None,
                    enable_thinking=False, **self.special,
                )  # fmt: skip
                return rendered
        except (*_TEMPLATES_RAISE, _TooLong) as error:
            raise MissingError(
                "The model's chat template cannot render these messages.", where=self.where, why=str(error),
                fix="Use the chat template that the model was published with.",
            ) from None  # fmt: skip


class Chat:
    """A tokenizer with its chat template and the ids that end an answer.

    The ids of a prompt are always the beginning of the ids of its training row. Where the template or the tokenizer
    would make them differ, the row is joined from parts; `joined` counts those rows.
    """

    def __init__(
        self, tokenizer: Tokenizer, template: str, special: Mapping[str, str], end_ids: Sequence[int], where: str
    ) -> None:
        tokenizer.no_padding()  # a file saved in the middle of a training run has its padding switched on
        tokenizer.no_truncation()
        self.where = where
        self.tokenizer = tokenizer
        self.special = dict(special)
        self.joined = 0
        self._counts: dict[tuple[Message, ...], int] = {}  # a plan counts the same rows for many trials
        self.template = Template(template, special, where)
        self._bos = tokenizer.token_to_id(special["bos_token"]) if "bos_token" in special else None
        start = tokenizer.encode("a").ids
        self._adds_bos = self._bos is not None and start[:1] == [self._bos]
        self.turn_ends = frozenset(self._turn_ends())
        self.end_ids = frozenset(end_ids) | self.turn_ends
        if not self.end_ids:
            raise MissingError(
                "No end token is known for this model.", where=where,
                why="Neither generation_config.json, config.json, the tokenizer nor the chat template names one.",
                fix="Set eos_token_id in generation_config.json.",
            )  # fmt: skip
        eos = tokenizer.token_to_id(special["eos_token"]) if "eos_token" in special else None
        self.end_id = eos if eos in self.end_ids else min(self.end_ids)
        pad = tokenizer.token_to_id(special["pad_token"]) if "pad_token" in special else None
        self.pad_id = self.end_id if pad is None else pad

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of a conversation up to and with the header of the answer that is to come."""
        return self._encode(self._render(messages, answer_next=True))

    def sample(self, messages: Sequence[Message], loss_on: Literal["answer", "everything"] = "answer") -> Rendered:
        """Ids and labels of a conversation that ends with the expected answer; they end with the end token.

        Labels cover the answer and its end token, or everything.
        """
        if not messages or messages[-1].role != "assistant":
            raise ValueError("a training row must end with the assistant's answer")
        text, full = self._render(messages[:-1], answer_next=True), self._render(messages, answer_next=False)
        prompt = self._encode(text)
        ids = self._encode(full) if full.startswith(text) else []
        if ids[: len(prompt)] != prompt:
            ids = prompt + self._plain(self._answer_part(text, full, messages[-1].content))
            self.joined += 1
        ends = [at for at in range(len(prompt), len(ids)) if ids[at] in self.end_ids]
        ids = ids[: ends[-1] + 1] if ends else [*ids, self.end_id]
        labels = list(ids) if loss_on == "everything" else [IGNORE] * len(prompt) + ids[len(prompt) :]
        return Rendered(ids, labels)

    def covering(self, ids: Sequence[int], answer: str, spans: Sequence[tuple[int, int]]) -> set[int]:
        """Which of an answer's ids write any of these characters of it; all of them where they write another text.

        Read off the decoded beginnings of the ids: a token writes what its coming adds.
        """
        texts = [self.tokenizer.decode(list(ids[:k]), skip_special_tokens=True) for k in range(len(ids) + 1)]
        if texts[-1].strip() != answer.strip():
            return set(range(len(ids)))
        special = {i for i, token in self.tokenizer.get_added_tokens_decoder().items() if token.special}
        moved = len(answer) - len(answer.lstrip()) - (len(texts[-1]) - len(texts[-1].lstrip()))
        # A character of several tokens reads U+FFFD until the last of them: each of them writes it.
        at = [len(text.rstrip("\ufffd")) + moved for text in texts]
        return {
            k
            for k, (first, after) in enumerate(itertools.pairwise(at))
            if ids[k] not in special  # those write nothing
            and any(first < end and max(after, first + 1) > start for start, end in spans)
        }

    @property
    def begins(self) -> str:
        """The text that the tokenizer puts before every prompt by itself."""
        return self.template.special.get("bos_token", "") if self._adds_bos else ""

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of these messages: with the answer's header after a user's, with the end token after an answer."""
        key = tuple(messages)
        if key not in self._counts:
            answered = bool(key) and key[-1].role == "assistant"
            self._counts[key] = len(self.sample(key).ids if answered else self.prompt(key))
        return self._counts[key]

    def text(self, ids: Sequence[int]) -> str:
        """The words of generated ids, without special tokens and outer blanks."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def _encode(self, rendered: str) -> list[int]:
        """Ids with exactly one BOS where the tokenizer adds one; a BOS that the template wrote is not doubled."""
        ids = self._plain(rendered)
        if self._adds_bos and self._bos is not None and ids[:1] != [self._bos]:
            ids.insert(0, self._bos)
        return ids

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _render(self, messages: Sequence[Message], *, answer_next: bool) -> str:
        return self.template.render(messages, answer_next=answer_next)

    def _answer_part(self, text: str, full: str, answer: str) -> str:
        """What follows the prompt in a full rendering, where the two do not begin alike."""
        if full.startswith(text):
            return full[len(text) :]
        at = full.rfind(answer.strip())
        if at < 0:
            raise UserError(
                "The chat template changes the answer, so it cannot be trained on.", where=self.where,
                fix="Use a chat template that writes the assistant's content as it is.",
            )  # fmt: skip
        return full[at:]

    def _turn_ends(self) -> set[int]:
        """The special token that this template writes after an answer (`<|im_end|>`, `<|eot_id|>`, `</s>`)."""
        text, full = self._render(_PROBE[:1], answer_next=True), self._render(_PROBE, answer_next=False)
        special = {i for i, token in self.tokenizer.get_added_tokens_decoder().items() if token.special}
        after = self._plain(self._answer_part(text, full, _PROBE[1].content))
        return {next((i for i in after if i in special), -1)} - {-1}


def load(folder: Path) -> Chat:
    """The chat of a model folder: `tokenizer.json`, the template beside or inside `tokenizer_config.json`."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise MissingError(
            "The model folder has no tokenizer.json.", where=str(folder),
            why="Only the `tokenizers` format is read; tokenizer.model is not.",
            fix="Save the tokenizer once with transformers: AutoTokenizer.from_pretrained(...).save_pretrained(...).",
        )  # fmt: skip
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a broken file
        raise MissingError("tokenizer.json cannot be read.", where=str(path), why=str(error), fix=COPY_AGAIN) from None
    config = _read_json(folder / "tokenizer_config.json")
    special = _special_tokens(_read_json(folder / "special_tokens_map.json") | config)
    template = find_template(folder)
    ends: set[int] = set()
    for source in ("generation_config.json", "config.json"):
        value = _read_json(folder / source).get("eos_token_id")
        ends.update(i for i in (value if isinstance(value, list) else [value]) if isinstance(i, int))
    if "eos_token" in special:
        eos = tokenizer.token_to_id(special["eos_token"])
        ends.update(() if eos is None else (eos,))
    return Chat(tokenizer, template, special, sorted(ends), str(folder))


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MissingError(f"{path.name} is not JSON.", where=str(path), why=str(error), fix=COPY_AGAIN) from None
    return data if isinstance(data, dict) else {}


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    tokens = {}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):
        value = config.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            tokens[name] = value
    return tokens


def find_template(folder: Path) -> str:
    """The text of the chat template in a model folder, which may lack everything else; MissingError without one."""
    path = folder / "chat_template.jinja"
    template = _read_json(folder / "tokenizer_config.json").get("chat_template")
    if path.is_file():
        if path.stat().st_size > 4 * TEMPLATE_LIMIT:  # UTF-8 takes up to four bytes per character
            _refuse_length(path.stat().st_size, str(path))
        template = path.read_text(encoding="utf-8")
    elif isinstance(template, list):
        named = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
        template = named.get("default")
    if not isinstance(template, str):
        raise MissingError(
            "The model has no chat template.", where=str(folder),
            why="kurabe compares chat models; without a template it cannot know how this one is spoken to.",
            fix="Use the chat (instruct) version of the model, or put its chat_template.jinja into the folder.",
        )  # fmt: skip
    if len(template) > TEMPLATE_LIMIT:
        _refuse_length(len(template), str(folder))
    return template


def _refuse_length(length: int, where: str) -> None:
    raise MissingError(
        f"The chat template is too long: {length:,} characters, at most {TEMPLATE_LIMIT:,} are read.", where=where,
        fix="Use the chat template that the model was published with.",
    )  # fmt: skip


# --- the sandbox: a template comes with the weights and is a program of strangers ------------------------------------


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, which also refuses arithmetic that builds gigabytes in one step."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        limit = 64 if operator == "**" else 1_000_000
        if not all(isinstance(value, int | float) and abs(value) <= limit for value in (left, right)):
            raise SecurityError(f"the template calculates {operator!r} with something other than small numbers")
        return super().call_binop(context, operator, left, right)


class _Generation(Extension):
    """Accepts `{% generation %}`: published templates mark the answer by it; here it only wraps its body."""

    tags = {"generation"}  # noqa: RUF012  (declared so by jinja2)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _compile(template: str, where: str) -> Any:
    # Blocks are trimmed as transformers does it: templates are written for that.
    sandbox = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation])
    sandbox.globals["raise_exception"] = _raise
    sandbox.filters["tojson"] = lambda value, indent=None, **_: json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        return sandbox.from_string(template)
    except (TemplateError, RecursionError) as error:
        raise MissingError(
            "The model's chat template is not valid.", where=where, why=str(error), fix=COPY_AGAIN
        ) from None


# What a stranger's program can do wrong inside the sandbox.
_TEMPLATES_RAISE = (
    TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError,
)  # fmt: skip


class _TooLong(Exception):
    pass


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Ends a template that loops without end. A trace function works on every system and in every thread; the time
    is this thread's own, so that a busy machine is not taken for a hostile template."""
    end, previous = time.thread_time() + seconds, sys.gettrace()

    def check(_frame: FrameType, _event: str, _argument: Any) -> Any:
        if time.thread_time() > end:
            raise _TooLong(f"The template ran for more than {seconds:g} seconds.")
        return check

    sys.settrace(check)
    try:
        yield
    finally:
        sys.settrace(previous)
