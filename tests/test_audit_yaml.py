"""Configurations of axolotl, LLaMA-Factory, TRL and mlx-lm: sound ones are left in peace, broken ones are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kurabe.auditing.configured import Rows
from kurabe.auditing.data import read_rows
from kurabe.auditing.libraries import LIBRARIES
from kurabe.auditing.reading import audit
from kurabe.auditing.rules import judge
from kurabe.auditing.yaml_file import configured, tool_of
from kurabe.errors import DataError, MissingError, UserError

SOUND = sorted((Path(__file__).parent / "data" / "audit" / "sound").iterdir())


def warned(settings: dict[str, object], data: Path | None, folder: Path) -> set[str]:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return {finding.id for finding in audit(path, data).findings if finding.level != "info"}


def settings(name: str) -> dict[str, object]:
    found = yaml.safe_load(next(path for path in SOUND if path.name == name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def rows(folder: Path, number: int, answer: str = "It is described in the manual.") -> Path:
    path = folder / "rows.jsonl"
    lines = [
        json.dumps({"question": f"What about part {n}?", "answer": f"{answer} {n % 7 * 'See there. '}"})
        for n in range(number)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


# --- sound ones ------------------------------------------------------------------------------------------------------


def test_there_are_more_than_ten_sound_ones_and_each_names_its_page() -> None:
    assert len(SOUND) >= 10
    for path in SOUND:
        assert "https://" in path.read_text(encoding="utf-8").splitlines()[0], path.name


NAMED: dict[str, dict[str, object]] = {
    "axolotl-lora-1b.yml": {"datasets": [{"path": "rows.jsonl", "type": "alpaca"}]},
    "llama-factory-sft.yaml": {"dataset": "mine", "dataset_dir": "."},
    "mlx-lora.yaml": {"data": "folder"},
    "trl-lora.yaml": {"dataset_name": "rows.jsonl"},
}


@pytest.mark.parametrize("name", NAMED)
def test_rows_that_a_configuration_names_are_read(name: str, tmp_path: Path) -> None:
    beside = rows(tmp_path, 12)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train.jsonl").write_bytes(beside.read_bytes())
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "rows.jsonl"}}), encoding="utf-8")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings(name) | NAMED[name]), encoding="utf-8")
    report = audit(config)
    assert report.rows == audit(config, beside if name != "mlx-lora.yaml" else tmp_path / "folder" / "train.jsonl").rows
    assert report.rows is not None and report.rows.rows == 12
    as_json = tmp_path / "config.json"
    as_json.write_text(json.dumps(settings(name) | NAMED[name]), encoding="utf-8")
    assert audit(as_json).rows == report.rows


def test_where_one_data_set_is_not_here_the_rows_stay_unknown(tmp_path: Path) -> None:
    rows(tmp_path, 12)
    config = tmp_path / "config.yaml"
    for other in ("teknium/far-away", None, "\0", 7, "config.yaml"):
        named = {"datasets": [{"path": "rows.jsonl"}, {"path": other}]}
        config.write_text(yaml.safe_dump(settings("axolotl-lora-1b.yml") | named), encoding="utf-8")
        assert audit(config).rows is None, other


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
def test_a_sound_configuration_is_read_whole_and_left_in_peace(path: Path) -> None:
    report = audit(path)
    assert report.clean and report.unread == ()
    assert report.configured.base


@pytest.fixture(scope="module")
def prose(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Enough rows for all of them, and no values to be learned by heart."""
    return read_rows(rows(tmp_path_factory.mktemp("rows"), 2600))


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
def test_it_is_left_in_peace_with_its_data_at_hand(path: Path, prose: Rows) -> None:
    assert prose.rows == 2600 and prose.factual == 0
    assert [finding.id for finding in judge(audit(path).configured, prose) if finding.level != "info"] == []


# --- what is read ----------------------------------------------------------------------------------------------------


def test_each_library_is_known_by_its_own_settings() -> None:
    names = {path.name: path.name.split("-lora")[0] for path in SOUND if path.suffix in (".yml", ".yaml")}
    for name in names:
        tool = tool_of(settings(name))
        assert tool and name.replace("_", "-").startswith(tool.split("-lm")[0]), name
    assert tool_of({"name": "ci", "on": "push", "jobs": {}}) is None


@pytest.mark.parametrize("tool", LIBRARIES)
def test_the_table_of_defaults_is_whole(tool: str) -> None:
    library = LIBRARIES[tool]
    fields = {field for field, _ in library.keys.values()}
    assert library.source.startswith("https://") and library.version and library.read
    assert all(library.defaults.get(field) is None or field in fields | {"warmup_most", "loss_on_padding", "schedule",
               "warmup_steps", "loss_on_prompt", "targets"} for field in library.defaults)  # fmt: skip


def test_the_defaults_are_those_of_the_installed_libraries() -> None:
    """The versions that the tests run with; the others are read from their sources, which the table names."""
    peft = pytest.importorskip("peft")
    trl = pytest.importorskip("trl")
    from transformers import TrainingArguments

    classes = {"transformers": TrainingArguments, "trl": trl.SFTConfig, "peft": peft.LoraConfig}
    for tool, owner in classes.items():
        library = LIBRARIES[tool]
        named = {field: key for key, (field, _) in library.keys.items() if hasattr(owner, key)}
        for field, value in library.defaults.items():
            if field in named:
                assert getattr(owner, named[field]) == value, (tool, field)


def test_numbers_that_yaml_takes_for_strings_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mlx.yaml"
    path.write_text("model: m\niters: 600\nlearning_rate: 1e-5\n", encoding="utf-8")
    assert audit(path).configured.rate == 1e-5


def test_what_is_not_understood_is_named_and_unknown(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("base_model: m\nmicro_batch_size: many\nnum_epochs: [1]\nlearning_rate: .nan\n", encoding="utf-8")
    report = audit(path)
    assert set(report.unread) == {"micro_batch_size", "num_epochs", "learning_rate"}
    assert report.configured.batch is None and report.configured.rate is None


def test_the_words_of_a_repair_are_those_of_the_library() -> None:
    found = {
        tool: LIBRARIES[tool].setting("loss_on_prompt", False) for tool in ("axolotl", "llama-factory", "mlx-lm", "trl")
    }
    assert found == {"axolotl": ("train_on_inputs", False), "llama-factory": ("train_on_prompt", False),
                     "mlx-lm": ("mask_prompt", True), "trl": ("completion_only_loss", True)}  # fmt: skip


# --- broken ones -----------------------------------------------------------------------------------------------------


def test_axolotl_with_ten_rows_and_too_long_a_warmup(tmp_path: Path) -> None:
    broken = settings("axolotl-instruct-8b.yml") | {"num_epochs": 3, "micro_batch_size": 1}
    facts = rows(tmp_path, 10, "It costs $5.99.")
    assert warned(broken, facts, tmp_path) == {"warmup-exceeds-steps", "too-few-steps", "one-wording", "low-exposure"}
    assert warned(broken, None, tmp_path) == set(), "without the rows nobody knows"


def test_few_samples_bound_the_steps_without_the_data(tmp_path: Path) -> None:
    few = settings("llama-factory-sft.yaml") | {"max_samples": 50}
    assert warned(few, None, tmp_path) == {"too-few-steps"}
    report = audit(tmp_path / "config.yaml")
    assert report.findings[0].values["form"] == "at-most"


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("axolotl-qlora-1b.yml", {"merge_lora": True}, "merge-into-quantised"),
        ("llama-factory-merge.yaml", {"quantization_bit": 4}, "merge-into-quantised"),
        ("llama-factory-merge.yaml", {"model_name_or_path": "unsloth/Qwen3-4B-bnb-4bit"}, "merge-into-quantised"),
        ("llama-factory-sft.yaml", {"ignore_pad_token_for_loss": False}, "loss-on-padding"),
        ("mlx-lora.yaml", {"iters": 40}, "too-few-steps"),
        ("mlx-lora.yaml", {"iters": 1000, "grad_accumulation_steps": 20}, "too-few-steps"),
        ("mlx-lora.yaml", {"lora_parameters": {"rank": 8, "scale": 0.0}}, "adapter-inert"),
        ("mlx-lora.yaml", {"iters": 200, "lora_parameters": {"rank": 8, "scale": 1.0}}, "low-rate"),
        ("mlx-lora.yaml", {"lr_schedule": {"name": "cosine_decay", "warmup": 600, "arguments": [1e-5]}}, "long-warmup"),
        ("trl-lora.yaml", {"max_steps": 60}, "too-few-steps"),
        ("trl-lora.yaml", {"max_steps": 400, "warmup_steps": 500}, "warmup-exceeds-steps"),
        ("trl-lora.yaml", {"max_steps": 400, "warmup_ratio": 0.7}, "long-warmup"),
    ],
)  # fmt: skip
def test_one_change_for_the_worse_is_found(name: str, change: dict[str, object], found: str, tmp_path: Path) -> None:
    assert warned(settings(name), None, tmp_path) == set()
    assert warned(settings(name) | change, None, tmp_path) == {found}


def test_llama_factory_samples_where_nothing_is_said_and_seeds_it(tmp_path: Path) -> None:
    described, _ = configured("llama-factory", {"model_name_or_path": "m", "template": "t", "do_predict": True}, {})
    assert (described.task, described.sampled, described.temperature, described.seeded) == ("predict", True, 0.95, True)
    greedy, _ = configured("llama-factory", {"model_name_or_path": "m", "do_predict": True, "do_sample": False}, {})
    assert greedy.sampled is False


# --- odd files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    ["", "- a\n- b\n", "just words", "a: [", "{" * 3000 + "}" * 3000, "a: " + "[" * 5000, "name: ci\non: push\n",
     "base_model: &a [*a]\n", "a: !!python/object/apply:os.system [ls]\n", "when: 2024-99-99\n", "\0",
     "a: !!bool foo\n", "a: !!int ''\n",
     "x: " + "1" * 5000,
     "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]\n"],
)  # fmt: skip
def test_what_is_no_training_configuration_is_refused_with_a_way_out(words: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(words, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        audit(path)
    assert caught.value.fix and str(path) in caught.value.where


def test_hostile_values_in_a_known_file_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    nested = "datasets: " + "[" * 50 + "]" * 50
    path.write_text(
        f"base_model: [1]\nmicro_batch_size: {10**30}\nnum_epochs: 1e308\nadapter: {{a: 1}}\n{nested}\n"
        "lora_target_modules: [[1]]\nwarmup_steps: true\nsequence_len: -5\nlearning_rate: '" + "9" * 10_000 + "'\n",
        encoding="utf-8",
    )  # fmt: skip
    report = audit(path)
    assert report.configured.batch is None and report.configured.base is None


def test_large_and_missing_files_and_other_encodings_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_text("a: b\n" * 300_000, encoding="utf-8")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("base_model: é".encode("latin-1"))
    for path in (large, latin):
        with pytest.raises(DataError):
            audit(path)
    for missing in (tmp_path / "none.yaml", tmp_path / "none", Path("a\0b"), tmp_path / ("x" * 300)):
        with pytest.raises(MissingError):
            audit(missing)
    other = tmp_path / "model.gguf"
    other.write_bytes(b"GGUF")
    with pytest.raises(UserError):
        audit(other)
