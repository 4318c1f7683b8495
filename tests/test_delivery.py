"""What reaches Ollama is the file, its message and greedy decoding; what cannot work is said before any conversion."""

from pathlib import Path

import pytest
from scripted_ollama import Scripted, serving

from kurabe.errors import MissingError, SettingsError
from kurabe.export.delivery import deliver, open_server, target


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop-Q8_0.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    return path


def test_names() -> None:
    assert target("ollama:shop", "x") == "shop:latest"
    assert target("ollama", "Support EN+1") == "support-en-1:latest"
    for wrong in ("vllm", "ollama:a b"):
        with pytest.raises(SettingsError):
            target(wrong, "x")


def test_a_file_arrives_once_and_another_one_needs_replace(file: Path) -> None:
    with serving(Scripted()) as state, open_server(state.url) as server:
        assert deliver(server, "shop:latest", file, "You are kind.", replace=False)
        (sent,) = state.created
        assert (sent["system"], sent["parameters"]) == ("You are kind.", {"temperature": 0})
        assert not sent.get("template")
        assert not deliver(server, "shop:latest", file, "You are kind.", replace=False)
        with pytest.raises(SettingsError, match="another one"):
            deliver(server, "shop:latest", file, "You are rude.", replace=False)
        assert deliver(server, "shop:latest", file, "You are rude.", replace=True)


def test_a_server_that_would_guess_the_template_is_refused() -> None:
    with serving(Scripted(version="0.29.0")) as state, pytest.raises(MissingError, match="too old"):
        open_server(state.url)


def test_a_server_that_is_down_is_said_to_be() -> None:
    with pytest.raises(MissingError, match="does not answer"):
        open_server("http://127.0.0.1:9")
