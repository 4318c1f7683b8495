"""What an adapter adds equals what PEFT merges, for every form that is taken; the others are refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from kurabe.errors import MissingError
from kurabe.export.adapter import read_adapter

# PEFT 0.21 asks transformers 5.23 under an old name.
# It takes the vectors of `lora_bias` for matrices that were cut.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*have invalid shape"),
]

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2, r"1\.mlp\.up_proj": 8}, "alpha_pattern": {"v_proj": 3, "q_proj": 5}},
    "some layers": {"layers_to_transform": [1], "target_modules": ["q_proj", "down_proj"]},
    "whole tensors": {"modules_to_save": ["lm_head", "embed_tokens", "norm"]},
    "biases": {"bias": "lora_only"},
    "all biases": {"bias": "all", "target_modules": ["q_proj"]},
    "biases of B": {"lora_bias": True, "use_rslora": True},
}


def small_llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            vocab_size=64, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
        )
    )  # fmt: skip


def trained(form: dict[str, Any], folder: Path) -> peft.PeftModel:
    """A PEFT model with random adapters, saved to `folder`."""
    config = peft.LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": ALL, **form})
    model = peft.get_peft_model(small_llama(), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("form", FORMS)
def test_deltas_equal_what_peft_merges(form: str, tmp_path: Path) -> None:
    model = trained(FORMS[form], tmp_path)
    before = {name: tensor.clone().numpy() for name, tensor in small_llama().state_dict().items()}
    after = {name: tensor.numpy() for name, tensor in model.merge_and_unload().state_dict().items()}
    adapter = read_adapter(tmp_path)
    assert set(adapter.deltas) | set(adapter.replaced) == {n for n in before if not np.array_equal(before[n], after[n])}
    for name, tensor in adapter.replaced.items():
        np.testing.assert_array_equal(tensor.read().reshape(tensor.shape), after[name])
    for name, delta in adapter.deltas.items():
        assert delta.shape == before[name].shape
        if len(delta.shape) == 1:
            np.testing.assert_allclose(before[name] + delta.rows(0, 1)[0], after[name], rtol=1e-5, atol=1e-5)
            continue
        rows = len(before[name])
        whole = before[name] + delta.rows(0, rows)
        np.testing.assert_allclose(whole, after[name], rtol=1e-5, atol=1e-5)
        half = np.concatenate([delta.rows(0, rows // 2), delta.rows(rows // 2, rows)])
        np.testing.assert_allclose(before[name] + half, whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"), ({"peft_type": "LOHA"}, "LOHA"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_exactly_is_refused_by_name(form: dict[str, Any], word: str, tmp_path: Path) -> None:
    trained({}, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | form), encoding="utf-8")
    with pytest.raises(MissingError) as caught:
        read_adapter(tmp_path)
    assert word in caught.value.why and caught.value.fix


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_an_adapter_of_an_embedding_is_refused(tmp_path: Path) -> None:
    trained({"target_modules": [*ALL, "embed_tokens"]}, tmp_path)
    with pytest.raises(MissingError, match="cannot be merged"):
        read_adapter(tmp_path)


def test_a_pickle_a_missing_and_a_broken_config_each_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="adapter_config"):
        read_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("[", encoding="utf-8")
    with pytest.raises(MissingError, match="cannot be read"):
        read_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}), encoding="utf-8")
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80")
    with pytest.raises(MissingError, match="pickle"):
        read_adapter(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"lora_alpha": None}, {"lora_alpha": "6"}, {"lora_alpha": [6]}, {"lora_alpha": 10**400},
        {"lora_alpha": float("nan")}, {"alpha_pattern": {"(": 3}}, {"alpha_pattern": ["q_proj"]},
        {"alpha_pattern": {"q_proj": None}}, {"modules_to_save": 3},
    ],
)  # fmt: skip
def test_settings_of_a_wrong_form_are_a_damaged_file(change: dict[str, Any], tmp_path: Path) -> None:
    trained({}, tmp_path)
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(MissingError, match="cannot be used"):
        read_adapter(tmp_path)
    del config["lora_alpha"]
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(MissingError, match="cannot be used") as refused:
        read_adapter(tmp_path)
    assert "lora_alpha" in refused.value.why


@pytest.mark.parametrize("shape", [(), (0, 32)])
def test_an_adapter_of_no_rank_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    trained({}, tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    weights = load_file(path)
    first = next(name for name in weights if name.endswith("lora_A.weight"))
    other = first.replace("lora_A", "lora_B")
    save_file(weights | {first: np.zeros(shape, np.float32), other: weights[other][:, :0].copy()}, path)
    with pytest.raises(MissingError, match="cannot be merged"):
        read_adapter(tmp_path)
