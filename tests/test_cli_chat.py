"""`kurabe chat`: what reaches stdout, the exit codes, and that the Modelfile is obeyed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp")

import random_gguf

from kurabe.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    random_gguf.write(folder / "a.gguf")
    text = "FROM ./a.gguf\nSYSTEM Be kind.\nPARAMETER num_predict 4\nPARAMETER mirostat 1\n"
    (folder / "Modelfile").write_text(text, encoding="utf-8")
    return folder


def kurabe(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["chat", *map(str, arguments), "--lang", "en"])
    return int(end.value.code or 0)


Captured = pytest.CaptureFixture[str]


def test_one_question(place: Path, capsys: Captured) -> None:
    assert kurabe(place / "a.gguf", "How much?", "--max-tokens", 5) == 0
    out, err = capsys.readouterr()
    assert out.strip() and "cut at 5 tokens" in err


def test_lines_of_stdin_are_one_conversation(place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("How much?\n\nWhere?\n"))
    assert kurabe("-f", place / "Modelfile", "--json") == 0
    out, err = capsys.readouterr()
    first, second = json.loads(out)
    assert (first["asked"], second["asked"]) == ("How much?", "Where?")
    assert first["new_tokens"] == 4 and second["prompt_tokens"] > first["prompt_tokens"]
    assert "mirostat" in err


def test_a_question_that_does_not_fit_gets_no_answer_and_the_code_says_so(place: Path, capsys: Captured) -> None:
    assert kurabe(place / "a.gguf", "word " * 600) == 4
    assert "context" in capsys.readouterr().err
    assert kurabe(place / "a.gguf", "word " * 600, "--json") == 4
    assert json.loads(capsys.readouterr().out)[0]["finish"] == "error"


def test_what_was_typed_wrong(place: Path, tmp_path: Path, capsys: Captured) -> None:
    hostile = tmp_path / "hostile.gguf"
    hostile.write_bytes(b"GGUF" + b"\xff" * 45)
    assert kurabe() == 2
    assert kurabe(place / "a.gguf", " ") == 2
    assert kurabe("-f", place / "Modelfile", "a", "b") == 2
    assert kurabe("-f", place / "absent", "a") == 3
    assert kurabe(place / "absent.gguf", "a") == 4
    assert kurabe(hostile, "a") == 4
    assert capsys.readouterr().out == ""
