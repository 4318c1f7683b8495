"""The study of what tuning costs elsewhere: what it counts, how it goes on, and that its page says what was counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies.distil import __main__, measure, page, results
from studies.distil.results import EXPOSURES, RECIPES, RUNS, Cell, Counts, Run, Trial

from kurabe import backends, intake, provenance
from kurabe.dataset import read_examples
from kurabe.errors import DataError, StoppedError
from kurabe.fake import FAKE_INFO, FakeBackend, rehearsal
from kurabe.settings import RECIPE_NAMES, RunSettings


def counts(share: float, clusters: int = 10, items: int = 10) -> Counts:
    return {str(n): (round(share * items), items) for n in range(clusters)}


def made(cell: Cell, kept: dict[str, float], **changes: str) -> Run:
    """A run whose recipes keep these shares of the general questions, and differ in nothing else."""
    trials = tuple(
        Trial(
            recipe=recipe, steps=150, positions=1000, seconds=1.0, held_out=counts(0.8), trained=counts(0.9),
            general=counts(kept[recipe], 60), reading=counts(0.5),
        )
        for recipe in RECIPES
    )  # fmt: skip
    return Run(
        exposures=cell.exposures, seed=cell.seed, began="2026-01-01T00:00:00+00:00", seconds=60.0,
        model=FAKE_INFO.model_copy(update=changes), provenance=provenance.describe("data"), base=counts(0.0),
        ceiling=counts(0.9), teacher=counts(0.7), trials=trials,
    )  # fmt: skip


KEPT = {"fair": 0.1, "distil": 0.1, "fair+retention": 0.9, "distil+retention": 0.7}


def test_it_compares_recipes_that_there_are_at_their_own_length_and_shorter() -> None:
    assert set(RECIPES) < set(RECIPE_NAMES) and len(set(RUNS)) == len(RUNS) == 3 * len(EXPOSURES)
    assert results.DATA.is_file()


def test_a_run_is_counted_by_cluster() -> None:
    examples = read_examples(results.DATA).examples
    backend = FakeBackend(rehearsal(examples, {"lora": 0.5, "ceiling": 1.0}))
    found = measure.measure(Cell(20, 0), RunSettings(), backend)
    assert [trial.recipe for trial in found.trials] == list(RECIPES) and found.cell == Cell(20, 0)
    assert set(found.base) == set(found.ceiling) == set(found.teacher) and len(found.base) == len(examples)
    assert all(right == items for right, items in [*found.ceiling.values(), *found.teacher.values()])
    assert all(right == 0 for right, _ in found.base.values())
    for trial in found.trials:
        assert (
            0 < sum(right for right, _ in trial.held_out.values()) < sum(items for _, items in trial.held_out.values())
        )
        assert trial.general == {} and trial.reading == {}  # the scripted model knew nothing before
    assert found.model.path == ""


def test_a_stopped_study_goes_on_and_another_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    assert results.left(results.read(file)) == list(RUNS)
    results.append(file, made(RUNS[0], KEPT))
    assert results.left(results.read(file)) == list(RUNS[1:])
    with pytest.raises(DataError, match="another model"):
        results.append(file, made(RUNS[1], KEPT, sha256="another"))
    assert len(results.read(file)) == 1
    with pytest.raises(StoppedError, match=f"{len(RUNS) - 1} of {len(RUNS)}"):
        page.page(results.read(file), "en")


def test_the_command_measures_what_is_left_and_refuses_another_model_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, measured = tmp_path / "results.jsonl", list[Cell]()
    origin = provenance.describe(intake.read(results.DATA, RunSettings())[0].data_sha256)

    def fast(cell: Cell, *_: object) -> Run:
        measured.append(cell)
        return made(cell, KEPT).model_copy(update={"provenance": origin})

    results.append(file, fast(RUNS[0]))
    backend = FakeBackend(lambda request: None)
    monkeypatch.setattr(measure, "measure", fast)
    monkeypatch.setattr(backends, "load", lambda settings: backend)
    assert __main__.main(["--results", str(file)]) == 0
    assert measured == list(RUNS) == [run.cell for run in results.read(file)]
    backend.info = FAKE_INFO.model_copy(update={"sha256": "another"})
    with pytest.raises(DataError, match="another model"):
        measure.run(file, RunSettings(), lambda line: None)
    assert len(measured) == len(RUNS)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_page_says_what_was_counted_and_follows_it(language: str, tmp_path: Path) -> None:
    runs = [made(cell, KEPT) for cell in RUNS]
    text = page.page(runs, language)
    assert text == page.page(runs, language) and len(page.write(runs, tmp_path)) == 2
    agrees, differs, open_ = {"en": ("agrees", "differs", "not shown"), "ja": ("一致", "不一致", "示されなかった")}[
        language
    ]
    lines = {line.split("|")[1].strip().split(" ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert "+80" in text and "70 %" in text
    assert agrees in lines["Pletenev"] and "+80" in lines["Pletenev"]
    assert open_ in lines["Shenfeld"] and open_ in lines["Kujanpää"]
    worse = [made(cell, KEPT | {"distil": 0.0, "fair": 0.5}) for cell in RUNS]
    assert f"{differs}: -50" in page.page(worse, language).replace("−", "-")


def test_a_page_that_is_there_was_written_from_the_stored_runs() -> None:
    """Before the first whole measurement there is neither."""
    stored = results.read(results.FILE)
    pages = [page.DOCS / name for name in page.NAMES.values()]
    assert bool(stored) == all(path.is_file() for path in pages) == any(path.is_file() for path in pages)
    for language, path in zip(page.NAMES, pages, strict=True):
        assert not stored or path.read_text(encoding="utf-8") == page.page(stored, language)
