"""Which backend a name gets. Loading itself is tested where the models are."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_chat import Scripted, serving

from kurabe import backends
from kurabe.errors import MissingError, SettingsError
from kurabe.fake import FakeBackend
from kurabe.settings import RunSettings


def test_a_server_s_name_gets_a_client_that_is_closed_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "sk-secret")
    with serving(Scripted(key="sk-secret", models=("a", "b"))) as state:
        with backends.answering(f"{state.url}#b", "SHOP_KEY") as backend:
            assert (backend.info.name, backend.info.path) == ("b", f"{state.url}/v1")
        assert backend._connection._client.is_closed  # type: ignore[attr-defined]
        monkeypatch.setenv("OLLAMA_HOST", state.url)
        monkeypatch.setenv("OTHER_KEY", "sk-secret")
        with backends.answering("ollama:a", "OTHER_KEY") as backend:
            assert (backend.info.name, backend.info.family) == ("a", "ollama")


def test_every_other_name_is_loaded_as_a_run_s_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    fake = FakeBackend()
    monkeypatch.setattr(backends, "load", lambda settings: asked.append(settings.model) or fake)
    with backends.answering("models/llama") as backend:
        assert backend is fake and asked == ["models/llama"]


def test_a_key_for_a_model_on_this_machine_is_a_mistake() -> None:
    with pytest.raises(SettingsError), backends.answering("tiny", "SHOP_KEY"):
        pass


def test_a_file_by_its_ending(tmp_path: Path) -> None:
    with pytest.raises(MissingError), backends.answering(str(tmp_path / "absent.GGUF")):
        pass


@pytest.mark.parametrize("name", ["ollama:qwen3:8b", "http://127.0.0.1:8000/v1#m"])
def test_a_run_on_a_server_is_refused_with_what_a_server_is_for(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        backends.load(RunSettings(model=name))
    assert "--model" in caught.value.fix
