"""`kurabe audit`: why did my fine-tune learn nothing? What is configured, what is wrong with it, what mends it.

Knows no rule. The script is read and never run; nothing is trained and no model is asked.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.auditing.reading import AuditReport
    from kurabe.cli.screen import Screen
    from kurabe.texts import Texts


def command(
    screen: "Screen",
    path: Annotated[Path, typer.Argument(help="cli.audit.path")],
    data: Annotated[Path | None, typer.Option(help="cli.audit.data")] = None,
    model: Annotated[str | None, typer.Option(help="cli.audit.model")] = None,
    gate: Annotated[bool, typer.Option("--gate", help="cli.audit.gate")] = False,
) -> None:
    from kurabe.auditing.reading import audit
    from kurabe.cli.check import counter
    from kurabe.errors import EXIT_GATE

    report = audit(path, data, count=None if model is None else counter(model))
    if screen.json:
        screen.data([finding.model_dump(mode="json") for finding in report.findings])
    else:
        show(screen, report)
    if gate and not report.clean:
        raise typer.Exit(EXIT_GATE)


def show(screen: "Screen", report: "AuditReport") -> None:
    """What was understood, each finding with what mends it, the conclusion last."""
    from rich.text import Text

    from kurabe.cli.screen import hanging, plain, widened
    from kurabe.report import sentences

    t = screen.t
    tool = report.configured.version or report.configured.tool
    screen.show(
        Text(
            t("cli.audit.title", path=plain(report.path), kind=t(f"cli.audit.kind.{report.kind}"), tool=tool),
            style="bold",
        )
    )
    for name, words in described(report, t):
        screen.show_beside(t(f"cli.audit.fields.{name}"), plain(words))
    for found in report.findings:
        screen.show()
        what, why = sentences.finding(found, t)
        assumed = found.where in report.configured.assumed.values()
        place = t("cli.audit.default", library=found.where) if assumed else found.where
        style = "yellow" if found.level == "info" else "bold red"
        screen.show(Text(plain("  ".join([t(f"cli.audit.level.{found.level}"), found.id, place])), style=style))
        for label, words in (
            ("", what),
            ("why", why),
            ("fix", sentences.repair(found, t)),
            ("cost", sentences.fault_cost(found, t)),
        ):
            if words:
                name = widened(f"  {t(f'cli.audit.{label}')}" if label else "", 6)
                screen.show(hanging(Text(name, style="cyan"), plain(words)))
    screen.show()
    if report.unread:
        screen.show(t("cli.audit.unread", names=plain(", ".join(report.unread))), style="yellow")
    faults = sum(found.level != "info" for found in report.findings)
    if faults:
        screen.show(Text(f"✗ {t('cli.audit.found', count=faults)}", style="bold red"))
    else:
        screen.show(Text(f"✓ {t('cli.audit.clean')}", style="green"))
        screen.show(t("cli.audit.clean_hint", data="" if report.rows else t("cli.audit.clean_data")))


def described(report: "AuditReport", t: "Texts") -> list[tuple[str, str]]:
    """(name, words) of what is configured; what decides and is not known is said to be unknown."""
    from kurabe import texts
    from kurabe.auditing.schedule import schedule

    c, unknown = report.configured, t("cli.audit.unknown")
    lines = [("base", c.base or unknown)]
    if report.kind == "run":
        return lines
    if c.task == "train":
        plan = schedule(c, report.rows)
        per_step = c.batch * (c.accumulation or 1) if c.batch is not None else None
        if plan is not None:
            steps = t("cli.audit.steps_most", steps=plan.steps) if plan.bound else str(plan.steps)
            lines.append(("steps", t("cli.audit.warmup", steps=steps, warmup=plan.warmup) if plan.warmup else steps))
        elif c.epochs is not None and per_step:
            lines.append(("steps", t("cli.audit.steps_need", epochs=c.epochs, batch=per_step)))
        else:
            lines.append(("steps", unknown))
        lines.append(("rate", unknown if c.rate is None else texts.rate(c.rate) + _default(c.assumed.get("rate"), t)))
        lines.append(("adapter", _adapter(report, t)))
        learned = "everything" if c.loss_on_padding else {True: "prompt", False: "answer", None: ""}[c.loss_on_prompt]
        lines.append(("loss", t(f"cli.audit.loss_{learned}") if learned else unknown))
    if report.rows:
        r = report.rows
        lines.append(
            ("rows", t("cli.audit.rows_are", rows=r.rows, source=r.source, examples=r.examples, single=r.single))
        )
    if c.sampled is not None:
        decoding = t("cli.audit.sampled" if c.sampled else "cli.audit.greedy")
        lines.append(("test", t("cli.audit.test_is", decoding=decoding, tokens=c.max_new_tokens or unknown)))
    return lines


def _adapter(report: "AuditReport", t: "Texts") -> str:
    c, unknown = report.configured, t("cli.audit.unknown")
    if c.method == "full":
        return t("cli.audit.full")
    if c.method is None and c.rank is None:
        return unknown
    known = [unknown if value is None else f"{value:g}" for value in (c.rank, c.alpha)]
    return t("cli.audit.adapter_is", rank=known[0], alpha=known[1], targets=", ".join(c.targets or (unknown,)))


def _default(library: str | None, t: "Texts") -> str:
    return " " + t("cli.audit.default", library=library) if library else ""
