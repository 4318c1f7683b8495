"""Which models kurabe made in Ollama: noted beside the files that they were made of, and deleted again from there.

Knows no conversion. Only what is noted here, and still holds the file that it was made of, is ever deleted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from kurabe.errors import DataError
from kurabe.export.ollama import Limits, Ollama
from kurabe.schema import Delivered, Deliveries

NOTES = "ollama.json"


def noted(folder: Path) -> tuple[Delivered, ...]:
    """The models made of this folder's files. Raises DataError for notes that cannot be read."""
    path = folder / NOTES
    if not path.is_file():
        return ()
    try:
        return Deliveries.model_validate_json(path.read_bytes()).models
    except ValueError as error:
        raise DataError(
            "The notes of models in Ollama cannot be read.", where=str(path), why=str(error).splitlines()[0],
            fix="Delete the file, and the models by hand: ollama rm NAME",
        ) from None  # fmt: skip


def note(folder: Path, made: Delivered) -> None:
    """One model more; of one name on one server there is one note."""
    others = (known for known in noted(folder) if (known.url, known.model) != (made.url, made.model))
    _store(folder, (*others, made))


def remove(folder: Path, made: Delivered, limits: Limits = Limits()) -> bool:  # noqa: B008  (it is immutable)
    """Delete the model and its note. False, and only the note goes, where it is gone or was made anew by somebody else.
    Raises MissingError where the server does not answer: the note stays."""
    with Ollama(made.url, limits) as server:
        ours = server.holds(made.model, made.sha256)
        deleted = ours and server.delete(made.model)
    _store(folder, (known for known in noted(folder) if known != made))
    return deleted


def _store(folder: Path, models: Iterable[Delivered]) -> None:
    left = tuple(models)
    path = folder / NOTES
    if not left:
        path.unlink(missing_ok=True)
        return
    whole = folder / f".{NOTES}.{os.getpid()}"
    whole.write_text(Deliveries(models=left).model_dump_json(indent=1) + "\n", encoding="utf-8")
    os.replace(whole, path)
