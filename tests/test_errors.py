"""Errors that a user can mend say how."""

from __future__ import annotations

import ast
from pathlib import Path

from kurabe import errors

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
