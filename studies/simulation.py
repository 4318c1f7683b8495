"""Simulated cells: measured in two processes, stored one JSON line each, and written up as a page in two languages.

Knows no world and no figure. Killed, a simulation goes on where it was; cells that were made by another version of the
code never join stored ones. Which draws a cell makes depends on its seed alone, not on the order or the process.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import datetime, timezone
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import psutil

import kurabe
from kurabe import provenance, texts
from kurabe.errors import DataError, StoppedError
from kurabe.schema import Provenance, Record
from kurabe.storage import Journal, read_journal
from studies import pages
from studies.command import finished

STUDIES = Path(__file__).resolve().parent
DOCS = STUDIES.parent / "docs"
PROCESSES = 2
NICENESS = 10
DECIDING = (
    "stats",
    "verdict",
    "evidence",
    "reasons",
    "cost",
    "measures",
    "analysis",
)  # modules of kurabe that make the figures


class Done(NamedTuple):
    """One finished cell with what was found in it."""

    cell: Any
    found: Any
    seconds: float


class Session(NamedTuple):
    """One start: when, on which machine, with which code."""

    began: str
    provenance: Provenance
    code: str


class Stored(NamedTuple):
    """All that a results file holds."""

    sessions: tuple[Session, ...]
    done: tuple[Done, ...]

    @property
    def seconds(self) -> float:
        """Processor time of all cells."""
        return sum(done.seconds for done in self.done)


class Simulation(NamedTuple):
    """A study made of cells. `measure` is a module's own function, because it is sent to other processes."""

    name: str  # the module under studies/
    about: str
    cells: Sequence[Record]
    measure: Callable[[Any], Record]
    cell_type: type[Record]
    found_type: type[Record]
    values: Callable[[Stored], dict[str, Any]]  # what the page's templates place
    page_name: str  # in docs/, without its ending
    also: tuple[str, ...] = ()  # further modules of kurabe that make its figures, as patterns of their paths

    @property
    def command(self) -> str:
        """The command that measures what is not stored yet."""
        return f"python -m studies.{self.name}"

    @property
    def folder(self) -> Path:
        return STUDIES / self.name

    @property
    def file(self) -> Path:
        return self.folder / "results.jsonl"

    @property
    def pages(self) -> dict[str, str]:
        """The page's file name in each language."""
        return {"en": f"{self.page_name}.md", "ja": f"{self.page_name}.ja.md"}


def code(study: Simulation) -> str:
    """The hash of everything that decides a figure: kurabe's own modules, the worlds, the study's cells. Comments,
    docstrings and layout decide none."""
    package = Path(kurabe.__file__).parent
    own = {package / f"{name}.py" for name in DECIDING} | {path for also in study.also for path in package.glob(also)}
    files = [*sorted(own), STUDIES / "worlds.py", *sorted(study.folder.glob("*.py"))]
    digest = hashlib.sha256()
    for path in files:
        if path.name not in ("page.py", "__main__.py"):
            name = path.relative_to(package).as_posix() if path in own else path.name
            digest.update(name.encode() + _bare(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()


def _bare(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)


# --- measuring and storing -------------------------------------------------------------------------------------------


def read(study: Simulation, path: Path) -> Stored:
    """The whole lines of a results file; nothing where there is none yet."""
    return _stored(study, read_journal(path).rows)


def _stored(study: Simulation, rows: Sequence[dict[str, Any]]) -> Stored:
    sessions = tuple(
        Session(row["began"], Provenance.model_validate(row["provenance"]), row["code"])
        for row in rows
        if row["kind"] == "session"
    )
    done = tuple(
        Done(study.cell_type.model_validate(row["cell"]), study.found_type.model_validate(row["found"]), row["seconds"])
        for row in rows
        if row["kind"] == "cell"
    )
    return Stored(sessions, done)


def left(study: Simulation, stored: Stored) -> list[Record]:
    """The cells that are not stored yet."""
    made = {done.cell.model_dump_json() for done in stored.done}
    return [cell for cell in study.cells if cell.model_dump_json() not in made]


def complete(study: Simulation, stored: Stored) -> Stored:
    """The cells in the study's own order; raises `StoppedError` while some of them are missing."""
    missing = left(study, stored)
    if missing:
        raise StoppedError(f"{len(missing)} of {len(study.cells)} cells are missing.", fix=study.command)
    made = {done.cell.model_dump_json(): done for done in stored.done}
    return stored._replace(done=tuple(made[cell.model_dump_json()] for cell in study.cells))


def run(study: Simulation, path: Path, say: Callable[[str], None], processes: int = PROCESSES) -> None:
    """Measure every cell that is not stored yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    journal, own = Journal(path), code(study)
    try:
        stored = _stored(study, journal.rows)
        if any(session.code != own for session in stored.sessions):
            raise DataError(
                "The stored cells were made by another version of the code.", where=str(path),
                why="A figure must come from one rule, and cells of two do not add up.",
                fix=f"Remove {path}, then: {study.command}",
            )  # fmt: skip
        cells = left(study, stored)
        if not cells:
            return
        began = datetime.now(timezone.utc).isoformat(timespec="seconds")
        machine = provenance.describe("").model_dump(mode="json")
        journal.append([{"kind": "session", "began": began, "provenance": machine, "code": own}], sync=True)
        for number, done in enumerate(_measured(study, cells, processes), start=1):
            row = {"cell": done.cell.model_dump(mode="json"), "found": done.found.model_dump(mode="json")}
            journal.append([{"kind": "cell", **row, "seconds": round(done.seconds, 2)}], sync=True)
            say(f"{number:>4}/{len(cells)} cells")
    finally:
        journal.close()


def _measured(study: Simulation, cells: Sequence[Record], processes: int) -> Iterator[Done]:
    """Finished cells as they come; in this process where one is enough."""
    if processes == 1:
        yield from (_one(study.measure, cell) for cell in cells)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _be_nice) as pool:
        work = [pool.submit(_one, study.measure, cell) for cell in cells]
        try:
            yield from (future.result() for future in as_completed(work))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _be_nice() -> None:
    """Whoever works on the machine goes first."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(NICENESS)


def _one(measure: Callable[[Any], Record], cell: Record) -> Done:
    began = time.process_time()
    return Done(cell, measure(cell), time.process_time() - began)


# --- the page and the command ----------------------------------------------------------------------------------------


def page(study: Simulation, stored: Stored, language: str) -> str:
    """One page as text. The same results give the same bytes."""
    whole = complete(study, stored)
    environment = pages.environment(study.folder, share=_share)
    values = {"command": study.command, "stored": whole, "session": whole.sessions[-1], "pages": study.pages}
    return environment.get_template(f"page.{language}.md.jinja").render(**values, **study.values(whole))


def _share(value: float) -> str:
    """A rate of a few per cent: "4.3 %"."""
    return texts.percent(value, 1)


def main(study: Simulation, arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog=study.command, description=study.about)
    parser.add_argument("--page", action="store_true", help="write the page in both languages from the stored cells")
    parser.add_argument("--results", type=Path, default=study.file, help="the file that the cells are stored in")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder that the pages are written to")
    parser.add_argument("--processes", type=int, default=PROCESSES, choices=(1, 2), help="processes at once")
    options = parser.parse_args(arguments)

    def work() -> None:
        if options.page:
            stored = read(study, options.results)
            for path in pages.store(options.docs, study.pages, lambda language: page(study, stored, language)):
                print(path)
        else:
            run(study, options.results, lambda line: print(line, flush=True), options.processes)

    return finished(work)
