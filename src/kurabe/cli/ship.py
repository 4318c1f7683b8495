"""`kurabe ship`: the winner of a run, or any base and adapter, as files that llama.cpp and Ollama run.

Knows no format: it picks what to ship, shows the plan, follows the work and says what was written.
"""

from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kurabe.cli.screen import Screen
    from kurabe.export.plan import File, Plan
    from kurabe.export.proof import Exported, Proof
    from kurabe.export.stream import Tell
    from kurabe.export.winner import Winner
    from kurabe.schema import Shipped


class Order(NamedTuple):
    """What is shipped, from where, and whereto."""

    run: Path | None
    shipped: "Winner"
    plan: "Plan"
    out: Path
    name: str
    over: "Plan | None" = None  # the adapter's file, where the base's is not merged


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
    form: Annotated[Literal["gguf", "adapter", "safetensors"], typer.Option("--as", help="cli.ship.as")] = "gguf",
    to: Annotated[str | None, typer.Option(help="cli.ship.to")] = None,
    replace: Annotated[bool, typer.Option("--replace", hidden=True, help="cli.ship.replace")] = False,
    verify: Annotated[Path | None, typer.Option(help="cli.ship.verify")] = None,
    device: Annotated[Literal["cpu", "cuda", "mps"], typer.Option(hidden=True, help="cli.ship.device")] = "cpu",
    plan_only: Annotated[bool, typer.Option("--plan", help="cli.ship.plan")] = False,
    runs: Annotated[Path, typer.Option(help="settings.runs", envvar="KURABE_RUNS", show_envvar=False)] = Path("runs"),
) -> None:
    from kurabe.cli.origin import check_gguf, check_out, check_pairs, check_search, default_name, what
    from kurabe.cli.proof import check_file, show_proof
    from kurabe.export.delivery import check, target
    from kurabe.export.folder import WEIGHTS, size
    from kurabe.export.ollama import Ollama
    from kurabe.runs import EXPORT

    check_out(out, run=run, to=to, form=form, verify=verify)
    check_pairs(to=to, form=form, verify=verify, replace=replace, plan_only=plan_only, device=device)
    if device != "cpu":
        from kurabe.devices import usable

        usable(device)  # before the work
    if from_gguf is not None:
        check_gguf(run=run, base=base, adapter=adapter, arm=arm, verify=verify, match=match, form=form)
    folder, shipped = what(run, arm, base or from_gguf, adapter, runs)
    check_search(shipped.arm, to=to, form=form)
    if verify is not None:
        show_proof(screen, check_file(screen, folder, shipped, verify), alone=True)
        return
    name = name or default_name(folder, shipped)
    out = out or (folder / EXPORT if folder else Path(f"{default_name(folder, shipped)}-shipped"))
    wanted = [part.strip().upper() for part in formats.split(",") if part.strip()]
    model = target(to, name) if to else ""
    plan, over = _plans(shipped, wanted, name, match, form, whole=from_gguf)
    plan = plan._replace(device=device)
    order = Order(folder, shipped, plan, out, name, over)
    files = [] if form == "safetensors" else [*plan.files, *(over.files if over else ())]
    _show_plan(screen, order, files)
    if plan_only:
        sizes = {file.name: file.size for file in files} or {WEIGHTS: size(plan)}
        if screen.json:
            screen.data({"version": 1, "files": [{"file": name, "size": bytes_} for name, bytes_ in sizes.items()]})
    elif form == "safetensors":
        _publish_folder(screen, order)
    else:
        if model:
            with Ollama() as server:  # before the work
                check(server, shipped.base)
        _check_tokens(screen, plan)
        if out.suffix == ".gguf":
            _write_one(screen, plan, out)
            return
        _publish(screen, order, model, replace)


def _plans(
    shipped: "Winner", wanted: list[str], name: str, match: Literal["exact", "peer"], form: str, whole: Path | None
) -> "tuple[Plan, Plan | None]":
    """The plan of the files, and that of the adapter's own where it is not merged into them."""
    from kurabe.errors import SettingsError
    from kurabe.export.lora_file import make_lora_plan
    from kurabe.export.plan import make_plan
    from kurabe.export.requantise import make_gguf_plan

    if whole is not None:
        return make_gguf_plan(whole, wanted, name), None
    if form != "adapter":
        return make_plan(shipped.base, shipped.adapter, wanted, name, match), None
    if shipped.adapter is None or len(wanted) != 1 or match != "exact":
        raise SettingsError(
            "An adapter lies beside one base file.",
            why="There is no adapter here."
            if shipped.adapter is None
            else "One format is the base's; nothing is merged.",
            fix="--as adapter with an arm that was tuned (--arm lora) and one of the --formats",
        )
    below = make_plan(shipped.base, None, wanted, f"{name}-base")
    return below, make_lora_plan(make_plan(shipped.base, shipped.adapter, wanted, name), below, name)


def _check_tokens(screen: "Screen", plan: "Plan") -> None:
    """A tokenizer that llama.cpp would read otherwise than training did is refused before any work."""
    from kurabe.export.probe import LINES, can_check, check

    if can_check(plan):
        screen.say(screen.t("cli.ship.tokens", lines=LINES))
        check(plan)


def _publish(screen: "Screen", order: Order, model: str, replace: bool) -> None:
    """Write the files, prove them, deliver the last one, and describe them in a card."""
    from kurabe.cli.proof import asking, prove_all, show_proof
    from kurabe.export import searcher
    from kurabe.export.parity import store
    from kurabe.export.proof import Exported, lora_hop, with_ollama
    from kurabe.export.publish import publish
    from kurabe.export.searcher import searches
    from kurabe.export.winner import search_index

    run, shipped, out = order.run, order.shipped, order.out
    with _progress(screen) as tell:
        records = publish(order.plan, out, tell, system=None if searches(shipped.arm) else shipped.system)
    if run and searches(shipped.arm):
        runner = searcher.store(search_index(run, shipped, records[-1].file), run.name, out)
        screen.say(screen.t("cli.ship.searches", file=str(runner)))
    exported = [Exported(out / record.file, record) for record in records]
    if order.over:
        below = records[0]
        records += publish(order.over, out, system=shipped.system, base=below.file)
        exported = [Exported(out / below.file, lora_hop(records[-1], below), out / records[-1].file)]
    _show_files(screen, records, out)
    proof = prove_all(screen, run, shipped, order.plan, exported, out) if run else None
    failed = proof is not None and proof.failed
    try:
        if model and not failed:
            _deliver(screen, model, exported[-1], shipped.system, replace)
            if run and proof:
                proof = with_ollama(run, shipped, proof, model, asking(screen))
                store(proof.parity, proof.answers, out)
    finally:  # the files are there, whatever became of the delivery
        _describe(screen, order, records, proof)
    if screen.json:
        files = [record.model_dump(mode="json") for record in records]
        screen.data({"version": 1, "files": files, "parity": proof and proof.parity.model_dump(mode="json")})
    if proof:
        show_proof(screen, proof.parity)


def _describe(screen: "Screen", order: Order, records: "list[Shipped]", proof: "Proof | None") -> None:
    """The model card of a run's files."""
    if order.run is None:
        return
    from kurabe.cli.card import write_card

    written = write_card(screen, order.run, order.shipped, records, proof and proof.parity, order.out)
    if written and not screen.json:
        screen.show_to_copy(screen.t("cli.ship.card"), str(written))


def _show_files(screen: "Screen", records: "list[Shipped]", out: Path) -> None:
    from kurabe import texts

    if not screen.json:
        for record in records:
            screen.show_to_copy(screen.t("cli.ship.file"), str(out / record.file))
            screen.show_to_copy("", f"{texts.size(record.size)}, sha256 {record.sha256}")


def _deliver(screen: "Screen", model: str, exported: "Exported", system: str, replace: bool) -> None:
    from kurabe.export.delivery import Parcel, deliver, start_command
    from kurabe.export.ollama import Ollama

    with Ollama() as server:
        parcel = Parcel(exported.path, exported.lora, system)
        fresh = deliver(server, model, parcel, replace=replace, tell=screen.say)
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


def _publish_folder(screen: "Screen", order: Order) -> None:
    """The merged folder; one of a run is asked the run's questions, too."""
    from kurabe.cli.proof import prove_merged, show_proof
    from kurabe.export.publish import publish_folder

    with _progress(screen) as tell:
        weights = publish_folder(order.plan, order.out, tell)
    proof = prove_merged(screen, order.run, order.shipped, weights) if order.run else None
    if screen.json:
        parity = proof and proof.parity.model_dump(mode="json")
        screen.data({"version": 1, "folder": str(order.out), "parity": parity})
    else:
        screen.show_to_copy(screen.t("cli.ship.file"), str(weights))
    if proof:
        show_proof(screen, proof.parity)


def _show_plan(screen: "Screen", order: Order, files: "list[File]") -> None:
    """What is merged, and the files that are written: GGUFs, or the merged weights."""
    from kurabe import texts
    from kurabe.export.folder import WEIGHTS, size
    from kurabe.export.searcher import searches

    t, plan = screen.t, order.plan
    if order.shipped.arm:
        says = t("cli.ship.arm_searches" if searches(order.shipped.arm) else "cli.ship.arm_is", arm=order.shipped.arm)
        screen.say_beside(t("cli.ship.ships"), says)
    pairs = len(order.over.files[0].entries) // 2 if order.over else 0  # each matrix has an A and a B
    layers = pairs or len(plan.adapter.deltas)
    kind = "not" if order.over else "is" if layers or plan.adapter.replaced else "nothing"
    screen.say_beside(t("cli.ship.merges"), t(f"cli.ship.merge_{kind}", weights=plan.weights / 1e6, layers=layers))
    if not files:
        screen.say_beside(plan.dtype, f"{texts.size(size(plan))}: {WEIGHTS}")
    for file in files:
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
