"""`kurabe ask`: put a question to the arms of a run. Nothing is stored.

Knows no model: the run's own weights and adapters answer.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen


def command(
    screen: "Screen",
    run: Annotated[str, typer.Argument(help="cli.which_run")],
    question: Annotated[str, typer.Argument(help="cli.ask.question")],
    arm: Annotated[list[str] | None, typer.Option(help="cli.ask.arm")] = None,
    runs: Annotated[Path, typer.Option(help="settings.runs", envvar="KURABE_RUNS", show_envvar=False)] = Path("runs"),
) -> None:
    from rich.cells import cell_len
    from rich.text import Text

    from kurabe import experiment
    from kurabe.charts import arm_name
    from kurabe.cli.find import find_run
    from kurabe.cli.screen import hanging, plain, widened
    from kurabe.errors import SettingsError
    from kurabe.report.answers import absent
    from kurabe.runs import RunFolder

    if not question.strip():
        raise SettingsError("The question is empty.", fix=f"kurabe ask {run} QUESTION")
    folder = find_run(run, runs)
    info = RunFolder.open(folder).info()
    if info.model.stand_in:
        screen.say(screen.t("verdict.stand_in"), style="yellow")
    answers = experiment.ask(folder, question, arm or None)
    if screen.json:
        screen.data([answer.model_dump(mode="json") for answer in answers])
        return
    recipes = {trial.trial: trial.recipe for trial in info.trials if not trial.shuffled}
    further = {trial: f" ({recipe})" if trial > 1 else "" for trial, recipe in recipes.items()}
    names = [arm_name(answer.key.arm + further.get(answer.key.trial, ""), screen.t) for answer in answers]
    widest = max(map(cell_len, names), default=0)
    for name, answer in zip(names, answers, strict=True):
        missing = absent(answer)
        words = screen.t(f"absent.{missing}") if missing else plain(answer.text)
        screen.show(hanging(Text(widened(name, widest), style="cyan"), words))
