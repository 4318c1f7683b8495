"""What each step shows: values of the run, in the order before, after by the old recipe, after by the fair one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import show_runs

from kurabe import texts
from kurabe.texts import Texts
from kurabe.workshop import slides
from kurabe.workshop.script import load
from kurabe.workshop.session import Session
from kurabe.workshop.show import Asked, Show, Stage

ROWS = Path(__file__).parents[1] / "examples" / "support-en.jsonl"


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    place = tmp_path_factory.mktemp("show")
    finished = show_runs.write(place)
    scripts = {language: load(language) for language in ("en", "ja")}
    made = Show(Session(scripts, "en"), Stage(ROWS, "tiny", lambda t: "why", place / "runs", "show-1", finished))
    made.act("tempo")
    made.act("tempo")
    yield made
    made.close()


def at(show: Show, step: str, part: int = 0) -> dict[str, object]:
    show.session.go_to(step)
    show.session.part = part
    return slides.slide(show)


def test_the_comparison_stands_in_its_order_beside_the_expected_answer(show: Show) -> None:
    found = at(show, "compare")
    names = [cell.name for cell in found["cells"]]  # type: ignore[attr-defined]
    assert names == ["before", "after, old recipe", "after, fair recipe"] and found["expected"]


def test_the_last_part_of_the_comparison_is_all_questions(show: Show) -> None:
    found = at(show, "compare", at(show, "compare")["parts"] - 1)  # type: ignore[operator]
    assert len(found["overview"]) == 10 and len(found["names"]) == 3  # type: ignore[arg-type]


def test_recall_in_the_count_is_the_runs(show: Show) -> None:
    assert show.results
    recall = {arm.label: texts.percent(arm.recall.value) for arm in show.results.arms}
    rows = at(show, "counted")["rows"]
    assert [row[2] for row in rows] == [recall[n] for n in ("base", "lora (origin)", "lora", "prompt")]  # type: ignore[attr-defined]


def test_the_recipes_differ_where_they_are_marked_to(show: Show) -> None:
    for _, cells, differs, does in at(show, "recipe")["rows"]:  # type: ignore[attr-defined]
        assert differs == (cells[0] != cells[1]) and does


def test_both_recipes_are_trained_side_by_side_the_old_one_left(show: Show) -> None:
    found = at(show, "train")
    assert [column["recipe"] for column in found["columns"]] == ["origin", "fair"]  # type: ignore[attr-defined]
    assert found["chart"] and found["finished"] and found["failed"] is None


def test_a_question_from_the_room_has_the_names_of_the_arms(show: Show) -> None:
    assert show.info
    show.asked = Asked("?", [
        {"arm": "lora", "trial": 2, "text": "a\x1b", "finish": "stop"}, {"arm": "base", "trial": 0, "text": " ",
                                                                        "finish": "error"},
    ])  # fmt: skip
    (first, _, words), (second, _, absent) = slides.asked(show, show.info.trials, Texts("en"))
    show.asked = None
    assert first == "lora (origin)" and words == "a�" and second == "base" and absent
