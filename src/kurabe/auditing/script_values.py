"""Values in a Python script, found without running it: literals, and names that are assigned one literal.

Knows no library. Whatever is computed is unknown; of a text with unknown parts the rest is kept.
"""

from __future__ import annotations

import ast
import json
import operator
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kurabe.auditing.files import read_text
from kurabe.errors import DataError

HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"  # an unknown part of a text
MOST_NODES = 200_000
MOST_LOOKS = 2_000_000  # at expressions: names that stand for lists of names could be followed for ever
_MOST_TEXT = 100_000
# What a setting is written with.
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}  # fmt: skip
UNKNOWN: Any = type("Unknown", (), {"__repr__": lambda self: "unknown", "__bool__": lambda self: False})()


def parse(path: Path) -> ast.Module:
    """The syntax tree of a script, or of the code cells of a notebook."""
    words = read_text(path, 8 * 2**20 if path.suffix == ".ipynb" else 2**20)
    if path.suffix == ".ipynb":
        words = _cells(path, words)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in somebody's strings
            tree = ast.parse(words)
        if sum(1 for _ in ast.walk(tree)) > MOST_NODES:
            raise ValueError(f"it has more than {MOST_NODES:,} parts")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise DataError(
            "The script cannot be read as Python.", where=f"{path}:{line}" if line else str(path),
            why=str(getattr(error, "msg", "") or error or "It is nested too deeply."),
            fix="Give a script that Python 3 can parse; it is only read, never run.",
        ) from None  # fmt: skip
    return tree


def _cells(path: Path, words: str) -> str:
    """A notebook's code, without the lines that are no Python (`!pip install ...`, `%cd ...`)."""
    try:
        cells = json.loads(words)["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError("The notebook cannot be read.", where=str(path), why="It is not in Jupyter's format.",
                        fix="Save it again, or export it as a script.") from None  # fmt: skip
    lines = [line for cell in code for line in cell.splitlines()]
    return "\n".join("pass" if line.lstrip().startswith(("!", "%")) else line for line in lines)


def last_name(node: ast.AST) -> str:
    """`c` of `a.b.c`, of `a.b().c` and of `c`; "" for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def dotted(node: ast.AST) -> str:
    """`a.b.c`; "" where there is more than names."""
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return node.id if isinstance(node, ast.Name) else ""


class Values:
    """What the names of a script stand for, as far as one assignment says it."""

    def __init__(self, tree: ast.AST) -> None:
        self._nodes: dict[str, ast.expr | None] = {}
        self._busy: set[str] = set()
        self._left = MOST_LOOKS
        for name, value in _assignments(tree):
            # Assigned twice: which one counts is for the program to know.
            self._nodes[name] = None if name in self._nodes else value

    def node(self, node: ast.expr) -> ast.expr:
        """What a name was assigned, or the node itself."""
        found = self._nodes.get(dotted(node))
        return node if found is None else found

    def of(self, node: ast.expr | None, depth: int = 0) -> Any:
        """The value of an expression, `UNKNOWN` where it has to be computed."""
        self._left -= 1
        if node is None or depth > 50 or self._left < 0:
            return UNKNOWN
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self._named(dotted(node), depth)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return [self.of(item, depth + 1) for item in node.elts]
        if isinstance(node, ast.Dict):
            return {
                str(self.of(key, depth + 1)): self.of(value, depth + 1)
                for key, value in zip(node.keys, node.values, strict=True)
                if key is not None
            }
        if isinstance(node, ast.JoinedStr):
            return self.words(node, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.of(node.operand, depth + 1)
            return -value if isinstance(value, (int, float)) else UNKNOWN
        if isinstance(node, ast.BinOp):
            return self._sum(node, depth)
        return UNKNOWN

    def words(self, node: ast.expr, depth: int = 0) -> Any:
        """A text, with `HOLE` for each part that is not known; `UNKNOWN` for what is no text."""
        if isinstance(node, ast.JoinedStr):
            parts = [
                self.words(part.value if isinstance(part, ast.FormattedValue) else part, depth + 1)
                for part in node.values
            ]
            return "".join(part if isinstance(part, str) else HOLE for part in parts)[:_MOST_TEXT]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and depth < 200:
            left, right = self.words(node.left, depth + 1), self.words(node.right, depth + 1)
            if isinstance(left, str) or isinstance(right, str):
                return "".join(part if isinstance(part, str) else HOLE for part in (left, right))[:_MOST_TEXT]
            return UNKNOWN
        value = self.of(node, depth + 1)
        return value if isinstance(value, str) else UNKNOWN

    def keywords(self, call: ast.Call) -> dict[str, tuple[Any, int]]:
        """Keyword -> (value, line), those of `**name` and `**dict(...)` included."""
        found: dict[str, tuple[Any, int]] = {}
        for word in call.keywords:
            if word.arg is not None:
                found[word.arg] = (self.of(word.value), word.value.lineno)
                continue
            spread = self.node(word.value)
            if isinstance(spread, ast.Call) and last_name(spread.func) == "dict":
                found |= self.keywords(spread)
            elif isinstance(spread, ast.Dict):
                for key, value in zip(spread.keys, spread.values, strict=True):
                    if isinstance(key, ast.Constant):
                        found[str(key.value)] = (self.of(value), value.lineno)
        return found

    def _named(self, name: str, depth: int) -> Any:
        value = self._nodes.get(name)
        if value is None or name in self._busy:
            return UNKNOWN
        self._busy.add(name)
        try:
            return self.of(value, depth + 1)
        finally:
            self._busy.discard(name)

    def _sum(self, node: ast.BinOp, depth: int) -> Any:
        left, right = self.of(node.left, depth + 1), self.of(node.right, depth + 1)
        if isinstance(left, str) or isinstance(right, str):
            return self.words(node, depth)
        if not all(isinstance(side, (int, float)) and abs(side) <= 1e12 for side in (left, right)):
            return UNKNOWN
        kind = type(node.op)
        if kind is ast.Pow:
            return left**right if abs(right) <= 12 and 0 < abs(left) <= 1e3 else UNKNOWN
        if kind in (ast.Div, ast.FloorDiv) and right == 0:
            return UNKNOWN
        calculate = _ARITHMETIC.get(kind)
        return UNKNOWN if calculate is None else calculate(left, right)


def _assignments(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """(name, value): `x = 1`, `x: int = 1`, `self.x = 1`, and `Config.x` for what a class body assigns."""
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                yield from ((f"{node.name}.{name}", value) for name, value in _assignments(inner))
            continue
        else:
            continue
        for target in targets:
            if name := dotted(target):
                yield name, value
