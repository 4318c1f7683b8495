"""A LoRA beside its base answers in llama.cpp as the merged model does; what cannot lie there is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_model, write_tokenizer
from safetensors.numpy import load_file, save_file
from test_hf import ITEMS, request

from kurabe import chat
from kurabe.errors import MissingError
from kurabe.export.dialogue import from_modelfile
from kurabe.export.header import read_header
from kurabe.export.lora_file import make_lora_plan
from kurabe.export.plan import make_plan
from kurabe.export.publish import publish, publish_folder

GOLDEN = Path(__file__).parent / "data/golden"
# PEFT asks transformers under an old name, and doubts the vectors of `lora_bias`.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning", "ignore:.*invalid shape")


def trained(base: Path, folder: Path, **form: Any) -> Path:
    """A random adapter of this base in PEFT's format, strong enough that answers change."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = peft.LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": linear, **form})
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return folder


def gaps(folder: Path, prompt: list[int], told: tuple[int, ...]) -> list[float]:
    """How far below the best token each of the told ones is, in transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([[*prompt, *told]])).logits[0]
    rows = logits[len(prompt) - 1 : -1]
    return [float(row.max() - row[token]) for row, token in zip(rows, told, strict=True)]


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two families: the rows of Llama's heads are turned in a GGUF, those of Qwen's are not."""
    path = tmp_path_factory.mktemp(request.param)
    write_tokenizer(path)
    write_model(path, family=request.param)
    return path


def test_base_and_lora_answer_as_the_merged_model(base: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install 'kurabe[gguf]'")
    from kurabe.llamacpp import GGUFBackend

    form = {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}}
    adapter = trained(base, tmp_path / "adapter", **form)
    merged = make_plan(base, adapter, ["F32"], "x")
    publish_folder(merged, tmp_path / "merged")
    whole = make_plan(base, None, ["F32"], "x-base")
    (below,) = publish(whole, tmp_path)
    (record,) = publish(make_lora_plan(merged, whole, "x"), tmp_path, system="Be kind.", base=below.file)
    assert record.size < below.size / 5
    setup = from_modelfile(tmp_path / "x-LoRA.Modelfile")
    requests = [request(item, limit=12) for item in ITEMS]
    with GGUFBackend(setup.file, chat=chat.load(base), lora=setup.adapter) as backend:
        answers = [(backend.prompt_ids(one.messages), next(backend.answer([one])).token_ids) for one in requests]
    # llama.cpp keeps keys and values in float16, so of two nearly equal tokens it may take the other.
    assert max(gap for ids, told in answers for gap in gaps(tmp_path / "merged", ids, told)) < 0.02
    assert max(gap for ids, told in answers for gap in gaps(base, ids, told)) > 1


def test_what_the_file_says_of_itself(tmp_path: Path) -> None:
    merged = make_plan(GOLDEN / "base", GOLDEN / "adapter", ["F16"])
    (record,) = publish(make_lora_plan(merged, make_plan(GOLDEN / "base", None, ["F16"]), "x"), tmp_path, base="b.gguf")
    header = read_header(tmp_path / record.file)
    told = ("general.type", "adapter.type", "general.architecture")
    assert [header.text(key) for key in told] == ["adapter", "lora", "llama"]
    stored = load_file(GOLDEN / "adapter/adapter_model.safetensors")
    assert sum(tensor.size for tensor in header.tensors) == sum(4 * part.size for part in stored.values())
    assert (record.format, record.adapter_sha256) == ("LoRA", merged.adapter_sha256)


@pytest.mark.parametrize("form", [{"modules_to_save": ["embed_tokens"]}, {"bias": "all"}, {"lora_bias": True}])
def test_what_only_a_merged_file_can_hold_is_refused(form: dict[str, Any], tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    write_model(tmp_path, attention_bias=True, mlp_bias=True)
    merged = make_plan(tmp_path, trained(tmp_path, tmp_path / "adapter", **form), ["F32"], "x")
    with pytest.raises(MissingError, match="cannot lie beside") as refused:
        make_lora_plan(merged, make_plan(tmp_path, None, ["F32"], "x"), "x")
    assert refused.value.fix


def test_ranks_and_alphas_of_their_own_go_into_b(tmp_path: Path) -> None:
    adapter = Path(shutil.copytree(GOLDEN / "adapter", tmp_path / "adapter"))
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    config["alpha_pattern"] = {"v_proj": 3 * config["lora_alpha"]}
    (adapter / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.safetensors")
    base = make_plan(GOLDEN / "base", None, ["F32"])
    plan = make_lora_plan(make_plan(GOLDEN / "base", adapter, ["F32"]), base, "x")
    plain = make_lora_plan(make_plan(GOLDEN / "base", GOLDEN / "adapter", ["F32"]), base, "x")
    for name, source in plan.sources.items():
        factor = 3 if name.endswith("attn_v.weight.lora_b") else 1
        ours, theirs = (
            s.tensor if isinstance(s.tensor, np.ndarray) else s.tensor.read() for s in (source, plain.sources[name])
        )
        np.testing.assert_array_equal(ours, theirs * np.float32(factor))
