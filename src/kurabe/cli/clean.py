"""`kurabe clean`: list the runs with their sizes and delete those that are named, or all, after asking.

Knows no result. It deletes folders that hold a run of kurabe's, and no others; and the models in Ollama that were made
of a run's files, or of the files in a folder that is named, and no others.
"""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen
    from kurabe.schema import Delivered


def command(
    screen: "Screen",
    run: Annotated[list[str] | None, typer.Argument(help="cli.clean.run")] = None,
    runs: Annotated[Path, typer.Option(help="settings.runs", envvar="KURABE_RUNS", show_envvar=False)] = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", help="cli.clean.yes")] = False,
    rates: Annotated[bool, typer.Option("--rates", help="cli.clean.rates")] = False,
) -> None:
    if rates:
        clean_rates(screen, yes)
        return

    from kurabe import texts
    from kurabe.cli.find import find_run, run_folders
    from kurabe.export.deliveries import NOTES, noted
    from kurabe.runs import EXPORT

    t = screen.t
    shipped = [Path(name) for name in run or () if (Path(name) / NOTES).is_file()]
    named = [name for name in run or () if Path(name) not in shipped]
    folders = [find_run(name, runs) for name in named] if run else run_folders(runs)
    sizes = {folder: size_of(folder) for folder in dict.fromkeys(folders)}
    models = [(place, made) for place in (*shipped, *(folder / EXPORT for folder in sizes)) for made in noted(place)]
    for folder, size in sizes.items():
        screen.say(f"{texts.size(size):>8}  {folder}")
    for _, made in models:
        screen.say(f"{'Ollama':>8}  {made.model}  {made.url}")
    deleted, gone = [], []
    questions = [t("cli.clean.ask", count=len(sizes), size=texts.size(sum(sizes.values())))] if sizes else []
    questions += [t("cli.clean.ask_models", count=len(models))] if models else []
    if questions and (yes or agreed(screen, " ".join(questions))):
        gone = [made for place, made in models if forget(place, made, screen)]
        deleted = [folder for folder in sizes if delete(folder, screen)]
    if screen.json:
        rows = [{"run": str(f), "bytes": size, "deleted": f in deleted} for f, size in sizes.items()]
        there = [{"model": made.model, "url": made.url, "deleted": made in gone} for _, made in models]
        screen.data({"version": 1, "runs": rows, "ollama": there})
    elif deleted or gone:
        freed = texts.size(sum(sizes[f] for f in deleted))
        screen.show(t("cli.clean.deleted", count=len(deleted), size=freed))
        if models:
            screen.show(t("cli.clean.deleted_models", count=len(gone)))
    else:
        screen.show(t("cli.clean.none") if not sizes and not models else t("cli.clean.kept"))


def forget(place: Path, made: "Delivered", screen: "Screen") -> bool:
    """Delete one model in Ollama; one that is another by now stays, and so does one that cannot be reached."""
    from kurabe.errors import MissingError
    from kurabe.export.deliveries import remove

    try:
        if remove(place, made):
            return True
        screen.say(screen.t("cli.clean.another", model=made.model), style="yellow")
    except MissingError as error:
        screen.say(screen.t("cli.clean.unreached", what=error.what, model=made.model), style="yellow")
    return False


def clean_rates(screen: "Screen", yes: bool) -> None:
    """Delete the learning rates that `kurabe tune-recipe` found, and no run."""
    from kurabe import tuned

    t, found = screen.t, list(tuned.found())
    for rate in found:
        screen.say(f"{f'×{rate.factor:g}':>8}  {rate.model}")
    deleted = 0
    if found and (yes or agreed(screen, t("cli.clean.ask_rates", count=len(found), folder=tuned.place()))):
        deleted = tuned.forget()
    if screen.json:
        screen.data({"version": 1, "rates": [rate.model for rate in found], "deleted": deleted})
    else:
        screen.show(t("cli.clean.deleted_rates", count=deleted) if deleted else t("cli.clean.kept"))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def agreed(screen: "Screen", question: str) -> bool:
    """A yes from somebody who can be asked: where stdin is no terminal, nobody is."""
    if not sys.stdin.isatty():
        screen.say(screen.t("cli.clean.say_yes"))
        return False
    return typer.confirm(question, err=True)


def delete(folder: Path, screen: "Screen") -> bool:
    """Delete one run; one that is being worked in stays, and so does one that may not be deleted."""
    from kurabe.errors import BusyError
    from kurabe.storage import FolderLock

    try:
        FolderLock(folder).release()
        shutil.rmtree(folder)
    except BusyError as error:
        screen.say(f"{error.what} {error.where}", style="yellow")
        return False
    except OSError as error:  # a medium or a folder that may only be read
        screen.say(f"{error.strerror}: {folder}", style="yellow")
        return False
    return True
