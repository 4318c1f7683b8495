"""Every study on `bench`: it runs, its pages say the same in both languages, stored pages are those of the results.

Knows no real result; each study's own expectations stand in its own test below.
"""

from __future__ import annotations

import functools
import importlib
import re
from pathlib import Path

import pytest
import study_runs
from studies import __main__ as studies
from studies import command, pages, results
from studies.bench import Plan, Task
from studies.from_scratch import trials as from_scratch
from studies.results import Stored
from studies.retrieval import trials as retrieval
from study_runs import ROOT, Learned, figures, nothing, tables

from kurabe import backends
from kurabe.errors import EXIT_RESUMABLE
from kurabe.fake import FakeBackend, rehearsal
from kurabe.settings import RunSettings

STUDIES = (
    "wordings",
    "sayings",
    "known_unknown",
    "first_recall",
    "capacity",
    "rates",
    "reversal",
    "from_scratch",
    "retrieval",
)


def plan_of(name: str) -> Plan:
    """The full plan of a study."""
    plan: Plan = importlib.import_module(f"studies.{name}.trials").plan()
    return plan


def page_of(name: str) -> pages.Page:
    """Its page."""
    page: pages.Page = importlib.import_module(f"studies.{name}.page").PAGE
    return page


def more_in_time(task: Task, probe: str, step: int) -> float:
    """Recall grows with the wordings and with the steps; of questions that are asked for retention it falls."""
    progress = step / task.plan.plan.steps
    wordings = len(task.plan.samples) / max(1, len({sample.example for sample in task.plan.samples}))
    return 0.2 + 0.5 * progress + 0.02 * min(wordings, 10)


@functools.cache
def stored(name: str, learned: Learned, folder: Path) -> Stored:
    """The whole study, measured on a scripted backend."""
    if name == "from_scratch":  # it trains a model of its own; a small one here
        sizes = from_scratch.Sizes(people=6, exposures=20 if learned is nothing else 100, asked_after=(1, 2), hidden=16)
        from_scratch.run(folder / f"{name}.jsonl", RunSettings(threads=1), lambda line: None, sizes)
        return results.read(folder / f"{name}.jsonl", from_scratch.KIND)
    if name == "retrieval":  # its trials are whole runs of kurabe
        return compared(folder, {} if learned is nothing else {"lora": 0.9, "lora+rag": 0.6, "lora+prompt": 0.4})
    with pytest.MonkeyPatch.context() as patch:
        return study_runs.measured(plan_of(name), learned, folder / f"{name}.jsonl", patch, known=0.9)


def compared(folder: Path, shares: dict[str, float]) -> Stored:
    """The study of the ways to answer, each arm with the same share in every trial: retrieval and the prompt 0.7."""
    shares = {"rag": 0.7, "prompt": 0.7, "ceiling": 0.95, **shares}

    def scripted(one: results.Run, settings: RunSettings, backend: FakeBackend, count: int) -> retrieval.KIND:  # type: ignore[valid-type]
        answers = {
            arm: {f"{one.cell.facts}/f{n}": results.Counts(right=round(3 * share), wrong=0, items=3)  # type: ignore[attr-defined]
                  for n in range(count)}
            for arm in retrieval.ARMS for share in [shares.get(arm, 0.0)]
        }  # fmt: skip
        return retrieval.KIND(
            cell=one.cell, seed=one.seed, samples=32, steps=20, rows=160, rate=1e-3, trainable=1, first_loss=1.0,
            last_loss=0.1, not_finite=0, train_seconds=1.0, answer_seconds=1.0, said="",
            states=(results.State(steps=20, epochs=5.0, answers=answers),),
        )  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "load", lambda settings: FakeBackend())
        patch.setattr(retrieval, "measure", scripted)
        retrieval.run(folder / "retrieval.jsonl", RunSettings(), lambda line: None)
    return results.read(folder / "retrieval.jsonl", retrieval.KIND)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the results of the scripted studies lie."""
    return tmp_path_factory.mktemp("studies")


@pytest.mark.parametrize("learned", [more_in_time, nothing])
@pytest.mark.parametrize("name", STUDIES)
def test_both_pages_say_the_same(name: str, learned: Learned, folder: Path) -> None:
    study = stored(name, learned, folder / learned.__name__)
    english, japanese = (pages.render(page_of(name), study, language) for language in pages.LANGUAGES)
    assert list(tables(english)) == list(tables(japanese)) and len(list(tables(english))) > 3
    assert figures(english) == figures(japanese)
    headings = [[line.split()[0] for line in text.splitlines() if line.startswith("#")] for text in (english, japanese)]
    assert headings[0] == headings[1]
    written = {file for other in STUDIES for file in page_of(other).names.values()}
    for text in (english, japanese):
        assert not re.search(r"\{\{|\{%|None|\bnan\b|\n\n\n", text)
        assert text.startswith("# ") and text.endswith("\n") and not text.endswith("\n\n")
        for link in re.findall(r"\]\(([^)#:]+)[#)]", text):
            assert (pages.DOCS / link).resolve().exists() or link in written, link


@pytest.mark.parametrize("name", STUDIES)
def test_the_command_says_what_is_missing_and_writes_both_pages(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = command.by_itself(importlib.import_module(f"studies.{name}"), lambda *_: None, page_of(name))
    arguments = ["--page", "--docs", str(tmp_path), "--results"]
    assert command.main(study, [*arguments, str(tmp_path / "nothing.jsonl")]) == EXIT_RESUMABLE
    assert "trials are missing" in capsys.readouterr().err
    kept = stored(name, more_in_time, folder / more_in_time.__name__)
    assert command.main(study, [*arguments, str(folder / more_in_time.__name__ / f"{name}.jsonl")]) == 0
    for language, file in page_of(name).names.items():
        assert (tmp_path / file).read_text(encoding="utf-8") == pages.render(page_of(name), kept, language)


@pytest.mark.parametrize("name", STUDIES)
def test_the_stored_pages_are_those_of_the_stored_results(name: str) -> None:
    page = page_of(name)
    if not (page.folder / command.FILE).exists():
        pytest.skip("this study has not been run in full")
    study = results.read(page.folder / command.FILE, page.kind)
    if study.left(importlib.import_module(f"studies.{name}.trials").RUNS):
        pytest.skip("this study is under way")
    for language, file in page.names.items():
        kept = (pages.DOCS / file).read_text(encoding="utf-8")
        assert kept == pages.render(page, study, language), f"run: {page.command} --page"


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_listed(name: str) -> None:
    assert f"python -m studies.{name}`" in (ROOT / "studies" / "README.md").read_text(encoding="utf-8")
    assert name in studies.names()


# --- what the sentences follow ----------------------------------------------------------------------------------------


def said(name: str, learned: Learned, folder: Path) -> str:
    """The English page as one line."""
    return " ".join(pages.render(page_of(name), stored(name, learned, folder), "en").split())


def test_wordings_say_whether_recall_rises(folder: Path) -> None:
    found = dict(page_of("wordings").figures(stored("wordings", more_in_time, folder / "more_in_time")))
    assert found["line"].low > 0 and found["gain"].low > 0
    assert "**Differs:** no rise could be shown" in said("wordings", nothing, folder / "nothing")
    assert "**Differs:**" not in said("wordings", more_in_time, folder / "more_in_time")


def test_sayings_are_judged_by_both_schedules(tmp_path: Path) -> None:
    def by_exposures(task: Task, probe: str, step: int) -> float:
        return 0.0 if task.plan.plan.recipe.name == "origin" else 0.9

    assert "true of the schedule, not of ten samples" in said("sayings", by_exposures, tmp_path)
    assert "found here, by both schedules" in said("sayings", nothing, tmp_path / "nothing")
    assert "not tested here" in said("sayings", nothing, tmp_path / "nothing")


def test_the_reversal_curse_is_found_where_it_is(tmp_path: Path) -> None:
    def cursed(task: Task, probe: str, step: int) -> float:
        ways = {sample.messages[1].content.startswith(("Who", "Tell me who")) for sample in task.plan.samples}
        return 0.95 if len(ways) == 2 or (probe == "reverse") in ways else 0.0

    def free(task: Task, probe: str, step: int) -> float:
        return 0.9

    assert "**Agrees:** forward is learned, reverse stays about at chance" in said("reversal", cursed, tmp_path)
    assert "**Differs:** forward was not ahead" in said("reversal", free, tmp_path / "free")


def test_capacity_sees_a_cliff_that_moves_with_the_rank(tmp_path: Path) -> None:
    def held(task: Task, probe: str, step: int) -> float:
        return min(1.0, 60 * task.plan.plan.recipe.rank / len(task.plan.samples))

    assert "**Agrees:** the cliff moves right with the rank" in said("capacity", held, tmp_path)
    assert "**Differs:** no cliff" in said("capacity", nothing, tmp_path / "nothing")


def test_the_ways_to_answer_are_put_in_the_order_that_was_found(tmp_path: Path) -> None:
    def page(name: str, **shares: float) -> str:
        study = compared(tmp_path / name, {key.replace("_", "+"): share for key, share in shares.items()})
        return " ".join(pages.render(page_of("retrieval"), study, "en").split())

    assert page("published", lora=0.34, lora_rag=0.7).count("**agrees:** base < LoRA < retrieval") == 4
    assert page("learned", lora=1.0, lora_rag=0.7).count("the LoRA is ahead of retrieval") == 4
    assert page("spoiled", lora=0.34, lora_rag=0.34).count("both together are behind retrieval") == 4
    assert page("nothing").count("so little training teaches nothing here") == 4


def test_a_trial_of_the_ways_to_answer_is_a_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    one, rows = retrieval.RUNS[0], retrieval.invented(retrieval.RUNS[0].cell.facts, 4)  # type: ignore[attr-defined]
    backend = FakeBackend(rehearsal(rows, {"rag": 1.0, "lora": 1.0}))
    found = retrieval.measure(one, RunSettings(), backend, 4)
    shares = {
        arm: sum(c.right for c in own.values()) / sum(c.items for c in own.values()) for arm, own in found.end.items()
    }
    assert list(shares) == list(retrieval.ARMS)
    assert shares == dict.fromkeys(retrieval.ARMS, 0.0) | {"rag": 1.0, "lora": 1.0}
    assert set(found.end["lora"]) == {f"{one.cell.facts}/{row.id}" for row in rows}  # type: ignore[attr-defined]
    assert found.samples == 8 and found.rows == found.steps * 8  # two wordings of each, one step per epoch
