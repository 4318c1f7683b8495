"""The proof on the screen: each exported file asked the run's own questions, and whether its answers survived.

Knows no model: `kurabe.export.parity` asks and judges.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from kurabe import texts
from kurabe.cli.screen import Screen
from kurabe.errors import EXIT_GATE, MissingError, SettingsError
from kurabe.export import parity
from kurabe.export.winner import Winner
from kurabe.schema import Hop, Parity, Shipped
from kurabe.storage import sha256

COLUMNS = ("hop", "size", "same", "recall", "lost", "wrong", "held")


def prove_all(screen: Screen, run: Path, shipped: Winner, records: list[Shipped], out: Path) -> Parity | None:
    """The proof of freshly exported files, stored beside them; None, and a line, where llama.cpp is not installed."""
    if find_spec("xllamacpp") is None:
        screen.say(screen.t("cli.proof.missing"), style="yellow")
        return None
    files = [(out / record.file, record) for record in records]
    found = parity.prove(run, shipped, files, lambda file: screen.say(screen.t("cli.proof.asks", file=file)))
    parity.store(found, out)
    return found


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
    return parity.prove(run, shipped, [(file, record)])


def show_proof(screen: Screen, found: Parity, *, alone: bool = False) -> None:
    """The table of the hops; with --json the data, where the proof `alone` is the answer.

    Exits with the code of a missed gate where one of them failed.
    """
    t = screen.t
    failed = [hop for hop in found.hops if not hop.held]
    if screen.json and alone:
        screen.data(found)
    if not screen.json:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in COLUMNS:
            table.add_column(t(f"cli.proof.{column}"), justify="left" if column in ("hop", "held") else "right")
        for hop in found.hops:
            table.add_row(*_cells(screen, hop))
        screen.show(table)
        if not failed:
            screen.show(t("cli.proof.survived", margin=texts.percent(found.margin)), style="green")
        for hop in failed:
            screen.show(
                t("cli.proof.failed", hop=hop.hop, why=t(f"cli.proof.why.{parity.cause(hop)}")), style="bold red"
            )
        if failed and (larger := parity.next_larger(found)):
            screen.show(t("cli.proof.larger", format=larger))
    if failed:
        raise typer.Exit(EXIT_GATE)


def _cells(screen: Screen, hop: Hop) -> list[str]:
    t = screen.t
    recall = f"{texts.percent(hop.recall.value)} ({texts.interval(hop.recall.low, hop.recall.high)})"
    return [
        t("cli.proof.adapter") if hop.hop == "adapter" else hop.hop, texts.size(hop.size) if hop.size else "",
        f"{hop.same}/{hop.answers}", recall, texts.points(hop.lost.value) if hop.lost else "",
        texts.percent(hop.wrong.value), t("cli.proof.yes" if hop.held else "cli.proof.no"),
    ]  # fmt: skip
