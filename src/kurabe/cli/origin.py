"""What `kurabe ship` is asked for: a run, a base with an adapter, or a GGUF; options that exclude each other.

Knows no format and writes nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from kurabe.cli.find import find_run
from kurabe.errors import SettingsError
from kurabe.export.searcher import searches
from kurabe.export.winner import Winner, winner

# What an option is when nobody gave it, and how it is called, where that is not None and its own name.
_UNSET = {"match": "exact", "form": "gguf"}
_CALLED = {"run": "a run", "form": "--as"}


def what(
    run: str | None, arm: str | None, base: Path | None, adapter: Path | None, runs: Path
) -> tuple[Path | None, Winner]:
    """The run's folder, None without a run, and what is shipped."""
    if (run is None) == (base is None):
        raise SettingsError(
            "Give either a run or a base." if run else "There is nothing to ship.",
            fix="kurabe ship RUN, or kurabe ship --base FOLDER --adapter FOLDER --out FOLDER",
        )
    if base is not None:
        if arm is not None:
            raise SettingsError("A base has no arms.", fix="Leave out --arm, or give a run.")
        return None, Winner("", base, adapter, "", 0)
    if adapter is not None:
        raise SettingsError(
            "A run brings its own adapter.", fix=f"kurabe ship {run}, or --base FOLDER --adapter FOLDER"
        )
    assert run is not None
    folder = find_run(run, runs)
    return folder, winner(folder, arm or "")


def default_name(folder: Path | None, shipped: Winner) -> str:
    """What files are called unless --name says: after the run and its arm, else after the base."""
    if folder:
        return f"{folder.name}-{shipped.arm.replace('+', '-')}"
    return re.sub(r"(-(F32|F16|BF16))?\.gguf$", "", shipped.base.resolve().name)


def check_pairs(*, to: str | None, form: str, verify: Path | None, replace: bool, plan_only: bool, device: str) -> None:
    """Options that exclude each other: none is left out in silence."""
    safetensors = form == "safetensors"
    pairs = {
        ("--verify", "--to"): verify is not None and to is not None,
        ("--verify", f"--as {form}"): verify is not None and form != "gguf",
        ("--verify", "--plan"): verify is not None and plan_only,
        ("--as safetensors", "--to"): safetensors and to is not None,
        ("--as safetensors", "--device"): safetensors and device != "cpu",  # nothing is quantised
        ("--verify", "--device"): verify is not None and device != "cpu",
    }
    for (one, other), given in pairs.items():
        if given:
            raise SettingsError(f"{one} and {other} exclude each other.", fix=f"Leave out {one} or {other}.")
    if replace and to is None:
        raise SettingsError("--replace is for a model in Ollama.", fix="Give --to ollama, or leave out --replace.")


def check_out(out: Path | None, *, run: str | None, to: str | None, form: str, verify: Path | None) -> None:
    """`--out FILE.gguf` is one file and nothing beside it, so nothing that needs the file's record goes with it."""
    if out is None or out.suffix != ".gguf":
        return
    others = {"a run": run, "--to": to, f"--as {form}": form != "gguf", "--verify": verify}
    given = [name for name, value in others.items() if value]
    if given:
        raise SettingsError(
            f"--out {out.name} and {given[0]} exclude each other.", why="One file alone has no record beside it.",
            fix="Give a folder with --out.",
        )  # fmt: skip


def check_search(arm: str, *, to: str | None, form: str) -> None:
    """An arm that searches needs the program beside its file, which neither Ollama nor a merged folder runs."""
    given = "--to" if to else f"--as {form}" if form != "gguf" else ""
    if searches(arm) and given:
        raise SettingsError(
            f"The arm {arm} and {given} exclude each other.",
            why="It searches before it answers, and what it finds cannot stand in a Modelfile.",
            fix=f"Leave out {given}: the files come with the program that searches, ask.py.",
        )


def check_gguf(**given: object) -> None:
    """A GGUF is whole: there is nothing to merge into it and no run that it belongs to."""
    for name, value in given.items():
        if value != _UNSET.get(name):
            raise SettingsError(
                f"--from-gguf and {_CALLED.get(name, f'--{name}')} exclude each other.",
                fix="kurabe ship --from-gguf FILE.gguf --formats Q4_K_M",
            )
