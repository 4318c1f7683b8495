"""A rate that was found for a model is used by its runs and by no other's, is said, and stays with the run."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_run import SHARES, write_data

from kurabe import dataset, experiment, splits, tuned
from kurabe.analysis import load_run
from kurabe.cli import main
from kurabe.errors import DataError
from kurabe.fake import FAKE_INFO, FakeBackend, rehearsal
from kurabe.report import render
from kurabe.runs import RunFolder
from kurabe.schema import RateTried, Results, TunedRate
from kurabe.settings import RunSettings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tuned, "place", lambda: tmp_path / "rates")
    return tmp_path / "rates"


def found(factor: float, sha256: str = FAKE_INFO.sha256) -> TunedRate:
    return TunedRate(
        model="fake", model_sha256=sha256, recipe="fair", factor=factor, rate=1e-3, hidden=256, examples=8,
        data="rows.jsonl", tried=(RateTried(factor=factor, recall=0.9, seeds=2),), created="2026-01-01", kurabe="0",
    )  # fmt: skip


def run(folder: Path, name: str, **changes: object) -> Results:
    data = write_data(folder)
    examples = splits.prepare(dataset.read_examples(data).examples, "en", 0).examples
    wanted = {"runs": str(folder), "name": name, "retention": 0, "exposures": 5, "arms": ("base", "lora")} | changes
    wanted |= {"recipes": ("fair", "origin")}
    return experiment.run(data, RunSettings.model_validate(wanted), backend=FakeBackend(rehearsal(examples, SHARES)))


def rates(results: Results) -> dict[str, float]:
    return {trial.recipe: trial.rate for trial in results.trials}


def test_a_run_uses_what_was_found_for_its_model_and_says_so(tmp_path: Path) -> None:
    before = run(tmp_path, "before")
    tuned.store(found(2.0))
    after = run(tmp_path, "after")
    assert rates(after)["fair"] == pytest.approx(2 * rates(before)["fair"])
    assert rates(after)["origin"] == rates(before)["origin"]  # the old show's is what it was
    assert [note.key for note in after.notes if "rate" in note.key] == ["audit.note.rate-tuned"]
    for language, word in (("en", "×2 of the recipe's"), ("ja", "2 倍")):
        assert word in render(after, "md", language)  # type: ignore[arg-type]
    assert not [note.key for note in before.notes if "rate" in note.key]


def test_another_model_s_rate_and_a_rate_of_the_user_s_are_not_replaced(tmp_path: Path) -> None:
    before = run(tmp_path, "before")
    tuned.store(found(2.0, sha256="0" * 64))
    assert rates(run(tmp_path, "other")) == rates(before)
    tuned.store(found(2.0))
    own = run(tmp_path, "own", rate=3.0)
    assert rates(own)["fair"] == pytest.approx(3 * rates(before)["fair"])
    assert not [note for note in own.notes if "rate" in note.key]


def test_a_run_keeps_its_rate_whatever_is_found_later(tmp_path: Path) -> None:
    tuned.store(found(2.0))
    results = run(tmp_path, "run")
    assert RunFolder.open(tmp_path / "run").info().settings["rate"] == 2.0
    tuned.store(found(0.5))
    assert load_run(tmp_path / "run") == results


def test_no_better_rate_is_told_too(tmp_path: Path) -> None:
    before = run(tmp_path, "before")
    tuned.store(found(1.0))
    after = run(tmp_path, "after")
    assert rates(after) == rates(before)
    assert [note.key for note in after.notes if "rate" in note.key] == ["audit.note.rate-confirmed"]


def test_a_newer_rate_takes_the_place_of_an_older_one(folder: Path) -> None:
    tuned.store(found(2.0))
    tuned.store(found(0.5))
    assert tuned.find(FAKE_INFO.sha256) == found(0.5)
    assert list(tuned.found()) == [found(0.5)]
    assert [path.suffix for path in folder.iterdir()] == [".json"]


def test_a_damaged_file_is_told_and_not_taken_for_none(folder: Path) -> None:
    tuned.store(found(2.0)).write_text("{", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        tuned.find(FAKE_INFO.sha256)
    assert caught.value.fix and str(folder) in caught.value.where


@pytest.mark.parametrize("language", ["en", "ja"])
def test_clean_deletes_rates_after_asking_and_no_run(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], language: str
) -> None:
    tuned.store(found(2.0))
    (tmp_path / "runs" / "run").mkdir(parents=True)
    for arguments in (["--rates"], ["--rates", "--yes"]):
        with pytest.raises(SystemExit) as caught:
            main(["clean", "--runs", str(tmp_path / "runs"), "--lang", language, *arguments])
        assert caught.value.code == 0
        assert bool(list(folder.glob("*.json"))) is ("--yes" not in arguments)
    assert (tmp_path / "runs" / "run").is_dir()
    assert "fake" in capsys.readouterr().err
