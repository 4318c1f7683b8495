"""The metadata equals what llama.cpp's tools wrote, key by key and in their order; what cannot be right is refused."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from kurabe.errors import MissingError
from kurabe.export.fields import Field
from kurabe.export.metadata import (
    FAMILIES,
    FILE_TYPES,
    count_weights,
    family_of,
    metadata,
    read_config,
    rope_freqs,
    size_label,
)

GOLDEN = Path(__file__).parent / "data" / "golden"
REFERENCE = Path(__file__).parents[2] / "shared" / "golden" / "exact-Q4_K_M.gguf"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
KINDS = {int: "u32", float: "f32", bool: "bool", str: "str"}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip


def as_listed(field: Field) -> Any:
    """A value as expected.json lists it: float32, and a long list as the SHA-256 of its JSON."""
    value: Any = field.value
    if field.kind == "f32":
        return struct.unpack("<f", struct.pack("<f", value))[0]
    if isinstance(value, list):
        text = json.dumps(value, ensure_ascii=False)
        return {"len": len(value), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return value


@pytest.mark.parametrize("output", EXPECTED)
def test_equal_to_the_reference_key_by_key(output: str) -> None:
    expected = dict(EXPECTED[output]["kv"])
    fields = metadata(GOLDEN / "base", output.partition("-")[2], expected["general.name"])
    assert [(field.key, as_listed(field)) for field in fields] == list(expected.items())
    arrays = {"tokenizer.ggml.tokens": "[str]", "tokenizer.ggml.scores": "[f32]", "tokenizer.ggml.token_type": "[i32]"}
    assert [field.kind for field in fields] == [arrays.get(k) or KINDS[type(v)] for k, v in expected.items()]


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the reference GGUF does not lie beside the project (../shared)")
def test_types_and_values_of_the_reference_file() -> None:
    from gguf import GGUFReader

    names = {"UINT32": "u32", "INT32": "i32", "FLOAT32": "f32", "BOOL": "bool", "STRING": "str"}
    stored = []
    for entry in GGUFReader(REFERENCE).fields.values():
        kind = names.get(entry.types[-1].name, "")
        stored.append((entry.name, f"[{kind}]" if len(entry.types) == 2 else kind, entry.contents()))
    fields = metadata(GOLDEN / "base", "Q4_K_M", "Merged_Float32")
    rounded = [(f.key, f.kind, as_listed(f) if f.kind == "f32" else f.value) for f in fields]
    assert rounded == [row for row in stored if not row[0].startswith("GGUF.")]


def test_every_format_of_the_plan_has_the_reference_file_type() -> None:
    for output, entry in EXPECTED.items():
        assert FILE_TYPES[output.partition("-")[2]] == entry["kv"]["general.file_type"]


# --- hyper-parameters -------------------------------------------------------------------------------------------------


def shape_of(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The keys of the architecture that metadata() writes for a config.json of these words."""
    shutil.copytree(GOLDEN / "base", folder, dirs_exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"vocab_size": 700} | config), encoding="utf-8")
    fields = metadata(folder, "F32", "x")
    return {f.key.partition(".")[2]: f.value for f in fields if f.key.split(".")[0] in ("llama", "qwen2", "qwen3")}


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_silent_config_means_what_transformers_means_by_it(architecture: str, tmp_path: Path) -> None:
    import transformers

    small = {"hidden_size": 256, "intermediate_size": 320, "num_hidden_layers": 5, "num_attention_heads": 4}
    full = getattr(transformers, architecture.replace("ForCausalLM", "Config"))(**small).to_dict()
    written = shape_of(tmp_path, small | {"architectures": [architecture]})
    assert written["context_length"] == full["max_position_embeddings"]
    assert written["attention.head_count_kv"] == full["num_key_value_heads"]
    assert written["rope.freq_base"] == full["rope_parameters"]["rope_theta"]
    assert written["attention.layer_norm_rms_epsilon"] == full["rms_norm_eps"]
    assert written.get("attention.key_length") == written.get("attention.value_length") == full.get("head_dim")
    assert ("vocab_size" in written) == ("rope.dimension_count" in written) == (FAMILIES[architecture].name == "llama")


def test_rope_of_old_and_new_configs(tmp_path: Path) -> None:
    base = {key: value for key, value in read_config(GOLDEN / "base").items() if key != "rope_parameters"}
    new = base | {"rope_parameters": {"rope_type": "default", "rope_theta": 12345.0}}
    old = base | {"rope_theta": 12345.0, "rope_scaling": None}
    assert shape_of(tmp_path, new) == shape_of(tmp_path, old)
    assert shape_of(tmp_path, old)["rope.freq_base"] == 12345.0
    scaled = base | {"rope_theta": 500000.0, "rope_scaling": {k: v for k, v in LLAMA3.items() if k != "rope_theta"}}
    assert (rope_freqs(scaled) == rope_freqs(base | {"rope_parameters": LLAMA3})).all()  # type: ignore[union-attr]
    assert rope_freqs(new) is rope_freqs(old) is None


@pytest.mark.parametrize(("head_dim", "factor"), [(64, 32.0), (128, 8.0), (96, 4.0)])
def test_llama3_factors_are_those_of_transformers(head_dim: int, factor: float) -> None:
    import torch
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = LLAMA3 | {"factor": factor}
    config = LlamaConfig(hidden_size=256, num_attention_heads=4, head_dim=head_dim, rope_parameters=rope,
                         max_position_embeddings=131072)  # fmt: skip
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 1.0 / (500000.0 ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim))
    factors = rope_freqs({"head_dim": head_dim, "rope_parameters": rope})
    assert factors is not None
    assert factors.dtype == "float32"
    assert {1.0, factor} < set(factors.tolist())  # the untouched, the slowed, and some between
    assert torch.allclose(plain / torch.from_numpy(factors), scaled, rtol=1e-6)


def test_weights_are_counted_from_the_headers(tmp_path: Path) -> None:
    config = read_config(GOLDEN / "base")
    shapes = [tensor["shape"] for tensor in EXPECTED["exact-F32"]["tensors"]]
    total = sum(math.prod(shape) for shape in shapes)
    assert count_weights(GOLDEN / "base", config) == total
    assert count_weights(GOLDEN / "base", config | {"tie_word_embeddings": True}) == total - 700 * 256
    assert count_weights(GOLDEN / "base", config | {"rope_parameters": LLAMA3}) == total + 32


def test_size_labels_are_those_of_gguf() -> None:
    from gguf.utility import size_label as reference

    for weights in (1, 999, 65_000, 999_999, 1_000_001, 2_573_824, 15_600_000, 135_000_000, 1_100_048_384, 70e9, 2e12):
        assert size_label(int(weights)) == reference(int(weights), int(weights), 0, 0)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"architectures": ["MixtralForCausalLM"], "num_local_experts": 8}, "experts"),
        ({"architectures": ["Qwen3MoeForCausalLM"]}, "experts"),
        ({"architectures": ["Gemma2ForCausalLM"]}, "'Gemma2ForCausalLM'"),
        ({"architectures": None}, "None"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "auto_map"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "'yarn'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": None}, "'linear'"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"model_type": "mistral", "sliding_window": 128}, "sliding window"),
        ({"hidden_size": "256"}, "hidden_size"),
        ({"vocab_size": 0}, "vocab_size"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_reason(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(MissingError) as caught:
        family_of(read_config(GOLDEN / "base") | changes, GOLDEN / "base")
    assert word in caught.value.why
    assert caught.value.fix
    assert caught.value.where.endswith("config.json")


def test_no_config(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no config\.json"):
        metadata(tmp_path, "F32", "x")
