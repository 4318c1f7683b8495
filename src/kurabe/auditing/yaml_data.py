"""The rows that a configuration trains on, where it names files that are here.

Knows no hub: where one of its data sets would have to be fetched, the rows stay unknown, for the others are not all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kurabe.auditing.configured import Rows
from kurabe.auditing.data import Counter, counted
from kurabe.auditing.files import read_json
from kurabe.auditing.script_data import SUFFIXES
from kurabe.dataset import read_examples
from kurabe.errors import UserError

_IN_FOLDER = tuple(f"train{suffix}" for suffix in SUFFIXES)  # what a folder of rows calls those that are trained on


def find_rows(path: Path, tool: str, settings: Mapping[str, Any], count: Counter | None = None) -> Rows | None:
    """The rows of all data sets that the file names. Paths are looked for beside it, then where the command was given;
    None where one of them is not there, or is no file of questions and answers."""
    names = list(_named(path, tool, settings))
    places = [_place(path, name) for name in names]
    found = [place for place in places if place is not None]
    if not found or len(found) < len(places):
        return None
    try:
        examples = [example for place in found for example in read_examples(place, skip_bad=True).examples]
    except UserError:
        return None
    return counted(", ".join(place.name for place in found), examples, count)


def _named(path: Path, tool: str, settings: Mapping[str, Any]) -> Iterator[Any]:
    """What each library calls its data."""
    if tool == "mlx-lm":
        yield settings.get("data")
    elif tool == "llama-factory":
        yield from _registered(path, settings)
    elif isinstance(settings.get("datasets"), list):
        for entry in settings["datasets"]:
            files = entry.get("data_files") or entry.get("path") if isinstance(entry, Mapping) else None
            yield from files if isinstance(files, list) else [files]
    elif tool == "trl":
        yield settings.get("dataset_name")


def _registered(path: Path, settings: Mapping[str, Any]) -> Iterator[Any]:
    """LLaMA-Factory names data sets that stand in dataset_info.json, in its folder of data."""
    folder = settings.get("dataset_dir", "data")
    names = settings.get("dataset")
    register = _place(path, f"{folder}/dataset_info.json") if isinstance(folder, str) else None
    if register is None or not isinstance(names, (str, list)):
        return
    known = read_json(register)
    for name in names.split(",") if isinstance(names, str) else names:
        entry = known.get(str(name).strip())
        file = entry.get("file_name") if isinstance(entry, Mapping) else None
        yield str(register.parent / file) if isinstance(file, str) else None


def _place(path: Path, name: Any) -> Path | None:
    """An existing data file of that name, or the file of training rows in a folder of that name."""
    if not isinstance(name, str) or not name or "\0" in name or len(name) > 500:
        return None
    try:
        for place in (path.parent / name, Path(name)):
            if place.is_file() and place.suffix.lower() in SUFFIXES:
                return place
            inside = [place / file for file in _IN_FOLDER if (place / file).is_file()]
            if inside:
                return inside[0]
    except OSError:  # a name that no file can have
        return None
    return None
