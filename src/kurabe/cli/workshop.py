"""`kurabe workshop`: the show on a local page, and its rehearsal.

Knows no step and no page: it picks the model, opens the port and prints the two addresses.
"""

import os
import socket
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen
    from kurabe.workshop.rehearsal import Rehearsal
    from kurabe.workshop.show import Show

PORT, TRIES = 8765, 50
LOCAL = "127.0.0.1"


def command(
    screen: "Screen",
    check: Annotated[bool, typer.Option("--check", help="cli.workshop.check")] = False,
    data: Annotated[Path | None, typer.Option(help="cli.workshop.data")] = None,
    model: Annotated[str | None, typer.Option(help="cli.workshop.model")] = None,
    steps: Annotated[str, typer.Option(help="cli.workshop.steps")] = "",
    length: Annotated[float, typer.Option(min=1, help="cli.workshop.length")] = 20,
    script: Annotated[Path | None, typer.Option(help="cli.workshop.script")] = None,
    recorded: Annotated[str | None, typer.Option(help="cli.workshop.recorded")] = None,
    runs: Annotated[Path, typer.Option(help="settings.runs", envvar="KURABE_RUNS", show_envvar=False)] = Path("runs"),
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="cli.workshop.port")] = None,
    browser: Annotated[bool, typer.Option("--open", help="cli.workshop.open")] = False,
) -> None:
    show = prepare(screen, check, data, model, steps, script, recorded, runs)
    if check:
        _rehearse(screen, show, length)
        return
    if show.session.minutes > length:
        screen.say(screen.t("cli.workshop.long", minutes=f"{show.session.minutes:g}", length=f"{length:g}"),
                   style="yellow")  # fmt: skip
    _serve(screen, show, port, browser)


def prepare(
    screen: "Screen", check: bool, data: Path | None, model: str | None, steps: str, script: Path | None,
    recorded: str | None, runs: Path,
) -> "Show":  # fmt: skip
    """The show, with everything looked up that could be missing."""
    from kurabe import dataset
    from kurabe.cli.demo import packaged
    from kurabe.cli.find import find_run
    from kurabe.texts import LANGUAGES
    from kurabe.workshop.script import load
    from kurabe.workshop.session import Session
    from kurabe.workshop.show import Show, Stage, find_recorded
    from kurabe.workshop.stage import Choice, choose_model

    languages = [screen.t.language, *(name for name in LANGUAGES if name != screen.t.language)]
    scripts = {language: load(language, script) for language in languages}
    session = Session(scripts, screen.t.language, tuple(part.strip() for part in steps.split(",") if part.strip()))
    rows = data or packaged("en")
    found = dataset.read_examples(rows)
    waiting = sum(step.minutes for step in scripts[screen.t.language].steps if step.id == "train")
    choice = Choice(model) if model else choose_model(rows, max(1.0, waiting))
    stamp = datetime.now(timezone.utc).astimezone().strftime("%Y%m%d-%H%M%S")
    name = f"{'rehearsal' if check else 'show'}-{stamp}"
    replayed = find_run(recorded, runs) if recorded else find_recorded(runs, found.sha256)
    return Show(session, Stage(rows, choice.model, choice.why, runs, name, replayed, own=data is not None))


def _serve(screen: "Screen", show: "Show", port: int | None, browser: bool) -> None:
    import webbrowser

    from kurabe.workshop.server import new_token, serving

    listener = bind(port)
    token, taken = new_token(), listener.getsockname()[1]
    addresses = {name: f"http://{LOCAL}:{taken}/{name}?token={token}" for name in ("present", "audience")}
    if screen.json:
        screen.data({"version": 1, **addresses})
    for name, address in addresses.items():
        screen.show_to_copy(screen.t(f"cli.workshop.{name}"), address) if not screen.json else None
    screen.say(screen.t("cli.workshop.stop"))
    if browser:
        webbrowser.open(addresses["present"])
    serving(show, token, taken).run(sockets=[listener])


def bind(port: int | None) -> socket.socket:
    """A listening socket on this computer only: on `port`, else on the first free one from 8765 on."""
    from kurabe.errors import BusyError

    first = port or PORT
    for number in range(first, first + (1 if port else TRIES)):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name != "nt":  # there two servers would share the port; here a show that just ended would block it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOCAL, number))
            listener.listen()  # from here on the port is taken: two that are only bound could share it
            return listener
        except OSError as error:
            listener.close()
            why = error.strerror or str(error)
    raise BusyError(f"The port {first} is taken.", where=f"{LOCAL}:{first}", why=why,
                    fix="Leave --port out: the next free one is taken then.")  # fmt: skip


def _rehearse(screen: "Screen", show: "Show", length: float) -> None:
    from kurabe.errors import EXIT_GATE, MissingError
    from kurabe.workshop.rehearsal import rehearse

    try:
        found = rehearse(show, length, lambda name: screen.say(screen.t(f"cli.workshop.work.{name}")))
    finally:
        show.close()
    if screen.json:
        screen.data({
            "version": 1, "minutes": found.minutes, "length": length, "fits": found.fits, "run": str(found.run),
            "steps": [{**step._asdict(), "expected": step.expected} for step in found.steps],
            "missing": [{"what": what, "fix": fix} for what, fix in found.missing],
        })  # fmt: skip
    else:
        _show_rehearsal(screen, show, found)
    if found.missing:
        raise typer.Exit(MissingError.exit_code)
    if not found.fits:
        raise typer.Exit(EXIT_GATE)


def _show_rehearsal(screen: "Screen", show: "Show", found: "Rehearsal") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from kurabe import texts

    t = screen.t
    titles = {step.id: step.title for step in show.steps()}
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("step", "script", "computing", "expected"):
        table.add_column(t(f"cli.workshop.head.{name}"), justify="left" if name == "step" else "right")
    for step in found.steps:
        computing = texts.seconds(step.computing, t.language) if step.computing else "–"
        table.add_row(titles[step.step], f"{step.minutes:g}", computing, f"{step.expected:.1f}")
    screen.show(table)
    for what, fix in found.missing:
        screen.show(f"✗ {what}", style="bold red")
        screen.show_to_copy(t("cli.error.fix"), fix)
    key = "fits" if found.fits else "too_long"
    screen.show(t(f"cli.workshop.{key}", minutes=f"{found.minutes:.1f}", length=f"{found.length:g}"),
                style="green" if found.fits else "bold red")  # fmt: skip
    screen.show_to_copy(t("cli.workshop.recording"), str(found.run))
