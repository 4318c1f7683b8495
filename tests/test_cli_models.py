"""`kurabe models`: what is listed, what is asked before a download, what a proof proves, and a run that uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import scripted_hub
from scripted_hub import COMMIT, REPO, Hub

from kurabe import hub, snapshots
from kurabe.cli import main
from kurabe.errors import EXIT_MISSING, EXIT_USAGE

ROWS = Path(__file__).parents[1] / "examples" / "support-en.jsonl"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return scripted_hub.use_cache(tmp_path, monkeypatch)


@pytest.fixture
def served(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with scripted_hub.hub_at(scripted_hub.of_folder(tiny_folder), tmp_path, monkeypatch) as state:
        yield state


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    called(*arguments, "--json")
    return json.loads(capsys.readouterr().out)


def test_the_list_has_the_stand_in_and_says_what_is_wrong_with_the_others(
    cache: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = scripted_hub.write(tiny_folder, cache)
    hole = scripted_hub.write(tiny_folder, cache, repo="small/hole")
    (hole / "tokenizer.json").unlink()
    (cache / "datasets--a--b" / "snapshots" / COMMIT).mkdir(parents=True)
    listed = {row["name"]: row for row in data(capsys, "models")["models"]}
    assert set(listed) == {"tiny", REPO, "small/hole"}
    assert [name for name, row in listed.items() if row["usable"]] == ["tiny", REPO]
    assert listed[REPO]["path"] == str(whole) and listed[REPO]["commit"] == COMMIT
    assert called("models", "list", "--lang", "ja") == 0
    screen = capsys.readouterr().out
    assert "tokenizer.json" in screen and "kurabe models pull small/hole --revision" in screen


def test_a_stranger_s_card_says_nothing_to_the_terminal(
    cache: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = scripted_hub.write(tiny_folder, cache)
    (snapshot / "README.md").write_text('---\nlicense: "mit\\e[2J"\n---\n', encoding="utf-8")
    assert snapshots.licence(snapshot) == "mit\x1b[2J"
    assert called("models") == 0
    screen = capsys.readouterr().out
    assert "mit" in screen and "\x1b[2J" not in screen


def test_nothing_is_fetched_without_a_yes(served: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("models", "pull", REPO) == EXIT_USAGE
    assert "--yes" in capsys.readouterr().err
    assert not [path for _, path, _ in served.asked if path.endswith(".safetensors")]


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_is_asked_once_the_size_is_told(
    served: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    from kurabe.cli import models

    monkeypatch.setattr(models.sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr(models.typer, "confirm", lambda question, err: "kB" in question and answer)
    assert called("models", "pull", REPO) == 0
    assert COMMIT[:12] in capsys.readouterr().err
    assert bool(list(snapshots.found())) is answer


def test_a_pull_is_proven_and_a_second_one_brings_nothing(served: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    first = data(capsys, "models", "pull", REPO, "--yes")
    assert first["usable"] and first["fetched"] > 0
    assert data(capsys, "models", "pull", REPO)["fetched"] == 0
    proof = data(capsys, "models", "verify", REPO)
    assert set(proof["files"].values()) == {True}
    assert proof["commit"] == COMMIT and proof["licence"] == "apache-2.0"


def test_a_proof_finds_a_changed_byte_a_hole_and_a_broken_template(
    cache: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = scripted_hub.write(tiny_folder, cache)
    blob = (snapshot / "tokenizer_config.json").resolve()
    sound = blob.read_bytes()
    blob.write_bytes(sound + b" ")
    assert called("models", "verify", REPO) == EXIT_MISSING
    assert "tokenizer_config.json" in capsys.readouterr().err
    blob.write_bytes(sound)
    assert called("models", "verify", REPO, "--lang", "ja") == 0
    (snapshot / "model.safetensors").unlink()
    assert called("models", "verify", REPO) == EXIT_MISSING
    assert f"kurabe models pull {REPO}" in capsys.readouterr().err


def test_a_folder_and_the_stand_in_are_verified_without_hashes(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in (str(tiny_folder), "tiny"):
        proof = data(capsys, "models", "verify", model)
        assert proof["usable"] and set(proof["files"].values()) == {None}


@pytest.mark.parametrize("arguments", [("pull",), ("verify",), ("pull", "no-org"), ("fetch", REPO)])
def test_what_cannot_be_meant_is_a_usage_error(cache: Path, arguments: tuple[str, ...]) -> None:
    assert called("models", *arguments) == EXIT_USAGE


def test_a_run_takes_a_model_by_its_name_and_keeps_its_commit(
    cache: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kurabe import experiment, runs
    from kurabe.fake import FakeBackend
    from kurabe.settings import RunSettings

    settings = RunSettings(model=REPO, runs=str(tmp_path / "runs"), arms=("base",), retention=0)
    assert called("run", str(ROWS), "--model", REPO, "--runs", str(tmp_path / "runs")) == EXIT_MISSING
    assert f"kurabe models pull {REPO}" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    scripted_hub.write(tiny_folder, cache)
    results = experiment.run(ROWS, settings, backend=FakeBackend(lambda request: "5"))
    folder = runs.RunFolder.open(tmp_path / "runs" / results.run)
    assert folder.request().settings["model"] == results.settings["model"] == f"{REPO}@{COMMIT}"


def test_the_loaded_model_has_the_hub_s_name_and_the_folder_s_hash(cache: Path, tiny_folder: Path) -> None:
    from kurabe.backends import load
    from kurabe.settings import RunSettings

    scripted_hub.write(tiny_folder, cache)
    info = load(RunSettings(model=REPO, threads=1, device="cpu")).info
    assert (info.name, info.sha256) == (REPO, hub.verify(tiny_folder).sha256)
    assert COMMIT in info.path
