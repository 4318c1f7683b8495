"""The plan of a run on the screen: what it would do, how long, how much memory, disk and tokens.

Knows no way to estimate anything: it draws a `RunPlan`.
"""

from __future__ import annotations

from kurabe import texts
from kurabe.cli.follow import memory_line
from kurabe.cli.screen import Screen, plain
from kurabe.report import sentences
from kurabe.schema import RunPlan


def show_plan(screen: Screen, plan: RunPlan) -> None:
    """The plan as JSON, or a line per kind of cost."""
    if screen.json:
        screen.data(plan)
        return
    for label, words in described(plan, screen.t):
        screen.show_beside(label, words)


def described(plan: RunPlan, t: texts.Texts) -> list[tuple[str, str]]:
    """(label, words). What is not known is said to be unknown, and a note says why."""
    unknown = t("cli.plan.unknown")
    time = {
        t(f"cli.plan.{name}"): texts.seconds(value) if value is not None else unknown
        for name, value in plan.seconds.items()
    }
    disk = {t(f"cli.plan.{name}"): texts.size(value) for name, value in plan.disk.items()}
    known = [value for value in plan.seconds.values() if value is not None]
    total = texts.seconds(sum(known)) if len(known) == len(plan.seconds) else unknown
    trials = [
        t("cli.plan.trial", recipe=trial.name, steps=trial.steps, samples=trial.samples, epochs=trial.epochs,
          rank=trial.rank, rate=texts.rate(trial.rate), trainable=texts.count(trial.trainable))
        for trial in plan.trials
    ]  # fmt: skip
    lines = [(t("cli.plan.training"), words) for words in trials]
    lines += [
        (t("cli.plan.answers"), t("cli.plan.answers_are", answers=texts.count(plan.answers))),
        (t("cli.plan.tokens"), t("cli.plan.tokens_are", positions=texts.count(plan.positions),
                                 prompt=texts.count(plan.prompt_tokens), new=texts.count(plan.new_tokens))),
        (t("cli.plan.time"), f"{total} ({_joined(time, t)})"),
        (t("cli.plan.memory"), memory_line(plan.memory, t)),
        (t("cli.plan.disk"), _joined(disk, t)),
    ]  # fmt: skip
    lines += [(f.recipe, "✗ " + sentences.finding(f, t)[0]) for f in plan.audit if f.level != "info"]
    return lines + [(t("cli.follow.note"), plain(sentences.sentence(note, t))) for note in plan.notes]


def _joined(values: dict[str, str], t: texts.Texts) -> str:
    return t("comma").join(f"{name} {value}" for name, value in values.items())
