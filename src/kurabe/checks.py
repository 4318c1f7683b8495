"""Whether the form of an answer is the wanted one: check by check, by the rules that stand in a row's `checks`.

Knows no arm, no average and no fact. A row's patterns and schemas come from a stranger's file: patterns are RE2's,
which cannot hang, and a schema may hold nothing that could make a short answer take long.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from kurabe.errors import in_words
from kurabe.facts import language_of
from kurabe.schema import Answer, Checks, Question
from kurabe.scoring import accepting
from kurabe.spans import folded

MAX_SCHEMA = 2000  # bytes, as JSON
MAX_DEPTH = 20
# What a schema may not hold: patterns have no time limit there, references can name other files and, as the
# `unevaluated...` words do, make the work grow with two to the power of the schema's depth.
REFUSED_WORDS = (
    "pattern", "patternProperties", "$ref", "$dynamicRef", "$id", "$schema", "unevaluatedProperties",
    "unevaluatedItems",
)  # fmt: skip


class BadChecks(Exception):
    """These checks cannot be used; `key` and `values` say why."""

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(key)
        self.key, self.values = key, values


def read(fields: Mapping[str, Any], answer: str) -> Checks:
    """The checks of a row, which its own expected answer must pass. Raises `BadChecks`."""
    try:
        found = Checks.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "checks"
        if first["type"] == "extra_forbidden":
            raise BadChecks("check-name", check=name, checks=", ".join(Checks.model_fields)) from None
        raise BadChecks("check-value", check=name, detail=in_words(first)) from None
    require(found, answer)
    return found


def require(checks: Checks, answer: str) -> None:
    """Raise `BadChecks` where checks ask for nothing, cannot be carried out, or where `answer`, the expected one, fails
    one of them."""
    if not checks.given:
        raise BadChecks("checks-empty", checks=", ".join(Checks.model_fields))
    if checks.pattern is not None:
        _try_pattern(checks.pattern)
    if checks.json_schema is not None:
        _try_schema(checks.json_schema)
    held = holds(checks, answer)
    for name in checks.given:
        if not held[name]:
            raise BadChecks("check-fails", check=name)


def judged(answer: Answer, question: Question) -> dict[str, bool]:
    """Check -> whether it holds in this answer. Empty where no answer came or the row has no checks."""
    return {} if answer.finish == "error" or question.checks is None else holds(question.checks, answer.text)


def holds(checks: Checks, text: str) -> dict[str, bool]:
    """Check -> whether it holds in `text`."""
    rules: dict[str, Callable[[], bool]] = {
        "pattern": lambda: _found(checks.pattern or "", text),
        "sections": lambda: _in_order(checks.sections, text),
        "min_length": lambda: len(text.strip()) >= (checks.min_length or 0),
        "max_length": lambda: len(text.strip()) <= (checks.max_length or 0),
        "language": lambda: bool(text.strip()) and language_of(text) == checks.language,
        "wanted": lambda: all(_stands(word, text) for word in checks.wanted),
        "unwanted": lambda: not any(_stands(word, text) for word in checks.unwanted),
        "json_schema": lambda: _is_valid(checks.json_schema or {}, text),
    }
    return {name: rules[name]() for name in checks.given}


# --- words and headings ----------------------------------------------------------------------------------------


def _stands(word: str, text: str) -> bool:
    """A word anywhere in the text, as the scorer finds an accepted string: whole words, case and width aside."""
    return accepting(word).search(folded(text)) is not None


def _in_order(sections: tuple[str, ...], text: str) -> bool:
    lines = iter(text.splitlines())
    return all(any(_heading(line) == _heading(section) for line in lines) for section in sections)


def _heading(line: str) -> str:
    """A heading without what marks it as one: "## Steps:", "**Steps**", "【手順】", "■ 手順"."""
    return folded(line).strip(" \t#*_【】[]■●:").strip()


# --- patterns --------------------------------------------------------------------------------------------------


def _found(pattern: str, text: str) -> bool:
    """Whether the pattern is found; `^` and `$` are those of lines."""
    return _compiled(pattern).search(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    """By RE2, which takes time in proportion to the text and has a limit of memory; a backtracking engine with a time
    limit was tried, and nested repeats took all memory. RE2 has no look-around and no back references."""
    import re2

    options = re2.Options()
    options.log_errors = False
    return re2.compile("(?m)" + pattern, options)


def _try_pattern(pattern: str) -> None:
    import re2

    try:
        _compiled(pattern)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        raise BadChecks("pattern", detail=detail.decode() if isinstance(detail, bytes) else str(detail)) from None


# --- JSON ------------------------------------------------------------------------------------------------------


def _is_valid(schema: Mapping[str, Any], text: str) -> bool:
    from jsonschema import Draft202012Validator

    try:
        return bool(Draft202012Validator(schema).is_valid(json.loads(text)))
    except (ValueError, RecursionError):
        return False


def _try_schema(schema: Mapping[str, Any]) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
        words = set(_words(schema, MAX_DEPTH))
    except RecursionError:
        raise BadChecks("schema-depth", limit=MAX_DEPTH) from None
    except ValueError as error:  # NaN, or half a character
        raise BadChecks("schema", detail=str(error)[:200]) from None
    if size > MAX_SCHEMA:
        raise BadChecks("schema-size", size=size, limit=MAX_SCHEMA)
    refused = next((word for word in REFUSED_WORDS if word in words), None)
    if refused:
        raise BadChecks("schema-word", word=refused)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise BadChecks("schema", detail=error.message[:200]) from None


def _words(schema: Any, depth: int) -> Iterator[str]:
    """Every key at any depth. A property that bears the name of a refused word is refused with it: telling the two
    apart is what a hostile schema would play on."""
    if depth < 0:
        raise RecursionError
    if isinstance(schema, Mapping):
        yield from schema
    values = schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ()
    for value in values:
        yield from _words(value, depth - 1)
