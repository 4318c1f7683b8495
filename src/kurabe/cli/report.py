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
    from kurabe.errors import SettingsError
    from kurabe.report import render

    if out is None and form != "html" and (screen.json or show):
        raise SettingsError(
            f"--format {form} has nowhere to go.", why="--json takes stdout, and --open needs a file.",
            fix=f"kurabe report {run} --format {form} --out report.{form}",
        )  # fmt: skip
    folder = find_run(run, runs)
    results = load_run(folder)
    if out is not None:
        write_new(out, render(results, form, screen.t.language))
    elif form == "html" and (show or not screen.json):
        out = write_report(results, folder / REPORT, screen.t.language)
    if screen.json:
        screen.data(results)
    elif out is None:
        sys.stdout.write(render(results, form, screen.t.language))
    else:
        screen.show(str(out))
    if show and out is not None:
        webbrowser.open(out.resolve().as_uri())
