"""A folder is verified before any loader sees it: every hostile or broken one is refused with the file and a fix."""

from __future__ import annotations

import json
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kurabe import hub
from kurabe.errors import EXIT_MISSING, MissingError


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def refusal(name: Path | str) -> MissingError:
    with pytest.raises(MissingError) as caught:
        hub.verify(name)
    assert caught.value.exit_code == EXIT_MISSING
    return caught.value


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")


def test_a_good_folder(folder: Path) -> None:
    weights = hub.verify(folder)
    assert weights.family == "llama"
    assert [file.name for file in weights.files] == ["model.safetensors"]
    assert len(weights.sha256) == 64


def test_the_hash_covers_config_and_every_byte_of_the_weights(folder: Path) -> None:
    before = hub.verify(folder).sha256
    assert hub.verify(folder).sha256 == before
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    flipped = hub.verify(folder).sha256
    edit(folder / "config.json", rms_norm_eps=1e-5)
    assert len({before, flipped, hub.verify(folder).sha256}) == 3


def test_names_that_are_no_folder(tmp_path: Path) -> None:
    assert "no model folder" in refusal(tmp_path / "absent").what
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert "is a file" in refusal(tmp_path / "file").what


def test_missing_config_and_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "no weights" in refusal(folder).what
    (folder / "config.json").unlink()
    assert "config.json" in refusal(folder).what


def test_pickles_are_refused_by_name_unless_safetensors_lie_beside_them(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"x")
    assert hub.verify(folder).files[0].name == "model.safetensors"
    (folder / "model.safetensors").unlink()
    error = refusal(folder)
    assert "pytorch_model.bin" in error.what
    assert error.fix


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_program_code_is_refused(folder: Path, name: str) -> None:
    (folder / "canary.py").write_text("raise SystemExit('the canary was run')", encoding="utf-8")
    edit(folder / name, auto_map={"AutoModelForCausalLM": "canary.Model", "AutoTokenizer": "canary.T"})
    assert name in refusal(folder).what


def test_an_adapter_beside_the_weights_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/where"}', encoding="utf-8")
    assert "adapter" in refusal(folder).what


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel"),
        ({"architectures": None}, "not supported"),
        ({"architectures": ["LlamaForCausalLM", "Other"]}, "not supported"),
        ({"model_type": "mistral"}, "contradicts"),
        ({"hidden_size": "64"}, "hidden_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"vocab_size": True}, "vocab_size"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
    ],
)  # fmt: skip
def test_configs_that_are_refused(folder: Path, changes: dict[str, object], word: str) -> None:
    edit(folder / "config.json", **changes)
    assert word in refusal(folder).what


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 10_000, "\xff"])
def test_config_that_is_not_json(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="latin-1")
    assert "config.json cannot be read" in refusal(folder).what


def header(tensors: object, data: bytes = b"") -> bytes:
    raw = json.dumps(tensors).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(start: int, end: int, shape: list[object] | None = None) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - start) // 4] if shape is None else shape, "data_offsets": [start, end]}


MUTATIONS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "seven bytes": lambda raw: raw[:7],
    "cut in the header": lambda raw: raw[:60],
    "cut in the data": lambda raw: raw[:-4],
    "junk behind": lambda raw: raw + b"\0" * 5,
    "giant header length": lambda raw: struct.pack("<Q", 2**63 - 1) + raw[8:],
    "header over the limit": lambda raw: struct.pack("<Q", 17 << 20) + b" " * (17 << 20),
    "not JSON": lambda raw: raw[:8] + b"x" + raw[9:],
    "a list": lambda raw: header([1]),
    "no tensor": lambda raw: header({"__metadata__": {}}),
    "overlap": lambda raw: header({"a": entry(0, 8), "b": entry(4, 12)}, b"\0" * 12),
    "gap": lambda raw: header({"a": entry(0, 4), "b": entry(8, 12)}, b"\0" * 12),
    "shape and span differ": lambda raw: header({"a": entry(0, 8, [3])}, b"\0" * 8),
    "negative": lambda raw: header({"a": entry(0, 8, [-2, -1])}, b"\0" * 8),
    "shape of words": lambda raw: header({"a": entry(0, 8, ["2"])}, b"\0" * 8),
    "unknown type": lambda raw: header({"a": entry(0, 4) | {"dtype": "X"}}, b"\0" * 4),
    "no offsets": lambda raw: header({"a": {"dtype": "F32", "shape": [1]}}, b"\0" * 4),
    "an entry of text": lambda raw: header({"a": "b"}, b"\0" * 4),
    "300,000 tensors": lambda raw: header({str(i): entry(0, 0) for i in range(300_000)}),
    "60,000 tensors": lambda raw: header({str(i): entry(0, 0) for i in range(60_000)}),
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_damaged_weights_are_refused_before_any_library_sees_them(
    folder: Path, mutate: Callable[[bytes], bytes]
) -> None:  # fmt: skip
    path = folder / "model.safetensors"
    path.write_bytes(mutate(path.read_bytes()))
    start = time.process_time()
    error = refusal(folder)
    assert time.process_time() - start < 1.5
    assert "model.safetensors" in error.what
    assert error.why


def test_shards(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    shutil.move(folder / "model.safetensors", folder / "model-1-of-2.safetensors")
    index.write_text(json.dumps({"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}))
    assert "model-2-of-2.safetensors" in refusal(folder).what
    shutil.copy(folder / "model-1-of-2.safetensors", folder / "model-2-of-2.safetensors")
    assert len(hub.verify(folder).files) == 2


@pytest.mark.parametrize("table", [{}, {"a": "../model.safetensors"}, {"a": "weights.bin"}, {"a": 1}, None])
def test_an_index_names_only_weights_of_its_folder(folder: Path, table: object) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}), encoding="utf-8")
    assert "index" in refusal(folder).what
