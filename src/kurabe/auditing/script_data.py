"""The rows that a script trains on, where they stand in it, or in a file beside it that it names.

Knows no hub: a data set that has to be fetched stays unknown.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from kurabe.auditing.configured import Rows
from kurabe.auditing.data import Counter, literal_rows, read_rows
from kurabe.auditing.script_tree import Script
from kurabe.auditing.script_values import UNKNOWN
from kurabe.errors import UserError

SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet")
_MOST_LISTS = 20


def find_rows(path: Path, script: Script, count: Counter | None) -> Rows | None:
    """The longest list of rows in the script, else a data file that it opens."""
    lists = [node for node in script.nodes if isinstance(node, ast.List) and len(node.elts) > 1]
    for node in sorted(lists, key=lambda node: -len(node.elts))[:_MOST_LISTS]:
        rows = script.values.of(node)
        if not isinstance(rows, list) or _unknown(rows):
            continue
        if all(isinstance(row, (dict, list)) and "role" not in row for row in rows):
            found = literal_rows(f"{path.name}:{node.lineno}", rows, count)
            if found:
                return found
    for call in script.named("load_dataset", "open", "read_json", "read_csv", "from_json", "from_csv"):
        words = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "data_files")]
        for word in words:
            place = _place(path.parent, script.values.of(word))
            if place:
                try:
                    return read_rows(place, count)
                except UserError:
                    continue  # a file, and none of questions and answers
    return None


def _place(folder: Path, name: Any) -> Path | None:
    """An existing data file of that name beside the script."""
    name = name.get("train") if isinstance(name, dict) else name
    if not isinstance(name, str) or "\0" in name or len(name) > 500:
        return None
    place = folder / name
    try:
        return place if place.suffix.lower() in SUFFIXES and place.is_file() else None
    except OSError:  # a name that no file can have
        return None


def _unknown(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is UNKNOWN or any(map(_unknown, parts))
