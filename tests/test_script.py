"""The talk track: both languages in step with each other, with the pages, and with the time there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kurabe.errors import DataError, MissingError
from kurabe.workshop import script
from kurabe.workshop.script import STEPS, joined, load, parse

LANGUAGES = ("en", "ja")
PACKAGE = Path(script.__file__).parent


def test_both_languages_have_the_same_steps_minutes_and_commands() -> None:
    english, japanese = (load(language) for language in LANGUAGES)
    assert [(s.id, s.minutes, s.commands) for s in english.steps] == [
        (s.id, s.minutes, s.commands) for s in japanese.steps
    ]
    assert [(len(s.track), len(s.notes), bool(s.lead)) for s in english.steps] == [
        (len(s.track), len(s.notes), bool(s.lead)) for s in japanese.steps
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_talk_has_every_step_of_the_pages_and_takes_its_time(language: str) -> None:
    found = load(language)
    assert tuple(step.id for step in found.steps) == STEPS
    assert found.minutes == 20 and found.title
    assert all(step.title and step.lead and step.track for step in found.steps)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_figure_of_a_run_stands_in_the_talk(language: str) -> None:
    """What was measured comes from the run: the talk has no percentage, no price and no seconds."""
    text = (PACKAGE / f"script.{language}.md").read_text(encoding="utf-8")
    assert re.findall(r"\d+ ?[%％]|\$\d|\d+ ?(?:s\b|seconds|秒)", text) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_commands_are_those_of_the_folder(language: str) -> None:
    page = (Path(__file__).parents[1] / "workshop" / f"README.{language}.md").read_text(encoding="utf-8")
    typed = [
        line
        for step in load(language).steps
        for line, rows in step.commands
        if rows != "own" and not line.startswith("kurabe")
    ]
    assert typed and [line for line in typed if line not in page] == []


def test_a_presenters_own_track_is_read(tmp_path: Path) -> None:
    text = "# Mine\n\n## verdict: 結論（1.5 分）\n\n> room\n\nsaid\nhere\n\nagain\n\n- note\n\n```sh\nls\n```\n"
    (tmp_path / "script.en.md").write_text(text, encoding="utf-8")
    (step,) = load("en", tmp_path).steps
    assert step == script.Step(
        "verdict", "結論", 1.5, "room", ("said here", "again"), ("note",), (script.Command("ls"),)
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("## verdict (1 min)\n", "begins with"),
        ("## verdict: Title\n", "begins with"),
        ("\n## finale: Title (1 min)\n", "no step 'finale'"),
        ("## verdict: A (1 min)\n## verdict: B (1 min)\n", "twice"),
    ],
)
def test_a_track_that_is_not_understood_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(DataError) as refused:
        parse(text, "script.en.md")
    assert why in refused.value.why and refused.value.fix
    assert refused.value.where.startswith("script.en.md")


def test_a_track_without_a_step_is_refused() -> None:
    with pytest.raises(DataError, match="no step") as refused:
        parse("# only a title\n", "script.en.md")
    assert refused.value.fix


def test_a_missing_track_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError) as refused:
        load("ja", tmp_path)
    assert "script.ja.md" in refused.value.where and refused.value.fix


@pytest.mark.parametrize(
    ("lines", "text"), [(["a", "b"], "a b"), (["学習", "します"], "学習します"), (["a", "学"], "a学")]
)
def test_lines_join_as_their_language_does(lines: list[str], text: str) -> None:
    assert joined(lines) == text
