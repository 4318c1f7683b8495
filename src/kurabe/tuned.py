"""The rates that `kurabe tune-recipe` found, one file per model in the user's data folder, by the model's hash.

Knows no model and no training. Another model's hash finds nothing here, and a rate that the user set is never replaced.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from kurabe.errors import DataError
from kurabe.schema import ModelInfo, Reason, TunedRate
from kurabe.settings import RunSettings


def place() -> Path:
    """The folder of all found rates; it may not be there."""
    return Path(platformdirs.user_data_dir("kurabe", appauthor=False)) / "rates"


def find(sha256: str) -> TunedRate | None:
    """What was found for the model with this hash; None where it was not tuned."""
    path = place() / f"{sha256}.json"
    return _read(path) if path.is_file() else None


def found() -> Iterator[TunedRate]:
    """All of them."""
    for path in sorted(place().glob("*.json")):
        yield _read(path)


def store(rate: TunedRate) -> Path:
    """Keep it in place of an older one; the file's path."""
    folder = place()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", encoding="utf-8", delete=False) as file:
        file.write(rate.model_dump_json(indent=1))
    path = folder / f"{rate.model_sha256}.json"
    os.replace(file.name, path)
    return path


def forget() -> int:
    """Delete all of them; how many there were."""
    paths = list(place().glob("*.json"))
    for path in paths:
        path.unlink()
    return len(paths)


def apply(settings: RunSettings, model: ModelInfo) -> tuple[RunSettings, tuple[Reason, ...]]:
    """The settings with the rate that was found for this model, and the sentence that says so. They become the run's
    own, so that it is resumed and repeated with the same rate whatever is found later."""
    tuned = find(model.sha256) if settings.rate is None else None
    if tuned is None:
        return settings, ()
    values = {"factor": tuned.factor, "rows": tuned.examples, "data": tuned.data}
    key = "audit.note.rate-confirmed" if tuned.factor == 1 else "audit.note.rate-tuned"
    return settings.model_copy(update={"rate": tuned.factor}), (Reason(key=key, values=values),)


def _read(path: Path) -> TunedRate:
    try:
        return TunedRate.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise DataError(
            "The rate that was found for this model cannot be read.", where=str(path), why=str(error).splitlines()[0],
            fix="Delete that file; kurabe tune-recipe finds it again.",
        ) from None  # fmt: skip
