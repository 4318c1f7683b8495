"""Which run folder a person means: a path, a name in the runs folder, or `last`.

Knows only whether a folder holds a run, not what is in it.
"""

from __future__ import annotations

from pathlib import Path

from kurabe.errors import MissingError
from kurabe.runs import RunFolder

LAST = "last"


def find_run(run: str, runs: Path) -> Path:
    """The run folder that `run` names, else a `MissingError` that lists what there is."""
    known = run_folders(runs)
    if run == LAST and known:
        return max(known, key=lambda path: RunFolder.open(path).request().created)
    for path in (Path(run), runs / run):
        if run != LAST and path.is_dir() and is_run(path):
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
    """Whether a run was begun in this folder."""
    try:
        RunFolder.open(path)
    except MissingError:
        return False
    return True
