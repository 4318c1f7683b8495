"""What kurabe made in Ollama is noted beside its files; nothing else is ever deleted there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted_ollama import Scripted, serving

from kurabe.cli import main
from kurabe.errors import DataError, MissingError
from kurabe.export.deliveries import NOTES, note, noted, remove
from kurabe.export.delivery import Parcel, deliver
from kurabe.export.ollama import Ollama
from kurabe.schema import Delivered


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop-Q8_0.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    return path


def clean(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    with pytest.raises(SystemExit) as end:
        main(["clean", *map(str, arguments), "--json"])
    assert not end.value.code
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_a_model_of_ours_goes_and_others_stay(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Scripted()) as state:
        with Ollama(state.url) as server:
            for name in ("one", "two"):
                deliver(server, name, Parcel(file), replace=False)
        state.models["theirs:latest"] = {"model": "theirs:latest"}
        assert not any(row["deleted"] for row in clean(capsys, file.parent)["ollama"])  # nobody was there to agree
        state.models["two:latest"] = {"model": "two:latest", "files": {"x": "sha256:" + "1" * 64}}  # made anew
        told = clean(capsys, file.parent, "--yes")
        assert [(row["model"], row["deleted"]) for row in told["ollama"]] == [("one", True), ("two", False)]
        assert set(state.models) == {"two:latest", "theirs:latest"}
    assert not (file.parent / NOTES).exists() and file.exists()


def test_a_server_that_is_down_keeps_the_note(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Delivered(url="http://127.0.0.1:9", model="shop:latest", sha256="0" * 64)
    note(file.parent, made)
    note(file.parent, made)
    with pytest.raises(MissingError):
        remove(file.parent, made)
    assert not clean(capsys, file.parent, "--yes")["ollama"][0]["deleted"]
    assert noted(file.parent) == (made,)


def test_notes_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / NOTES).write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="notes"):
        noted(tmp_path)
