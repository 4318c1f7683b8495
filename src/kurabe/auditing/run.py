"""A run folder of kurabe's own: what the audit said before training, and what the training moved.

Knows no rule about recipes; those findings are stored. Reads the folder and asks no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kurabe.auditing import folder
from kurabe.auditing.configured import Configured
from kurabe.auditing.costs import cost_of
from kurabe.auditing.rules import judge
from kurabe.errors import UserError
from kurabe.runs import RunFolder
from kurabe.schema import Answer, FaultCost, Finding, QuestionResult, TrialInfo


def read(path: Path) -> tuple[Configured, tuple[Finding, ...]]:
    """The run's model as a description, and all findings about its trials."""
    run = RunFolder.open(path)
    info = run.info()
    # What an older kurabe stored has no costs.
    before = [found.model_copy(update={"cost": found.cost or _cost(found)}) for found in run.findings()]
    answers = run.answers()
    after = [found for trial in info.trials for found in _after(run, trial, answers)]
    order = ("refuse", "warn", "info")
    findings = sorted((*before, *after), key=lambda found: order.index(found.level))
    return Configured(tool="kurabe", method="lora", base=info.model.name), tuple(findings)


def _after(run: RunFolder, trial: TrialInfo, answers: tuple[Answer, ...]) -> Iterator[Finding]:
    """Whether the adapter of a trial does anything, and which values it moved."""
    weights = run.adapter(trial.trial)
    if weights:
        try:
            described, _ = folder.read(weights)
        except UserError:
            described = None
        for found in judge(Configured(tool="kurabe", adapter=described.adapter), None) if described else ():
            yield found.model_copy(update={"recipe": trial.recipe})
    same, asked = _unchanged(trial.trial, answers)
    if asked and same == asked:
        yield Finding(
            id="adapter-inert", level="warn", recipe=trial.recipe, values={"answers": asked, "form": "answers"}
        )
        return
    results = run.results()
    if results:
        yield from _moved(trial, results.questions)


def _cost(found: Finding) -> FaultCost | None:
    return cost_of(found.id, found.values | {"with_padding": found.values.get("padding", 0) > 0})


def _unchanged(trial: int, answers: tuple[Answer, ...]) -> tuple[int, int]:
    """(answers of `lora` that are those of `base`, answers of both), question by question."""
    base: Mapping[str, str] = {
        a.key.question: a.text for a in answers if (a.key.arm, a.key.trial, a.key.hop) == ("base", 0, "live")
    }
    tuned = [a for a in answers if (a.key.arm, a.key.trial) == ("lora", trial) and a.finish != "error"]
    pairs = [(base[a.key.question], a.text) for a in tuned if a.key.question in base]
    return sum(one == other for one, other in pairs), len(pairs)


def _moved(trial: TrialInfo, questions: tuple[QuestionResult, ...]) -> Iterator[Finding]:
    """Expected values that base got wrong and the LoRA right, and the other way round, on held-out wordings."""
    won = lost = every = 0
    for question in questions:
        if question.probe != "held_out":
            continue
        said = {answer.label: answer for answer in question.answers}
        base = said.get("base")
        lora = said.get(f"lora ({trial.recipe})") or said.get("lora")
        if base is None or lora is None:
            continue
        for before, now in zip(base.outcomes, lora.outcomes, strict=False):
            every += 1
            won += before.status != "right" and now.status == "right"
            lost += before.status == "right" and now.status != "right"
    if every:
        values = {"won": won, "lost": lost, "values": every}
        yield Finding(id="facts-moved", level="info", recipe=trial.recipe, values=values)
