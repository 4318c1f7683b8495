"""Which model goes on stage: TinyLlama where it is whole and quick enough, else the embedded one; never a download."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kurabe.errors import MissingError
from kurabe.settings import RunSettings
from kurabe.texts import Texts
from kurabe.workshop import choose_model, stage, told

ROWS = Path(__file__).parents[1] / "examples" / "support-en.jsonl"
SETTINGS = RunSettings(recipes=("fair", "origin"))


@pytest.fixture
def cache(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds a (random, tiny) model under TinyLlama's name; the snapshot's folder."""
    home = tmp_path / "hub" / f"models--{stage.REPOSITORY.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    snapshot = home / "snapshots" / ("0" * 40)
    shutil.copytree(tiny_folder, snapshot)
    import huggingface_hub

    real = huggingface_hub.try_to_load_from_cache
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda repo, name: real(repo, name, cache_dir=tmp_path / "hub")
    )
    monkeypatch.setattr(socket.socket, "connect", lambda *args: pytest.fail("the network was asked"))
    monkeypatch.setenv("KURABE_LANG", "en")
    return snapshot


def test_what_is_whole_is_found(cache: Path) -> None:
    assert stage.cached() == cache


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_cache_that_lacks_a_file_is_none(cache: Path, name: str) -> None:
    (cache / name).unlink()
    assert stage.cached() is None
    choice = choose_model(ROWS, 5, SETTINGS)
    assert choice.model == "tiny" and "nothing is downloaded" in choice.why() and "壇上" in choice.why(Texts("ja"))


def test_weights_that_were_cut_short_are_none(cache: Path) -> None:
    """huggingface_hub gives a folder whose download was interrupted, too."""
    os.truncate(cache / "model.safetensors", (cache / "model.safetensors").stat().st_size - 7)
    assert stage.cached() is None


def test_without_a_cache_the_embedded_model_is_taken(cache: Path) -> None:
    shutil.rmtree(cache)
    assert choose_model(ROWS, 5, SETTINGS).model == "tiny"


def test_a_training_that_cannot_fit_is_refused_before_any_step(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kurabe.experiment.plan_run", lambda *args: pytest.fail("the model was loaded"))
    monkeypatch.setattr(stage, "_operations_per_second", lambda: 1e6)
    choice = choose_model(ROWS, 5, SETTINGS)
    assert choice.model == "tiny" and "would take" in choice.why()


@pytest.mark.parametrize(("minutes", "taken"), [(5, True), (1, False)])
def test_what_might_fit_is_tried(cache: Path, minutes: int, taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    planned = SimpleNamespace(seconds={"load": 1.0, "train": 90.0, "answer": None})
    monkeypatch.setattr("kurabe.experiment.plan_run", lambda rows, settings: planned)
    monkeypatch.setattr(stage, "_operations_per_second", lambda: 1e15)
    choice = choose_model(ROWS, minutes, SETTINGS)
    assert choice.model == (str(cache) if taken else "tiny")


@pytest.mark.slow
def test_the_least_is_less_than_what_a_training_takes(cache: Path) -> None:
    """A bound that is too high would keep a model off the stage that fits."""
    from kurabe.experiment import plan_run

    settings = SETTINGS.model_copy(update={"model": str(cache), "arms": ("base", "lora"), "retention": 0})
    measured = plan_run(ROWS, settings).seconds["train"]
    assert measured and 0 < stage.least_seconds(cache, ROWS, settings) < measured


def test_a_users_error_has_four_lines_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, told():
        raise MissingError("There is no run.", where="here", why="Nobody ran.", fix="Run it.")
    said = capsys.readouterr().err
    assert end.value.code == MissingError.exit_code
    assert [part in said for part in ("There is no run.", "here", "Nobody ran.", "Run it.")] == [True] * 4


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), told():
        raise ZeroDivisionError


def test_importing_the_shows_words_loads_no_model() -> None:
    script = "import kurabe.workshop, sys; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
