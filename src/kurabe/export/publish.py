"""Put a plan's files into a folder: each is there whole, with its record, or not at all.

Knows no weight: the stream writes, the manifest decides what exists.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kurabe import __version__, storage
from kurabe.errors import MissingError, SettingsError
from kurabe.export import folder, modelfile, stream
from kurabe.export.plan import File, Plan
from kurabe.schema import Shipped


def publish(
    plan: Plan,
    out: Path,
    tell: stream.Tell | None = None,
    threads: int = 0,
    system: str | None = "",
    base: str = "",
) -> list[Shipped]:
    """Write what is not there yet, each file with a Modelfile that puts `system` before every question; the records of
    all the plan's files, in the plan's order. Adapters name the file in the same folder that they lie on: `base`. With
    None as `system` there is no Modelfile: none can hold what stands before a question.

    A file that an earlier export of the same base and adapter finished stays; one of another origin is never
    overwritten. Raises MissingError when the disk has too little room, before anything is written.
    """
    # What a Modelfile cannot say is refused first.
    modelfiles = {file.name: "" if system is None else modelfile_of(file, system, base) for file in plan.files}
    with _held(out):
        there = {file.name: found for file in plan.files if (found := _there(plan, file, out, modelfiles[file.name]))}
        todo = plan._replace(files=tuple(file for file in plan.files if file.name not in there))
        if todo.files:
            _check_space(sum(file.size for file in todo.files), out)
            with storage.staging(out) as stage:
                known = {}
                for written in stream.write(todo, stage, tell, threads):
                    record = _record(plan, written)
                    path = stage / _record_name(written.file)
                    path.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
                    if modelfiles[written.file.name]:
                        (stage / modelfile_name(written.file)).write_bytes(modelfiles[written.file.name].encode())
                    there[written.file.name] = record
                    known[written.file.name] = written.sha256
                storage.commit(out, stage, known)
    return [there[file.name] for file in plan.files]


def publish_folder(plan: Plan, out: Path, tell: stream.Tell | None = None) -> Path:
    """The merged model as a folder of safetensors, whole or not at all; the weights' path."""
    with _held(out):
        if (out / folder.WEIGHTS).exists():
            raise _occupied(out / folder.WEIGHTS)
        _check_space(folder.size(plan), out)
        with storage.staging(out) as stage:
            folder.write_folder(plan, stage, tell)
            storage.commit(out, stage)
    return out / folder.WEIGHTS


def publish_file(plan: Plan, path: Path, tell: stream.Tell | None = None, threads: int = 0) -> Path:
    """The plan's one file at exactly this path, whole or not at all, with nothing beside it.

    A file of these very bytes that is there already stays; another one is never overwritten. Raises SettingsError for
    more than one format, MissingError for a folder that cannot be written or has too little room.
    """
    if len(plan.files) != 1:
        raise SettingsError("One file has one format.", where=str(path), fix="Give a folder, or one of the formats.")
    plan = plan._replace(files=(plan.files[0]._replace(name=path.name),))
    out = path.parent
    if not out.is_dir():
        raise MissingError(
            "The folder of the file is not there.", where=str(out), fix="Make it first, or name another."
        )
    _check_space(plan.files[0].size, out)
    with storage.staging(out) as stage:
        (written,) = stream.write(plan, stage, tell, threads)
        if not path.exists():
            os.replace(stage / path.name, path)
            storage.sync_folder(out)
        elif storage.sha256(path) != written.sha256:
            raise _occupied(path, "Remove that file, or choose another name.")
    return path


@contextmanager
def aside(plan: Plan, out: Path) -> Iterator[tuple[Path, Shipped]]:
    """The plan's one file beside the published ones, to be tried out; it goes again with the block."""
    with _held(out):
        _check_space(plan.files[0].size, out)
        with storage.staging(out) as stage:
            (written,) = stream.write(plan, stage)
            yield stage / written.file.name, _record(plan, written)


@contextmanager
def aside_folder(plan: Plan, out: Path) -> Iterator[Path]:
    """The merged model as a folder, to be tried out; it goes again with the block."""
    with _held(out):
        _check_space(folder.size(plan), out)
        with storage.staging(out) as stage:
            folder.write_folder(plan, stage)
            yield stage


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """The folder, made and locked, without what a killed export left."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = storage.FolderLock(out)
    except OSError as error:
        raise MissingError(
            "The folder cannot be written.", where=str(out), why=error.strerror or str(error),
            fix="Choose another place with --out.",
        ) from None  # fmt: skip
    try:
        storage.sweep(out)
        yield
    finally:
        lock.release()


def _there(plan: Plan, file: File, out: Path, recipe: str) -> Shipped | None:
    """The record of a file that is published already, of the same origin and with the same Modelfile."""
    path = out / file.name
    manifest = storage.read_manifest(out)
    listed = manifest.get(file.name)
    if listed is None and not path.exists():
        return None
    named = (file.name, _record_name(file))
    if all(name in manifest and storage.is_intact(out, name, manifest[name]) for name in named):
        record = Shipped.model_validate_json((out / _record_name(file)).read_bytes())
        origin = (plan.base.sha256, plan.adapter_sha256, plan.match, file.size)
        # Who edited the Modelfile keeps the edit; one that was written for another message is another export.
        wanted = hashlib.sha256(recipe.encode()).hexdigest() if recipe else None
        same = manifest.get(modelfile_name(file), {}).get("sha256") == wanted
        if same and (record.base_sha256, record.adapter_sha256, record.match, record.size) == origin:
            return record
    raise _occupied(path)


def _occupied(path: Path, fix: str = "Choose another --out or --name, or remove the folder.") -> SettingsError:
    return SettingsError("Another file of this name is there; nothing is overwritten.", where=str(path), fix=fix)


def _check_space(needed: int, out: Path) -> None:
    free = storage.free_space(out)
    if needed > free:
        raise MissingError(
            "The disk has too little room.", where=str(out),
            why=f"The files need {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free.",
            fix="Free some space, or choose another place with --out or a smaller format with --formats.",
        )  # fmt: skip


def _record(plan: Plan, written: stream.Written) -> Shipped:
    file = written.file
    return Shipped(
        file=file.name, format=file.format, match=plan.match, base_sha256=plan.base.sha256,
        adapter_sha256=plan.adapter_sha256, sha256=written.sha256, size=file.size, weights=plan.weights,
        kurabe=__version__,
    )  # fmt: skip


def modelfile_of(file: File, system: str, base: str = "") -> str:
    """Ollama's recipe for one file: greedy, as every arm was measured. Raises DataError for what it cannot express.

    The chat template and the end of a turn travel in the GGUF.
    """
    weights = [("FROM", base), ("ADAPTER", file.name)] if base else [("FROM", file.name)]
    commands = [modelfile.Command(name, f"./{value}") for name, value in weights]
    commands.append(modelfile.Command("PARAMETER", "0", "temperature"))
    return modelfile.write([*commands, *([modelfile.Command("SYSTEM", system)] if system else [])])


def modelfile_name(file: File) -> str:
    return file.name.removesuffix(".gguf") + ".Modelfile"


def _record_name(file: File) -> str:
    return file.name.removesuffix(".gguf") + ".json"
