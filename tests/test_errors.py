"""Errors that a user can mend say how."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import ValidationError

from kurabe import errors
from kurabe.errors import in_words
from kurabe.settings import RunSettings

PACKAGE = Path(__file__).parents[1] / "src" / "kurabe"
NAMES = {name for name, c in vars(errors).items() if isinstance(c, type) and issubclass(c, errors.UserError)}


def test_every_error_says_what_mends_it() -> None:
    made = [
        (f"{path.name}:{node.lineno}", {word.arg for word in node.keywords})
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES
    ]
    assert len(made) > 50
    assert [place for place, words in made if "fix" not in words and None not in words] == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("minutes", "abc", "'abc' is no whole number"),
        ("seed", -1, "-1 is below 0"),
        ("retention", 401, "401 is above 400"),
        ("device", "tpu", "'tpu' is none of 'auto', 'cpu', 'cuda' or 'mps'"),
        ("skip_bad", "maybe", "'maybe' is neither true nor false"),
        ("prompt_file", 7, "7 is no text"),
        ("arms", "lora,lora", "name each arm once, and at least one"),
        ("minutes", "x" * 99, "…"),
    ],
)
def test_a_refused_value_is_told_in_plain_words(field: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RunSettings.model_validate({field: value})
    words = in_words(refused.value.errors()[0])
    assert said in words and "Input" not in words and len(words) < 120
