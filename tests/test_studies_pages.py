"""Every study on `bench`: it runs, its pages say the same in both languages, stored pages are those of the results.

Knows no real result; each study's own expectations stand in its own test below.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import study_runs
from studies import __main__ as studies
from studies import command, pages, results
from studies.bench import Plan, Task
from studies.results import Stored
from study_runs import ROOT, Learned, nothing

from kurabe.errors import EXIT_RESUMABLE

STUDIES = ("wordings", "sayings", "known_unknown", "first_recall", "capacity", "rates", "reversal")


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
    with pytest.MonkeyPatch.context() as patch:
        return study_runs.measured(plan_of(name), learned, folder / f"{name}.jsonl", patch, known=0.9)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the results of the scripted studies lie."""
    return tmp_path_factory.mktemp("studies")


def figures(text: str) -> list[str]:
    """Shares and costs with their intervals, wherever they stand."""
    return sorted(re.findall(r"\d+ % \(\d+–\d+ %\)|[+-]\d+ \[[+-]\d+, [+-]\d+\]", text))


def tables(text: str) -> Iterator[list[str]]:
    """The figures of each table line, but for its first column and its head; the chart's lines whole."""
    lines = text.splitlines()
    for line, after in itertools.pairwise(lines):
        if line.startswith("|") and not after.startswith("|---"):
            yield re.findall(r"[+-]?\d[\d.]*", line.split("|", 2)[2])
        elif line.endswith("|") and not line.startswith("|"):
            yield [line]


@pytest.mark.parametrize("learned", [more_in_time, nothing])
@pytest.mark.parametrize("name", STUDIES)
def test_both_pages_say_the_same(name: str, learned: Learned, folder: Path) -> None:
    study = stored(name, learned, folder / learned.__name__)
    english, japanese = (pages.render(page_of(name), study, language) for language in pages.LANGUAGES)
    assert list(tables(english)) == list(tables(japanese)) and len(list(tables(english))) > 3
    assert figures(english) == figures(japanese)
    headings = [[line.split()[0] for line in text.splitlines() if line.startswith("#")] for text in (english, japanese)]
    assert headings[0] == headings[1]
    for text in (english, japanese):
        assert not re.search(r"\{\{|\{%|None|\bnan\b|\n\n\n", text)
        assert text.startswith("# ") and text.endswith("\n") and not text.endswith("\n\n")
        for link in re.findall(r"\]\(([^)#:]+)[#)]", text):
            assert (pages.DOCS / link).resolve().exists() or link in page_of(name).names.values(), link


@pytest.mark.parametrize("name", STUDIES)
def test_the_command_says_what_is_missing_and_writes_both_pages(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = command.of(importlib.import_module(f"studies.{name}"), lambda: plan_of(name), page_of(name))
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
    for language, file in page.names.items():
        kept = (pages.DOCS / file).read_text(encoding="utf-8")
        assert kept == pages.render(page, study, language), f"run: {page.command} --page"


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_listed(name: str) -> None:
    assert f"python -m studies.{name}`" in (ROOT / "studies" / "README.md").read_text(encoding="utf-8")
    assert name in studies.names()


def module(name: str) -> ModuleType:
    """A study's trials."""
    return importlib.import_module(f"studies.{name}.trials")


# --- one study each ---------------------------------------------------------------------------------------------------


def test_wordings_come_to_equal_steps_and_their_rise_is_found(folder: Path) -> None:
    study = stored("wordings", more_in_time, folder / "more_in_time")
    assert {trial.steps for trial in study.trials} == {study.trials[0].steps}
    assert len({trial.rows for trial in study.trials}) == 1
    found: dict[str, Any] = dict(page_of("wordings").figures(study))
    assert found["line"].low > 0 and found["gain"].low > 0
    flat = dict(page_of("wordings").figures(stored("wordings", nothing, folder / "nothing")))
    assert flat["line"].value == 0 and "**Differs:**" in pages.render(
        page_of("wordings"), stored("wordings", nothing, folder / "nothing"), "en"
    )
