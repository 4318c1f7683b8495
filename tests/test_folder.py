"""The merged folder answers as PEFT's own merge does, and carries the base's tokenizer byte for byte."""

import json
import warnings
from pathlib import Path

import peft
import pytest
import torch
from conftest import write_model, write_tokenizer
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from kurabe import hub
from kurabe.errors import SettingsError
from kurabe.export.folder import COPIED
from kurabe.export.plan import Plan, make_plan
from kurabe.export.publish import publish_folder

GOLDEN = Path(__file__).parent / "data/golden"
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def plan(match: str = "peer") -> Plan:
    return make_plan(GOLDEN / "base", GOLDEN / "adapter", ["F16"], match=match)  # type: ignore[arg-type]


def test_weights_equal_what_peft_merges(tmp_path: Path) -> None:
    publish_folder(plan(), tmp_path)
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "base", dtype=torch.bfloat16)
    merged = peft.PeftModel.from_pretrained(model, GOLDEN / "adapter").merge_and_unload().state_dict()
    stored = load_file(tmp_path / "model.safetensors")
    assert set(stored) == set(merged)
    for name, tensor in stored.items():
        assert torch.equal(tensor, merged[name]), name


@pytest.mark.parametrize(
    ("targets", "saved"),
    [(["q_proj", "down_proj"], None), (["q_proj"], ["lm_head"]), (["q_proj"], ["embed_tokens"])],
    ids=["layers", "head", "embedding"],
)
def test_a_tied_base_with_its_adapter_gives_peft_s_logits(
    tmp_path: Path, targets: list[str], saved: list[str] | None
) -> None:
    """In float32, so that rounding hides nothing; a tie is kept, or parted where the adapter changes one side only."""
    base, adapter, out = tmp_path / "base", tmp_path / "adapter", tmp_path / "merged"
    base.mkdir()
    write_tokenizer(base)
    write_model(base, tie_word_embeddings=True)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, modules_to_save=saved, task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of tied layers, rightly: its own merge is what is compared
        tuned = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).eval()
        with torch.no_grad():
            for name, parameter in tuned.named_parameters():
                if "lora_" in name or "modules_to_save" in name:
                    parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)) * 0.05)
        tuned.save_pretrained(adapter)
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        expected, untuned = tuned(ids).logits, AutoModelForCausalLM.from_pretrained(base).eval()(ids).logits
    publish_folder(make_plan(base, adapter, ["F32"]), out)
    with torch.no_grad():
        found = AutoModelForCausalLM.from_pretrained(out).eval()(ids).logits
    assert (expected - untuned).abs().max() > 0.1
    assert torch.allclose(found, expected, atol=1e-4)


def test_exact_and_peer_are_one_here_because_both_round_once(tmp_path: Path) -> None:
    for match in ("exact", "peer"):
        publish_folder(plan(match), tmp_path / match)
    assert (tmp_path / "exact/model.safetensors").read_bytes() == (tmp_path / "peer/model.safetensors").read_bytes()


def test_the_folder_is_a_whole_model_and_is_not_overwritten(tmp_path: Path) -> None:
    publish_folder(plan(), tmp_path)
    assert hub.verify(tmp_path).family == "llama"
    for name in COPIED:
        source = GOLDEN / "base" / name
        assert source.is_file() == (tmp_path / name).is_file()
        assert not source.is_file() or source.read_bytes() == (tmp_path / name).read_bytes()
    assert "model.safetensors" in json.loads((tmp_path / "MANIFEST.json").read_text(encoding="utf-8"))["files"]
    with pytest.raises(SettingsError, match="nothing is overwritten"):
        publish_folder(plan(), tmp_path)
