"""Small text files of strangers, read within limits: YAML, JSON, plain text. Nothing in them is ever run.

Knows no setting. What cannot be read is a DataError that says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from kurabe.errors import DataError, MissingError
from kurabe.settings import YAML_ERRORS

MOST_BYTES = 2**20  # a configuration or a script is far smaller
MOST_LOG_BYTES = 64 * 2**20  # trainer_state.json of a long training


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a file in UTF-8, with or without a byte order mark."""
    try:
        if not path.is_file():
            raise MissingError("There is no such file.", where=str(path), fix="Check the path.")
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise MissingError("The file cannot be read.", where=str(path), why=error.strerror or str(error),
                           fix="Check the path and its permissions.") from None  # fmt: skip
    except ValueError:  # a null character in the name
        raise MissingError("There is no such file.", where=repr(str(path)), fix="Check the path.") from None
    if len(raw) > most:
        raise DataError("The file is too large for what it should be.", where=str(path),
                        why=f"At most {most:,} bytes are read.", fix="Give the configuration itself.")  # fmt: skip
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("The file is not UTF-8 text.", where=str(path), fix="Save it as UTF-8.") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings of a YAML file; `safe_load` makes plain values only."""
    words = read_text(path)
    try:
        found = yaml.safe_load(words)
    except YAML_ERRORS as error:
        raise _unreadable(path, "YAML", error) from None
    return _table(path, found)


def read_json(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """The table of a JSON file."""
    words = read_text(path, most)
    try:
        return _table(path, json.loads(words))
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, "JSON", error) from None


def _table(path: Path, found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or not found:
        raise DataError("The file holds no settings.", where=str(path), why="It is no table of names and values.",
                        fix="Give a training configuration: kurabe audit --help lists what is read.")  # fmt: skip
    return {str(key)[:200]: value for key, value in found.items()}


def _unreadable(path: Path, kind: str, error: Exception) -> DataError:
    why = "It is nested too deeply." if isinstance(error, RecursionError) else " ".join(str(error).split())[:300]
    return DataError(
        f"The file is not readable as {kind}.", where=str(path), why=why, fix="Mend the file, or export it again."
    )
