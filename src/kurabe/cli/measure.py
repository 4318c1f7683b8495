"""Work on a run with somebody watching: events on stderr, results on stdout, the exit code from the same object.

Knows no step of the work. `run`, `demo` and `resume` differ only in how they begin.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import typer

from kurabe import experiment, runs
from kurabe.cli.find import is_run
from kurabe.cli.follow import Follower
from kurabe.cli.output import REPORT, write_report
from kurabe.cli.screen import Screen
from kurabe.cli.summary import show_results
from kurabe.errors import EXIT_CANNOT_TELL, EXIT_GATE, EXIT_OK, InterruptedRun, MissingError
from kurabe.events import Emit
from kurabe.model import Backend
from kurabe.schema import Results
from kurabe.settings import RunSettings
from kurabe.storage import go_on


def measure(screen: Screen, data: Path, settings: RunSettings, backend: Backend | None = None) -> tuple[Results, Path]:
    """A new run on `data`; the results and the run's folder."""
    name = settings.name or runs.new_name(Path(settings.runs), data.name, datetime.now(timezone.utc).astimezone())
    settings = settings.model_copy(update={"name": name})
    folder = Path(settings.runs) / name
    return follow(screen, folder, lambda emit: experiment.run(data, settings, emit=emit, backend=backend)), folder


def follow(screen: Screen, folder: Path, work: Callable[[Emit], Results]) -> Results:
    """`work` under a listener. Ctrl-C pressed twice ends it at once; what was stored is stored."""
    try:
        with Follower(screen, folder) as listener:
            return work(listener)
    except KeyboardInterrupt:
        if not is_run(folder):
            raise InterruptedRun("Stopped before anything was stored.", fix="Give the same command again.") from None
        raise InterruptedRun(
            "The run was stopped at once; the answers and adapters stored so far are kept.",
            where=str(folder),
            fix=go_on(folder),
        ) from None


def finish(
    screen: Screen, results: Results, folder: Path, *, gate: bool = False, fail_under: float | None = None
) -> None:
    """Store the report, show the results, and end with the exit code that they ask for. A full disk costs the report
    only: the results are stored already, and are shown."""
    unwritten = None
    try:
        write_report(results, folder / REPORT, screen.t.language)
    except MissingError as error:
        unwritten = error
    if screen.json:
        screen.data(results)
    else:
        show_results(screen, results, folder, folder / REPORT)
    if unwritten:
        raise unwritten
    code = exit_code(results, gate=gate, fail_under=fail_under)
    if code != EXIT_OK:
        raise typer.Exit(code)


def exit_code(results: Results, *, gate: bool, fail_under: float | None) -> int:
    """0 for a finished run; with a gate, 6 where there is no verdict and 7 where the chosen arm recalls too little."""
    if not gate and fail_under is None:
        return EXIT_OK
    if results.verdict.choice == "cannot-tell":
        return EXIT_CANNOT_TELL
    recall = next((a.recall.value for a in results.arms if a.label == results.verdict.arm), None)
    missed = fail_under is not None and (recall is None or recall * 100 < fail_under)
    return EXIT_GATE if missed else EXIT_OK
