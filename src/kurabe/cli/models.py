"""`kurabe models`: list the models of the Hugging Face cache, pull one from the hub, verify one.

Knows no format and no protocol: it asks before a download and prints what the others found.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen
    from kurabe.snapshots import Described, Name


def command(
    screen: "Screen",
    action: Annotated[Literal["list", "pull", "verify"], typer.Argument(help="cli.models.action")] = "list",
    model: Annotated[str | None, typer.Argument(help="cli.models.model")] = None,
    revision: Annotated[str | None, typer.Option(help="cli.models.revision")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="cli.models.yes")] = False,
) -> None:
    from kurabe.errors import SettingsError

    if action == "list":
        list_models(screen)
    elif model is None:
        raise SettingsError("No model is named.", fix=f"kurabe models {action} ORG/NAME")
    elif action == "pull":
        pull(screen, model, revision, yes)
    else:
        verify(screen, model, revision)


def list_models(screen: "Screen") -> None:
    """The stand-in and every model of the cache, whole or not."""
    from kurabe import snapshots
    from kurabe.backends import TINY, embedded
    from kurabe.cli.screen import plain

    t = screen.t
    rows = [(TINY, "", embedded(), snapshots.describe(embedded()))]
    rows += [(s.repo, s.commit, s.path, snapshots.describe(s.path, s.name)) for s in snapshots.found()]
    if screen.json:
        screen.data({"version": 1, "models": [_row(*row) for row in rows]})
        return
    for name, commit, _, described in rows:
        _show(screen, name, commit, described)
        if screen.quiet:
            continue
        if described.fault:
            screen.show_beside("", t("cli.models.unusable", fault=plain(described.fault)))
            screen.show_to_copy("", described.fix)
    if len(rows) == 1:
        screen.say(t("cli.models.none", folder=snapshots.cache()))


def pull(screen: "Screen", model: str, revision: str | None, yes: bool) -> None:
    """Say what would come and how large it is, ask, fetch, verify."""
    from kurabe import fetch, snapshots, texts
    from kurabe.cli.screen import plain

    t, name = screen.t, _named(model, revision)
    offer = fetch.offer(name)
    fetched = 0
    if offer.left:
        about = {"size": texts.size(offer.size), "left": texts.size(offer.left), "count": len(offer.files)}
        about |= {"model": name.repo, "commit": offer.commit[: snapshots.SHORT]}
        licence = plain(offer.licence) or t("cli.models.no_licence")
        screen.say(t("cli.models.offer", licence=licence, **about))
        if not (yes or _agreed(name, t("cli.models.ask", size=about["left"]))):
            return
        fetched = offer.left
    folder = fetch.fetch(offer, bars=not (screen.quiet or screen.json) and sys.stderr.isatty())
    described = snapshots.describe(folder, name)
    if described.fault:
        snapshots.refuse(folder, described)
    snapshots.rehearse(folder)
    if screen.json:
        screen.data({"version": 1, "fetched": fetched, **_row(name.repo, folder.name, folder, described)})
        return
    _show(screen, name.repo, folder.name, described)
    screen.show(t("cli.models.pulled" if fetched else "cli.models.there", model=name))
    if described.licence:
        screen.say(t("cli.models.terms", licence=plain(described.licence)))


def verify(screen: "Screen", model: str, revision: str | None) -> None:
    """Every file against the hash that the cache knows, then headers, tokenizer and template."""
    from kurabe import snapshots
    from kurabe.backends import TINY, embedded
    from kurabe.cli.screen import plain
    from kurabe.errors import MissingError

    t = screen.t
    name = snapshots.parse(model) if model != TINY else None
    if name is not None:
        folder = snapshots.look_up(_named(model, revision)).path
    else:
        folder = embedded() if model == TINY else snapshots.locate(model)
    described = snapshots.describe(folder, name)
    if described.fault:
        snapshots.refuse(folder, described)
    files = dict(snapshots.prove(folder))
    damaged = [file for file, right in files.items() if right is False]
    if damaged:
        fix = f"Delete {folder.parent.parent if name else folder}, then: {name.pull if name else 'copy it again.'}"
        raise MissingError(
            f"{len(damaged)} of {len(files)} files are damaged: {', '.join(damaged)}.", where=str(folder),
            why="Their bytes do not have the hash under which the cache keeps them.", fix=fix,
        )  # fmt: skip
    tokens = snapshots.rehearse(folder)
    if screen.json:
        screen.data({"version": 1, **_row(model, _commit(folder), folder, described), "files": files, "tokens": tokens})
        return
    for file, right in files.items():
        screen.show_beside(t(f"cli.models.{'proven' if right else 'unproven'}"), plain(file))
    _show(screen, model, _commit(folder), described)
    proven = sum(map(bool, files.values()))
    screen.show(t("cli.models.hashes" if proven else "cli.models.no_hashes", proven=proven, files=len(files)))
    screen.show(t("cli.models.verified", tokens=tokens))


def _named(model: str, revision: str | None) -> "Name":
    from kurabe import snapshots

    name = snapshots.named(model)
    return name._replace(revision=revision) if revision else name


def _commit(folder: Path) -> str:
    from kurabe import snapshots

    found = snapshots.of(folder)
    return found.commit if found else ""


def _agreed(name: "Name", question: str) -> bool:
    """A yes from somebody who can be asked. Where stdin is no terminal nobody is, and a script must not go on."""
    from kurabe.errors import SettingsError

    if not sys.stdin.isatty():
        raise SettingsError("Nothing was fetched: there is nobody to ask here.", fix=f"{name.pull} --yes")
    return typer.confirm(question, err=True)


def _show(screen: "Screen", name: str, commit: str, described: "Described") -> None:
    """One model in two lines: its name and commit, then what it takes."""
    from rich.text import Text

    from kurabe import snapshots, texts
    from kurabe.cli.screen import hanging, plain

    t = screen.t
    sign = Text("✗", style="red") if described.fault else Text("✓", style="green")
    about = [texts.size(described.size)]
    if described.parameters:
        about.append(t("cli.models.parameters", count=texts.count(described.parameters)))
        about.append(t("cli.models.memory", memory=texts.size(described.memory)))
    about.append(plain(described.licence) or t("cli.models.no_licence"))
    title = plain(f"{name}@{commit[: snapshots.SHORT]}" if commit else name)
    screen.show(hanging(sign, Text.assemble((title, "bold"), "\n" + " · ".join(about))))


def _row(name: str, commit: str, folder: Path, described: "Described") -> dict[str, Any]:
    return {
        "name": name, "commit": commit, "path": str(folder), "bytes": described.size,
        "parameters": described.parameters, "memory": described.memory, "licence": described.licence,
        "usable": not described.fault, "fault": described.fault, "fix": described.fix,
    }  # fmt: skip
