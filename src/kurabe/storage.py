"""Files that survive a kill: append-only journals, published files under a manifest, and the lock of a folder.

Knows no record: it moves JSON objects and bytes. What lies in a run folder is told in `docs/run-folder.md`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from kurabe.errors import BusyError, DataError, MissingError, StoppedError

MANIFEST, LOCK, HOLDER, STAGING = "MANIFEST.json", "lock", "holder.json", ".staging-"
FORMAT_VERSION = 1
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC, errno.EFBIG}


def dumps(value: Any) -> bytes:
    """One line of JSON in UTF-8. NaN and infinity are refused: a record says None."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


# --- journals --------------------------------------------------------------------------------------------------


class Lines(NamedTuple):
    """What a journal holds: its objects, the offset where each line ends, and a last line that was never finished."""

    rows: list[dict[str, Any]]
    ends: list[int]
    torn: bytes


def read_journal(path: Path) -> Lines:
    """All whole lines of a journal. A broken last line is `torn`; damage anywhere else is an error with its line."""
    data = path.read_bytes() if path.exists() else b""
    rows: list[dict[str, Any]] = []
    ends: list[int] = []
    start = 0
    while start < len(data):
        newline = data.find(b"\n", start)
        row = None if newline < 0 else _parse(data[start:newline])
        if row is None or row.get("seq") != len(rows) + 1:
            if newline < 0 or newline == len(data) - 1:
                return Lines(rows, ends, data[start:])
            raise DataError(
                "The run folder is damaged.",
                where=f"{path}:{len(rows) + 1}",
                why="The line is not the JSON object that was written there.",
                fix="Restore the file from a copy, or run again in a new folder.",
            )
        rows.append(row)
        start = newline + 1
        ends.append(start)
    return Lines(rows, ends, b"")


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


class Journal:
    """The writer of one append-only JSONL file. Opening it moves a torn last line to `<name>.torn`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = read_journal(path)
        self.rows, self._ends, self.torn = lines.rows, lines.ends, len(lines.torn)
        self._file = path.open("ab", buffering=0)
        if lines.torn:
            self._set_aside(self._end)

    @property
    def _end(self) -> int:
        return self._ends[-1] if self._ends else 0

    def append(self, rows: Sequence[Mapping[str, Any]], *, sync: bool = False) -> None:
        """Number the rows and write them with one call. When the disk is full nothing of them stays."""
        numbered = [{"seq": len(self.rows) + 1 + i, **row} for i, row in enumerate(rows)]
        lines = [dumps(row) + b"\n" for row in numbered]
        with stops_on_disk_errors(self.path, sum(map(len, lines))):
            try:
                write_all(self._file.fileno(), b"".join(lines))
            except BaseException:  # a full disk, or Ctrl-C twice
                with contextlib.suppress(OSError):
                    self._file.truncate(self._end)
                raise
            if sync:
                os.fsync(self._file.fileno())
        for row, line in zip(numbered, lines, strict=True):
            self._ends.append(self._end + len(line))
            self.rows.append(row)

    def keep(self, count: int) -> int:
        """Keep the first `count` rows and set the rest aside; says how many those were."""
        dropped = len(self.rows) - count
        if dropped > 0:
            del self.rows[count:], self._ends[count:]
            self._set_aside(self._end)
        return max(0, dropped)

    def _set_aside(self, offset: int) -> None:
        tail = self.path.read_bytes()[offset:]
        with self.path.with_suffix(".torn").open("ab") as torn:
            torn.write(tail + b"\n")
        self._file.truncate(offset)

    def sync(self) -> None:
        """Wait until everything written so far is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte: one `os.write` may take fewer when the disk is nearly full."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def stops_on_disk_errors(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn an error of the disk into a `StoppedError`; "no space left" tells the bytes that were needed."""
    try:
        yield
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else _error_number(error)
        if number is None:
            raise
        folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
        full = number in FULL
        raise StoppedError(
            f"{'The disk is full' if full else 'The run folder cannot be written'}; everything stored before is kept.",
            where=str(path),
            why=f"{os.strerror(number)}: at least {max(needed, 1):,} bytes are needed, {free_space(folder):,} are free."
            if full
            else f"{os.strerror(number)}.",
            fix=f"{'Free some space' if full else 'Make it writable again'}, then: {go_on(_run_of(path))}",
        ) from error


def _error_number(error: Exception) -> int | None:
    """The system's error in an exception of a Rust library, which tells it in its text only."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def go_on(run: Path) -> str:
    """The command that goes on with a run, to be copied."""
    return f"kurabe resume {shlex.quote(str(run))}"


def _run_of(path: Path) -> Path:
    """The run folder that a path lies in: the nearest parent that has a lock."""
    return next((parent for parent in (path, *path.parents) if (parent / LOCK).exists()), path.parent)


# --- published files -------------------------------------------------------------------------------------------


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> {size, sha256} of every published file. What is not listed does not exist."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    manifest = _parse(path.read_bytes())
    if manifest is None or not isinstance(manifest.get("files"), dict):
        raise DataError(
            "The run folder is damaged.",
            where=str(path),
            why="The manifest is not readable.",
            fix="Restore the file from a copy, or run again in a new folder.",
        )
    if manifest.get("version", 0) > FORMAT_VERSION:
        raise MissingError(
            "This run was written by a newer kurabe.",
            where=str(folder),
            why=f"Its format is version {manifest['version']}; this kurabe reads up to {FORMAT_VERSION}.",
            fix="pip install --upgrade kurabe",
        )
    files: dict[str, dict[str, Any]] = manifest["files"]
    return files


def is_intact(folder: Path, name: str, entry: Mapping[str, Any]) -> bool:
    """Whether the file has the size and the hash that the manifest lists. A file's length alone proves nothing."""
    path = folder / name
    return path.is_file() and path.stat().st_size == entry["size"] and sha256(path) == entry["sha256"]


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def read_tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative name, but for what belongs to the process that holds it."""
    return {name: (folder / name).read_bytes() for name in _tree(folder)}


def write_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    """What `read_tree` read, into another folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def replace_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let the folder hold these files instead of its own; only for the lock's holder. The manifest comes last: until
    then the old one counts."""
    with staging(folder) as stage:
        write_tree(stage, files)
        for name in sorted(files, key=lambda name: (name == MANIFEST, name)):
            sync_file(stage / name)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(stage / name, folder / name)
        for name in set(_tree(folder)) - files.keys():
            (folder / name).unlink()
    sync_folder(folder)


def _tree(folder: Path) -> list[str]:
    names = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [n.as_posix() for n in names if n.name not in (LOCK, HOLDER) and not n.parts[0].startswith(STAGING)]


def free_space(folder: Path) -> int:
    """Bytes that can still be written on the folder's file system."""
    return shutil.disk_usage(folder).free


def commit(folder: Path, stage: Path, known: Mapping[str, str] | None = None) -> None:
    """Publish every file of `stage` in `folder`, all or none; `known` are hashes that need no second reading.

    The files are flushed and renamed first; they exist from the moment the renewed manifest is renamed into place.
    """
    manifest = read_manifest(folder)
    with stops_on_disk_errors(folder):
        names = sorted(path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file())
        for name in names:
            if name in manifest:
                raise ValueError(f"{name} is published already")
            sync_file(stage / name)
            manifest[name] = {
                "size": (stage / name).stat().st_size,
                "sha256": (known or {}).get(name) or sha256(stage / name),
            }
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(stage / name, folder / name)
        for parent in {(folder / name).parent for name in names} | {folder}:
            sync_folder(parent)
        write_manifest(folder, stage, manifest)


def write_manifest(folder: Path, stage: Path, files: Mapping[str, Any]) -> None:
    """Replace the manifest in one step."""
    path = stage / MANIFEST
    path.write_bytes(json.dumps({"version": FORMAT_VERSION, "files": files}, indent=1, sort_keys=True).encode())
    sync_file(path)
    os.replace(path, folder / MANIFEST)
    sync_folder(folder)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """An empty folder on the same file system, gone afterwards."""
    stage = folder / f"{STAGING}{uuid.uuid4().hex}"
    with stops_on_disk_errors(folder):
        stage.mkdir()
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def sweep(folder: Path) -> int:
    """Remove what killed processes left in staging; only for the lock's holder. Says how many there were."""
    left = [path for path in folder.glob(f"{STAGING}*") if path.is_dir()]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make renames durable. Windows has no such call; there a rename is durable when it returns."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- the lock --------------------------------------------------------------------------------------------------


class FolderLock:
    """The one writer of a folder. The system drops it with the process, so that it cannot outlive a kill.

    The holder's name lies in a file of its own: a lock file cannot be read on Windows while it is held.
    """

    def __init__(self, folder: Path) -> None:
        self._holder = folder / HOLDER
        self._lock = FileLock(folder / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise BusyError(
                "Another process is working in this run folder.",
                where=str(folder),
                why=f"It is held by {describe_holder(self._holder)}.",
                fix="Wait until it is done, or give this run another name: --name NAME",
            ) from None
        try:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self._holder.write_bytes(dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}))
        except OSError:
            self._lock.release()
            raise

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._holder.unlink()
        self._lock.release()


def describe_holder(path: Path) -> str:
    """Who holds the lock, as far as it can be read."""
    row = None
    with contextlib.suppress(OSError):  # the holder may be leaving just now
        row = _parse(path.read_bytes())
    return f"process {row['pid']} on {row['host']} since {row['since']}" if row else "a process that just started"
