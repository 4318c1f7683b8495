"""A Modelfile's words and settings around a GGUF: what is obeyed, what is listed as not obeyed, what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kurabe.errors import UserError
from kurabe.export.dialogue import LONGEST, Dialogue, Setup, from_modelfile
from kurabe.schema import Answer


def modelfile(tmp_path: Path, text: str) -> Path:
    (tmp_path / "shop.gguf").write_bytes(b"GGUF")
    path = tmp_path / "Modelfile"
    path.write_text(text, encoding="utf-8")
    return path


def test_words_and_settings_are_obeyed(tmp_path: Path) -> None:
    text = (
        "FROM shop.gguf\nSYSTEM Be kind.\nMESSAGE user Hi\nMESSAGE assistant Hello\nPARAMETER stop </s>\n"
        "PARAMETER stop END\nPARAMETER temperature 0.5\nPARAMETER seed 7\nPARAMETER num_predict 9\nPARAMETER top_k 3\n"
        "PARAMETER mirostat 1\nTEMPLATE {{ .Prompt }}\nLICENSE free"
    )
    (tmp_path / "lora.gguf").touch()
    setup = from_modelfile(modelfile(tmp_path, text + "\nADAPTER ./lora.gguf"))
    assert setup.adapter and setup.adapter.samefile(tmp_path / "lora.gguf")
    assert setup.file.samefile(tmp_path / "shop.gguf")
    assert [m.content for m in setup.conversation] == ["Be kind.", "Hi", "Hello"]
    assert (setup.stop, setup.options) == (("</s>", "END"), {"top_k": 3})
    assert (setup.temperature, setup.seed, setup.longest) == (0.5, 7, 9)
    assert setup.ignored == ("PARAMETER mirostat", "TEMPLATE")


def test_without_settings_answers_are_greedy_and_end(tmp_path: Path) -> None:
    for text in ("FROM ./shop.gguf", "FROM shop.gguf\nPARAMETER num_predict -1"):
        setup = from_modelfile(modelfile(tmp_path, text))
        assert (setup.temperature, setup.longest, setup.ignored) == (0.0, LONGEST, ())


@pytest.mark.parametrize(
    "text",
    ["FROM llama3", "FROM absent.gguf", "FROM .", "FROM shop.gguf\nFROM shop.gguf", "FROM shop.gguf\nADAPTER no.gguf",
     "FROM shop.gguf\nPARAMETER top_k many", 'FROM ""'],
)  # fmt: skip
def test_what_cannot_be_done_here_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError):
        from_modelfile(modelfile(tmp_path, text))


def test_a_conversation_grows_by_what_was_answered(tmp_path: Path) -> None:
    heard: list[list[str]] = []

    def answer(requests: Any) -> Any:
        (request,) = requests
        heard.append([m.content for m in request.messages])
        failed = "fail" in request.messages[-1].content
        yield Answer(key=request.key, text="" if failed else f"a{len(heard)}", finish="error" if failed else "stop")

    backend: Any = SimpleNamespace(info=SimpleNamespace(name="m"), answer=answer)
    dialogue = Dialogue(backend, Setup(tmp_path))
    for question in ("one", "fail", "two"):
        dialogue.ask(question)
    assert heard == [["one"], ["one", "a1", "fail"], ["one", "a1", "two"]]
