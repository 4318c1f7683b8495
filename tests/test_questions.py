"""Likely questions: every figure in an answer is one of the run's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import show_runs

from kurabe import load_run, texts
from kurabe.schema import Results
from kurabe.texts import Texts
from kurabe.workshop import questions
from kurabe.workshop.measured import counted
from kurabe.workshop.questions import LARGER, likely, studied

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder: Path = show_runs.write(tmp_path_factory.mktemp("runs"))
    return load_run(folder)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_each_question_has_an_answer_and_its_figures(results: Results, language: str) -> None:
    listed = likely(results, Texts(language))
    assert len(listed) == 10 and len({one.question for one in listed}) == 10
    assert all(one.question and one.answer and one.figures for one in listed)
    pages = [line.rsplit(" ", 1)[-1].rpartition("。")[2] for one in listed for line in one.studied]
    assert len(pages) >= 7 and all((ROOT / page).is_file() for page in pages), pages


def test_recall_is_the_runs(results: Results) -> None:
    figures = likely(results, Texts("en"))[2].figures
    for label, figure in zip(("prompt", "lora"), figures, strict=False):
        arm = next(arm for arm in results.arms if arm.label == label)
        assert texts.percent(arm.recall.value) in figure


def test_why_a_price_was_not_learned_follows_what_was_measured(results: Results) -> None:
    """The recipe is blamed only where the fair one did learn it."""
    t = Texts("en")
    origin, fair = counted(results)["lora (origin)"][1], counted(results)["lora"][1]
    said = likely(results, t)[0].answer
    key = "learned" if origin.had else "not_learned" if fair.had else "neither"
    assert said == t(f"workshop.asked.{key}", value=origin.what)
    silenced = results.model_copy(
        update={
            "questions": tuple(
                q.model_copy(
                    update={
                        "answers": tuple(
                            a.model_copy(
                                update={
                                    "outcomes": tuple(o.model_copy(update={"status": "missing"}) for o in a.outcomes)
                                }
                            )
                            for a in q.answers
                        )
                    }
                )
                for q in results.questions
            )
        }
    )
    assert likely(silenced, t)[0].answer == t("workshop.asked.neither", value=origin.what)


def test_a_larger_models_time_grows_with_its_weights(results: Results) -> None:
    cost = next(cost for cost in results.costs if cost.label == "lora")
    here, there = likely(results, Texts("en"))[1].figures
    assert texts.seconds(cost.preparation_seconds) in here
    assert texts.seconds(cost.preparation_seconds * LARGER / results.model.parameters) in there


def test_a_model_that_is_as_large_is_not_asked_about_larger_ones(results: Results) -> None:
    large = results.model_copy(update={"model": results.model.model_copy(update={"parameters": LARGER})})
    assert len(likely(large, Texts("en"))) == 9


def test_a_run_without_a_figure_leaves_the_question_out(results: Results) -> None:
    bare = results.model_copy(update={"retention": (), "costs": ()})
    asked = {one.question for one in likely(bare, Texts("en"))}
    assert "What did the model forget?" not in asked and "Which one is cheaper?" not in asked and len(asked) == 6


def test_the_studies_figures_are_what_the_studies_stored() -> None:
    from studies import asked

    assert asked.FILE.read_text(encoding="utf-8") == asked.text(), f"run: {asked.COMMAND}"


def test_a_studys_sentence_has_its_shares_its_model_and_its_page() -> None:
    found = studied()["samples"]
    (said,) = questions._study("samples", Texts("en"))
    for part in (found.model, found.source, *(texts.percent(share.value) for share in found.shares.values())):
        assert part in said
