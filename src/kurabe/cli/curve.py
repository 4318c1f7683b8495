"""`kurabe curve`: how recall grows with examples, wordings, epochs, rank, rate or model size, and where it is enough.

Knows no step of the work: a curve is a run with further trials, and takes the flags of `kurabe run`; over models it is
one run per model.
"""

import inspect
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kurabe.cli import run

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen
    from kurabe.settings import RunSettings
    from kurabe.sizes import Part

GATE = ("gate", "fail_under")  # they ask for one verdict's exit code
MODELS = "models"


def command(
    screen: "Screen",
    file: Annotated[Path, typer.Argument(help="cli.file")],
    models: Annotated[str | None, typer.Argument(help="cli.curve.models")] = None,
    over: Annotated[str | None, typer.Option(help="cli.curve.over")] = None,
    seeds: Annotated[int | None, typer.Option(help="settings.seeds")] = None,
    **of_run: Any,
) -> None:
    from kurabe.cli.measure import finish
    from kurabe.settings import load_settings

    path, dry_run = of_run.pop("settings"), of_run.pop("dry_run")
    if over == MODELS or models is not None:
        _refuse_mixtures(over, models, seeds, of_run)
        over_models(screen, file, (models or "").split(","), load_settings(path, flags=of_run), dry_run)
        return
    settings = load_settings(path, flags={"over": over, "seeds": seeds, **of_run})
    if not settings.over:
        settings = settings.model_copy(update={"over": ("wordings",)})
    done = run.carry_out(screen, file, settings, dry_run)
    if done:
        finish(screen, *done)


def over_models(screen: "Screen", file: Path, models: list[str], settings: "RunSettings", dry_run: bool) -> None:
    """One run per model, the smallest first, each followed on the screen; then the curve of all."""
    from kurabe import sizes
    from kurabe.cli.measure import finish, follow
    from kurabe.errors import StoppedError

    parts = sizes.plan(file, [model.strip() for model in models if model.strip()], settings)
    if parts[0].on_cluster and not dry_run:
        _at_once(screen, file, parts)
        return
    for number, part in enumerate(parts, start=1):
        screen.say(screen.t("cli.curve.model", number=number, count=len(parts), model=part.model), style="bold")
        if dry_run:
            run.carry_out(screen, file, part.settings, dry_run)
            continue
        try:
            follow(screen, part.folder, lambda emit, part=part: sizes.measure(file, part, emit))  # type: ignore[misc]
        except StoppedError as error:
            error.fix = _again(file, parts)
            raise
    if not dry_run:
        finish(screen, sizes.join(parts), parts[-1].folder)


def _at_once(screen: "Screen", file: Path, parts: "tuple[Part, ...]") -> None:
    """All models on a cluster; the ends of their stages, and what has to be said, as they come."""
    from kurabe import sizes, texts
    from kurabe.cli.measure import finish
    from kurabe.cli.screen import plain
    from kurabe.errors import StoppedError
    from kurabe.report import sentences
    from kurabe.schema import Event, Reason

    def tell(part: "Part", event: Event) -> None:
        if event.kind == "stage" and event.values["state"] == "end":
            words = f"{screen.t('stage.' + event.values['name'])}  {texts.seconds(event.values['seconds'])}"
            screen.say_beside(plain(part.model), words)
        elif event.kind == "note":
            screen.say_beside(
                plain(part.model), plain(sentences.sentence(Reason.model_validate(event.values), screen.t))
            )

    try:
        sizes.measure_at_once(file, parts, tell)
    except StoppedError as error:
        error.fix = _again(file, parts)
        raise
    finish(screen, sizes.join(parts), parts[-1].folder)


def _again(file: Path, parts: "tuple[Part, ...]") -> str:
    """The command that goes on, with the name under which it finds what is stored."""
    name = (parts[0].settings.name or "").rpartition("-1-")[0]
    models = ",".join(part.model for part in parts)
    words = ["kurabe", "curve", str(file), "--over", MODELS, models, "--runs", parts[0].settings.runs, "--name", name]
    return f"{shlex.join(words)} (and the flags that you gave)"


def _refuse_mixtures(over: str | None, models: str | None, seeds: int | None, of_run: dict[str, Any]) -> None:
    from kurabe.errors import SettingsError

    fix = "kurabe curve FILE --over models A,B,C"
    if over != MODELS:
        raise SettingsError("Models are given, and the curve is over something else.", where=models or "", fix=fix)
    if models is None:
        raise SettingsError("No models are named.", fix=fix)
    for flag, value in (("--seeds", seeds), ("--model", of_run["model"])):
        if value is not None:
            raise SettingsError(f"A curve over models takes no {flag}.", fix=fix)


def _with_flags_of_run() -> inspect.Signature:
    """This command's own parameters, then those of `run` that it shares."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    names = {*GATE, *(p.name for p in own)}
    return inspect.Signature(
        [*own, *(p for n, p in inspect.signature(run.command).parameters.items() if n not in names)]
    )


command.__signature__ = _with_flags_of_run()  # type: ignore[attr-defined]
