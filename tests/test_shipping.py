"""`ship()`: one call for a run, a model folder and a GGUF; the same bytes as the command, nothing overwritten."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kurabe import ship, storage
from kurabe.errors import MissingError, SettingsError
from kurabe.export.plan import make_plan
from kurabe.export.publish import publish

GOLDEN = Path(__file__).parent / "data" / "golden"
BASE, ADAPTER = GOLDEN / "base", GOLDEN / "adapter"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_holds_what_the_command_writes(tmp_path: Path) -> None:
    found = ship(BASE, tmp_path / "out", ["Q8_0", "F16"], adapter=ADAPTER)
    assert [path.name for path in found] == ["base-Q8_0.gguf", "base-F16.gguf"]
    records = publish(make_plan(BASE, ADAPTER, ["Q8_0", "F16"]), tmp_path / "command")
    assert [digest(path) for path in found] == [record.sha256 for record in records]
    assert (tmp_path / "out" / "base-F16.Modelfile").is_file()


def test_one_file_lies_at_its_place_with_nothing_beside_it(tmp_path: Path) -> None:
    assert ship(BASE, tmp_path / "model.gguf", ["F16"]) == (tmp_path / "model.gguf",)
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]
    assert digest(tmp_path / "model.gguf") == publish(make_plan(BASE, None, ["F16"]), tmp_path / "out")[0].sha256


def test_merged_then_converted_then_quantised_is_one_pass(tmp_path: Path) -> None:
    """The old show's three programs, each from the file of the one before."""
    (weights,) = ship(BASE, tmp_path / "model", ["safetensors"], adapter=ADAPTER)
    assert weights == tmp_path / "model" / "model.safetensors"
    ship(tmp_path / "model", tmp_path / "model.gguf", ["F32"])
    ship(tmp_path / "model.gguf", tmp_path / "model-q8.gguf", ["Q8_0"])
    ship(tmp_path / "model", tmp_path / "at-once.gguf", ["Q8_0"])
    assert digest(tmp_path / "model-q8.gguf") == digest(tmp_path / "at-once.gguf")


def test_the_same_file_again_stays_and_another_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    ship(BASE, file, ["F16"])
    stamp = file.stat().st_mtime_ns
    ship(BASE, file, ["F16"])
    assert file.stat().st_mtime_ns == stamp
    with pytest.raises(SettingsError, match="nothing is overwritten"):
        ship(BASE, file, ["F16"], adapter=ADAPTER)
    assert file.stat().st_mtime_ns == stamp and [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


def test_an_error_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "free_space", lambda folder: 10)
    with pytest.raises(MissingError, match="too little room"):
        ship(BASE, tmp_path / "model.gguf", ["F16"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"arm": "lora"}, "Only a run has arms"),
        ({"formats": ["F16", "Q8_0"]}, "one format"),
        ({"formats": ["safetensors", "F16"]}, "written alone"),
        ({"formats": ["Q9"]}, "no format 'Q9'"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, object], named: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=named) as refused:
        ship(BASE, tmp_path / "model.gguf", **{"formats": ["F16"], **values})  # type: ignore[arg-type]
    assert refused.value.fix and list(tmp_path.iterdir()) == []


def test_a_gguf_takes_no_adapter(tmp_path: Path) -> None:
    ship(BASE, tmp_path / "model.gguf", ["F16"])
    with pytest.raises(SettingsError, match="An adapter is merged into a model folder"):
        ship(tmp_path / "model.gguf", tmp_path / "other.gguf", ["Q8_0"], adapter=ADAPTER)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="not there"):
        ship(BASE, tmp_path / "nowhere" / "model.gguf", ["F16"])
