"""Which run folder a person means: a path, a name in the runs folder, or `last`.

Knows only whether a folder holds a run, not what is in it.
"""

from __future__ import annotations

import os
from pathlib import Path

from kurabe.errors import MissingError, UserError
from kurabe.runs import REQUEST, RunFolder
from kurabe.storage import MANIFEST

LAST = "last"


def find_run(run: str, runs: Path) -> Path:
    """The run folder that `run` names, else a `MissingError` that lists what there is."""
    known = run_folders(runs)
    if run == LAST and known:
        return max(known, key=created)
    for path in (Path(run), runs / run):
        if run != LAST and os.path.isdir(path) and is_run(path):  # the method raises on a name that is too long
            return path
    names = ", ".join(path.name for path in known[-5:])
    raise MissingError(
        "There is no run yet." if run == LAST else f"There is no run {run!r}.",
        where=str(runs.absolute()),
        why=f"Runs here: {names}." if names else "The runs folder holds no run.",
        fix="kurabe run FILE makes one; --runs FOLDER looks elsewhere.",
    )


def run_folders(runs: Path) -> list[Path]:
    """The folders in `runs` that hold a run of kurabe's, by name. Links are not followed."""
    if not runs.is_dir():
        return []
    return sorted(path for path in runs.iterdir() if path.is_dir() and not path.is_symlink() and is_run(path))


def is_run(path: Path) -> bool:
    """Whether a run was begun in this folder; it may be damaged, or written by a newer kurabe."""
    return (path / MANIFEST).is_file() and (path / REQUEST).is_file()


def created(path: Path) -> str:
    """When the run was begun, "" where that cannot be read: one damaged run must not hide the others."""
    try:
        return RunFolder.open(path).request().created
    except UserError:
        return ""
