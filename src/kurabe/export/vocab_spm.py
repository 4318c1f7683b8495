"""A SentencePiece vocabulary with true scores: from tokenizer.model, or rebuilt from the merges of tokenizer.json.

Knows no GGUF key. llama.cpp joins neighbours by the score of what they make, so a vocabulary without true scores
tokenises most lines wrongly and says nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from kurabe.errors import COPY_AGAIN, MissingError
from kurabe.export.tokenizer_files import Added, TokenizerFiles, TokenType, Vocabulary, looks_special, steps

MODEL_LIMIT = 64 * 1024 * 1024  # bytes of a tokenizer.model; the largest published one has about 5 million
ADDED_SCORE = -1000.0  # what the converter gives an added token
PAD_SCORE = -10000.0  # and an id without a token
SPACE = "\u2581"  # SentencePiece writes a space so
_UNIGRAM, _BPE = 1, 2  # trainer_spec.model_type
_TYPES = {
    1: TokenType.NORMAL,
    2: TokenType.UNKNOWN,
    3: TokenType.CONTROL,
    4: TokenType.NORMAL,
    5: TokenType.UNUSED,
    6: TokenType.BYTE,
}  # fmt: skip  (the converter, too, takes user-defined pieces as normal)


def spm_vocabulary(files: TokenizerFiles, size: int) -> Vocabulary:
    """The vocabulary of `size` ids, from tokenizer.model where there is one. MissingError when neither file serves."""
    if files.model_file.is_file():
        pieces, prefix = _from_model(files.model_file)
        if files.tokenizer:
            prefix = _prefix(files)  # what training used
    else:
        pieces, prefix = _from_merges(files, size), _prefix(files)
    if len(pieces) > size:
        _refuse_size(files.folder, len(pieces), size)
    tokens = [text for text, _, _ in pieces] + [f"[PAD{id_}]" for id_ in range(len(pieces), size)]
    scores = [score for _, score, _ in pieces] + [PAD_SCORE] * (size - len(pieces))
    types = [int(kind) for _, _, kind in pieces] + [int(TokenType.UNUSED)] * (size - len(pieces))
    for added in files.added:
        if added.id < size:
            tokens[added.id], scores[added.id], types[added.id] = _added_entry(added)
    return Vocabulary(tokens, types, scores, [], prefix)


def _added_entry(added: Added) -> tuple[str, float, int]:
    if added.special or looks_special(added.text):
        return added.text, ADDED_SCORE, TokenType.CONTROL
    return added.text.replace(SPACE, " "), ADDED_SCORE, TokenType.USER_DEFINED


# --- tokenizer.model: a protobuf of which three fields are read (sentencepiece_model.proto) --------------------------


def _from_model(path: Path) -> tuple[list[tuple[str, float, int]], bool]:
    """(text, score, type) of each piece, and whether a space is put before a text."""
    if path.stat().st_size > MODEL_LIMIT:
        _refuse(path, f"the file has more than {MODEL_LIMIT:,} bytes")
    pieces: list[tuple[str, float, int]] = []
    kind, prefix = _UNIGRAM, True  # what an absent field means
    try:
        for number, value in _protobuf(path.read_bytes()):
            if number == 1:
                pieces.append(_piece(dict(_protobuf(value))))
            elif number == 2:
                kind = dict(_protobuf(value)).get(3, kind)
            elif number == 3:
                prefix = bool(dict(_protobuf(value)).get(3, prefix))
    except (IndexError, KeyError, TypeError, ValueError, struct.error):
        _refuse(path, "it is not a SentencePiece model")
    if not pieces:
        _refuse(path, "it holds no piece")
    if kind != _BPE:
        raise MissingError(
            "This SentencePiece model is not of the BPE kind.", where=str(path),
            why="llama.cpp joins pieces pairwise, as BPE does; a unigram model would be tokenised differently.",
            fix="Use a model of a supported family: their SentencePiece models are BPE.",
        )  # fmt: skip
    return pieces, prefix


def _piece(fields: dict[int, Any]) -> tuple[str, float, int]:
    (score,) = struct.unpack("<f", fields.get(2, b"\0\0\0\0"))
    return fields[1].decode("utf-8"), score, _TYPES[fields.get(3, 1)]


def _protobuf(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) of a protobuf message: an int for a varint, else the bytes. IndexError past the end."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == 0:
            value: Any
            value, position = _varint(data, position)
        else:
            if wire == 2:
                length, position = _varint(data, position)
            else:
                length = {1: 8, 5: 4}[wire]
            if position + length > len(data):
                raise IndexError
            value, position = data[position : position + length], position + length
        yield tag >> 3, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


# --- tokenizer.json: a piece's score is minus its rank in the order of the merges ------------------------------------


def _from_merges(files: TokenizerFiles, size: int) -> list[tuple[str, float, int]]:
    """(text, score, type) by id. SentencePiece itself scores its BPE pieces 0, -1, -2... in the order they were made,
    then the single characters; a converted tokenizer.json keeps the order of the former in its merges.
    """
    model = files.tokenizer.get("model", {})
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if model.get("type") != "BPE" or not model.get("byte_fallback") or not vocabulary or merges is None:
        raise MissingError(
            f"This kind of tokenizer is not supported: {model.get('type', 'none')}.", where=str(files.folder),
            why="Supported are byte-level BPE, BPE with byte fallback, and SentencePiece's tokenizer.model.",
            fix="Use a model of a supported family, with its tokenizer.json or tokenizer.model in the folder.",
        )  # fmt: skip
    by_id = {id_: text for text, id_ in vocabulary.items()}
    added = {token.id: token.text for token in files.added}
    by_id |= added
    if max(by_id) >= size:
        _refuse_size(files.folder, max(by_id) + 1, size)
    rank: dict[str, int] = {}
    for merge in merges:
        left, right = merge if isinstance(merge, list) else merge.split(" ")
        rank.setdefault(left + right, len(rank))
    pieces: list[tuple[str, float, int]] = []
    for id_ in range(max(by_id) + 1):
        text = by_id.get(id_)
        if text is None:
            pieces.append((f"[PAD{id_}]", PAD_SCORE, TokenType.UNUSED))
        elif id_ in added:
            pieces.append((text, ADDED_SCORE, TokenType.CONTROL))  # the caller sets its type
        elif text == model.get("unk_token"):
            pieces.append((text, 0.0, TokenType.UNKNOWN))
        elif len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            pieces.append((text, 0.0, TokenType.BYTE))
        else:
            pieces.append((text, float(-rank.setdefault(text, len(rank))), TokenType.NORMAL))
    return pieces


def _prefix(files: TokenizerFiles) -> bool:
    """Whether tokenizer.json puts a space before a text. MissingError when it rewrites texts in another way, too."""
    prefix = False
    for step in steps(files.tokenizer.get("normalizer")) + steps(files.tokenizer.get("pre_tokenizer")):
        kind = step.get("type")
        if kind == "Prepend" and step.get("prepend") == SPACE:
            prefix = True
        elif kind == "Metaspace" and step.get("replacement") == SPACE:
            always = step.get("add_prefix_space", True)
            prefix = step.get("prepend_scheme", "always" if always else "never") != "never"
        elif not (kind == "Replace" and step.get("pattern") == {"String": " "} and step.get("content") == SPACE):
            raise MissingError(
                f"The tokenizer rewrites texts in a way that llama.cpp does not know: {kind}.",
                where=str(files.folder / "tokenizer.json"),
                why="The exported model would read other tokens than the one that was measured.",
                fix="Use a model whose tokenizer only writes spaces as \u2581.",
            )  # fmt: skip
    return prefix


def _refuse_size(where: Path, tokens: int, size: int) -> NoReturn:
    _refuse(where, f"it has {tokens:,} tokens, config.json says {size:,}")


def _refuse(where: Path, why: str) -> NoReturn:
    raise MissingError("The vocabulary cannot be read.", where=str(where), why=f"{why}.", fix=COPY_AGAIN)
