"""`kurabe resume`: finish a run that was stopped. A finished run shows its results again.

Knows nothing that `kurabe run` does not.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen


def command(
    screen: "Screen",
    run: Annotated[str, typer.Argument(help="cli.which_run")],
    runs: Annotated[Path, typer.Option(help="settings.runs", envvar="KURABE_RUNS", show_envvar=False)] = Path("runs"),
    ray: Annotated[str | None, typer.Option(help="settings.ray")] = None,
    gate: Annotated[bool, typer.Option("--gate", help="cli.run.gate")] = False,
    fail_under: Annotated[float | None, typer.Option(help="cli.run.fail_under", min=0, max=100)] = None,
) -> None:
    from kurabe import experiment
    from kurabe.cli.find import find_run
    from kurabe.cli.measure import finish, follow

    folder = find_run(run, runs)
    results = follow(screen, folder, lambda emit: experiment.resume(folder, emit=emit, ray=ray))
    finish(screen, results, folder, gate=gate, fail_under=fail_under)
