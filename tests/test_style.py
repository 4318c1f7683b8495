"""Style: shares of checks that hold, paired differences, and the verdict that reads them."""

from __future__ import annotations

import pytest

from kurabe import style
from kurabe.schema import Answer, AnswerKey, Checks, Question

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
