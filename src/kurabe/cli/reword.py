"""`kurabe reword`: a data file with more trained and held-out wordings, by rules or from a model, for review.

Knows no rule and no server. What it writes is a data file again: correct a line, and give the file to `kurabe run`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from kurabe.cli.screen import Screen
    from kurabe.model import Answering
    from kurabe.schema import Answer, Example
    from kurabe.suggestions import Asked, Unused

COUNT = 8
LISTED = 40  # suggestions that are not used
THOUGHTS = 2000  # tokens; servers and files may run models that think before they write


class Made(NamedTuple):
    """What came of asking a model. `failed`: answers that did not come; `ended`: somebody stopped the asking."""

    examples: "tuple[Example, ...]"
    unused: "tuple[Unused, ...]" = ()
    answers: "tuple[Answer, ...]" = ()
    ended: bool = False

    @property
    def failed(self) -> "list[Answer]":
        return [answer for answer in self.answers if answer.finish == "error"]


def command(
    screen: "Screen",
    file: Annotated[Path, typer.Argument(help="cli.file")],
    model: Annotated[str | None, typer.Option("--with", help="cli.reword.with")] = None,
    count: Annotated[int | None, typer.Option(min=1, max=50, help="cli.reword.count")] = None,
    key_env: Annotated[str | None, typer.Option(help="cli.reword.key_env")] = None,
    out: Annotated[Path | None, typer.Option(help="cli.reword.out")] = None,
    encoding: Annotated[str | None, typer.Option(help="settings.encoding")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="settings.skip_bad")] = False,
) -> None:
    from kurabe.cli.output import refuse_existing
    from kurabe.dataset import read_examples
    from kurabe.errors import EXIT_INTERRUPTED, SettingsError
    from kurabe.splits import generate

    if model is None and (count is not None or key_env is not None):
        raise SettingsError("--count and --key-env are for a model.", fix="Name one with --with, or leave them out.")
    for path in (out, refused_file(out)):
        if path is not None:
            refuse_existing(path)
    data = read_examples(file, encoding=encoding, skip_bad=skip_bad)
    if model is None:
        made = Made(generate(data.examples, data.language))
    else:
        made = _suggested(screen, data.examples, model, COUNT if count is None else count, key_env or "")
    _write(screen, made, out)
    without = [example.id for example in made.examples if not example.texts("held_out")]
    screen.say(screen.t("cli.reword.made", rows=len(made.examples)))
    if without:
        key = "cli.reword.without" if model is None else "cli.reword.still_without"
        screen.say(screen.t(key, count=len(without), ids=", ".join(without[:10])), style="yellow")
    if made.ended:
        raise typer.Exit(EXIT_INTERRUPTED)


def refused_file(out: Path | None) -> Path | None:
    """Where the suggestions that are not used are written: beside the file."""
    return None if out is None else out.with_name(f"{out.stem}.refused.jsonl")


def rows(examples: "Sequence[Example]") -> Iterator[dict[str, Any]]:
    """Each example as a row of a data file that asks the same."""
    for example in examples:
        made = [wording.text for wording in example.wordings if wording.generated]
        yield {
            "id": example.id,
            "question": example.question,
            "answer": example.answer,
            "wordings": list(example.texts("trained")[1:]),
            "held_out": list(example.texts("held_out")),
            # What a row named itself is not found by the rules again.
            "facts": [{"kind": fact.kind, "value": fact.text} for fact in example.facts if fact.start < 0],
            **({"generated_wordings": made} if made else {}),
            **({"checks": example.checks.model_dump(mode="json", exclude_defaults=True)} if example.checks else {}),
        }


def _write(screen: "Screen", made: Made, out: Path | None) -> None:
    """The rows to `out` or stdout, what is not used beside them or on the screen."""
    from kurabe.cli.output import write_new
    from kurabe.cli.screen import in_unicode, plain

    written = list(rows(made.examples))
    escaped = out is None and not in_unicode()
    refused = [
        one.model_dump(exclude={"reason"}) | {"why": screen.t(one.reason.key, **one.reason.values)}
        for one in made.unused
    ]
    if out is not None:
        write_new(out, _lines(written, escaped))
        place = refused_file(out)
        if refused and place is not None:
            write_new(place, _lines(refused, escaped))
    if screen.json:
        tokens = {"prompt": sum(a.prompt_tokens for a in made.answers), "new": sum(a.new_tokens for a in made.answers)}
        asked = {"refused": refused, "failed": [answer.error for answer in made.failed], "tokens": tokens}
        screen.data({"version": 1, "rows": written} | (asked if made.answers else {}))
    elif out is None:
        screen.write(_lines(written, escaped))
    for one in refused[:LISTED]:
        words = {"id": one["id"], "role": screen.t(f"cli.role.{one['role']}"), "wording": one["wording"]}
        screen.say(plain(screen.t("cli.reword.refused", **words, why=one["why"])), style="dim")
    if len(refused) > LISTED:
        screen.say(screen.t("cli.reword.more", count=len(refused) - LISTED), style="dim")
    if refused and out is not None:
        screen.say(screen.t("cli.reword.refused_file", file=plain(str(refused_file(out)))))


def _lines(objects: Sequence[dict[str, Any]], escaped: bool) -> str:
    return "".join(json.dumps(one, ensure_ascii=escaped) + "\n" for one in objects)


# --- asking a model --------------------------------------------------------------------------------------------


def _suggested(screen: "Screen", examples: "Sequence[Example]", model: str, count: int, key_env: str) -> Made:
    """What the model suggests, sorted out and told. Raises MissingError where no answer came."""
    from kurabe import backends
    from kurabe.cli.screen import plain
    from kurabe.errors import InterruptedRun, MissingError
    from kurabe.suggestions import ask, sort_out

    with backends.answering(model, key_env) as backend:
        info = backend.info
        asked = ask(examples, count, info.name, 0 if backend.capabilities.adapters else THOUGHTS)
        if not asked:
            screen.say(screen.t("cli.reword.nothing_lacks"))
            return Made(tuple(examples))
        about = len({one.place for one in asked})
        screen.say(
            plain(screen.t("cli.reword.asks", model=info.name, place=info.path, requests=len(asked), rows=about))
        )
        if info.stand_in:
            screen.say(screen.t("cli.reword.stand_in"), style="yellow")
        if key_env and info.path.startswith("http://") and not _is_here(info.path):
            screen.say(screen.t("cli.reword.plain_key"), style="yellow")
        answers, ended = _answers(screen, backend, asked)
    if ended and not answers:
        raise InterruptedRun("Stopped before an answer came; nothing was written.", fix="Give the same command again.")
    made = Made(*sort_out(examples, asked, answers), tuple(answers), ended)
    if len(made.failed) == len(answers):
        raise MissingError(
            f"No answer came to any of {len(answers)} requests.", where=info.path or info.name,
            why=made.failed[0].error, fix="Look at the server's log, or name another model with --with.",
        )  # fmt: skip
    before, after = (sum(len(example.wordings) for example in them) for them in (examples, made.examples))
    screen.say(screen.t(
        "cli.reword.suggested", taken=after - before, refused=len(made.unused),
        prompt=sum(a.prompt_tokens for a in answers), new=sum(a.new_tokens for a in answers),
    ))  # fmt: skip
    if made.failed:
        why = plain(made.failed[0].error)
        screen.say(screen.t("cli.reword.failed", count=len(made.failed), all=len(answers), why=why), style="yellow")
    if ended:
        screen.say(screen.t("cli.reword.ended", answers=len(answers), all=len(asked)), style="yellow")
    return made


def _answers(screen: "Screen", backend: "Answering", asked: "Sequence[Asked]") -> "tuple[list[Answer], bool]":
    """The answers, and whether Ctrl-C ended the asking. What came is paid for, and is kept."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    answers: list[Answer] = []
    hidden = screen.quiet or not screen.err.is_terminal
    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    coming = backend.answer([one.request for one in asked])
    try:
        with Progress(*columns, console=screen.err, transient=True, disable=hidden) as progress:
            for answer in progress.track(coming, total=len(asked)):
                answers.append(answer)
    except KeyboardInterrupt:
        return answers, True
    return answers, False


def _is_here(url: str) -> bool:
    from kurabe.servers import Server

    return Server("openai", url, "").local
