"""`kurabe ship` on the command line: what excludes each other is said, and --json is one document on every path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kurabe import errors
from kurabe.cli import main

GOLDEN = Path(__file__).parent / "data/golden"
BASE = ("--base", str(GOLDEN / "base"), "--adapter", str(GOLDEN / "adapter"))


def ship(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    """The exit code and the one document on stdout."""
    with pytest.raises(SystemExit) as end:
        main(["ship", *arguments, "--json"])
    return int(end.value.code or 0), json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [
        (*BASE, "--as", "safetensors", "--to", "ollama"),
        (*BASE, "--verify", "x.gguf", "--to", "ollama"), (*BASE, "--verify", "x.gguf", "--plan"),
        (*BASE, "--verify", "x.gguf", "--as", "safetensors"), (*BASE, "--replace"), (*BASE, "--arm", "lora"),
        (*BASE, "--to", "docker", "--plan"), (*BASE, "--name", "../evil"), ("last", *BASE), (),
    ],
)  # fmt: skip
def test_no_option_is_left_out_in_silence(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, answer = ship(capsys, *arguments)
    assert code == errors.EXIT_USAGE == answer["exit_code"] and answer["error"]
    assert not list(tmp_path.iterdir())


def test_the_plan_of_a_merged_folder_has_its_size(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = (*BASE, "--as", "safetensors", "--out", str(tmp_path / "merged"))
    code, planned = ship(capsys, *asked, "--plan")
    assert code == 0 and not (tmp_path / "merged").exists()
    assert ship(capsys, *asked)[0] == 0
    (file,) = planned["files"]
    written = tmp_path / "merged" / file["file"]
    assert file["size"] < written.stat().st_size < file["size"] + 20_000  # and its header


def test_a_delivery_that_fails_leaves_one_document(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Server:
        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None: ...

    def fail(*_: object, **__: object) -> bool:
        raise errors.MissingError("It went away.")

    monkeypatch.setattr("kurabe.export.ollama.Ollama", Server)
    monkeypatch.setattr("kurabe.export.delivery.check", lambda *_: None)
    monkeypatch.setattr("kurabe.export.delivery.deliver", fail)
    code, answer = ship(capsys, *BASE, "--formats", "Q8_0", "--out", str(tmp_path), "--to", "ollama:x")
    assert code == errors.EXIT_MISSING and "error" in answer
    monkeypatch.setattr("kurabe.export.delivery.deliver", lambda *_, **__: True)
    code, answer = ship(capsys, *BASE, "--formats", "Q8_0", "--out", str(tmp_path), "--to", "ollama:x")
    assert code == 0 and "files" in answer
