"""The tokenizer's part of a GGUF file's metadata: vocabulary, special ids, chat template, in the converter's order.

Knows no weights and writes nothing. Where tokenizer.json and a setting beside it disagree, tokenizer.json counts:
training and answering used it. The order and the rules are those of llama.cpp's conversion/base.py and gguf's
SpecialVocab; the ids for filling in the middle, which CodeLlama alone has, are not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kurabe import chat
from kurabe.errors import COPY_AGAIN, MissingError
from kurabe.export.fields import Field
from kurabe.export.tokenizer_files import TOKEN_LIMIT, TokenizerFiles, read, steps
from kurabe.export.vocab_bpe import ADDS_BOS, bpe_vocabulary, pre_name
from kurabe.export.vocab_spm import spm_vocabulary

_ID_KEYS = {
    "bos": "bos_token_id",
    "eos": "eos_token_id",
    "unk": "unknown_token_id",
    "sep": "seperator_token_id",
    "pad": "padding_token_id",
    "mask": "mask_token_id",
}  # fmt: skip  ("seperator" is how the format spells it)
# Ends of a turn that llama.cpp finds by their text (llama-vocab.cpp, special_eot_id).
_KNOWN_ENDS = frozenset({"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"})
_SMOLLM_SIZE = 49152  # the converter knows this vocabulary by its size and switches the BOS off


def tokenizer_fields(folder: Path, config: Mapping[str, Any], architecture: str) -> list[Field]:
    """Fields `tokenizer.*` of a model folder. `config` is its config.json, `architecture` llama.cpp's name.

    MissingError when a file is broken, or when llama.cpp cannot tokenise as this tokenizer does.
    """
    files = read(folder)
    size = int(config["vocab_size"])
    if size > TOKEN_LIMIT:
        raise MissingError(
            f"config.json says {size:,} tokens; at most {TOKEN_LIMIT:,} are written.",
            where=str(folder / "config.json"), fix=COPY_AGAIN,
        )  # fmt: skip
    fields: list[Field] = []
    if files.byte_level:
        vocabulary, model, pre = bpe_vocabulary(files, size), "gpt2", pre_name(files)
        lists = [Field("tokenizer.ggml.token_type", "[i32]", vocabulary.types)]
        lists.append(Field("tokenizer.ggml.merges", "[str]", vocabulary.merges))
        default_prefix, default_bos = False, pre in ADDS_BOS
    else:
        vocabulary, model, pre = spm_vocabulary(files, size), "llama", "default"
        lists = [Field("tokenizer.ggml.scores", "[f32]", vocabulary.scores)]
        lists.append(Field("tokenizer.ggml.token_type", "[i32]", vocabulary.types))
        default_prefix = default_bos = True
    if architecture == "llama" and files.config.get("add_prefix_space") is not None:
        prefix = vocabulary.space_prefix if files.tokenizer else bool(files.config["add_prefix_space"])
        fields.append(Field("tokenizer.ggml.add_space_prefix", "bool", prefix))
    elif vocabulary.space_prefix != default_prefix:
        fields.append(Field("tokenizer.ggml.add_space_prefix", "bool", vocabulary.space_prefix))
    fields.append(Field("tokenizer.ggml.model", "str", model))
    fields.append(Field("tokenizer.ggml.pre", "str", pre))
    fields.append(Field("tokenizer.ggml.tokens", "[str]", vocabulary.tokens))
    fields += lists
    fields += special_fields(files, config, default_bos=default_bos)
    if architecture == "llama" and size == _SMOLLM_SIZE and not any(f.key.endswith("add_bos_token") for f in fields):
        fields.append(Field("tokenizer.ggml.add_bos_token", "bool", False))
    return fields


def special_fields(files: TokenizerFiles, config: Mapping[str, Any], *, default_bos: bool) -> list[Field]:
    """Special ids, what is added around a text, and the chat template. `default_bos`: what llama.cpp does untold."""
    ids = _special_ids(files, config)
    fields = [Field(f"tokenizer.ggml.{_ID_KEYS[name]}", "u32", id_) for name, id_ in ids.items()]
    adds = _additions(files)
    if files.tokenizer:
        first = _template_ends(files)[0]
        adds_bos = first is not None and first in (_special_token(files, "bos"), _special_token(files, "cls"))
        if "bos" in adds or adds_bos != default_bos:
            adds["bos"] = adds_bos
    fields += [Field(f"tokenizer.ggml.add_{name}_token", "bool", value) for name, value in adds.items()]
    template = chat_template(files)
    if template is not None:
        end = _turn_end(files, ids.get("eos")) if files.tokenizer else None
        if end is not None:
            fields.append(Field("tokenizer.ggml.eot_token_id", "u32", end))
        fields.append(Field("tokenizer.chat_template", "str", template))
    return fields


def chat_template(files: TokenizerFiles) -> str | None:
    """The template that `kurabe.chat` renders: chat_template.jinja first, then the one in tokenizer_config.json."""
    path = files.folder / "chat_template.jinja"
    template = files.config.get("chat_template")
    if path.is_file():
        if path.stat().st_size > 4 * chat.TEMPLATE_LIMIT:
            raise MissingError(
                "The chat template is too long.", where=str(path),
                why=f"At most {chat.TEMPLATE_LIMIT:,} characters are read.",
                fix="Use the chat template that the model was published with.",
            )  # fmt: skip
        template = path.read_text(encoding="utf-8")
    elif isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _turn_end(files: TokenizerFiles, eos: int | None) -> int | None:
    """The token by which the template ends an answer, where llama.cpp would not stop at it untold."""
    for id_ in sorted(chat.load(files.folder).turn_ends):
        text = next((added.text for added in files.added if added.id == id_), None)
        if id_ != eos and text not in _KNOWN_ENDS:
            return id_
    return None


def _special_ids(files: TokenizerFiles, config: Mapping[str, Any]) -> dict[str, int]:
    """Ids by name: of the tokens that tokenizer_config.json names, else as config.json has them."""
    by_text = {added.text: added.id for added in reversed(files.added)} if files.tokenizer else {}
    ids: dict[str, int] = {}
    for name in _ID_KEYS:
        id_ = by_text.get(_special_token(files, name) or "")
        if id_ is not None:
            ids[name] = id_
    for name in _ID_KEYS:
        id_ = config.get(f"{name}_token_id")
        if type(id_) is int and 0 <= id_ < int(config["vocab_size"]):
            ids.setdefault(name, id_)
    return ids


def _special_token(files: TokenizerFiles, name: str) -> str | None:
    entry = files.config.get(f"{name}_token")
    entry = entry.get("content") if isinstance(entry, dict) else entry
    return entry if isinstance(entry, str) else None


def _additions(files: TokenizerFiles) -> dict[str, bool]:
    """Which special tokens are put around a text, by name, in the order in which the converter finds them."""
    adds: dict[str, bool] = {}
    bos, eos, sep = (_special_token(files, name) for name in ("bos", "eos", "sep"))
    first, last = _template_ends(files)
    if first is not None:
        adds["bos"] = first in (bos, _special_token(files, "cls"))
    if last is not None:
        adds["eos"] = last == eos
    between = _between(files)
    if between:
        adds["sep"] = (between[0] in (sep, eos) and last is None) or any(token in (sep, eos) for token in between[1:2])
    for name in ("bos", "eos", "sep"):
        value = files.config.get(f"add_{name}_token")
        if isinstance(value, bool):
            adds[name] = value
    return adds


def _template_ends(files: TokenizerFiles) -> tuple[str | None, str | None]:
    """The special tokens that tokenizer.json puts before and after a single text."""
    for step in steps(files.tokenizer.get("post_processor")):
        single = step.get("single", []) if step.get("type") == "TemplateProcessing" else []
        if len(single) > 1:
            first, last = (single[at].get("SpecialToken", {}).get("id") for at in (0, -1))
            return first, last
    return None, None


def _between(files: TokenizerFiles) -> list[str | None]:
    """The special tokens between the two texts of a pair."""
    for step in steps(files.tokenizer.get("post_processor")):
        if step.get("type") != "TemplateProcessing":
            continue
        pair = step.get("pair", [])
        texts = [at for at, part in enumerate(pair) if "Sequence" in part]
        if len(texts) == 2:
            return [part.get("SpecialToken", {}).get("id") for part in pair[texts[0] + 1 : texts[1]]]
    return []
