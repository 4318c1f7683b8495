"""Folders that a training left behind: the weights' own word, the trainer's log, the tokenizer, the Modelfile, runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kurabe import arms, backends
from kurabe.auditing.reading import audit
from kurabe.dataset import read_examples
from kurabe.errors import DataError, MissingError
from kurabe.experiment import run
from kurabe.fake import FakeBackend, rehearsal
from kurabe.settings import RunSettings

ROOT = Path(__file__).parents[1]
ADAPTER = ROOT / "tests" / "data" / "golden" / "adapter"
CONFIG = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "up_proj"],
    "base_model_name_or_path": "org/base",
}
LAYER = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"


def adapter(folder: Path, b: float = 0.5, layers: int = 2, **changes: object) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | changes), encoding="utf-8")
    tensors = {}
    for n in range(layers):
        tensors[LAYER.format(n, "A")] = np.ones((4, 8), np.float32)
        tensors[LAYER.format(n, "B")] = np.full((8, 4), b, np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def trainer_state(folder: Path, losses: list[float | str], rates: list[float] | None = None, **changes: object) -> Path:
    rates = rates or [2e-4] * len(losses)
    history = [
        {"step": n, "loss": loss, "learning_rate": rate}
        for n, (loss, rate) in enumerate(zip(losses, rates, strict=True), 1)
    ]
    state = {
        "global_step": 300,
        "max_steps": 300,
        "num_train_epochs": 3,
        "train_batch_size": 8,
        "log_history": history,
    } | changes
    (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


def ids(folder: Path) -> set[str]:
    return {finding.id for finding in audit(folder).findings if finding.level != "info"}


def test_a_trained_adapter_is_left_in_peace_and_so_is_pefts_own() -> None:
    assert ids(ADAPTER) == set()


def test_an_adapter_with_nothing_but_zeros_in_b_is_inert(tmp_path: Path) -> None:
    assert ids(adapter(tmp_path)) == set()
    assert ids(adapter(tmp_path, b=0.0)) == {"adapter-inert"}
    assert audit(tmp_path).findings[0].values == {"matrices": 2, "form": "zero"}
    assert ids(adapter(tmp_path, lora_alpha=0)) == {"adapter-inert"}


def test_an_adapter_for_other_layers_than_its_bases_is_inert(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    save_file({"model.layers.0.self_attn.q_proj.weight": np.ones((8, 8), np.float32)}, base / "model.safetensors")
    own = tmp_path / "adapter"
    own.mkdir()
    assert ids(adapter(own, layers=1, base_model_name_or_path=str(base))) == set()
    assert ids(adapter(own, layers=2, base_model_name_or_path=str(base))) == {"adapter-inert"}


def test_pickle_is_never_opened_and_the_rest_is_still_read(tmp_path: Path) -> None:
    adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    (tmp_path / "training_args.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    report = audit(tmp_path)
    assert report.configured.adapter is None and report.configured.rank == 4


def test_the_log_of_the_trainer_tells_steps_and_losses(tmp_path: Path) -> None:
    report = audit(trainer_state(tmp_path, [3.0, 1.0, 0.2]))
    assert report.clean and (report.configured.steps, report.configured.batch) == (300, 8)
    assert ids(trainer_state(tmp_path, [3.0, 3.0, 3.1])) == {"loss-did-not-fall"}
    assert ids(trainer_state(tmp_path, [3.0, "NaN", 1.0])) == {"loss-not-finite"}
    assert ids(trainer_state(tmp_path, [3.0, float("nan"), 1.0])) == {"loss-not-finite"}
    assert ids(trainer_state(tmp_path, [3.0, 2.0, 1.0], [0.0, 2e-5, 4e-5])) == {"warmup-exceeds-steps"}
    assert ids(trainer_state(tmp_path, [3.0, 1.0], global_step=9)) == {"too-few-steps"}
    assert ids(trainer_state(tmp_path, [], log_history="none", global_step=[1], max_steps=10**40)) == set()


def test_the_newest_checkpoint_speaks_where_the_folder_itself_does_not(tmp_path: Path) -> None:
    for number in (9, 100, 30):
        place = tmp_path / f"checkpoint-{number}"
        place.mkdir()
        trainer_state(place, [3.0, 1.0], global_step=number)
    assert audit(tmp_path).configured.steps == 100


def test_a_configuration_beside_the_adapter_is_read_with_it(tmp_path: Path) -> None:
    adapter(tmp_path)
    (tmp_path / "ci.yaml").write_text("on: push\n", encoding="utf-8")
    (tmp_path / "train.yaml").write_text(
        "base_model: org/base\nmicro_batch_size: 2\ntrain_on_inputs: true\n", encoding="utf-8"
    )
    report = audit(tmp_path)
    assert report.configured.loss_on_prompt is True and report.configured.rank == 4


def test_a_tokenizer_that_was_saved_with_padding_is_found(tmp_path: Path) -> None:
    adapter(tmp_path)
    padding, cut = {"strategy": {"Fixed": 512}}, {"max_length": 512}
    for settings, found in (
        ({"padding": None, "truncation": None}, {}), ({"padding": {"strategy": "BatchLongest"}}, {}),
        ({"padding": padding, "truncation": cut}, {"padding-in-tokenizer": "warn"}),
        ({"padding": None, "truncation": cut}, {"padding-in-tokenizer": "info"}),
    ):  # fmt: skip
        (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0"} | settings), encoding="utf-8")
        assert {finding.id: finding.level for finding in audit(tmp_path).findings} == found


def test_a_modelfile_is_compared_with_what_was_trained(tmp_path: Path) -> None:
    adapter(tmp_path)
    (tmp_path / "Modelfile").write_text(
        'FROM llama3.2:3b\nSYSTEM """Be kind."""\nPARAMETER num_predict 50\n', encoding="utf-8"
    )
    assert ids(tmp_path) == {"different-base", "sampled-test"}
    (tmp_path / "Modelfile").write_text("FROM ./base.gguf\nPARAMETER temperature 0\n", encoding="utf-8")
    assert ids(tmp_path) == set()


def test_mlx_writes_its_whole_configuration_beside_its_adapter(tmp_path: Path) -> None:
    settings = {"model": "org/base", "iters": 40, "lora_parameters": {"rank": 8, "scale": 20.0}, "mask_prompt": True}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    save_file({"model.layers.0.q_proj.lora_b": np.zeros((4, 8), np.float32)}, tmp_path / "adapters.safetensors")
    assert ids(tmp_path) == {"too-few-steps", "adapter-inert"}


@pytest.mark.parametrize("words", ["[" * 100_000, "{}", "[]", "{", '{"r": 1e999, "peft_type": [1]}', "\0"])
def test_damaged_files_are_refused_or_unknown(words: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(words, encoding="utf-8")
    if words.startswith('{"r"'):
        assert audit(tmp_path).configured.rank is None
        return
    with pytest.raises(DataError) as caught:
        audit(tmp_path)
    assert caught.value.fix


def test_damaged_weights_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        audit(tmp_path)
    adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(MissingError):
        audit(tmp_path)


# --- our own runs ----------------------------------------------------------------------------------------------------


def trained(folder: Path, monkeypatch: pytest.MonkeyPatch, share: float) -> Path:
    examples = read_examples(ROOT / "examples" / "support-en.jsonl").examples
    backend = FakeBackend(rehearsal(examples, {"lora": share, "prompt": 1.0, "ceiling": 1.0}))
    monkeypatch.setattr(backends, "load", lambda settings: backend)
    run(
        ROOT / "examples" / "support-en.jsonl",
        RunSettings(runs=str(folder), name="one", retention=0, recipes=("origin",)),
    )
    return folder / "one"


def test_a_run_tells_what_was_said_before_and_what_moved_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "lora" in arms.ARMS
    report = audit(trained(tmp_path, monkeypatch, 0.7))
    found = {finding.id: finding for finding in report.findings}
    assert report.kind == "run" and "too-few-steps" in found
    moved = found["facts-moved"].values
    assert 0 < moved["won"] <= moved["values"] and moved["lost"] == 0
    assert "adapter-inert" not in found or found["adapter-inert"].values["form"] == "zero", (
        "a scripted one has no weights"
    )


def test_a_run_whose_answers_are_the_bases_is_inert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = audit(trained(tmp_path, monkeypatch, 0.0))
    forms = {f.values["form"] for f in report.findings if f.id == "adapter-inert"}
    assert "answers" in forms
    assert "facts-moved" not in {finding.id for finding in report.findings}
