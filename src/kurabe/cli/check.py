"""`kurabe check`: what is in a file, and every problem in it with its line.

Knows no rule about data. Nothing is trained; the model's tokenizer only counts.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kurabe.checking import CheckReport
    from kurabe.cli.screen import Screen
    from kurabe.splits import Pair
    from kurabe.texts import Texts

SHOWN = 3  # examples
LISTED = 40  # problems


def command(
    screen: "Screen",
    file: Annotated[Path, typer.Argument(help="cli.file")],
    encoding: Annotated[str | None, typer.Option(help="settings.encoding")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="settings.skip_bad")] = False,
    model: Annotated[str, typer.Option(help="cli.check.model")] = "tiny",
) -> None:
    from kurabe.checking import check
    from kurabe.errors import EXIT_DATA

    report = check(file, encoding=encoding, skip_bad=skip_bad, count=counter(model))
    if screen.json:
        screen.data(report)
    else:
        command = ["kurabe", "run", str(file)]
        command += ["--encoding", encoding] if encoding else []
        command += ["--skip-bad"] if skip_bad else []
        show(screen, report, shlex.join(command))
    if not report.ok:
        raise typer.Exit(EXIT_DATA)


def counter(model: str) -> Any:
    """Counts tokens as the model's own chat rendering does; only its tokenizer is read."""
    from kurabe import chat, snapshots
    from kurabe.backends import TINY, embedded

    return chat.load(embedded() if model == TINY else snapshots.locate(model)).count


def show(screen: "Screen", report: "CheckReport", command: str) -> None:
    """The report for a reader: what is there, then what is wrong, the conclusion last: `command` would run."""
    from rich.text import Text

    from kurabe.cli.screen import hanging, plain

    t = screen.t
    title = t(
        "cli.check.title", file=plain(report.file), format=report.format, form=report.form or "–",
        encoding=report.encoding, language=t(f"cli.language.{report.language}"),
    )  # fmt: skip
    screen.show(Text(title, style="bold"))
    for label, words in described(report, t):
        screen.show_beside(label, words)
    for example in report.shown[:SHOWN]:
        screen.show(Text(f"\n{plain(example.question)}", style="bold"))
        screen.show(plain(example.answer))
        values = "  ".join(f"{plain(fact.text)} ({t(f'cli.kind.{fact.kind}')})" for fact in example.facts)
        screen.show(Text(values, style="dim"))
    listed = found(report, t)
    if listed:
        screen.show()
    for level, words in sorted(listed, key=lambda row: row[0] != "refuse")[:LISTED]:
        sign, style = ("✗", "bold red") if level == "refuse" else ("·", "yellow")
        screen.show(hanging(Text(f"{sign} {t(f'cli.check.{level}')}", style=style), words))
    if len(listed) > LISTED:
        screen.show(t("cli.check.more", count=len(listed) - LISTED))
    screen.show()
    if report.ok:
        screen.show(Text(f"✓ {t('cli.check.ok', command=plain(command))}", style="green"))
    else:
        screen.show(Text(f"✗ {t('cli.check.not_ok', why=plain(report.refusal))}", style="bold red"))
        if report.examples and not report.leaks and "--skip-bad" not in command:  # what is left would run
            screen.show(t("cli.check.skip"))
            screen.show_to_copy("", plain(f"{command} --skip-bad"))


def found(report: "CheckReport", t: "Texts") -> list[tuple[str, str]]:
    """(level, words) of everything that is wrong or worth knowing."""
    from kurabe.cli.screen import plain
    from kurabe.report import sentences

    def pair(key: str, one: "Pair") -> str:
        return t(
            key, line=f"{report.file}:{one.line}", held_out=one.held_out, other=one.other_line, trained=one.trained
        )

    rows = [(p.level, f"{p.place(report.file)}: {p.sentence(t)}") for p in report.problems]
    rows += [("refuse", pair("cli.check.leak", one)) for one in report.leaks]
    rows += [("note", pair("cli.check.close", one)) for one in report.close]
    rows += [("note", sentences.sentence(note, t)) for note in report.notes]
    return [(level, plain(words)) for level, words in rows]


def described(report: "CheckReport", t: "Texts") -> list[tuple[str, str]]:
    """(label, words) of what the file holds."""
    comma = t("comma")
    facts = comma.join(f"{t(f'cli.kind.{kind}')} {count}" for kind, count in report.facts.items()) or "–"
    wordings = comma.join(
        t("cli.check.wordings", role=t(f"cli.role.{role}"), count=count, generated=report.generated.get(role, 0))
        for role, count in report.wordings.items()
    )
    lines = [
        (
            t("cli.check.rows"),
            t("cli.check.rows_are", rows=report.rows, skipped=report.skipped, repeated=report.repeated),
        ),
        (t("cli.check.examples"), t("cli.check.examples_are", examples=report.examples, measurable=report.measurable)),
        (t("cli.check.facts"), t("cli.check.facts_are", facts=facts, without=report.without_facts)),
        (t("cli.check.asked"), wordings),
    ]
    if report.checks:
        named = comma.join(f"{t(f'check.{name}')} {count}" for name, count in report.checks.items())
        lines.append((t("cli.check.checks"), t("cli.check.checks_are", checks=named, rows=report.checked)))
    for key, lengths in (("answers", report.answer_length), ("tokens", report.tokens)):
        if lengths:
            values = {"shortest": lengths.shortest, "median": lengths.median, "longest": lengths.longest}
            lines.append((t(f"cli.check.{key}"), t(f"cli.check.{key}_are", line=lengths.longest_line, **values)))
    return lines
