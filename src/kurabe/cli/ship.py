"""`kurabe ship`: the winner of a run, or any base and adapter, as files that llama.cpp and Ollama run.

Knows no format: it picks what to ship, shows the plan, follows the work and says what was written.
"""

from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kurabe.cli.screen import Screen
    from kurabe.export.plan import Plan
    from kurabe.export.stream import Tell
    from kurabe.export.winner import Winner
    from kurabe.schema import Shipped


def command(
    screen: "Screen",
    run: Annotated[str | None, typer.Argument(help="cli.which_run")] = None,
    arm: Annotated[str | None, typer.Option(help="cli.ship.arm")] = None,
    base: Annotated[Path | None, typer.Option(help="cli.ship.base")] = None,
    adapter: Annotated[Path | None, typer.Option(help="cli.ship.adapter")] = None,
    from_gguf: Annotated[Path | None, typer.Option("--from-gguf", help="cli.ship.from_gguf")] = None,
    formats: Annotated[str, typer.Option(help="cli.ship.formats")] = "Q4_K_M",
    out: Annotated[Path | None, typer.Option(help="cli.ship.out")] = None,
    name: Annotated[str | None, typer.Option(help="cli.ship.name")] = None,
    match: Annotated[Literal["exact", "peer"], typer.Option(hidden=True, help="cli.ship.match")] = "exact",
    form: Annotated[Literal["gguf", "safetensors"], typer.Option("--as", help="cli.ship.as")] = "gguf",
    to: Annotated[str | None, typer.Option(help="cli.ship.to")] = None,
    replace: Annotated[bool, typer.Option("--replace", hidden=True, help="cli.ship.replace")] = False,
    verify: Annotated[Path | None, typer.Option(help="cli.ship.verify")] = None,
    plan_only: Annotated[bool, typer.Option("--plan", help="cli.ship.plan")] = False,
    runs: Annotated[Path, typer.Option(help="settings.runs", envvar="KURABE_RUNS", show_envvar=False)] = Path("runs"),
) -> None:
    from kurabe.cli.origin import check_gguf, check_out, check_pairs, default_name, what
    from kurabe.cli.proof import check_file, prove_all, show_proof
    from kurabe.export.delivery import open_server, target
    from kurabe.export.plan import make_plan
    from kurabe.export.publish import publish
    from kurabe.export.requantise import make_gguf_plan
    from kurabe.runs import EXPORT

    check_out(out, run=run, to=to, safetensors=form == "safetensors", verify=verify)
    check_pairs(to=to, safetensors=form == "safetensors", verify=verify, replace=replace, plan_only=plan_only)
    if from_gguf is not None:
        check_gguf(run=run, base=base, adapter=adapter, arm=arm, verify=verify, match=match, form=form)
    folder, shipped = what(run, arm, base or from_gguf, adapter, runs)
    if verify is not None:
        show_proof(screen, check_file(screen, folder, shipped, verify), alone=True)
        return
    name = name or default_name(folder, shipped)
    out = out or (folder / EXPORT if folder else Path(f"{default_name(folder, shipped)}-shipped"))
    wanted = [part.strip().upper() for part in formats.split(",") if part.strip()]
    model = target(to, name) if to else ""
    plan = (
        make_gguf_plan(from_gguf, wanted, name)
        if from_gguf
        else make_plan(shipped.base, shipped.adapter, wanted, name, match)
    )
    _show_plan(screen, plan, shipped)
    if plan_only:
        if screen.json:
            screen.data({"version": 1, "files": [{"file": f.name, "size": f.size} for f in plan.files]})
        return
    if form == "safetensors":
        _publish_folder(screen, plan, out)
        return
    if out.suffix == ".gguf":
        _write_one(screen, plan, out)
        return
    if model:
        open_server().close()  # before the work
    with _progress(screen) as tell:
        records = publish(plan, out, tell, system=shipped.system)
    _show_files(screen, records, out)
    parity = prove_all(screen, folder, shipped, records, out) if folder else None
    files = [record.model_dump(mode="json") for record in records]
    found = {"version": 1, "files": files, "parity": parity and parity.model_dump(mode="json")}
    failed = parity is not None and not all(hop.held for hop in parity.hops)
    if screen.json and (failed or not model):  # a delivery may still end in an error, which is the one document then
        screen.data(found)
    if parity:
        show_proof(screen, parity)  # a failed proof ends here: such a file is not delivered
    if model:
        _deliver(screen, model, out / records[-1].file, shipped.system, replace)
        if screen.json:
            screen.data(found)


def _show_files(screen: "Screen", records: "list[Shipped]", out: Path) -> None:
    from kurabe import texts

    if not screen.json:
        for record in records:
            screen.show_to_copy(screen.t("cli.ship.file"), str(out / record.file))
            screen.show_to_copy("", f"{texts.size(record.size)}, sha256 {record.sha256}")


def _deliver(screen: "Screen", model: str, file: Path, system: str, replace: bool) -> None:
    from kurabe.export.delivery import deliver, open_server, start_command

    with open_server() as server:
        fresh = deliver(server, model, file, system, replace=replace, tell=screen.say)
    screen.say(screen.t("cli.ship.delivered" if fresh else "cli.ship.there", model=model))
    screen.say(start_command(model))


def _write_one(screen: "Screen", plan: "Plan", out: Path) -> None:
    from kurabe.export.publish import publish_file

    with _progress(screen) as tell:
        publish_file(plan, out, tell)
    if screen.json:
        screen.data({"version": 1, "file": str(out)})
    else:
        screen.show_to_copy(screen.t("cli.ship.file"), str(out))


def _publish_folder(screen: "Screen", plan: "Plan", out: Path) -> None:
    from kurabe.export.publish import publish_folder

    with _progress(screen) as tell:
        weights = publish_folder(plan, out, tell)
    if screen.json:
        screen.data({"version": 1, "folder": str(out)})
    else:
        screen.show_to_copy(screen.t("cli.ship.file"), str(weights))


def _show_plan(screen: "Screen", plan: "Plan", shipped: "Winner") -> None:
    from kurabe import texts

    t = screen.t
    if shipped.arm:
        screen.say_beside(t("cli.ship.ships"), t("cli.ship.arm_is", arm=shipped.arm))
    layers = len(plan.adapter.deltas)
    screen.say_beside(t("cli.ship.merges"), t("cli.ship.merge_is", weights=plan.weights / 1e6, layers=layers))
    for file in plan.files:
        kinds = Counter(entry.kind for entry in file.entries)
        counted = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        screen.say_beside(file.format, f"{texts.size(file.size)}: {counted}")


@contextmanager
def _progress(screen: "Screen") -> "Iterator[Tell]":
    """A bar on a terminal; nothing elsewhere, since an export takes seconds to minutes."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    hidden = screen.quiet or not screen.err.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeRemainingColumn())
    with Progress(*columns, console=screen.err, transient=True, disable=hidden) as progress:
        bar = progress.add_task(screen.t("cli.ship.working"))
        yield lambda done, total: progress.update(bar, completed=done, total=total)
