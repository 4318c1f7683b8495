"""The proof on the screen: each exported file asked the run's own questions, and whether its answers survived.

Knows no model: `kurabe.export.parity` asks and judges.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from kurabe.cli.screen import Screen
from kurabe.errors import EXIT_GATE, MissingError, SettingsError
from kurabe.export import parity, proof
from kurabe.export.plan import Plan
from kurabe.export.winner import Winner
from kurabe.report import sentences, tables
from kurabe.schema import Parity, Shipped
from kurabe.storage import sha256


def prove_all(
    screen: Screen, run: Path, shipped: Winner, plan: Plan, files: list[proof.Exported], out: Path
) -> proof.Proof | None:
    """The proof of freshly exported files, stored beside them; None, and a line, where llama.cpp is not installed."""
    if find_spec("xllamacpp") is None:
        screen.say(screen.t("cli.proof.missing"), style="yellow")
        return None
    found = proof.prove_export(run, shipped, plan, files, out, asking(screen))
    parity.store(found.parity, found.answers, out)
    return found


def prove_merged(screen: Screen, run: Path, shipped: Winner, weights: Path) -> proof.Proof:
    """The proof of a merged folder, stored in it."""
    found = proof.prove_folder(run, shipped, weights, asking(screen))
    parity.store(found.parity, found.answers, weights.parent)
    return found


def asking(screen: Screen) -> Callable[[str], None]:
    """A line for each form of the model that is asked."""
    return lambda file: screen.say(screen.t("cli.proof.asks", file=file))


def check_file(screen: Screen, run: Path | None, shipped: Winner, file: Path) -> Parity:
    """The proof of a file that was made elsewhere. Nothing is stored."""
    if run is None:
        raise SettingsError("A file is compared with a run's answers.", fix="kurabe ship RUN --verify FILE.gguf")
    if not file.is_file():
        raise MissingError(f"There is no file {file.name}.", where=str(file), fix="Give the path of a GGUF file.")
    record = Shipped(
        file=file.name, format=parity.format_of(file), match="exact", base_sha256="", adapter_sha256="",
        sha256=sha256(file), size=file.stat().st_size, weights=0, kurabe="",
    )  # fmt: skip
    return proof.prove_files(run, shipped, [proof.Exported(file, record)]).parity


def show_proof(screen: Screen, found: Parity, *, alone: bool = False) -> None:
    """The table of the hops; with --json the data, where the proof `alone` is the answer.

    Exits with the code of a missed gate where one of the files failed.
    """
    t = screen.t
    failed = [hop for hop in found.hops if hop.file and not hop.held]
    if screen.json and alone:
        screen.data(found)
    if not screen.json:
        cells = tables.parity(found, t)
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        # The speed stands in the report and in the card: with it the table is wider than a terminal.
        for column in (*cells.head[:-2], cells.head[-1]):
            table.add_column(column, justify="left" if column in (cells.head[0], cells.head[-1]) else "right")
        for row in cells.rows:
            table.add_row(*row[:-2], row[-1])
        screen.show(table)
        for said in sentences.parity(found, t):
            screen.show(said, style="bold red" if failed else "green")
    if failed:
        raise typer.Exit(EXIT_GATE)
