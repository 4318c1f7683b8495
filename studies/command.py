"""`python -m studies.NAME`: measure what is not stored yet; with `--page`, write the page of it.

Knows no trial and no figure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from kurabe.errors import EXIT_INTERRUPTED, UserError
from kurabe.settings import RunSettings
from studies import bench, pages, results
from studies.bench import Plan, Say
from studies.pages import Page

FILE = "results.jsonl"  # in the study's folder


class Command(NamedTuple):
    """What a study's command does."""

    name: str
    about: str
    results: Path
    docs: Path
    measure: Callable[[Path, RunSettings, Say], None]
    write: Callable[[Path, Path], Sequence[Path]]  # results file, folder -> the pages


def main(command: Command, arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog=command.name, description=command.about)
    parser.add_argument("--page", action="store_true", help="write the page in both languages from the stored trials")
    parser.add_argument("--results", type=Path, default=command.results, help="the file that the trials are stored in")
    parser.add_argument("--docs", type=Path, default=command.docs, help="the folder that the pages are written to")
    parser.add_argument("--model", default="tiny", help=RunSettings.model_fields["model"].description)
    parser.add_argument("--threads", type=int, help=RunSettings.model_fields["threads"].description)
    options = parser.parse_args(arguments)

    def work() -> None:
        if options.page:
            for path in command.write(options.results, options.docs):
                print(path)
        else:
            settings = RunSettings(model=options.model, threads=options.threads)
            command.measure(options.results, settings, lambda line: print(line, flush=True))

    return finished(work)


def finished(work: Callable[[], None]) -> int:
    """Does the work of a study's command; the exit code. Users' errors are printed here, once."""
    try:
        work()
    except UserError as error:
        print("\n".join(sentence for _, sentence in error.lines()), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Stopped; what was stored before is kept. The same command goes on.", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def of(package: ModuleType, plan: Callable[[], Plan], page: Page) -> Command:
    """The command of a study that `bench` measures."""

    def measure(path: Path, settings: RunSettings, say: Say) -> None:
        bench.run(plan(), path, settings, say)

    return by_itself(package, measure, page)


def by_itself(package: ModuleType, measure: Callable[[Path, RunSettings, Say], None], page: Page) -> Command:
    """The command of a study that measures itself; its results lie in its folder, and `pages` writes its page."""

    def write(path: Path, folder: Path) -> Sequence[Path]:
        return pages.write(page, results.read(path, page.kind), folder)

    return Command(page.command, package.__doc__ or "", page.folder / FILE, pages.DOCS, measure, write)
