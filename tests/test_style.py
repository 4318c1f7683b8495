"""Style: shares of checks that hold, paired differences, and the verdict that reads them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import synthetic

from kurabe import analysis, style
from kurabe.report import page, sheet, tables
from kurabe.report.markdown import markdown
from kurabe.schema import Answer, AnswerKey, Checks, Question
from kurabe.texts import LANGUAGES, Texts

ASKED = Checks(max_length=5, unwanted=("no",))


def rows(arm: str, texts: list[str], checks: Checks | None = ASKED) -> style.Rows:
    """One answer per example."""
    return [
        (
            Question(id=f"{n}/h1", example=str(n), probe="held_out", text="?", expected="yes", checks=checks),
            Answer(
                key=AnswerKey(model="m", trial=0, arm=arm, hop="live", probe="held_out", question=f"{n}/h1"),
                text=text,
                finish="error" if text == "-" else "stop",
            ),
        )
        for n, text in enumerate(texts)
    ]


def test_each_check_counts_once_and_an_answer_that_did_not_come_counts_nothing() -> None:
    found = style.estimate(rows("lora", ["yes", "yes indeed", "no", "-"]), 0)
    assert found is not None
    assert (found.value, found.n, found.items) == (pytest.approx(4 / 6), 3, 6)
    by = style.by_check(rows("lora", ["yes", "yes indeed", "no", "-"]), 0)
    assert {name: e.value for name, e in by.items()} == {
        "max_length": pytest.approx(2 / 3),
        "unwanted": pytest.approx(2 / 3),
    }


def test_rows_without_checks_have_no_style() -> None:
    plain = rows("lora", ["yes"] * 8, None)
    assert style.estimate(plain, 0) is None and style.by_check(plain, 0) == {}
    assert list(style.differences({"lora": plain, "prompt": plain}, 0)) == []


def test_tuned_arms_are_compared_with_each_way_without_training_on_what_both_answered() -> None:
    kept, lost = ["yes"] * 10, ["yes indeed"] * 9 + ["-"]
    arms = {"base": rows("base", kept), "prompt": rows("prompt", lost), "few-shot": rows("few-shot", kept),
            "lora": rows("lora", kept), "lora+rag": rows("lora+rag", lost)}  # fmt: skip
    found = {(d.label, d.other): d for d in style.differences(arms, 0)}
    assert set(found) == {(label, other) for label in ("lora", "lora+rag") for other in ("prompt", "few-shot")}
    assert all(d.measure == "style" for d in found.values())
    against = found["lora", "prompt"].estimate
    assert (against.value, against.n, against.items) == (0.5, 9, 18)
    assert found["lora", "few-shot"].estimate.value == 0
    assert found["lora+rag", "few-shot"].estimate.value == -0.5
    assert style.examples([], list(found.values())) == 9


def test_a_check_that_every_compared_arm_passes_does_not_make_their_difference_smaller() -> None:
    kept, longer, bad = ["yes"] * 20, ["yes indeed"] * 20, ["no"] * 20
    arms = {"base": rows("base", bad), "prompt": rows("prompt", longer), "lora": rows("lora", kept)}
    assert style.passed_by_all(arms) == ("unwanted",), "what base does counts for nothing"
    found = next(style.differences(arms, 0, ("unwanted",)))
    assert found.estimate.value == 1.0 and next(style.differences(arms, 0)).estimate.value == 0.5
    without = style.estimate(arms["prompt"], 0, ("unwanted",))
    assert without is not None and without.value == 0.0
    # Harm done by one of them keeps a check in, and so does a check that nothing else would be left of.
    harmed = arms | {"lora": rows("lora", ["yes"] * 18 + ["no"] * 2)}
    assert style.passed_by_all(harmed) == ()
    assert style.passed_by_all(arms | {"prompt": rows("prompt", kept)}) == ()
    assert style.passed_by_all({"lora": arms["lora"], "base": arms["base"]}) == (), "there is nothing to compare"


@pytest.mark.parametrize("language", LANGUAGES)
def test_form_is_shown_apart_from_recall_in_every_form_of_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    asked, update = synthetic.questions, {"checks": Checks(max_length=30)}
    monkeypatch.setattr(
        synthetic, "questions", lambda *a, **k: tuple(q.model_copy(update=update) for q in asked(*a, **k))
    )
    results = analysis.analyse(synthetic.write_run(tmp_path))
    t = Texts(language)
    html, text = page.page(results, t), markdown(results, t)
    for shown in (html, text):
        assert t("report.style.caption") in shown and t("report.style_differences.caption") in shown
        assert t("report.style.failed") in shown and t("check.max_length") in shown
    differences = tables.differences(results, t).rows
    assert len(differences) == sum(d.measure == "recall" for d in results.differences)
    rows = list(csv.DictReader(io.StringIO(sheet.sheet(results).removeprefix("\ufeff"))))
    for row in rows:
        if row["finish"] != "error":
            assert (row["checks_held"], row["checks_failed"]) == (
                ("1", "") if len(row["answer"].strip()) <= 30 else ("0", "max_length")
            )
