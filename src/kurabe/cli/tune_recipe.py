"""`kurabe tune-recipe`: find the learning rate for a new base in a few short trainings, and keep it for its runs.

Knows no training: it loads the model, follows the steps and prints what each rate came to.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen
    from kurabe.schema import Step, TunedRate

REPORTS = 4  # times that the training says how far it is


def command(
    screen: "Screen",
    file: Annotated[Path | None, typer.Argument(help="cli.tune-recipe.file")] = None,
    model: Annotated[str | None, typer.Option(help="settings.model")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="cli.tune-recipe.seeds")] = None,
    exposures: Annotated[int | None, typer.Option(min=1, help="settings.exposures")] = None,
    device: Annotated[str | None, typer.Option(help="settings.device")] = None,
    threads: Annotated[int | None, typer.Option(help="settings.threads")] = None,
) -> None:
    from kurabe import backends, tuned, tuning
    from kurabe.cli.demo import packaged
    from kurabe.errors import DataError
    from kurabe.settings import load_settings

    t = screen.t
    flags = {"model": model, "seeds": seeds, "exposures": exposures, "device": device, "threads": threads}
    settings = load_settings(flags={**flags, "seeds": seeds or 2})
    backends.find(settings.model)  # before anything is read
    # The stand-in reads English only.
    data = file or packaged("en" if settings.model == backends.TINY else t.language)
    backend = backends.load(settings)
    screen.say(t("cli.tune-recipe.begins", model=backend.info.name, rates=len(tuning.FACTORS), seeds=settings.seeds))
    said = set()

    def watch(step: "Step") -> None:
        quarter = step.step * REPORTS // step.steps
        if quarter and (step.steps, quarter) not in said:
            said.add((step.steps, quarter))
            screen.say(t("cli.tune-recipe.step", step=step.step, steps=step.steps))

    try:
        found = tuning.tune(data, settings, backend, watch)
    except DataError as error:
        error.where = error.where or str(data)
        raise
    path = tuned.store(found)
    if screen.json:
        screen.data(found)
        return
    show(screen, found, path)


def show(screen: "Screen", found: "TunedRate", path: Path) -> None:
    """What each rate came to, and which one the model's runs use from now on."""
    from kurabe import texts

    t = screen.t
    for row in found.tried:
        recall = texts.percent(row.recall)
        span = texts.interval(row.low, row.high)
        screen.show_beside(f"×{row.factor:g}", t("cli.tune-recipe.tried", recall=recall, interval=span or "–"))
    key = "kept" if found.factor == 1 else "found"
    if all(row.recall == 0 for row in found.tried):
        key = "nothing"
    rate = texts.rate(found.rate)
    screen.show(t(f"cli.tune-recipe.{key}", model=found.model, factor=f"{found.factor:g}", rate=rate))
    screen.say(t("cli.tune-recipe.stored", path=path))
