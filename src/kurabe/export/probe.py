"""Do the file and training read a text alike? A thousand lines and a few conversations through llama.cpp itself.

Knows no weight: the vocabulary that an export will write is put into a model of a few megabytes that answers nothing,
so that a tokenizer which differs is refused before any work. `kurabe ask` and training use the same `tokenizer.json`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import NamedTuple

from tokenizers import Tokenizer

from kurabe import chat
from kurabe.errors import MissingError
from kurabe.export import gguf
from kurabe.export.fields import Field
from kurabe.export.plan import Plan
from kurabe.export.tokenizer_files import read
from kurabe.export.vocab import chat_template, tokenizer_fields
from kurabe.llamacpp import GGUFBackend
from kurabe.prompts import NEUTRAL
from kurabe.retention import general_questions
from kurabe.schema import Message
from kurabe.storage import sha256

LINES = 1000
_READ = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
_passed: set[tuple[str, ...]] = set()  # bases by their hashes
_HIDDEN = 32
_EMOJI = ("😀", "👩‍👩‍👧", "🇯🇵", "☃️", "🦙")
_SPACES = (" ", "  ", "\t", "   ", "\u3000", " \n", "\n\n")


class Differing(NamedTuple):
    """Lines and conversations that are read otherwise; the first as text."""

    wrong: int
    asked: int
    first: str


def can_check(plan: Plan) -> bool:
    """Whether llama.cpp is there, and a model folder whose files can be compared: a GGUF brings its own vocabulary."""
    return find_spec("xllamacpp") is not None and (plan.base.path / "tokenizer.json").is_file()


def check(plan: Plan) -> None:
    """Raises MissingError where a line or a conversation has other ids. A base is checked once in a process."""
    folder = plan.base.path
    base = plan.base.sha256, *(sha256(folder / name) for name in _READ if (folder / name).is_file())
    if base in _passed:
        return
    found = compare(folder, dict(plan.base.config))
    if found.wrong:
        raise MissingError(
            f"llama.cpp would read {found.wrong} of {found.asked} lines with other token ids than training did.",
            where=str(folder / "tokenizer.json"), why=f"The first: {found.first!r}",
            fix="Ship --as safetensors, which carries tokenizer.json itself; and please report this tokenizer.",
        )  # fmt: skip
    _passed.add(base)


def compare(folder: Path, config: dict[str, object]) -> Differing:
    """The ids of `tokenizer.json` beside those of llama.cpp, from the vocabulary as an export writes it."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts, own = list(lines()), chat.load(folder)
    templated = chat_template(read(folder)) is not None
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "vocabulary.gguf"
        path.write_bytes(_hollow(tokenizer_fields(folder, config, "llama"), int(str(config["vocab_size"]))))
        with GGUFBackend(path, chat=None if templated else own) as backend:
            wanted = [list(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
            wrong = [text for text, ids in zip(texts, wanted, strict=True) if backend.token_ids(text) != ids]
            talks = _conversations(own)
            if templated:
                wrong += [str(talk) for talk in talks if backend.prompt_ids(talk) != own.prompt(talk)]
    return Differing(len(wrong), len(texts) + len(talks), wrong[0] if wrong else "")


def lines() -> Iterator[str]:
    """The lines, the same ones always: sentences in English and Japanese, numbers, spaces, emoji, code.

    In composed form: the normaliser NFC, which some tokenizers have, is not in llama.cpp.
    """
    random = Random(0)
    questions = [question for language in ("en", "ja") for question in general_questions(language, 200)]
    sentences = [text for question in questions for text in (question.text, question.expected)]
    for number in range(LINES):
        first, second = random.sample(sentences, 2)
        space, emoji, figure = random.choice(_SPACES), random.choice(_EMOJI), _figure(random)
        forms = (
            first, f"{second}{space}{first}", f"{space}{first}{space}", f"{figure}{space}{first}",
            f"{first} {emoji}{figure}", f"{figure}{emoji}", f"if x[{number}] != {figure!r}:{space}return '{second}'",
            f"I'LL {second.upper()} we've",
        )  # fmt: skip
        yield random.choice(forms)


def _figure(random: Random) -> str:
    count = random.randrange(10 ** random.randint(1, 9))
    return random.choice(
        (f"{count:,}", f"${count / 100:.2f}", f"{count}円", f"２０{count % 90 + 10}年", f"0x{count:X}")
    )


def _conversations(own: chat.Chat) -> list[tuple[Message, ...]]:
    """Conversations that the model's own template takes."""
    system = [Message(role="system", content=text) for text in NEUTRAL.values()]
    user = [
        Message(role="user", content=text)
        for text in ("How much is it?", "いくらですか？", "  two\n\nlines 12,345 😀 ")
    ]
    answer = Message(role="assistant", content="$6.99, 14日以内。")
    wanted: Sequence[tuple[Message, ...]] = [
        *((question,) for question in user), *((first, question) for first in system for question in user),
        *((first, user[0], answer, user[1]) for first in system),
    ]  # fmt: skip
    taken = []
    for talk in wanted:
        try:
            own.prompt(talk)
        except MissingError:
            continue  # a template may know no system message
        taken.append(talk)
    return taken


def _hollow(fields: Sequence[Field], vocabulary: int) -> bytes:
    """A Llama of one block with this vocabulary, all weights zero: it can be asked for tokens, and for nothing else."""
    shape = {
        "block_count": 1, "context_length": 512, "embedding_length": _HIDDEN, "feed_forward_length": _HIDDEN,
        "attention.head_count": 1, "attention.head_count_kv": 1, "vocab_size": vocabulary,
    }  # fmt: skip
    head = [Field("general.architecture", "str", "llama")]
    head += [Field(f"llama.{key}", "u32", value) for key, value in shape.items()]
    head += [Field("llama.attention.layer_norm_rms_epsilon", "f32", 1e-5), *fields]
    square, row = (_HIDDEN, _HIDDEN), (_HIDDEN,)
    parts = {"attn_norm": row, "ffn_norm": row, "attn_q": square, "attn_k": square, "attn_v": square,
             "attn_output": square, "ffn_gate": square, "ffn_up": square, "ffn_down": square}  # fmt: skip
    tensors: list[tuple[str, tuple[int, ...], str]] = [("token_embd.weight", (vocabulary, _HIDDEN), "F16")]
    tensors += [("output_norm.weight", row, "F32")]
    tensors += [(f"blk.0.{name}.weight", size, "F32" if size == row else "F16") for name, size in parts.items()]
    entries = gguf.entries(tensors)
    data = entries[-1].offset + entries[-1].size
    return gguf.head(head, entries) + bytes(data + gguf.padding(data))
