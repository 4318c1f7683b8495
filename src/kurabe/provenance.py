"""On what a run was made: versions, machine, commit, hashes.

Knows no run folder and imports none of the libraries it names: their versions are read from their metadata.
"""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

from kurabe import __version__
from kurabe.schema import Provenance

LIBRARIES = ("torch", "transformers", "safetensors", "tokenizers", "pydantic", "scipy")


def describe(data_sha256: str) -> Provenance:
    """This machine and this installation, now."""
    return Provenance(
        kurabe=__version__, python=platform.python_version(), platform=platform.platform(), processor=processor(),
        cores=cores(), memory=psutil.virtual_memory().total, libraries=versions(LIBRARIES), data_sha256=data_sha256,
        commit=commit(Path(__file__).resolve().parents[2]),
    )  # fmt: skip


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Installed versions; what is not installed is left out."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def processor_flags() -> set[str]:
    """The processor's flags as Linux tells them; empty elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    return set()


def commit(checkout: Path) -> str:
    """The commit of a source checkout, read from its files; "" for an installed package."""
    git = checkout / ".git"
    with contextlib.suppress(OSError):
        refs = git
        if git.is_file():  # a linked worktree: its own HEAD, the other checkout's refs
            git = checkout / git.read_text(encoding="utf-8").removeprefix("gitdir: ").strip()
            refs = git / (git / "commondir").read_text(encoding="utf-8").strip()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        ref = head.removeprefix("ref: ")
        if (refs / ref).exists():
            return (refs / ref).read_text(encoding="utf-8").strip()
        packed = (refs / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {ref}")), "")
    return ""
