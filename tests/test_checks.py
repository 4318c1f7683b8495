"""Checks of form: what each of them asks for, what is refused, and that a stranger's row cannot make a run hang."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kurabe import checks
from kurabe.checks import BadChecks, holds, judged, read
from kurabe.schema import Answer, AnswerKey, Checks, Question
from kurabe.texts import LANGUAGES, Texts

KEY = AnswerKey(model="m", trial=0, arm="base", hop="live", probe="held_out", question="a/h1")
DATE = {"type": "object", "required": ["days"], "properties": {"days": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("asked", "passing", "failing"),
    [
        ({"pattern": r"^- \w"}, "Thanks.\n- one", "Thanks. - one"),
        ({"pattern": r"\AThanks"}, "Thanks.", "Well.\nThanks."),
        ({"sections": ["Steps", "Notes"]}, "## Steps:\n1.\n**Notes**\n2.", "Notes\n1.\nSteps\n2."),
        ({"sections": ["手順"]}, "【手順】\n電源を入れます。", "手順は次のとおりです。"),
        ({"min_length": 3}, "abc", "ab \n"),
        ({"max_length": 3}, "abc\n", "abcd"),
        ({"language": "ja"}, "はい、できます。", "Yes, you can."),
        ({"language": "en"}, "Yes, you can.", ""),
        ({"wanted": ["please", "thank you"]}, "Thank you. Please wait.", "Thank you."),
        ({"wanted": ["please"]}, "Please!", "That was pleased."),
        ({"wanted": ["ください"]}, "お待ちください。", "待って。"),
        ({"unwanted": ["sorry"]}, "No.", "Sorry, no."),
        ({"json_schema": DATE}, '{"days": 3}', '{"days": "3"}'),
        ({"json_schema": DATE}, ' {"days": 3}\n', 'Here: {"days": 3}'),
    ],
)
def test_each_check_holds_and_fails(asked: dict[str, Any], passing: str, failing: str) -> None:
    (name,) = asked
    assert holds(read(asked, passing), passing) == {name: True}
    assert holds(Checks.model_validate(asked), failing) == {name: False}
    with pytest.raises(BadChecks) as refused:
        read(asked, failing)
    assert (refused.value.key, refused.value.values) == ("check-fails", {"check": name})


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ({}, "checks-empty"),
        ({"wanted": []}, "checks-empty"),
        ({"tone": "kind"}, "check-name"),
        ({"max_length": -1}, "check-value"),
        ({"language": "fr"}, "check-value"),
        ({"pattern": "x" * 301}, "check-value"),
        ({"pattern": "("}, "pattern"),
        ({"json_schema": {"type": "nonsense"}}, "schema"),
        ({"json_schema": {"const": float("nan")}}, "schema"),
        ({"json_schema": {"$ref": "http://localhost:9/schema.json"}}, "schema-word"),
        ({"json_schema": {"properties": {"a": {"pattern": "(a+)+$"}}}}, "schema-word"),
        ({"json_schema": {"enum": ["x" * checks.MAX_SCHEMA]}}, "schema-size"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_its_reason(asked: dict[str, Any], key: str) -> None:
    with pytest.raises(BadChecks) as refused:
        read(asked, "An answer.")
    assert refused.value.key == key
    for language in LANGUAGES:
        assert Texts(language)(f"data.problem.{key}", **refused.value.values)


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(checks.MAX_DEPTH + 1):
        schema = {"not": schema}
    with pytest.raises(BadChecks) as refused:
        read({"json_schema": schema}, "An answer.")
    assert refused.value.key == "schema-depth"


@pytest.mark.parametrize("pattern", [r"^(a|a|b?a)+$", "(?:" * 35 + "a" + "){2}" * 35, "(?:(?:a{1000}){1000}){1000}"])
def test_a_hostile_pattern_is_refused_or_ends(pattern: str) -> None:
    start = time.monotonic()
    try:
        assert read({"pattern": pattern}, "a" * 3999 + "\n").pattern == pattern
    except BadChecks as refused:
        assert refused.key == "pattern"
    assert time.monotonic() - start < 5


def test_an_answer_that_did_not_come_is_not_judged() -> None:
    question = Question(id="a/h1", example="a", probe="held_out", text="?", expected="abc", checks=Checks(max_length=3))
    assert judged(Answer(key=KEY, text="abc"), question) == {"max_length": True}
    assert judged(Answer(key=KEY, text="", finish="error"), question) == {}
    assert judged(Answer(key=KEY, text="abc"), question.model_copy(update={"checks": None})) == {}
