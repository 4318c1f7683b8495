"""Each form of the field, read from one row; and every row that is refused, with its reason."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe import forms
from kurabe.forms import Refused, parse
from kurabe.texts import LANGUAGES, Texts

Q, A = "What is it?", "It is $5."


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def said(who: str, value: Any) -> dict[str, Any]:
    return {"from": who, "value": value}


PAIR = [turn("user", Q), turn("assistant", A)]


@pytest.mark.parametrize(
    ("row", "form"),
    [
        ({"question": Q, "answer": A}, "question/answer"),
        ({"Question ": f" {Q}\n", "ANSWER": A}, "question/answer"),
        ({"質問": Q, "回答": A}, "question/answer"),
        ({"q": Q, "a": A}, "question/answer"),
        ({"instruction": Q, "output": A}, "instruction/input/output"),
        ({"instruction": Q, "input": "", "output": A}, "instruction/input/output"),
        ({"instruction": Q, "context": None, "response": A}, "instruction/input/output"),
        ({"prompt": Q, "completion": A}, "prompt/completion"),
        ({"prompt": Q, "response": A}, "prompt/completion"),
        ({"prompt": PAIR[:1], "completion": PAIR[1:]}, "prompt/completion"),
        ({"messages": PAIR}, "messages"),
        ({"messages": json.dumps([turn("user", Q), turn("model", A)])}, "messages"),
        ({"messages": [turn("user", [{"type": "text", "text": Q}]), PAIR[1]]}, "messages"),
        ({"conversations": [said("human", Q), said("gpt", A)]}, "conversations"),
        ({"conversations": PAIR}, "conversations"),
    ],
)  # fmt: skip
def test_every_form_gives_the_same_question_and_answer(row: dict[str, Any], form: str) -> None:
    assert form in forms.FORMS
    parsed = parse(row)
    assert (parsed.form, parsed.question, parsed.answer, parsed.notes) == (form, Q, A, ())


def test_an_input_belongs_to_the_question() -> None:
    assert parse({"instruction": Q, "input": "the red one", "output": A}).question == f"{Q}\nthe red one"


def test_what_is_left_out_of_a_conversation_is_noted() -> None:
    parsed = parse(
        {"messages": [turn("system", "Be kind."), *PAIR, turn("user", "And then?"), turn("assistant", "$6.")]}
    )
    assert (parsed.question, parsed.answer) == (Q, A)
    assert [key for key, _ in parsed.notes] == ["system-left-out", "later-turns"]
    two = parse({"messages": [turn("user", "Hello."), *PAIR]})
    assert two.question == f"Hello.\n{Q}" and two.notes == ()


def test_optional_fields_as_lists_and_as_cells() -> None:
    for wordings in (["a b", "c d"], '["a b", "c d"]', "a b|c d", "a b\nc d", "a b ｜ c d |"):
        parsed = parse({"question": Q, "answer": A, "wordings": wordings, "held_out": wordings, "facts": wordings})
        assert parsed.wordings == parsed.held_out == parsed.facts == ("a b", "c d")
    assert parse({"question": Q, "answer": A, "wordings": None, "held_out": "", "facts": []}).wordings == ()
    named = parse({"question": Q, "answer": A, "facts": [{"kind": "name", "value": "x"}], "id": 7})
    assert named.facts == ({"kind": "name", "value": "x"},) and named.id == "7"


def test_a_number_is_read_as_text_and_noted() -> None:
    parsed = parse({"question": Q, "answer": 6.99})
    assert parsed.answer == "6.99"
    assert parsed.notes == (("number-as-text", {"field": "answer"}),)


def test_fields_that_are_not_used_are_noted_and_near_misses_refused() -> None:
    assert parse({"question": Q, "answer": A, "category": "x", "empty": ""}).notes == (
        ("fields-unused", {"fields": "category"}),
    )
    for name in ("wording", "held_outs", "fact", "helt_out"):
        with pytest.raises(Refused) as refused:
            parse({"question": Q, "answer": A, name: ["x"]})
        assert refused.value.key == "field-name"


def test_a_row_without_a_form_is_told_with_the_files_own_names() -> None:
    with pytest.raises(Refused) as refused:
        parse({"A": "x", "Remark": "y"})
    assert refused.value.values["fields"] == "A, Remark"


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({}, "no-form"),
        ({"text": "Everything about us."}, "no-form"),
        ({"prompt": Q, "chosen": A, "rejected": "x"}, "preference-pair"),
        ({"question": Q}, "missing"),
        ({"instruction": Q, "input": ""}, "missing"),
        ({"question": Q, "answer": None}, "not-text"),
        ({"question": Q, "answer": True}, "not-text"),
        ({"question": Q, "answer": ["x"]}, "not-text"),
        ({"question": Q, "answer": float("inf")}, "not-text"),
        ({"question": Q, "answer": ""}, "empty"),
        ({"question": Q, "answer": " \u3000\n"}, "empty"),
        ({"question": Q, "answer": "\u200b\ufeff"}, "empty"),
        ({"question": Q, "answer": "–"}, "empty"),
        ({"question": "???", "answer": A}, "empty"),
        ({"question": Q, "answer": "x" * (forms.MAX_TEXT + 1)}, "too-long"),
        ({"question": Q, "answer": "It costs \ud83d"}, "half-character"),
        ({"question": Q, "q": "Another?", "answer": A}, "field-twice"),
        ({"question": Q, "answer": A, "wordings": 3}, "not-a-list"),
        ({"question": Q, "answer": A, "wordings": ["a", 3]}, "not-text"),
        ({"question": Q, "answer": A, "wordings": ["a", " "]}, "empty"),
        ({"question": Q, "answer": A, "wordings": '["a"'}, "list-cell"),
        ({"question": Q, "answer": A, "id": "x" * (forms.MAX_ID + 1)}, "id"),
        ({"question": Q, "answer": A, "id": "a\nb"}, "id"),
        ({"question": Q, "answer": A, "id": True}, "not-text"),
        ({"messages": []}, "no-question"),
        ({"messages": "hello"}, "not-a-list"),
        ({"messages": ["hello"]}, "not-a-message"),
        ({"messages": PAIR[:1]}, "no-answer"),
        ({"messages": PAIR[1:]}, "speaker"),
        ({"messages": [turn("user", Q), turn("tool", "x")]}, "speaker"),
        ({"messages": [turn("user", Q), turn("assistant", None)]}, "not-text"),
        ({"messages": [turn("user", [{"type": "image_url"}]), PAIR[1]]}, "not-only-text"),
    ],
)
def test_what_can_not_be_used_is_refused_with_its_reason(row: dict[str, Any], key: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(row)
    assert refused.value.key == key
    for language in LANGUAGES:
        assert Texts(language)(f"data.problem.{key}", **refused.value.values)


def test_a_text_of_exactly_the_limit_is_taken() -> None:
    assert len(parse({"question": Q, "answer": "x" * forms.MAX_TEXT}).answer) == forms.MAX_TEXT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*forms.OPTIONAL, "question", "answer", "instruction", "output", "messages", "conversations"])


@given(st.dictionaries(NAMES | st.text(string.ascii_letters, max_size=5), JSON, max_size=5))
def test_a_row_is_read_or_refused_and_nothing_else(row: dict[str, Any]) -> None:
    try:
        parsed = parse(row)
    except Refused as refused:
        assert Texts("en")(f"data.problem.{refused.key}", **refused.values)
    else:
        assert parsed.question == parsed.question.strip() != ""
        assert parsed.answer == parsed.answer.strip() != ""
