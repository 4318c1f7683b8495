"""Writes the model card of shipped files, README.md, with its chart beside it. A card that somebody edited stays.

Knows no format and measures nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from kurabe import charts
from kurabe.cli.screen import Screen
from kurabe.export.searcher import RUNNER, searches
from kurabe.export.winner import Winner
from kurabe.report.card import Shipment, card
from kurabe.runs import RunFolder
from kurabe.schema import Parity, Shipped

CARD, CHART = "README.md", "parity.svg"
_MARK = re.compile(r"\n<!-- kurabe ([0-9a-f]{64}) -->\n\Z")  # the hash of what stands above it
_READ = 64 * 1024  # characters of a base's README that are searched for its licence


def write_card(
    screen: Screen, run: Path, shipped: Winner, files: Sequence[Shipped], parity: Parity | None, out: Path
) -> Path | None:
    """The card's path; None where an edited one was left alone, or the run has no results."""
    results = RunFolder.open(run).results()
    path = out / CARD
    if results is None or not _ours(path):
        return None
    t = screen.t
    chart = charts.parity(results.model_copy(update={"parity": parity}), t) if parity else None
    name = files[-1].file.removesuffix(".gguf").removesuffix(f"-{files[-1].format}")
    named = Shipment(
        name, shipped.arm, tuple(files), parity, shipped.system, license_of(shipped.base), CHART if chart else "",
        RUNNER if searches(shipped.arm) else "",
    )  # fmt: skip
    text = card(results, named, t)
    if chart:
        _replace(out / CHART, chart)
    _replace(path, f"{text}\n<!-- kurabe {_hash(text)} -->\n")
    return path


def license_of(base: Path) -> str:
    """The licence that a model folder's README names in its front matter or in a sentence; "" for none."""
    path = base / "README.md"
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_READ)
    matter = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"(?m)^license: *[\"']?([\w.+-]+)", matter[1]) if matter else None
    found = found or re.search(r"\b[Ll]icen[cs]e: ([\w.+-]*\w)", text)
    return found[1].lower() if found else ""


def _ours(path: Path) -> bool:
    """Whether nothing is lost by writing: there is no card, or it is as kurabe wrote it."""
    if not path.exists():
        return True
    text = path.read_bytes().decode("utf-8", "replace")
    mark = _MARK.search(text)
    return mark is not None and _hash(text[: mark.start()]) == mark[1]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _replace(path: Path, text: str) -> None:
    whole = path.with_name(f".{path.name}.{os.getpid()}")
    whole.write_bytes(text.encode())
    os.replace(whole, path)
