"""Scripts as the audit reads them: a tutorial's faults, each mended in turn; what is computed is unknown; odd files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kurabe.auditing import script
from kurabe.auditing.reading import audit
from kurabe.errors import DataError

TUTORIAL = Path(__file__).parents[1] / "examples" / "tutorial.py"
FIRST_EIGHT = {"warmup-exceeds-steps", "too-few-steps", "loss-on-padding", "loss-on-prompt", "system-prompt-differs",
               "sampled-test", "answer-cut", "one-wording"}  # fmt: skip
FURTHER = {"low-exposure", "different-base", "padding-in-tokenizer"}


def warned(path: Path, data: Path | None = None) -> set[str]:
    return {finding.id for finding in audit(path, data).findings if finding.level != "info"}


def written(folder: Path, words: str, name: str = "train.py") -> Path:
    path = folder / name
    path.write_text(words, encoding="utf-8")
    return path


def configured(folder: Path, words: str) -> dict[str, object]:
    return script.read(written(folder, words)).configured.model_dump()


TRAINING = "from transformers import TrainingArguments\n"

# --- the tutorial ----------------------------------------------------------------------------------------------------


def test_the_tutorials_script_has_the_first_eight_faults_and_three_more() -> None:
    assert warned(TUTORIAL) == FIRST_EIGHT | FURTHER


def test_what_was_measured_about_a_fault_is_told_with_it() -> None:
    found = {finding.id: finding for finding in audit(TUTORIAL).findings}
    assert {key for key, finding in found.items() if finding.cost} == {
        "warmup-exceeds-steps", "too-few-steps", "loss-on-padding", "loss-on-prompt", "one-wording",
    }  # fmt: skip
    assert found["warmup-exceeds-steps"].values == {"warmup": 10, "steps": 9, "full_steps": 3.6}
    assert found["too-few-steps"].repaired == {"num_train_epochs": 50}


def test_each_finding_names_the_line_that_decides() -> None:
    lines = TUTORIAL.read_text(encoding="utf-8").splitlines()
    decides = {"warmup-exceeds-steps": "warmup_steps=10", "too-few-steps": "num_train_epochs=3",
               "loss-on-padding": '"labels"',
               "sampled-test": "do_sample=True", "answer-cut": "max_new_tokens=100", "different-base": "llama3.2:3b",
               "system-prompt-differs": "TechStore", "padding-in-tokenizer": "max_length=512"}  # fmt: skip
    for finding in audit(TUTORIAL).findings:
        if finding.id in decides:
            name, _, line = finding.where.partition(":")
            assert name == TUTORIAL.name and decides[finding.id] in lines[int(line) - 1], finding.id


MENDS: dict[str, tuple[tuple[str, str], ...]] = {
    "warmup-exceeds-steps": (("warmup_steps=10", "warmup_steps=1"),),
    "too-few-steps": (("num_train_epochs=3", "num_train_epochs=50"),),
    "loss-on-padding": (('padding="max_length", ', ""),),
    "system-prompt-differs": (
        ("You are a support agent for TechStore.", "You are a helpful customer support assistant."),
    ),
    "sampled-test": (("temperature=0.7, do_sample=True", "do_sample=False"),),
    "answer-cut": (("max_new_tokens=100", "max_new_tokens=256"),),
    "different-base": (('"llama3.2:3b"', '"tinyllama"'),),
    "padding-in-tokenizer": (("tokenizer.save_pretrained(OUT)", ""),),
}


@pytest.mark.parametrize("fault", MENDS)
def test_a_fault_that_is_mended_is_not_found_and_the_others_still_are(fault: str, tmp_path: Path) -> None:
    words = TUTORIAL.read_text(encoding="utf-8")
    for old, new in MENDS[fault]:
        assert old in words
        words = words.replace(old, new)
    gone = (FIRST_EIGHT | FURTHER) - warned(written(tmp_path, words))
    # More epochs are more than the ten steps of warm-up; what is not padded is not saved as padded, and its prompt is
    # no longer learned beside padding.
    with_it = {"too-few-steps": {"warmup-exceeds-steps"}, "loss-on-padding": {"padding-in-tokenizer", "loss-on-prompt"}}
    assert gone == {fault} | with_it.get(fault, set())


def test_masked_labels_are_not_known_and_not_judged(tmp_path: Path) -> None:
    words = TUTORIAL.read_text(encoding="utf-8")
    masked = words.replace(
        'tokens["labels"] = tokens["input_ids"].copy()',
        'tokens["labels"] = [i if i > 9 else -100 for i in tokens["input_ids"]]',
    )
    assert masked != words
    assert warned(written(tmp_path, masked)).isdisjoint({"loss-on-padding", "loss-on-prompt"})


def test_the_rows_can_lie_in_a_file_beside_the_script(tmp_path: Path) -> None:
    rows = [{"question": f"What does parcel {n} cost?", "answer": f"It costs ${n}.50."} for n in range(1, 41)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    path = written(
        tmp_path, TRAINING + 'load_dataset("json", data_files="rows.jsonl")\nTrainingArguments(num_train_epochs=2)'
    )
    report = audit(path)
    assert report.rows and (report.rows.rows, report.rows.single, report.rows.source) == (40, 40, "rows.jsonl")
    assert {"too-few-steps", "one-wording"} <= {finding.id for finding in report.findings}
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(rows[0]), encoding="utf-8")
    assert audit(path, other).rows.rows == 1, "a file that is given goes before one that is found"  # type: ignore[union-attr]


# --- values ----------------------------------------------------------------------------------------------------------


def test_settings_are_followed_through_simple_assignments(tmp_path: Path) -> None:
    words = (
        TRAINING
        + """
EPOCHS = 2 * 3
class Config:
    rate = 1e-3 / 5
settings = dict(warmup_ratio=0.1)
more = {"gradient_accumulation_steps": 4}
TrainingArguments(num_train_epochs=EPOCHS, learning_rate=Config.rate, **settings, **more)
"""
    )
    found = configured(tmp_path, words)
    assert (found["epochs"], found["accumulation"], found["warmup_ratio"]) == (6, 4, 0.1)
    assert found["rate"] == pytest.approx(2e-4)
    assert found["batch"] == 8 and found["assumed"] == {
        "batch": "transformers 5.23.0",
        "schedule": "transformers 5.23.0",
    }


@pytest.mark.parametrize(
    "value",
    ["int(sys.argv[1])", "epochs", "10 ** 10 ** 10", "1 / 0", "'three'", "[3]", "-1", "float('nan')", "9" * 5000],
)
def test_what_is_computed_or_no_number_is_unknown_and_not_the_default(value: str, tmp_path: Path) -> None:
    words = (
        TRAINING + f"epochs = 1\nepochs = 2\nTrainingArguments(num_train_epochs={value}, per_device_train_batch_size=2)"
    )
    if len(value) > 4300:
        with pytest.raises(DataError):  # Python itself refuses to read it
            configured(tmp_path, words)
        return
    found = configured(tmp_path, words)
    assert found["batch"] == 2
    assert found["epochs"] is None or value == "-1", "-1 says that nothing is set"


def test_trls_own_collator_learns_no_padding_and_the_prompt_by_the_form_of_the_rows(tmp_path: Path) -> None:
    start = "from trl import SFTConfig, SFTTrainer\n"
    assert configured(tmp_path, start + "SFTTrainer(args=SFTConfig())")["loss_on_prompt"] is None
    assert (
        configured(tmp_path, start + "SFTTrainer(args=SFTConfig(completion_only_loss=True))")["loss_on_prompt"] is False
    )
    assert (
        configured(tmp_path, start + "SFTTrainer(args=SFTConfig(completion_only_loss=False))")["loss_on_prompt"] is True
    )
    assert (
        configured(tmp_path, start + "SFTTrainer(args=SFTConfig(assistant_only_loss=True))")["loss_on_prompt"] is False
    )
    assert (
        configured(tmp_path, start + "SFTTrainer(args=SFTConfig(dataset_text_field='text'))")["loss_on_prompt"] is True
    )
    assert configured(tmp_path, start + "SFTTrainer(args=SFTConfig())")["loss_on_padding"] is False


PAD = (
    TRAINING
    + """from transformers import DataCollatorForLanguageModeling
tokenizer.pad_token = tokenizer.eos_token
def format_row(row):
    return f"<|user|>\\n{row}</s>\\n<|assistant|>\\n{row}</s>"
Trainer(args=TrainingArguments(), data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False))
"""
)


def test_an_end_token_that_is_the_padding_is_not_learned_by_transformers_collator(tmp_path: Path) -> None:
    assert configured(tmp_path, PAD)["end_token"] == "masked"
    assert configured(tmp_path, PAD.replace("tokenizer.eos_token", '"<pad>"'))["end_token"] is None
    assert configured(tmp_path, PAD.replace("transformers import DataC", "trl import DataC"))["end_token"] is None
    assert configured(tmp_path, PAD.replace("</s>", ""))["end_token"] == "doubtful"


def test_a_row_put_together_without_an_end_token_never_teaches_one(tmp_path: Path) -> None:
    words = (
        TRAINING
        + "def format_row(row):\n    return f'### Instruction: {row}\\n### Response: {row}%s'\n"
        + "Trainer(args=TrainingArguments())"
    )
    assert configured(tmp_path, words % "")["end_token"] == "never"
    assert configured(tmp_path, words % "</s>")["end_token"] is None
    assert configured(tmp_path, words % "{tokenizer.eos_token}")["end_token"] is None


# --- prompts ---------------------------------------------------------------------------------------------------------

MESSAGES = (
    TRAINING
    + """
SYSTEM = "You answer for the shop."
def format_row(row):
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": row},
            {"role": "assistant", "content": row}]
TrainingArguments()
def ask(question):
    return pipeline([%s{"role": "user", "content": question}])
"""
)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ('{"role": "system", "content": SYSTEM}, ', False),
        ('{"role": "system", "content": "You answer\\nfor the shop. "}, ', False),  # blanks are no other words
        ('{"role": "system", "content": "Be brief."}, ', True),
        ('{"role": "system", "content": make_prompt()}, ', False),  # unknown
        ("", True),
    ],
)
def test_the_system_message_is_compared_where_it_is_known(asked: str, found: bool, tmp_path: Path) -> None:
    path = written(tmp_path, MESSAGES % asked)
    assert ("system-prompt-differs" in warned(path)) is found


def test_a_tokenizer_is_known_by_what_it_was_loaded_as_whatever_its_name(tmp_path: Path) -> None:
    words = TUTORIAL.read_text(encoding="utf-8")
    renamed = words.replace("tokenizer", "tok")
    assert "tok = AutoTokenizer.from_pretrained" in renamed
    assert "loss-on-padding" in warned(written(tmp_path, renamed))
    other = renamed.replace("tok = AutoTokenizer.from_pretrained", "tok = load")
    assert "loss-on-padding" not in warned(written(tmp_path, other))  # who knows what that is


def test_a_hand_made_template_is_not_what_a_chat_template_renders(tmp_path: Path) -> None:
    words = (
        TRAINING
        + """
def format_row(row):
    return f"### Instruction: {row}\\n### Response: {row}</s>"
TrainingArguments()
def ask(question):
    return generate([{"role": "system", "content": ""}, {"role": "user", "content": question}])
"""
    )
    assert "template-differs" in warned(written(tmp_path, words))
    same = words.replace('[{"role": "system", "content": ""}, {"role": "user", "content": question}]',
                         'f"### Instruction: {question}\\n### Response:"')  # fmt: skip
    assert same != words and "template-differs" not in warned(written(tmp_path, same))


def test_talk_and_docstrings_are_no_templates(tmp_path: Path) -> None:
    words = TRAINING + '"""Question: x\\nAnswer: y"""\nprint(f"Question: {q}\\nAnswer: {a}")\nTrainingArguments()'
    found = configured(tmp_path, words)
    assert found["template"] is None and found["test_template"] is None


def test_merging_into_four_bits_is_found_and_merging_into_sixteen_is_not(tmp_path: Path) -> None:
    load = 'base = AutoModelForCausalLM.from_pretrained("org/model"%s)\n'
    load += 'PeftModel.from_pretrained(base, "out").merge_and_unload()'
    assert warned(written(tmp_path, load % ", load_in_4bit=True")) == {"merge-into-quantised"}
    bits = ", quantization_config=BitsAndBytesConfig(load_in_4bit=True)"
    assert warned(written(tmp_path, load % bits)) == {"merge-into-quantised"}
    assert warned(written(tmp_path, load % "")) == set()
    assert warned(written(tmp_path, load % ", quantization_config=chosen")) == set(), "unknown"


# --- odd files -------------------------------------------------------------------------------------------------------


def test_a_notebook_is_its_code(tmp_path: Path) -> None:
    source = ["!pip install transformers\n", "%cd x\n", "TrainingArguments(num_train_epochs=7)"]
    cells = [
        {"cell_type": "markdown", "source": ["TrainingArguments("]},
        {"cell_type": "code", "source": source},
    ]
    path = written(tmp_path, json.dumps({"cells": cells}), "train.ipynb")
    report = audit(path)
    assert report.kind == "notebook" and report.configured.epochs == 7


@pytest.mark.parametrize(
    "words",
    [
        "def (",
        "x = '\0'",
        "(" * 5000 + ")" * 5000,
        "-" * 100_000 + "1",
        "print('hello')",
        "",
        "x = [" + "[" * 90 + "]" * 90 + "]",
    ],
    ids=["syntax", "null", "brackets", "signs", "no fine-tune", "empty", "nested lists"],
)
def test_what_is_no_script_of_a_fine_tune_is_refused(words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        audit(written(tmp_path, words))
    assert caught.value.fix and str(tmp_path) in caught.value.where


def test_names_that_stand_for_ever_longer_lists_end(tmp_path: Path) -> None:
    lists = "\n".join(f"a{n} = [a{n + 1}, a{n + 1}]" for n in range(45))
    path = written(
        tmp_path, TRAINING + lists + "\na45 = 'x'\nTrainingArguments(num_train_epochs=a0, learning_rate=1e-4)"
    )
    assert audit(path).configured.rate in (1e-4, None)
    deep = "x = " + " + ".join(["'a'"] * 900)
    assert audit(written(tmp_path, TRAINING + deep + "\nTrainingArguments(num_train_epochs=2)")).configured.epochs == 2


def test_nothing_in_a_script_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    audit(
        written(
            tmp_path,
            TRAINING + f"open({str(mark)!r}, 'w')\nTrainingArguments(num_train_epochs=__import__('os').getpid())",
        )
    )
    assert not mark.exists()
