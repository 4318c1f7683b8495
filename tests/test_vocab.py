"""llama.cpp reads the ids that `tokenizers` gave in training, from the vocabulary as it is written into a GGUF file."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from llamacpp_tokens import token_ids, write_gguf
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import kurabe
from kurabe.errors import MissingError
from kurabe.export.tokenizer_files import TokenType, looks_special, read
from kurabe.export.vocab import tokenizer_fields
from kurabe.export.vocab_bpe import PRE_NAMES
from kurabe.export.vocab_spm import spm_vocabulary

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "data" / "golden" / "base"
TINY = Path(kurabe.__file__).parent / "tiny"
TINYLLAMA = ROOT.parent / "shared" / "tinyllama-tokenizer"
CASES = ROOT.parent / "shared" / "tokenizer-cases"
needs_cases = pytest.mark.skipif(
    not (TINYLLAMA.is_dir() and CASES.is_dir()),
    reason="the TinyLlama tokenizer and llama.cpp's cases do not lie beside the project (../shared)",
)
EDGES = [
    "", " ", "  ", "   a", "a  b   c ", "\n", "\n\n", " \n\t x", "\t\t", "a\r\nb\r\n\r\n c", "\u3000全角\u00a0x",
    "1", "12", "123", "1234567", "3.14", "$6.99", "２０２４年１月", "①②③ Ⅷ ½ ²", "0x1F", "1,000,000円",
    "😀", "👩‍👩‍👧 family", "🇯🇵🇫🇷", "🦙🦙 llama", "☃️", "I'LL 'tis O'Reilly'S we've", "don't can't", "HTTPServer",
    "é e\u0301", "が カ゛", "ＡＢＣ", "Ελλάδα ΣΑΣ", "нещо на Български", "កាន់តែ", "नमस्ते", "ไทย", "한국어", "ﬁ",
    "--==__##", "foo/bar//\n", "<s>", "</s>", "<s>a</s> b", "<|user|>\nhi</s>\n<|assistant|>", "<0x0A>",
    "▁a ▁▁", "\ufeffx", "a\u200bb",
]  # fmt: skip


def probe() -> list[str]:
    """Lines of support, English and Japanese, and edges: spaces, digits, emoji, other scripts, special tokens."""
    lines = list(EDGES)
    for language in ("en", "ja"):
        for path in (ROOT / f"examples/support-{language}.jsonl", ROOT / f"src/kurabe/data/general-{language}.jsonl"):
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            lines += [str(row["question"]) for row in rows] + [str(row["answer"]) for row in rows]
    return lines + [f"  {line}  x{len(line)}" for line in lines[len(EDGES) :: 5]]


def differing(folder: Path, path: Path, texts: Sequence[str], *, architecture: str = "llama") -> list[str]:
    """The texts that llama.cpp and tokenizer.json read differently, with and without the BOS and EOS put around."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    write_gguf(path, tokenizer_fields(folder, {"vocab_size": size}, architecture), size)
    wrong = []
    for special in (False, True):
        ids = token_ids(path, texts, add_special=special)
        wanted = [list(tokenizer.encode(text, add_special_tokens=special).ids) for text in texts]
        wrong += [text for text, found, want in zip(texts, ids, wanted, strict=True) if found != want]
    return wrong


def by_key(folder: Path, size: int, architecture: str = "llama") -> dict[str, Any]:
    fields = tokenizer_fields(folder, {"vocab_size": size}, architecture)
    return {field.key.removeprefix("tokenizer.ggml."): field.value for field in fields}


def edit(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    table = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(table | changes), encoding="utf-8")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "tiny", ignore=shutil.ignore_patterns("*.safetensors")))


# --- ids --------------------------------------------------------------------------------------------------------------


def test_the_embedded_models_ids(tmp_path: Path) -> None:
    texts = probe()
    assert len(texts) >= 300
    assert differing(TINY, tmp_path / "tiny.gguf", texts) == []


@needs_cases
def test_llamacpps_own_cases(tmp_path: Path) -> None:
    texts = (CASES / "llama-spm.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    lines = (CASES / "llama-spm.out").read_text(encoding="utf-8").split("\n")
    wanted = [[int(id_) for id_ in line.split()] for line in lines]
    assert len(texts) == len(wanted) == 47
    write_gguf(tmp_path / "x.gguf", tokenizer_fields(TINYLLAMA, {"vocab_size": 32000}, "llama"), 32000)
    assert token_ids(tmp_path / "x.gguf", texts) == wanted


@needs_cases
def test_tinyllamas_ids(tmp_path: Path) -> None:
    assert differing(TINYLLAMA, tmp_path / "x.gguf", probe()) == []


@needs_cases
def test_without_true_scores_lines_are_read_wrongly(tmp_path: Path) -> None:
    """What the usual converter writes: the test above would notice it."""
    fields = tokenizer_fields(TINYLLAMA, {"vocab_size": 32000}, "llama")
    flat = [field._replace(value=[-1000.0] * 32000) if field.key.endswith("scores") else field for field in fields]
    write_gguf(tmp_path / "x.gguf", flat, 32000)
    tokenizer = Tokenizer.from_file(str(TINYLLAMA / "tokenizer.json"))
    texts = probe()
    ids = token_ids(tmp_path / "x.gguf", texts)
    wrong = sum(list(tokenizer.encode(t, add_special_tokens=False).ids) != i for t, i in zip(texts, ids, strict=True))
    assert wrong > len(texts) / 4


@pytest.mark.parametrize(("patterns", "name"), PRE_NAMES.items(), ids=list(PRE_NAMES.values()))
@pytest.mark.parametrize("bos", [False, True], ids=["plain", "bos"])
def test_every_split_pattern_has_the_right_name(
    patterns: tuple[str, ...], name: str, bos: bool, tmp_path: Path
) -> None:
    """A vocabulary trained here, so that no list of known models could recognise it."""
    tokenizer = Tokenizer(models.BPE())
    cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cuts, pre_tokenizers.ByteLevel(False, use_regex=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<s>", "</s>", "<|user|>", "<|assistant|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    texts = probe()
    tokenizer.train_from_iterator(texts, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    edit(tmp_path, "tokenizer_config.json", bos_token="<s>", eos_token="</s>")
    assert by_key(tmp_path, tokenizer.get_vocab_size())["pre"] == name
    assert differing(tmp_path, tmp_path / "x.gguf", texts) == []


# --- scores -----------------------------------------------------------------------------------------------------------


def as_tokenizer_json(folder: Path, target: Path, *, prefix: bool = True) -> None:
    """tokenizer.model as transformers converts it: a merge for each split of a piece into two pieces, by rank."""
    vocabulary = spm_vocabulary(read(folder), 700)
    ids = {token: id_ for id_, token in enumerate(vocabulary.tokens)}
    normal = [t for t, kind in zip(vocabulary.tokens, vocabulary.types, strict=True) if kind == TokenType.NORMAL]
    merges = [
        (piece[:at], piece[at:])
        for piece in sorted(normal, key=lambda piece: -vocabulary.scores[ids[piece]])
        for at in range(1, len(piece))
        if piece[:at] in ids and piece[at:] in ids
    ]
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    steps: list[Any] = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"])
    tokenizer.save(str(target / "tokenizer.json"))
    edit(target, "tokenizer_config.json", bos_token="<s>", eos_token="</s>")


def test_scores_rebuilt_from_merges_are_those_of_sentencepiece(tmp_path: Path) -> None:
    as_tokenizer_json(GOLDEN, tmp_path)
    true, rebuilt = spm_vocabulary(read(GOLDEN), 700), spm_vocabulary(read(tmp_path), 700)
    normal = [id_ for id_, kind in enumerate(true.types) if kind == TokenType.NORMAL and id_ > 5]
    assert len(normal) > 400
    assert [rebuilt.scores[id_] for id_ in normal] == [true.scores[id_] for id_ in normal]
    assert rebuilt.tokens == true.tokens
    assert rebuilt.types[6:] == true.types[6:]


@pytest.mark.parametrize("prefix", [True, False])
def test_ids_from_rebuilt_scores(tmp_path: Path, prefix: bool) -> None:
    as_tokenizer_json(GOLDEN, tmp_path, prefix=prefix)
    fields = by_key(tmp_path, 700)
    assert fields.get("add_space_prefix", True) is prefix
    assert differing(tmp_path, tmp_path / "x.gguf", probe()) == []


def test_ids_from_tokenizer_model(tmp_path: Path) -> None:
    """Both files: the scores of tokenizer.model, the added tokens of tokenizer.json."""
    as_tokenizer_json(GOLDEN, tmp_path)
    shutil.copy(GOLDEN / "tokenizer.model", tmp_path)
    assert differing(tmp_path, tmp_path / "x.gguf", probe()) == []


# --- types, special tokens, padding -----------------------------------------------------------------------------------


def test_token_types(tiny: Path) -> None:
    tokenizer = json.loads((tiny / "tokenizer.json").read_text(encoding="utf-8"))
    entry = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    more = [(4096, "<|x|>", False), (4097, "plain", False), (4098, "hidden", True)]
    added = [entry | {"id": id_, "content": text, "special": special} for id_, text, special in more]
    edit(tiny, "tokenizer.json", added_tokens=tokenizer["added_tokens"] + added)
    fields = by_key(tiny, 4101)
    assert fields["token_type"][4096:] == [3, 4, 3, 5, 5]
    assert fields["tokens"][4095:] == [fields["tokens"][4095], "<|x|>", "plain", "hidden", "[PAD4099]", "[PAD4100]"]
    assert set(fields["token_type"][:6]) == {3}
    assert looks_special("<unused7>") and looks_special("<｜x｜>") and not looks_special("<x>")


def test_spm_types_and_padding(tmp_path: Path) -> None:
    as_tokenizer_json(GOLDEN, tmp_path)
    vocabulary = spm_vocabulary(read(tmp_path), 702)
    assert vocabulary.types[:7] == [3, 3, 3, 3, 3, 3, 6]
    assert (vocabulary.tokens[700:], vocabulary.types[700:]) == (["[PAD700]", "[PAD701]"], [5, 5])
    assert spm_vocabulary(read(GOLDEN), 700).types[0] == TokenType.UNKNOWN


def assert_special_tokens_of_gguf(folder: Path, size: int, *, byte_level: bool) -> None:
    """gguf's SpecialVocab is what the converter asks; what we write beyond its answer is the vocabulary alone."""
    from gguf import GGUFWriter, SpecialVocab

    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    writer = GGUFWriter(None, "llama")
    SpecialVocab(folder, load_merges=byte_level, n_vocab=size).add_to_gguf(writer, quiet=True)
    wanted = {key: value.value for key, value in writer.kv_data[0].items() if key != "general.architecture"}
    fields = tokenizer_fields(folder, config | {"vocab_size": size}, "llama")
    vocabulary = {f"tokenizer.ggml.{name}" for name in ("model", "pre", "tokens", "scores", "token_type")}
    found = [(field.key, field.value) for field in fields if field.key not in vocabulary]
    assert found == list(wanted.items())


@pytest.mark.parametrize(
    ("folder", "size"),
    [(TINY, 4096), (GOLDEN, 700), pytest.param(TINYLLAMA, 32000, marks=needs_cases)],
    ids=["tiny", "golden", "tinyllama"],
)
def test_special_tokens_are_those_of_gguf(folder: Path, size: int) -> None:
    assert_special_tokens_of_gguf(folder, size, byte_level=folder == TINY)


def test_special_tokens_of_a_llama3_post_processor(tiny: Path) -> None:
    text_a, text_b = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    template = {"type": "TemplateProcessing", "single": [bos, text_a], "pair": [bos, text_a, bos, text_b],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}  # fmt: skip
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    edit(tiny, "tokenizer.json", post_processor={"type": "Sequence", "processors": [byte_level, template]})
    edit(tiny, "tokenizer_config.json", add_bos_token=None, add_eos_token=None)
    assert_special_tokens_of_gguf(tiny, 4096, byte_level=True)
    assert by_key(tiny, 4096)["add_bos_token"] is True


def test_bos_is_told_where_llamacpp_would_guess_wrong(tiny: Path) -> None:
    for name in ("add_bos_token", "add_eos_token"):
        edit(tiny, "tokenizer_config.json", **{name: None})
    assert "add_bos_token" not in by_key(tiny, 4096)  # smollm: none untold
    edit(tiny, "tokenizer_config.json", add_bos_token=True)
    assert by_key(tiny, 4096)["add_bos_token"] is False  # tokenizer.json, which training used, adds none
    (llama3,) = next(patterns for patterns, name in PRE_NAMES.items() if name == "llama-bpe")
    cut = {"type": "Split", "pattern": {"Regex": llama3}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    edit(tiny, "tokenizer.json", pre_tokenizer={"type": "Sequence", "pretokenizers": [cut, byte_level]})
    edit(tiny, "tokenizer_config.json", add_bos_token=None)
    assert by_key(tiny, 4096)["add_bos_token"] is False  # llama-bpe: one untold


def test_smollms_vocabulary_has_no_bos_and_nfc_is_let_through(tiny: Path) -> None:
    edit(tiny, "tokenizer_config.json", add_bos_token=None, add_eos_token=None)
    edit(tiny, "tokenizer.json", normalizer={"type": "NFC"})
    assert by_key(tiny, 49152)["add_bos_token"] is False
    assert "add_bos_token" not in by_key(tiny, 49152, "qwen2")


def test_the_end_of_a_turn_is_told_where_llamacpp_would_not_stop(tiny: Path) -> None:
    assert "eot_token_id" not in by_key(tiny, 4096)  # this template ends a turn with the EOS
    path = tiny / "chat_template.jinja"
    path.write_text(path.read_text(encoding="utf-8").replace("+ eos_token", "+ '<|system|>'"), encoding="utf-8")
    assert by_key(tiny, 4096)["eot_token_id"] == 3


def test_the_template_is_the_one_that_is_rendered(tiny: Path) -> None:
    edit(tiny, "tokenizer_config.json", chat_template=[{"name": "default", "template": "other"}])
    assert by_key(tiny, 4096)["tokenizer.chat_template"] == (tiny / "chat_template.jinja").read_text(encoding="utf-8")


# --- refusals ---------------------------------------------------------------------------------------------------------


def refused(folder: Path, size: int = 4096) -> MissingError:
    with pytest.raises(MissingError) as caught:
        tokenizer_fields(folder, {"vocab_size": size}, "llama")
    assert caught.value.fix
    assert str(folder) in caught.value.where
    return caught.value


@pytest.mark.parametrize(
    ("pre_tokenizer", "found"),
    [
        ({"type": "Split", "pattern": {"Regex": r"\w+|\s"}, "behavior": "Isolated", "invert": False}, r"\w+|\s"),
        ({"type": "Digits", "individual_digits": False}, r"\p{N}+"),
        ({"type": "Split", "pattern": {"String": "x"}, "behavior": "Isolated", "invert": False}, "String"),
        ({"type": "Punctuation", "behavior": "Isolated"}, "Punctuation"),
    ],
)
def test_an_unknown_split_is_named(tiny: Path, pre_tokenizer: dict[str, Any], found: str) -> None:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    edit(tiny, "tokenizer.json", pre_tokenizer={"type": "Sequence", "pretokenizers": [pre_tokenizer, byte_level]})
    assert found in refused(tiny).what


def test_other_refusals(tiny: Path, tmp_path: Path) -> None:
    assert "says 100 tokens" in refused(tiny, 100).why
    edit(tiny, "tokenizer.json", normalizer={"type": "Lowercase"})
    assert "Lowercase" in refused(tiny).what
    edit(tiny, "tokenizer.json", added_tokens=[{"id": "x", "content": "y"}])
    assert "tokenizer.json cannot be read" in refused(tiny).what
    assert "5,000,000" in refused(TINY, 5_000_000).what
    (tiny / "tokenizer.json").write_text("[1]", encoding="utf-8")
    assert "not a table" in refused(tiny).why
    (tmp_path / "empty").mkdir()
    assert "none" in refused(tmp_path / "empty").what
    as_tokenizer_json(GOLDEN, tmp_path / "empty")
    edit(tmp_path / "empty", "tokenizer.json", normalizer={"type": "NFKC"})
    assert "NFKC" in refused(tmp_path / "empty", 700).what
    as_tokenizer_json(GOLDEN, tmp_path / "empty")
    assert "says 600" in refused(tmp_path / "empty", 600).why


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\xff" * 20, b"not a model", b"\x0a\x02\x0a\x00\x0b",
        b"\x0a\x04\x0a\x02\xff\xfe", b"\x0a\x03\x0a\x01a" + b"\x12\x02\x18\x01", b"\x0a\x05\x0a\x01a\x18\x09",
    ],
)  # fmt: skip
def test_a_broken_tokenizer_model_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(data)
    refused(tmp_path, 700)


def test_a_cut_tokenizer_model_is_refused_or_shorter(tmp_path: Path) -> None:
    """At each length: a message that ends between two pieces is a valid, shorter one without a trainer's word."""
    whole = (GOLDEN / "tokenizer.model").read_bytes()
    for length in range(0, len(whole) - 200, 97):
        (tmp_path / "tokenizer.model").write_bytes(whole[:length])
        assert re.search("vocabulary|SentencePiece", refused(tmp_path, 700).what)
