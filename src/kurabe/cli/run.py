"""`kurabe run`: measure every arm on a file of questions and answers.

Knows no step of the work: it turns flags into settings, follows the events, and shows the results.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen
    from kurabe.schema import Results
    from kurabe.settings import RunSettings


def command(
    screen: "Screen",
    file: Annotated[Path, typer.Argument(help="cli.file")],
    model: Annotated[str | None, typer.Option(help="settings.model")] = None,
    recipes: Annotated[str | None, typer.Option(help="settings.recipes")] = None,
    arms: Annotated[str | None, typer.Option(help="settings.arms")] = None,
    prompt_file: Annotated[str | None, typer.Option(help="settings.prompt_file")] = None,
    documents: Annotated[str | None, typer.Option(help="settings.documents")] = None,
    runs: Annotated[str | None, typer.Option(help="settings.runs")] = None,
    beside: Annotated[str | None, typer.Option(help="settings.beside")] = None,
    minutes: Annotated[int | None, typer.Option(help="settings.minutes")] = None,
    settings: Annotated[Path | None, typer.Option(help="cli.run.settings")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="cli.run.dry_run")] = False,
    gate: Annotated[bool, typer.Option("--gate", help="cli.run.gate")] = False,
    fail_under: Annotated[float | None, typer.Option(help="cli.run.fail_under", min=0, max=100)] = None,
    # Flags for the rare case: they work, and `--settings` is where they are better kept.
    name: Annotated[str | None, typer.Option(hidden=True, help="settings.name")] = None,
    key_env: Annotated[str | None, typer.Option(hidden=True, help="settings.key_env")] = None,
    at_once: Annotated[int | None, typer.Option(hidden=True, help="settings.at_once")] = None,
    answers_from: Annotated[str | None, typer.Option(hidden=True, help="settings.answers_from")] = None,
    prices: Annotated[str | None, typer.Option(hidden=True, help="settings.prices")] = None,
    skip_bad: Annotated[bool | None, typer.Option("--skip-bad", hidden=True, help="settings.skip_bad")] = None,
    nearest: Annotated[int | None, typer.Option(hidden=True, help="settings.nearest")] = None,
    encoding: Annotated[str | None, typer.Option(hidden=True, help="settings.encoding")] = None,
    seed: Annotated[int | None, typer.Option(hidden=True, help="settings.seed")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(hidden=True, help="settings.max_new_tokens")] = None,
    held_out: Annotated[int | None, typer.Option(hidden=True, help="settings.held_out")] = None,
    exposures: Annotated[int | None, typer.Option(hidden=True, help="settings.exposures")] = None,
    wordings: Annotated[int | None, typer.Option(hidden=True, help="settings.wordings")] = None,
    rate: Annotated[float | None, typer.Option(hidden=True, help="settings.rate")] = None,
    retention: Annotated[int | None, typer.Option(hidden=True, help="settings.retention")] = None,
    samples: Annotated[int | None, typer.Option(hidden=True, help="settings.samples")] = None,
    alternatives: Annotated[int | None, typer.Option(hidden=True, help="settings.alternatives")] = None,
    stop: Annotated[str | None, typer.Option(hidden=True, help="settings.stop")] = None,
    threads: Annotated[int | None, typer.Option(hidden=True, help="settings.threads")] = None,
    device: Annotated[str | None, typer.Option(hidden=True, help="settings.device")] = None,
    ray: Annotated[str | None, typer.Option(hidden=True, help="settings.ray")] = None,
    dtype: Annotated[str | None, typer.Option(hidden=True, help="settings.dtype")] = None,
    questions_per_day: Annotated[int | None, typer.Option(hidden=True, help="settings.questions_per_day")] = None,
) -> None:
    from kurabe.cli.measure import finish
    from kurabe.settings import load_settings

    flags = {
        "model": model, "recipes": recipes, "arms": arms, "prompt_file": prompt_file, "encoding": encoding,
        "documents": documents, "nearest": nearest, "rate": rate,
        "skip_bad": skip_bad, "runs": runs, "name": name, "seed": seed, "max_new_tokens": max_new_tokens,
        "retention": retention, "threads": threads, "device": device, "dtype": dtype, "ray": ray,
        "questions_per_day": questions_per_day, "samples": samples, "alternatives": alternatives, "stop": stop,
        "beside": beside, "key_env": key_env, "at_once": at_once, "answers_from": answers_from, "prices": prices,
        "minutes": minutes, "held_out": held_out, "exposures": exposures, "wordings": wordings,
    }  # fmt: skip
    done = carry_out(screen, file, load_settings(settings, flags=flags), dry_run)
    if done:
        finish(screen, *done, gate=gate, fail_under=fail_under)


def carry_out(screen: "Screen", file: Path, settings: "RunSettings", dry_run: bool) -> "tuple[Results, Path] | None":
    """The results and the run's folder; in a dry run the plan is shown, and nothing is done."""
    if not dry_run:
        from kurabe.cli.measure import measure

        return measure(screen, file, settings)
    from kurabe.cli.forecast import show_plan
    from kurabe.experiment import plan_run

    show_plan(screen, plan_run(file, settings))
    return None
