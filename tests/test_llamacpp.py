"""A GGUF in a child process: ids in and out, and every way in which the child can fail is an unscored answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp")
gguf = pytest.importorskip("gguf")

import random_gguf  # noqa: E402

from kurabe import chat, llamacpp, llamacpp_child  # noqa: E402
from kurabe.errors import MissingError  # noqa: E402
from kurabe.llamacpp import CRASHES, GGUFBackend, Limits  # noqa: E402
from kurabe.schema import AnswerKey, Message, Request  # noqa: E402

HELLO = (Message(role="system", content="You are kind."), Message(role="user", content="How much is it? いくら？"))


def request(number: int = 0, tokens: int = 12, messages: tuple[Message, ...] = HELLO, trial: int = 0) -> Request:
    key = AnswerKey(model="m", trial=trial, arm="base", hop="gguf", probe="held_out", question=f"q{number}")
    return Request(key=key, messages=messages, max_new_tokens=tokens)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_gguf.write(tmp_path_factory.mktemp("gguf") / "random-F32.gguf")


@pytest.fixture(scope="module")
def backend(file: Path) -> Iterator[GGUFBackend]:
    with GGUFBackend(file) as made:
        yield made


@pytest.fixture(scope="module")
def ours() -> chat.Chat:
    return chat.load(random_gguf.TINY)


def test_what_the_file_says_of_itself(backend: GGUFBackend) -> None:
    info = backend.info
    assert (info.family, info.hidden, info.layers, info.context, info.dtype) == ("llama", 64, 2, 512, "F32")
    assert info.vocabulary == len(backend.header.elements("tokenizer.ggml.tokens"))
    assert info.parameters == sum(t.size // 4 for t in backend.header.tensors)


def test_the_file_s_own_template_and_tokenizer_give_the_ids_of_ours(backend: GGUFBackend, ours: chat.Chat) -> None:
    assert backend.prompt_ids(HELLO) == ours.prompt(HELLO)
    assert backend.count(HELLO) == ours.count(HELLO)


def test_answers_keep_the_order_and_do_not_depend_on_each_other(backend: GGUFBackend) -> None:
    other = (Message(role="user", content="Where?"),)
    asked = [request(0), request(1, messages=other), request(2), request(3, tokens=5)]
    answers = list(backend.answer(asked))
    assert [a.key for a in answers] == [r.key for r in asked]
    assert answers[0].token_ids == answers[2].token_ids != answers[1].token_ids
    assert answers[3].token_ids == answers[0].token_ids[:5] and answers[3].finish == "length"
    assert answers[0].prompt_tokens == backend.count(HELLO) and answers[0].new_tokens == len(answers[0].token_ids)


def test_given_our_tokenizer_the_text_is_its_text(file: Path, backend: GGUFBackend, ours: chat.Chat) -> None:
    with GGUFBackend(file, chat=ours) as other:
        (answer,) = other.answer([request()])
    (same,) = backend.answer([request()])
    assert answer.token_ids == same.token_ids and answer.text == ours.text(answer.token_ids)


def test_the_tokens_are_those_of_transformers(backend: GGUFBackend, file: Path) -> None:
    """The same weights, computed by another program from the same file."""
    transformers = pytest.importorskip("transformers")
    import torch

    config = transformers.LlamaConfig(
        vocab_size=backend.info.vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5,
        tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    tensors = {t.name: torch.tensor(t.data) for t in gguf.GGUFReader(file).tensors}
    names = {
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }  # fmt: skip
    state = {"model.embed_tokens.weight": tensors["token_embd.weight"], "lm_head.weight": tensors["output.weight"],
             "model.norm.weight": tensors["output_norm.weight"]}  # fmt: skip
    for i in range(2):
        for short, long in names.items():
            weight = tensors[f"blk.{i}.{short}.weight"]
            if short in ("attn_q", "attn_k"):  # the file pairs the halves of a head, as the format has it
                heads = weight.shape[0] // 16
                weight = weight.reshape(heads, 8, 2, 64).swapaxes(1, 2).reshape(weight.shape)
            state[f"model.layers.{i}.{long}.weight"] = weight
    model.load_state_dict(state)
    (answer,) = backend.answer([request(tokens=16)])
    ids = list(backend.prompt_ids(HELLO))
    with torch.no_grad():
        for token in answer.token_ids:
            logits = model(torch.tensor([ids])).logits[0, -1]
            assert float(logits.max() - logits[token]) < 1e-3
            ids.append(token)


def test_what_cannot_be_answered_is_unscored(backend: GGUFBackend) -> None:
    long = (Message(role="user", content="word " * 600),)
    answers = list(backend.answer([request(0, messages=long), request(1, trial=3), request(2)]))
    assert [a.finish == "error" for a in answers] == [True, True, False]
    assert "context" in answers[0].error and "adapter" in answers[1].error


def test_a_child_that_dies_leaves_one_answer_unscored_and_the_next_one_is_answered(file: Path) -> None:
    with GGUFBackend(file) as backend:
        (before,) = backend.answer([request()])
        assert backend._child is not None
        backend._child._process.kill()
        backend._child._process.wait()
        (dead, after) = backend.answer([request(1), request(2)])
        assert dead.finish == "error" and "crashed" in dead.error
        assert after.token_ids == before.token_ids


def test_a_child_that_is_silent_is_ended_in_time(file: Path) -> None:
    with GGUFBackend(file) as backend:
        backend.limits = Limits(answer=0.0001)
        start = time.monotonic()
        answers = list(backend.answer([request(i, tokens=400) for i in range(CRASHES + 1)]))
        assert time.monotonic() - start < 30 and all(a.finish == "error" for a in answers)
        assert "within" in answers[0].error and "given up" in answers[-1].error


def test_a_file_that_crashes_the_child_or_that_it_refuses_is_an_error(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = tmp_path / "crash.py"
    crash.write_text("import os, sys\nsys.stdin.readline()\nos.abort()\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(llamacpp_child, "__file__", str(crash))
        with pytest.raises(MissingError, match="cannot run") as refused:
            GGUFBackend(file)
    assert "crashed" in refused.value.why
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(file.read_bytes().replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"))
    with pytest.raises(MissingError, match="cannot run"):
        GGUFBackend(wrong)


def test_the_child_s_memory_is_limited(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    if sys.platform != "linux":
        pytest.skip("only Linux limits a process's address space")
    monkeypatch.setattr(llamacpp, "OVERHEAD", 1 << 26)
    with pytest.raises(MissingError, match="cannot run"):
        GGUFBackend(file)


def test_a_file_without_a_template_or_that_is_hostile_never_reaches_llama_cpp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp, "_Child", None)  # calling it would be a TypeError
    hostile = tmp_path / "hostile.gguf"
    hostile.write_bytes(b"GGUF" + b"\xff" * 45)
    with pytest.raises(MissingError, match="refused"):
        GGUFBackend(hostile)
    endless = random_gguf.write(tmp_path / "long.gguf", template="x" * (64 * 1024 + 1))
    with pytest.raises(MissingError, match="too long"):
        GGUFBackend(endless)
