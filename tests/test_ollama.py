"""Shipping to Ollama, against a scripted one: what is sent, what counts as success, and that nothing waits for ever."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from scripted_ollama import Scripted, serving

from kurabe.errors import MissingError, SettingsError, UserError
from kurabe.export.ollama import Limits, Model, Ollama, full_name, ollama_url
from kurabe.schema import Message

SHORT = Limits(connect=0.5, first=0.3, between=0.2, total=2)
WORDS = (
    Message(role="system", content="You are kind."), Message(role="user", content="いくら？"),
    Message(role="assistant", content="500円"),
)  # fmt: skip
Start = Callable[..., tuple[Scripted, Ollama]]


@pytest.fixture
def start() -> Iterator[Start]:
    """A scripted server and a client of it."""
    with ExitStack() as stack:

        def begin(*, limits: Limits = SHORT, **script: Any) -> tuple[Scripted, Ollama]:
            state = stack.enter_context(serving(Scripted(**script)))
            return state, stack.enter_context(Ollama(state.url, limits))

        yield begin


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop-Q4_K_M.gguf"
    path.write_bytes(b"GGUF" + bytes(3_000_000))
    return path


def model(file: Path, **changes: Any) -> Model:
    filled: dict[str, Any] = {
        "file": file, "conversation": WORDS, "parameters": {"temperature": 0.0}, "template": "{{ .Prompt }}",
        "stop": ("</s>", "<|user|>"),
    }  # fmt: skip
    return Model(**(filled | changes))


def test_a_file_becomes_a_model_with_its_words(start: Start, file: Path) -> None:
    state, ollama = start()
    heard: list[str] = []
    assert ollama.create("shop", model(file), progress=heard.append) is True
    (sent,) = state.created
    assert sent["model"] == "shop:latest" and sent["system"] == "You are kind."
    assert [m["content"] for m in sent["messages"]] == ["いくら？", "500円"]
    assert list(sent["files"]) == ["shop-Q4_K_M.gguf"] and sent["files"][file.name].startswith("sha256:")
    assert heard[0] == "upload" and heard[-1] == "success"
    assert ollama.names() == ["shop:latest"]


def test_a_new_server_uses_the_file_s_template_and_an_old_one_gets_ours(start: Start, file: Path) -> None:
    for version, ours in (
        ("0.30.0-rc1", False),
        ("0.33.2", False),
        ("1.0.0", False),
        ("0.17.1", True),
        ("0.29.9", True),
    ):
        state, ollama = start(version=version)
        ollama.create("shop", model(file))
        (sent,) = state.created
        assert ("template" in sent) is ours and ("stop" in sent["parameters"]) is ours, version


def test_a_file_that_is_there_is_not_sent_again(start: Start, file: Path) -> None:
    state, ollama = start()
    ollama.create("one", model(file))
    ollama.create("two", model(file, conversation=()))
    assert state.asked.count("POST /api/blobs/") == 1 and state.asked.count("HEAD /api/blobs/") == 2


@pytest.mark.parametrize("version", ["0.17.1", "0.33.0"])
def test_the_same_model_again_is_success_and_another_one_a_clash(start: Start, file: Path, version: str) -> None:
    state, ollama = start(version=version)
    ollama.create("Shop", model(file))
    assert ollama.create("shop", model(file)) is False
    others = [
        model(file, conversation=WORDS[:1]), model(file, conversation=WORDS[1:]), model(file, parameters={}),
        model(file, parameters={"temperature": 1}),
    ]  # fmt: skip
    others += [model(file, template="x"), model(file, stop=("</s>",))] if version == "0.17.1" else []
    for other in others:
        with pytest.raises(SettingsError, match="already"):
            ollama.create("SHOP:latest", other)
    other_file = file.with_name("other.gguf")
    other_file.write_bytes(b"GGUF")
    with pytest.raises(SettingsError, match="already"):
        ollama.create("shop", model(other_file))
    assert len(state.created) == 1
    assert ollama.create("shop", model(other_file), replace=True) is True


def test_a_prompt_on_a_model_that_the_server_has(start: Start, file: Path) -> None:
    state, ollama = start()
    ollama.create("base", Model(file=file, parameters={"num_ctx": 2048}))
    assert ollama.create("shop", Model(base="base", conversation=WORDS)) is True
    assert state.created[-1]["from"] == "base" and "files" not in state.created[-1]


def test_deleting(start: Start, file: Path) -> None:
    _, ollama = start()
    ollama.create("Shop", model(file))
    assert (ollama.delete("shop"), ollama.delete("shop"), ollama.names()) == (True, False, [])


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("error in 200", "magic"), ("error after success", "manifest"), ("another last line", "cleaning up"),
        ("no success", "creating new layer"), ("cut in a character", ""), ("drops", ""), ("refuses", "invalid model"),
        ("hangs before", "too long"), ("hangs between", "too long"), ("full disk", "no space"),
    ],
)  # fmt: skip
def test_a_server_that_does_something_wrong_is_a_clear_error(start: Start, file: Path, fault: str, word: str) -> None:
    state, ollama = start(fault=fault)
    begin = time.monotonic()
    with pytest.raises(MissingError) as refused:
        ollama.create("shop", model(file))
    assert time.monotonic() - begin < 2
    assert word in refused.value.why and refused.value.where == state.url
    assert ollama.names() == []


def test_a_slow_server_that_goes_on_is_waited_for_until_the_total_ends(start: Start, file: Path) -> None:
    _, ollama = start(fault="slow")
    assert ollama.create("shop", model(file)) is True
    _, ollama = start(fault="for ever", limits=SHORT._replace(total=0.05))
    with pytest.raises(MissingError, match="failed"):
        ollama.create("shop", model(file))


@pytest.mark.parametrize("fault", ["silent", "not json", "a list", "no version"])
def test_something_else_on_the_port(start: Start, fault: str) -> None:
    begin = time.monotonic()
    with pytest.raises(MissingError):
        start(fault=fault)
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("version", ["0.17.0", "0.16.3", "0.5.5", "0.0.0", "unknown"])
def test_an_old_server_is_refused_with_the_reason(start: Start, version: str) -> None:
    with pytest.raises(MissingError, match="too old") as refused:
        start(version=version)
    assert "CVE-2026-7482" in refused.value.why and "0.17.1" in refused.value.fix


def test_nobody_there() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: the port is surely closed
        with pytest.raises(MissingError, match="does not answer") as refused:
            Ollama(f"127.0.0.1:{held.getsockname()[1]}", SHORT)
    assert "ollama serve" in refused.value.fix


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("shop", "shop:latest"), ("shop:v1", "shop:v1"), ("me/shop", "me/shop:latest"), ("library/a", "a:latest"),
        ("registry.ollama.ai/library/a:b", "a:b"), ("host.example:5000/me/a", "host.example:5000/me/a:latest"),
        ("_a.b-c", "_a.b-c:latest"),
    ],
)  # fmt: skip
def test_names(name: str, full: str) -> None:
    assert full_name(name) == full


@pytest.mark.parametrize(
    "name",
    ["", "-a", ".a", "a b", "a/", "/a", "a:", ":a", "a:b:c", "a/b/c/d", "me.x/a", "../a", "a\n", "a\\b", "店", "a" * 81,
     "a" * 81 + "/b", "a:" + "b" * 81],
)  # fmt: skip
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(UserError):
        full_name(name)


def test_the_address() -> None:
    assert ollama_url("") == "http://127.0.0.1:11434" and ollama_url("https://a.example") == "https://a.example:443"


def test_the_limits_of_the_documents_are_the_default() -> None:
    assert Limits()[:3] == (3, 60, 30)
