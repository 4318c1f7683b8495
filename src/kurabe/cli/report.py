"""`kurabe report`: write a run's report again. The run is read and analysed; no model runs.

Knows no layout: `kurabe.report` makes the text.
"""

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen


def command(
    screen: "Screen",
    run: Annotated[str, typer.Argument(help="cli.which_run")],
    form: Annotated[Literal["html", "md", "json", "csv"], typer.Option("--format", help="cli.report.format")] = "html",
    out: Annotated[Path | None, typer.Option(help="cli.report.out")] = None,
    show: Annotated[bool, typer.Option("--open", help="cli.report.open")] = False,
    runs: Annotated[Path, typer.Option(help="settings.runs", envvar="KURABE_RUNS", show_envvar=False)] = Path("runs"),
) -> None:
    from kurabe.analysis import load_run
    from kurabe.cli.find import find_run
    from kurabe.cli.output import REPORT, write_new, write_report
    from kurabe.report import render

    folder = find_run(run, runs)
    results = load_run(folder)
    if screen.json:
        screen.data(results)
        return
    if form == "html" and out is None:
        out = write_report(results, folder / REPORT, screen.t.language)
    elif out is not None:
        write_new(out, render(results, form, screen.t.language))
    else:
        sys.stdout.write(render(results, form, screen.t.language))
        return
    screen.show(str(out))
    if show:
        webbrowser.open(out.resolve().as_uri())
