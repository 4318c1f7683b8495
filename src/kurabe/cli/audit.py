"""`kurabe audit`: why did my fine-tune learn nothing? What is configured, what is wrong with it, what mends it.

Knows no rule. The script is read and never run; nothing is trained and no model is asked.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kurabe.auditing.configured import Configured
    from kurabe.auditing.reading import AuditReport
    from kurabe.cli.screen import Screen
    from kurabe.schema import Finding
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

    from kurabe.cli.screen import plain

    t = screen.t
    version = [report.configured.version] if report.configured.version else []
    kind = t("comma").join([t(f"cli.audit.kind.{report.kind}"), *version])
    screen.show(Text(t("cli.audit.title", path=plain(report.path), kind=kind), style="bold"))
    for name, words in described(report, t):
        screen.show_beside(t(f"cli.audit.fields.{name}"), plain(words))
    for found in report.findings:
        show_finding(screen, found, report)
    screen.show()
    if report.unread:
        screen.show(t("cli.audit.unread", names=plain(", ".join(report.unread))), style="yellow")
    faults = sum(found.level != "info" for found in report.findings)
    if faults:
        screen.show(Text(f"✗ {t('cli.audit.found', count=faults)}", style="bold red"))
    else:
        screen.show(Text(f"✓ {t('cli.audit.clean')}", style="green"))
        if report.kind != "run":
            screen.show(t("cli.audit.clean_hint", data="" if report.rows else t("cli.audit.clean_data")))


def show_finding(screen: "Screen", found: "Finding", report: "AuditReport") -> None:
    """Its id with the place, or the recipe of a run, then what, why, the mend and the cost."""
    from rich.text import Text

    from kurabe.cli.screen import hanging, plain, widened
    from kurabe.report import sentences

    t = screen.t
    place = found.recipe if report.kind == "run" else found.where
    if place in report.configured.assumed.values():
        place = t("cli.audit.default", library=place)
    head = [t(f"cli.audit.level.{found.level}"), found.id, *([place] if place else [])]
    screen.show()
    screen.show(Text(plain("  ".join(head)), style="yellow" if found.level == "info" else "bold red"))
    what, why = sentences.finding(found, t)
    screen.show(hanging(Text(widened("", 6)), plain(what)))
    for name, words in (("why", why), ("fix", sentences.repair(found, t)), ("cost", sentences.fault_cost(found, t))):
        if words:
            screen.show(hanging(Text(widened(f"  {t(f'cli.audit.{name}')}", 6), style="cyan"), plain(words)))


def described(report: "AuditReport", t: "Texts") -> list[tuple[str, str]]:
    """(name, words) of what is configured; what decides and is not known is said to be unknown."""
    c = report.configured
    lines = [("base", c.base or t("cli.audit.unknown"))]
    if c.task == "train" and report.kind != "run":
        lines += [
            ("steps", _steps(report, t)),
            ("rate", _rate(c, t)),
            ("adapter", _adapter(c, t)),
            ("loss", _loss(c, t)),
        ]
    if report.rows:
        r = report.rows
        words = t("cli.audit.rows_are", rows=r.rows, source=r.source, examples=r.examples, single=r.single)
        lines.append(("rows", words))
    if c.sampled is not None:
        decoding = t("cli.audit.sampled" if c.sampled else "cli.audit.greedy")
        limit = c.max_new_tokens
        lines.append(("test", t("cli.audit.test_is", decoding=decoding, tokens=limit) if limit else decoding))
    return lines


def _steps(report: "AuditReport", t: "Texts") -> str:
    from kurabe.auditing.schedule import schedule

    c = report.configured
    plan = schedule(c, report.rows)
    if plan is not None:
        steps = t("cli.audit.steps_most", steps=plan.steps) if plan.bound else str(plan.steps)
        return t("cli.audit.warmup", steps=steps, warmup=plan.warmup) if plan.warmup else steps
    if c.epochs is None or not c.batch:
        return t("cli.audit.unknown")
    return t("cli.audit.steps_need", epochs=c.epochs, batch=c.batch * (c.accumulation or 1))


def _rate(c: "Configured", t: "Texts") -> str:
    from kurabe import texts

    if c.rate is None:
        return t("cli.audit.unknown")
    library = c.assumed.get("rate")
    said = [t("cli.audit.default", library=library)] if library else []
    return " ".join([texts.rate(c.rate), *said])


def _adapter(c: "Configured", t: "Texts") -> str:
    unknown = t("cli.audit.unknown")
    if c.method == "full":
        return t("cli.audit.full")
    if c.method is None and c.rank is None:
        return unknown
    rank, alpha = (unknown if value is None else f"{value:g}" for value in (c.rank, c.alpha))
    return t("cli.audit.adapter_is", rank=rank, alpha=alpha, targets=", ".join(c.targets or (unknown,)))


def _loss(c: "Configured", t: "Texts") -> str:
    if c.loss_on_padding:
        return t("cli.audit.loss_everything")
    if c.loss_on_prompt is None:
        return t("cli.audit.unknown")
    return t("cli.audit.loss_prompt" if c.loss_on_prompt else "cli.audit.loss_answer")
