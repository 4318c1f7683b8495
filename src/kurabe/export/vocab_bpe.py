r"""A byte-level BPE vocabulary from tokenizer.json, and llama.cpp's name for the way it splits a text into words.

Knows no GGUF key. The name is found by the split pattern itself, not by a hash of known vocabularies, so a vocabulary
that was trained again keeps its name.
"""

from __future__ import annotations

from typing import Any, NoReturn

from kurabe.errors import COPY_AGAIN, MissingError
from kurabe.export.tokenizer_files import TokenizerFiles, TokenType, Vocabulary, looks_special, steps

_DIGIT = r"\p{N}"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# The patterns, in their order, that cut a text -> tokenizer.ggml.pre. Several names of llama.cpp share a pattern; the
# one of the supported families stands here. An entry is listed when its test passes: `tekken` and `gpt-4o` are not,
# since llama.cpp cuts combining marks (Khmer, Devanagari, decomposed accents) otherwise than their patterns say.
PRE_NAMES = {
    (_GPT2,): "gpt-2",
    (_DIGIT, _GPT2): "smollm",
    (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}",): "llama-bpe",
    (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}",): "qwen2",
}
ADDS_BOS = frozenset({"llama-bpe"})  # names for which llama.cpp puts a BOS before a text unless it is told not to


def bpe_vocabulary(files: TokenizerFiles, size: int) -> Vocabulary:
    """The vocabulary of `size` ids. MissingError when tokenizer.json is not byte-level BPE of at most `size` tokens."""
    model = files.tokenizer.get("model", {})
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if model.get("type") != "BPE" or not isinstance(vocabulary, dict) or not isinstance(merges, list):
        _refuse(files, "it is not a BPE model")
    by_id = {id_: text for text, id_ in vocabulary.items()}
    added = {token.id: token for token in files.added}
    by_id |= {id_: token.text for id_, token in added.items()}
    if max(by_id) >= size:
        _refuse(files, f"it has the token id {max(by_id):,}, config.json says {size:,} tokens")
    tokens, types = [], []
    for id_ in range(size):
        text, kind = by_id.get(id_, f"[PAD{id_}]"), TokenType.NORMAL
        if id_ not in by_id:
            kind = TokenType.UNUSED
        elif id_ in added:
            control = added[id_].special or looks_special(text)
            kind = TokenType.CONTROL if control else TokenType.USER_DEFINED
        tokens.append(text)
        types.append(int(kind))
    return Vocabulary(tokens, types, [], [_merge(merge) for merge in merges], False)


def pre_name(files: TokenizerFiles) -> str:
    """llama.cpp's name for the split of tokenizer.json. MissingError with the patterns when it has none."""
    pre_tokenizer = steps(files.tokenizer.get("pre_tokenizer"))
    patterns = tuple(_pattern(files, step) for step in pre_tokenizer)
    patterns = tuple(pattern for pattern in patterns if pattern)
    if patterns not in PRE_NAMES:
        _refuse_split(files, " then ".join(patterns) or "none")
    for step in steps(files.tokenizer.get("normalizer")):
        if step.get("type") != "NFC":  # llama.cpp leaves it out; it changes only texts in decomposed form
            _refuse_split(files, f"the normaliser {step.get('type')}")
    return PRE_NAMES[patterns]


def _pattern(files: TokenizerFiles, step: dict[str, Any]) -> str:
    """The pattern that a step cuts by; "" for one that cuts nothing."""
    kind = step.get("type")
    if kind == "ByteLevel" and not step.get("add_prefix_space"):
        return _GPT2 if step.get("use_regex", True) else ""
    if kind == "Digits":
        return _DIGIT if step.get("individual_digits") else _DIGIT + "+"
    if kind == "Split":
        regex = step.get("pattern", {}).get("Regex")
        cut = (step.get("behavior"), bool(step.get("invert")))
        if isinstance(regex, str) and cut in (("Isolated", False), ("Removed", True)):
            return regex
    _refuse_split(files, f"{kind} { ({k: v for k, v in step.items() if k != 'type'}) }")


def _merge(merge: Any) -> str:
    """A merge as `left right`; a space inside a part is written as byte-level BPE writes it."""
    if isinstance(merge, str):
        return merge
    left, right = (part.replace(" ", "\u0120") for part in merge)
    return f"{left} {right}"


def _refuse(files: TokenizerFiles, why: str) -> NoReturn:
    where = str(files.folder / "tokenizer.json")
    raise MissingError("The vocabulary cannot be read.", where=where, why=f"{why}.", fix=COPY_AGAIN)


def _refuse_split(files: TokenizerFiles, found: str) -> NoReturn:
    raise MissingError(
        f"llama.cpp has no name for how this tokenizer splits a text: {found}",
        where=str(files.folder / "tokenizer.json"),
        why=f"Known are the splits of {', '.join(PRE_NAMES.values())}; with another it would read other tokens.",
        fix="Use a model with one of these tokenizers, or ship the run as an adapter or a safetensors folder.",
    )  # fmt: skip
