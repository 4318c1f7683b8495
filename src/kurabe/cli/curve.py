"""`kurabe curve`: how recall grows with examples, wordings, epochs, rank or rate, and where LoRA reaches the prompt.

Knows no step of the work: a curve is a run with further trials.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen


def command(
    screen: "Screen",
    file: Annotated[Path, typer.Argument(help="cli.file")],
    over: Annotated[str | None, typer.Option(help="cli.curve.over")] = None,
    seeds: Annotated[int | None, typer.Option(help="settings.seeds")] = None,
    model: Annotated[str | None, typer.Option(help="settings.model")] = None,
    recipes: Annotated[str | None, typer.Option(help="settings.recipes")] = None,
    arms: Annotated[str | None, typer.Option(help="settings.arms")] = None,
    prompt_file: Annotated[str | None, typer.Option(help="settings.prompt_file")] = None,
    skip_bad: Annotated[bool | None, typer.Option("--skip-bad", help="settings.skip_bad")] = None,
    runs: Annotated[str | None, typer.Option(help="settings.runs")] = None,
    name: Annotated[str | None, typer.Option(help="settings.name")] = None,
    minutes: Annotated[int | None, typer.Option(help="settings.minutes")] = None,
    settings: Annotated[Path | None, typer.Option(help="cli.run.settings")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="cli.run.dry_run")] = False,
    # Flags for the rare case: they work, and `--settings` is where they are better kept.
    encoding: Annotated[str | None, typer.Option(hidden=True, help="settings.encoding")] = None,
    seed: Annotated[int | None, typer.Option(hidden=True, help="settings.seed")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(hidden=True, help="settings.max_new_tokens")] = None,
    exposures: Annotated[int | None, typer.Option(hidden=True, help="settings.exposures")] = None,
    wordings: Annotated[int | None, typer.Option(hidden=True, help="settings.wordings")] = None,
    retention: Annotated[int | None, typer.Option(hidden=True, help="settings.retention")] = None,
    threads: Annotated[int | None, typer.Option(hidden=True, help="settings.threads")] = None,
    device: Annotated[str | None, typer.Option(hidden=True, help="settings.device")] = None,
    questions_per_day: Annotated[int | None, typer.Option(hidden=True, help="settings.questions_per_day")] = None,
) -> None:
    from kurabe.cli.measure import finish, measure
    from kurabe.settings import load_settings

    flags = {
        "over": over, "seeds": seeds, "model": model, "recipes": recipes, "arms": arms, "prompt_file": prompt_file,
        "encoding": encoding, "skip_bad": skip_bad, "runs": runs, "name": name, "seed": seed,
        "max_new_tokens": max_new_tokens, "retention": retention, "threads": threads, "device": device,
        "questions_per_day": questions_per_day, "minutes": minutes, "exposures": exposures, "wordings": wordings,
    }  # fmt: skip
    resolved = load_settings(settings, flags=flags)
    if not resolved.over:
        resolved = resolved.model_copy(update={"over": ("wordings",)})
    if dry_run:
        from kurabe.cli.forecast import show_plan
        from kurabe.experiment import plan_run

        show_plan(screen, plan_run(file, resolved))
        return
    results, folder = measure(screen, file, resolved)
    finish(screen, results, folder)
