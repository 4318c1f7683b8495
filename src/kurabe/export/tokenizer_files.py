"""Read the tokenizer files of a model folder once, bounded, and answer plain questions about them.

Knows no GGUF key and tokenises nothing: what the answers mean for llama.cpp stands in the `vocab` modules.
"""

from __future__ import annotations

import json
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from kurabe.errors import COPY_AGAIN, MissingError

SIZE_LIMIT = 256 * 1024 * 1024  # bytes; the largest published tokenizer.json has about 35 million
TOKEN_LIMIT = 4_000_000  # the largest published vocabularies have about 260,000 tokens


class TokenType(IntEnum):
    """What llama.cpp does with a token (enum llama_token_type)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Vocabulary(NamedTuple):
    """Tokens by id with their types; scores or merges, as the kind of vocabulary has them."""

    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[str]
    space_prefix: bool  # a space is put before the text, and after each special token


class Added(NamedTuple):
    """A token that was added beside the trained vocabulary and is found in a text before anything else."""

    id: int
    text: str
    special: bool


class TokenizerFiles(NamedTuple):
    """The parsed files of a folder; an absent one is an empty table."""

    folder: Path
    tokenizer: dict[str, Any]  # tokenizer.json
    config: dict[str, Any]  # tokenizer_config.json
    added: list[Added]  # of tokenizer.json, else those of tokenizer_config.json or added_tokens.json

    @property
    def model_file(self) -> Path:
        """Where SentencePiece's own file lies, if there is one."""
        return self.folder / "tokenizer.model"

    @property
    def byte_level(self) -> bool:
        """tokenizer.json spells its tokens in bytes, as GPT-2 does."""
        return any(step.get("type") == "ByteLevel" for step in steps(self.tokenizer.get("pre_tokenizer")))


def read(folder: Path) -> TokenizerFiles:
    """The tokenizer files of `folder`. MissingError when one is not what its name says."""
    path = folder / "tokenizer.json"
    tokenizer = read_table(path)
    try:
        if tokenizer:
            Tokenizer.from_file(str(path))  # who reads its parts below may rely on their form
    except Exception as error:  # the library raises bare Exception for a broken file
        raise MissingError("tokenizer.json cannot be read.", where=str(path), why=str(error), fix=COPY_AGAIN) from None
    config = read_table(folder / "tokenizer_config.json")
    try:
        added = _added(tokenizer, config, read_table(folder / "added_tokens.json"))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise MissingError(
            "The list of added tokens cannot be read.", where=str(folder),
            why="An entry has no whole-numbered id or no text.", fix=COPY_AGAIN,
        ) from None  # fmt: skip
    return TokenizerFiles(folder, tokenizer, config, added)


def read_table(path: Path) -> dict[str, Any]:
    """The JSON table in `path`; {} when there is no such file."""
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise ValueError(f"it has more than {SIZE_LIMIT:,} bytes")
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError("it is not a table")
    except (ValueError, RecursionError) as error:
        raise MissingError(f"{path.name} cannot be read.", where=str(path), why=str(error), fix=COPY_AGAIN) from None
    return data


def steps(component: Any) -> list[dict[str, Any]]:
    """The steps of a normaliser, pre-tokenizer or post-processor: one step is a list of one, a Sequence is flat."""
    if not isinstance(component, dict):
        return []
    for name in ("normalizers", "pretokenizers", "processors"):
        if component.get("type") == "Sequence" and name in component:
            return [inner for step in component[name] for inner in steps(step)]
    return [component]


def looks_special(token: str) -> bool:
    """A token that the converter takes for a control token whatever its file says (does_token_look_special)."""
    if token in ("<pad>", "<mask>", "<2mass>", "[@BOS@]"):
        return True
    fences = (("<|", "|>"), ("<｜", "｜>"), ("<unused", ">"))
    return any(token.startswith(left) and token.endswith(right) for left, right in fences)


def _added(tokenizer: dict[str, Any], config: dict[str, Any], table: dict[str, Any]) -> list[Added]:
    """tokenizer.json is what training and answering used, so its list is the one that counts where there is one."""
    if tokenizer:
        entries = [(entry["id"], entry["content"], entry.get("special")) for entry in tokenizer.get("added_tokens", [])]
    else:
        entries = [(id_, text, False) for text, id_ in table.items()]
        listed = config.get("added_tokens_decoder", {})
        entries += [(id_, entry["content"], entry.get("special")) for id_, entry in listed.items()]
    if not all(isinstance(text, str) and int(id_) >= 0 for id_, text, _ in entries):
        raise ValueError
    return [Added(int(id_), text, bool(special)) for id_, text, special in entries]
