"""`kurabe doctor`: look at this machine, each part with the line that mends it.

Knows no run. It asks no other machine for anything: Ollama is looked for on this machine only, for one second.
"""

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from kurabe.servers import ollama_here, ollama_url

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen

# Below these versions a known hole is open in what kurabe uses: (library, floor, why).
FLOORS = (
    ("torch", "2.6", "CVE-2025-32434"),
    ("transformers", "5.3", "CVE-2026-4372"),
    ("jinja2", "3.1.6", "CVE-2025-27516"),
)
OTHERS = ("safetensors", "tokenizers", "pydantic", "scipy", "altair", "vl-convert-python", "typer", "rich")
GIGABYTE = 1_000_000_000
MEMORY_NEEDED, DISK_NEEDED = 2 * GIGABYTE, 1 * GIGABYTE
LEVELS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}


class Check(NamedTuple):
    """One part of the machine: `key` names its sentence, `values` fill it."""

    part: str
    level: str  # "ok", "warn" or "fail"
    key: str
    values: dict[str, Any]


def command(
    screen: "Screen",
    runs: Annotated[Path, typer.Option(help="settings.runs", envvar="KURABE_RUNS", show_envvar=False)] = Path("runs"),
) -> None:
    from rich.text import Text

    from kurabe.cli.screen import hanging

    t = screen.t
    checks = list(examine(runs))
    if screen.json:
        screen.data({"version": 1, "checks": [describe(check, t) for check in checks]})
    else:
        for check in checks:
            row = describe(check, t)
            sign, style = LEVELS[check.level]
            words = Text.assemble(row["text"], *([("\n" + row["fix"], "italic")] if row["fix"] else []))
            screen.show(hanging(Text(f"{sign} {t('doctor.level.' + check.level)}", style=style), words))
    if any(check.level == "fail" for check in checks):
        from kurabe.errors import EXIT_MISSING

        raise typer.Exit(EXIT_MISSING)


def describe(check: Check, t: Callable[..., str]) -> dict[str, Any]:
    """One check as words. Only what is not well has a fix."""
    key = f"doctor.{check.key}"
    fix = "" if check.level == "ok" else t(f"{key}_fix", **check.values)
    return {"part": check.part, "level": check.level, "text": t(key, **check.values), "fix": fix}


def examine(runs: Path) -> Iterator[Check]:
    """All parts, the ones that everything else needs first."""
    yield check_python()
    yield from check_libraries()
    yield from check_device()
    yield check_memory()
    yield check_disk(runs)
    yield check_model()
    yield check_cache()
    yield check_ollama(os.environ.get("OLLAMA_HOST", ""))


def check_python() -> Check:
    values = {"version": platform.python_version(), "platform": platform.platform(terse=True)}
    return Check("python", "ok" if sys.version_info >= (3, 10) else "fail", "python", values)


def check_libraries() -> Iterator[Check]:
    for name, floor, cve in FLOORS:
        installed = version_of(name)
        values = {"name": name, "version": installed, "floor": floor, "cve": cve}
        if not installed:
            yield Check("libraries", "fail", "library_missing", values)
        elif release(installed) < release(floor):
            yield Check("libraries", "fail", "library_unsafe", values)
        else:
            yield Check("libraries", "ok", "library", values)
    found = {name: version_of(name) for name in OTHERS}
    missing = [name for name, version in found.items() if not version]
    for name in missing:
        yield Check("libraries", "fail", "library_missing", {"name": name})
    if not missing:
        yield Check("libraries", "ok", "libraries", {"list": ", ".join(f"{n} {v}" for n, v in found.items())})


def version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def release(version: str) -> tuple[int, ...]:
    """ "2.13.0+cpu" -> (2, 13, 0): enough to compare with a floor."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def check_device() -> Iterator[Check]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of another machine
        yield Check("device", "fail", "torch_broken", {"error": str(error).split("\n")[0]})
        return
    if torch.cuda.is_available():
        yield Check("device", "ok", "cuda", {"name": torch.cuda.get_device_name(0)})
    elif torch.backends.mps.is_available():
        yield Check("device", "ok", "mps", {"name": platform.machine()})
    else:
        from kurabe.provenance import cores, processor, processor_flags

        yield Check("device", "ok", "cpu", {"name": processor(), "cores": cores()})
        flags = processor_flags()
        quick = flags & {"avx512_bf16", "amx_bf16"}
        yield Check("device", "ok", "bf16" if quick else "bf16_absent", {"flag": ", ".join(sorted(quick))})


def check_memory() -> Check:
    import psutil

    from kurabe.texts import size

    memory = psutil.virtual_memory()
    values = {"free": size(memory.available), "total": size(memory.total), "needed": size(MEMORY_NEEDED)}
    enough = memory.available >= MEMORY_NEEDED
    return Check("memory", "ok" if enough else "warn", "memory" if enough else "memory_low", values)


def check_disk(runs: Path) -> Check:
    from kurabe.texts import size

    folder = runs.expanduser().absolute()
    place = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    values = {"folder": str(folder), "free": size(free), "needed": size(DISK_NEEDED)}
    if not os.access(place, os.W_OK):
        return Check("disk", "fail", "disk_closed", values)
    return Check("disk", "ok" if free >= DISK_NEEDED else "warn", "disk" if free >= DISK_NEEDED else "disk_low", values)


def check_model() -> Check:
    """The embedded model, verified as a run verifies it, with the hash that a run stores."""
    from importlib.resources import files

    from kurabe import hub
    from kurabe.errors import MissingError

    folder = Path(str(files("kurabe"))) / "tiny"
    try:
        return Check("model", "ok", "model", {"hash": hub.verify(folder).sha256[:16]})
    except MissingError as error:
        return Check("model", "fail", "model_missing", {"path": str(folder), "why": error.what})


def check_cache() -> Check:
    """Where the Hugging Face libraries keep models; kurabe reads it when `--model` or `kurabe models` names one."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    folder = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    count = len(list(folder.glob("models--*"))) if folder.is_dir() else 0
    return Check("cache", "ok", "cache", {"folder": str(folder), "count": count})


def check_ollama(host: str) -> Check:
    """Asked on this machine only. An address elsewhere is named and not asked."""
    key = {True: "ollama", False: "ollama_silent", None: "ollama_elsewhere"}[ollama_here(host)]
    return Check("ollama", "ok" if key == "ollama" else "warn", key, {"url": ollama_url(host)})
