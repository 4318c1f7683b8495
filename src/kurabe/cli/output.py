"""Files that a command writes for the user: a run's report, and what `--out` names.

Knows no content. What exists is never overwritten, apart from a run's own report, which can be made again at any time.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path

from kurabe.errors import MissingError, SettingsError
from kurabe.report import render
from kurabe.schema import Results

REPORT = "report.html"


def write_report(results: Results, path: Path, language: str) -> Path:
    """The run's own report, replaced as a whole."""
    whole = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        whole.write_text(render(results, "html", language), encoding="utf-8")
        os.replace(whole, path)
    except OSError as error:
        with contextlib.suppress(OSError):  # a file system that became read-only removes nothing either
            whole.unlink(missing_ok=True)
        raise _unwritable(path, error, f"kurabe report {shlex.quote(str(path.parent))} --out FILE") from None
    return path


def refuse_existing(path: Path) -> None:
    """Refuse a place that is taken, before the work for it is done."""
    if path.exists():
        raise _taken(path)


def write_new(path: Path, text: str) -> None:
    """A file that did not exist before, with the bytes of `text`."""
    try:
        with path.open("x", encoding="utf-8", newline="") as stream:
            try:
                stream.write(text)
                stream.flush()
            except OSError:  # half a file would stand in the way of the next try
                path.unlink()
                raise
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        raise _unwritable(path, error, "Choose a place that you may write to with --out.") from None


def _taken(path: Path) -> SettingsError:
    return SettingsError("The file exists; nothing is overwritten.", where=str(path), fix="Choose another --out.")


def _unwritable(path: Path, error: OSError, fix: str) -> MissingError:
    return MissingError("The file cannot be written.", where=str(path), why=error.strerror or str(error), fix=fix)
