"""A script while it is read: its calls in order, what was found in them, and where.

Knows no library's calls by itself; the readers beside it ask for them by name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from kurabe.auditing.libraries import LIBRARIES, Library, fields
from kurabe.auditing.script_prompts import Chat
from kurabe.auditing.script_values import UNKNOWN, Values, dotted, last_name

# The settings of a training, and the library whose defaults go with them.
ARGUMENTS = {"TrainingArguments": "transformers", "Seq2SeqTrainingArguments": "transformers", "SFTConfig": "trl",
             "UnslothTrainingArguments": "trl"}  # fmt: skip


class Script:
    """`found` maps fields of `Configured` to values; None: it is set, to something that is not known."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name, self.tree, self.values = name, tree, Values(tree)
        self.nodes = list(ast.walk(tree))
        self.calls = sorted(
            (node for node in self.nodes if isinstance(node, ast.Call)), key=lambda call: (call.lineno, call.col_offset)
        )
        self.chats: list[Chat] = []
        self.library: Library = LIBRARIES["transformers"]
        self.trains = False
        self.found: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.assumed: dict[str, str] = {}
        self.unread: list[str] = []

    def named(self, *names: str) -> Iterator[ast.Call]:
        """The calls of functions with one of these names, whatever stands before the last dot."""
        return (call for call in self.calls if last_name(call.func) in names)

    def has(self, *names: str) -> bool:
        return any(True for _ in self.named(*names))

    def tokenizing(self) -> Iterator[ast.Call]:
        """Calls of something that is named a tokenizer, or was loaded as one: `tok = AutoTokenizer...`."""
        return (call for call in self.calls if self._is_tokenizer(call.func))

    def _is_tokenizer(self, name: ast.expr) -> bool:
        if "tokenizer" in last_name(name).lower():
            return True
        loaded = self.values.node(name)
        return isinstance(loaded, ast.Call) and "tokenizer" in dotted(loaded.func).lower()

    def set(self, field: str, value: Any, line: int = 0) -> None:
        """The first place that says something counts."""
        if value is not None and self.found.get(field) is None:
            self.found[field] = value
            if line:
                self.places[field] = f"{self.name}:{line}"

    def assume(self, defaults: Mapping[str, Any], library: Library) -> None:
        """A library's defaults, for what nothing is said about."""
        for field, value in defaults.items():
            if field not in self.found:
                self.found[field] = value
                self.assumed[field] = library.version

    def take(self, call: ast.Call, library: Library) -> None:
        """The keywords of a call that are settings of this library."""
        given = self.values.keywords(call)
        known = {name: value for name, (value, _) in given.items() if value is not UNKNOWN}
        found, unread = fields(library, known)
        self.unread += [name for name in unread if name not in self.unread]
        lines = {field: given[key][1] for key, (field, _) in library.keys.items() if key in given}
        for field, value in found.items():
            self.set(field, value, lines.get(field, call.lineno))
            self.found.setdefault(field, value)  # None: set, and not understood
        for key, (field, _) in library.keys.items():
            if key in given and given[key][0] is UNKNOWN:
                self.found.setdefault(field, None)  # what is computed is not the default
