"""What reaches Ollama is the file, its message and greedy decoding; what cannot work is said before any conversion."""

import shutil
from pathlib import Path

import pytest
import random_gguf
from scripted_ollama import Scripted, serving

from kurabe.errors import MissingError, SettingsError
from kurabe.export.deliveries import noted
from kurabe.export.delivery import Parcel, check, deliver, target
from kurabe.export.ollama import Ollama


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
    with serving(Scripted()) as state, Ollama(state.url) as server:
        kind, rude = Parcel(file, system="You are kind."), Parcel(file, system="You are rude.")
        assert deliver(server, "shop:latest", kind, replace=False)
        (sent,) = state.created
        assert (sent["system"], sent["parameters"]) == ("You are kind.", {"temperature": 0})
        assert not sent.get("template")
        assert not deliver(server, "shop:latest", kind, replace=False)
        with pytest.raises(SettingsError, match="another one"):
            deliver(server, "shop:latest", rude, replace=False)
        assert deliver(server, "shop:latest", rude, replace=True)
    assert [made.model for made in noted(file.parent)] == ["shop:latest"]


def test_a_lora_lies_over_its_base(file: Path) -> None:
    lora = file.with_name("shop-LoRA.gguf")
    lora.write_bytes(b"GGUF" + bytes(10))
    with serving(Scripted()) as state, Ollama(state.url) as server:
        assert deliver(server, "shop:latest", Parcel(file, lora), replace=False)
        (sent,) = state.created
        assert [list(sent[part]) for part in ("files", "adapters")] == [[file.name], [lora.name]]
        assert len(state.blobs) == 2
        assert not deliver(server, "shop:latest", Parcel(file, lora), replace=False)
        for other in (Parcel(file), Parcel(file, file)):
            with pytest.raises(SettingsError, match="another one"):
                deliver(server, "shop:latest", other, replace=False)


def test_an_old_server_gets_the_template_in_its_own_form(tmp_path: Path) -> None:
    """It would guess one by likeness; ours says what the file's does, and which words end an answer."""
    made = random_gguf.write(tmp_path / "random-F32.gguf")
    with serving(Scripted(version="0.29.0")) as state, Ollama(state.url) as server:
        check(server, made)
        assert deliver(server, "shop:latest", Parcel(made), replace=False)
        (sent,) = state.created
        assert "{{ $m.Content }}</s>" in sent["template"] and sent["parameters"]["stop"] == ["</s>"]
        assert not deliver(server, "shop:latest", Parcel(made), replace=False)


def test_a_template_that_an_old_server_cannot_be_told_is_refused_before_the_work(
    tmp_path: Path, tiny_folder: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "chat_template.jinja").write_text("[INST] {{ messages | map(attribute='content') | join(' ') }} [/INST]")
    with serving(Scripted(version="0.29.0")) as state, Ollama(state.url) as server:
        check(server, tiny_folder)
        with pytest.raises(MissingError, match="own form"):
            check(server, folder)
    with serving(Scripted()) as state, Ollama(state.url) as server:
        check(server, folder)


def test_a_server_that_is_down_is_said_to_be() -> None:
    with pytest.raises(MissingError, match="does not answer"):
        Ollama("http://127.0.0.1:9")
