"""How a server's model is named, and where its key comes from."""

from __future__ import annotations

import pytest

from kurabe.errors import MissingError, SettingsError
from kurabe.servers import Server, key_from, server


@pytest.mark.parametrize(
    ("name", "kind", "url", "model"),
    [
        ("ollama:qwen3:8b", "ollama", "http://127.0.0.1:11434", "qwen3:8b"),
        ("Ollama: library/llama3 ", "ollama", "http://127.0.0.1:11434", "library/llama3"),
        ("http://127.0.0.1:8000/v1#Qwen/Qwen3-8B", "openai", "http://127.0.0.1:8000/v1", "Qwen/Qwen3-8B"),
        ("http://box:8000#m", "openai", "http://box:8000/v1", "m"),
        ("https://api.example/openai/v1/#m#2", "openai", "https://api.example/openai/v1", "m#2"),
        ("HTTP://[::1]:1/v1/chat/completions#m", "openai", "http://[::1]:1/v1", "m"),
        ("http://localhost:1234/v1", "openai", "http://localhost:1234/v1", ""),
    ],
)
def test_a_server_is_read_from_its_name(
    name: str, kind: str, url: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert server(name) == (kind, url, model)
    again = server(Server(kind, url, model).named)  # type: ignore[arg-type]
    assert again == (kind, url, model)


@pytest.mark.parametrize("name", ["tiny", "models/llama", "C:\\models\\llama", "httpd/model", "./ollama", "a.gguf", ""])
def test_everything_else_is_no_server(name: str) -> None:
    assert server(name) is None


@pytest.mark.parametrize(
    "name", ["ollama:", "http://", "http:///v1#m", "http://host:port/v1#m", "http://[::1/v1#m", "http://h:99999/v1"]
)
def test_half_a_name_is_refused_with_the_form_to_write(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        server(name)
    assert "ollama:NAME" in caught.value.fix


@pytest.mark.parametrize("name", ["http://user:sk-secret@host/v1#m", "https://host/v1?key=sk-secret#m",
                                  "http://user:sk-secret@host:port/v1"])  # fmt: skip
def test_a_key_in_an_address_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        server(name)
    assert "sk-secret" not in repr(caught.value)


def test_ollama_s_own_variable_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for host, url in (("box:1", "http://box:1"), ("0.0.0.0", "http://127.0.0.1:11434")):
        monkeypatch.setenv("OLLAMA_HOST", host)
        found = server("ollama:m")
        assert found is not None and found.url == url


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://127.9.8.7/v1", True),
        ("http://[::1]:8/v1", True),
        ("http://127.0.0.1.example/v1", False),
        ("http://localhost.example/v1", False),
        ("http://192.168.0.2/v1", False),
    ],
)
def test_this_machine_is_told_from_others(url: str, local: bool) -> None:
    assert Server("openai", url, "m").local is local


def test_a_key_comes_from_the_named_variable_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("SHOP_KEY", " sk-mine\n")
    assert key_from("") == "" and key_from("SHOP_KEY") == "sk-mine"


@pytest.mark.parametrize(("variable", "held"), [("sk-live-123", None), ("sklive123", None), ("SHOP_KEY", " "),
                                                ("SHOP_KEY", "sk-é"), ("SHOP_KEY", "sk\n-a")])  # fmt: skip
def test_a_key_given_by_mistake_is_not_repeated(
    variable: str, held: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if held is not None:
        monkeypatch.setenv(variable, held)
    with pytest.raises((SettingsError, MissingError)) as caught:
        key_from(variable)
    said = repr(caught.value)
    assert "sk-live" not in said and "sklive" not in said and caught.value.fix
