"""One renderer for training and answering: prompts are prefixes, BOS comes once, the tokenizer is used as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import ZEPHYR
from hypothesis import given, settings
from hypothesis import strategies as st

from kurabe import chat
from kurabe.chat import IGNORE
from kurabe.errors import MissingError
from kurabe.schema import Message

SHARED = Path(__file__).parents[2] / "shared"
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Like Qwen3: an empty thought before an answer that is to come, none in a conversation that has it.
THINKING = CHATML.replace("assistant\n' }}{% endif %}", "assistant\n<think>\n\n</think>\n\n' }}{% endif %}")
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}{{ '[' + m.role + '] ' + m.content | trim + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant] ' }}{% endif %}"
)


def ask(question: str, answer: str | None = None, system: str | None = "Be helpful.") -> list[Message]:
    messages = [Message(role="system", content=system)] if system else []
    messages.append(Message(role="user", content=question))
    return [*messages, Message(role="assistant", content=answer)] if answer is not None else messages


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny folder's tokenizer that a test may change."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"):
        shutil.copy(tiny_folder / name, tmp_path / name)
    return tmp_path


def with_template(folder: Path, template: str, **special: str) -> chat.Chat:
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    if special:
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | special), encoding="utf-8")
    return chat.load(folder)


def add_special(folder: Path, *tokens: str) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(list(tokens))
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("template", [ZEPHYR, CHATML, THINKING, TRIMMED], ids=["zephyr", "chatml", "thinking", "trim"])
def test_prompt_is_the_beginning_of_the_training_row(folder: Path, template: str) -> None:
    add_special(folder, "<|im_start|>", "<|im_end|>")
    c = with_template(folder, template)
    for question, answer in [("What are the costs?", "$6.99, 3-5 days."), ("送料は？", "500円です。"), ("a", "b")]:
        prompt, row = c.prompt(ask(question)), c.sample(ask(question, answer))
        assert row.ids[: len(prompt)] == prompt
        assert len(row.ids) == len(row.labels)
        assert set(row.labels[: len(prompt)]) == {IGNORE}
        assert row.labels[len(prompt) :] == row.ids[len(prompt) :]
        assert row.ids[-1] in c.end_ids
        assert c.text(row.ids[len(prompt) :]) == answer


def test_a_template_that_renders_answers_differently_says_so(folder: Path) -> None:
    add_special(folder, "<|im_start|>", "<|im_end|>")
    plain, thinking = with_template(folder, CHATML), with_template(folder, THINKING)
    plain.sample(ask("a", "b"))
    thinking.sample(ask("a", "b"))
    assert (plain.joined, thinking.joined) == (0, 1)


@settings(max_examples=60, deadline=None)
@given(question=st.text(min_size=1, max_size=40), answer=st.text(min_size=1, max_size=40))
def test_any_text_keeps_the_prefix(tiny_folder: Path, question: str, answer: str) -> None:
    c = chat.load(tiny_folder)
    row = c.sample(ask(question, answer))
    prompt = c.prompt(ask(question))
    assert row.ids[: len(prompt)] == prompt
    assert row.ids[-1] == c.end_id


def test_labels_on_everything(tiny_folder: Path) -> None:
    row = chat.load(tiny_folder).sample(ask("a", "b"), "everything")
    assert row.labels == row.ids


def test_count_is_what_is_computed(tiny_folder: Path) -> None:
    c = chat.load(tiny_folder)
    assert c.count(ask("hello")) == len(c.prompt(ask("hello")))
    assert c.count(ask("hello", "you")) == len(c.sample(ask("hello", "you")).ids)


def test_a_row_must_end_with_an_answer(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="assistant"):
        chat.load(tiny_folder).sample(ask("hello"))


def test_end_tokens_come_from_model_tokenizer_and_template(folder: Path) -> None:
    add_special(folder, "<|im_start|>", "<|im_end|>", "<|stop|>")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2]}), encoding="utf-8")
    c = with_template(folder, CHATML, eos_token="<|stop|>")
    assert c.end_ids == {c.tokenizer.token_to_id(t) for t in ("</s>", "<|im_end|>", "<|stop|>")}
    assert c.sample(ask("a", "b")).ids[-1] == c.tokenizer.token_to_id("<|im_end|>")


def test_a_template_without_end_token_gets_one(folder: Path) -> None:
    c = with_template(folder, "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}assistant: ")
    assert c.sample(ask("a", "b")).ids[-1] == c.end_id == 2


def test_bos_once_whoever_writes_it(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    for template in (ZEPHYR, TRIMMED):  # the second writes its own
        ids = with_template(folder, template).prompt(ask("hello"))
        assert ids[0] == 1
        assert ids.count(1) == 1


def test_padding_and_truncation_left_in_the_file_are_off(folder: Path) -> None:
    from tokenizers import Tokenizer

    clean = chat.load(folder).prompt(ask("hello " * 50))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(length=512)
    tokenizer.enable_truncation(16)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert chat.load(folder).prompt(ask("hello " * 50)) == clean


def test_template_inside_the_config(folder: Path) -> None:
    expected = chat.load(folder).prompt(ask("hello"))
    (folder / "chat_template.jinja").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    for stored in (ZEPHYR, [{"name": "tool_use", "template": "x"}, {"name": "default", "template": ZEPHYR}]):
        (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": stored}), "utf-8")
        assert chat.load(folder).prompt(ask("hello")) == expected


def test_same_ids_as_transformers(tiny_folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast.from_pretrained(tiny_folder)
    rows = [m.model_dump() for m in ask("What are the shipping costs?")]
    ids = theirs.apply_chat_template(rows, add_generation_prompt=True, return_dict=False)
    assert chat.load(tiny_folder).prompt(ask("What are the shipping costs?")) == ids


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja"])
def test_a_missing_part_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(MissingError) as caught:
        chat.load(folder)
    assert caught.value.fix
    assert "template" in caught.value.what or name in caught.value.what


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set s = 'x' * 10**9 %}{{ s }}",
        "{{ 'x' * 999999999 }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__init__.__globals__ }}",
        "{% for m in messages %}{% set _ = m.update({'content': 'other'}) %}{% endfor %}",
        "{{ raise_exception('no') }}",
        "{% include '/etc/passwd' %}",
        "{{ 9 ** 9 ** 9 }}",
        "{% if %}",
        "x" * (70 * 1024),
    ],
    ids=lambda template: template[:24].replace("/", ""),
)  # fmt: skip
def test_hostile_templates_are_refused_in_time(
    folder: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(chat, "RENDER_SECONDS", 0.3)
    with pytest.raises(MissingError):
        with_template(folder, template)


@pytest.mark.skipif(not (SHARED / "tokenizer-cases").is_dir(), reason="../shared/tokenizer-cases is not here")
def test_the_real_tokenizer_gives_llama_cpp_ids() -> None:
    c = chat.load(SHARED / "tinyllama-tokenizer")
    cases = SHARED / "tokenizer-cases"
    texts = (cases / "llama-spm.inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    ids = [[int(i) for i in line.split()] for line in (cases / "llama-spm.out").read_text("utf-8").split("\n")]
    right = sum(c.tokenizer.encode(t, add_special_tokens=False).ids == i for t, i in zip(texts, ids, strict=False))
    assert (right, len(texts)) == (47, 47)


@pytest.mark.skipif(not (SHARED / "tinyllama-tokenizer").is_dir(), reason="../shared/tinyllama-tokenizer is not here")
def test_the_real_tokenizer_keeps_the_prefix() -> None:
    c = chat.load(SHARED / "tinyllama-tokenizer")
    for question, answer in [("What are the shipping costs?", "Standard shipping costs $6.99."), ("  x", " y\n")]:
        prompt, row = c.prompt(ask(question)), c.sample(ask(question, answer))
        assert row.ids[: len(prompt)] == prompt
        assert prompt.count(1) == 1
        assert row.ids[-1] == 2
    assert c.joined == 0


# --- which tokens write a value --------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["It costs $6.99 today.", "  It costs $6.99 today.", "送料は￥500、🙂 $6.99です。"])
def test_the_tokens_of_a_value_are_those_that_write_it(tiny_folder: Path, answer: str) -> None:
    own = chat.load(tiny_folder)
    row = own.sample(ask("What?", answer))
    ids = row.ids[row.labels.count(IGNORE) :]
    start = answer.index("$6.99")
    marked = own.covering(ids, answer, [(start, start + 5)])
    assert "$6.99" in own.text([ids[k] for k in sorted(marked)])
    assert sorted(marked) == list(range(min(marked), max(marked) + 1)) and len(ids) - 1 not in marked
    before = set().union(*(own.covering(ids, answer, [(k, k + 1)]) for k in range(start)))
    assert own.covering(ids, answer, []) == set()
    assert before >= set(range(min(marked)))  # every token writes something, also a part of a character
    assert own.covering(ids, answer, [(0, len(answer))]) == set(range(len(ids) - 1))  # all but the end token


def test_where_the_tokens_write_another_text_all_of_them_count(tiny_folder: Path) -> None:
    own = chat.load(tiny_folder)
    row = own.sample(ask("What?", "Something else."))
    ids = row.ids[row.labels.count(IGNORE) :]
    assert own.covering(ids, "It costs $6.99.", [(9, 14)]) == set(range(len(ids)))
