"""Run kurabe on the example shop, count what came out by cluster, store each run when it is done.

Knows no page and no statistics. The run folders are thrown away: what the page needs is in the results file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from kurabe import analysis, backends, experiment, intake, lessons, scoring
from kurabe.model import Backend
from kurabe.runs import RunFolder
from kurabe.schema import Answer, Question, Results
from kurabe.settings import RunSettings
from kurabe.texts import seconds as said_seconds
from studies.bench import Say
from studies.distil import results
from studies.distil.results import COMMAND, DATA, RECIPES, RETENTION, RUNS, Cell, Counts, Run, Trial


def run(path: Path, settings: RunSettings, say: Say) -> None:
    """The whole study, or what is left of it, into the results file."""
    backend, stored = backends.load(settings), results.read(path)
    request, _ = intake.read(DATA, settings)
    results.check(stored, path, backend.info.sha256, request.data_sha256)
    waiting = results.left(stored)
    say(f"{len(RUNS)} runs of {len(RECIPES)} trials, {len(RUNS) - len(waiting)} of them stored in {path}")
    for cell in waiting:
        done = measure(cell, settings, backend)
        results.append(path, done)
        told = ", ".join(f"{t.recipe} {_share(t.held_out):.0%}/{_share(t.general):.0%}" for t in done.trials)
        say(f"exposures {cell.exposures}, seed {cell.seed}, {said_seconds(done.seconds)}: recall/general kept: {told}")
    say(f"The page: {COMMAND} --page")


def measure(cell: Cell, settings: RunSettings, backend: Backend) -> Run:
    """One run."""
    with tempfile.TemporaryDirectory() as runs:
        own = settings.model_copy(
            update={
                "arms": ("base", "lora", "ceiling"), "recipes": RECIPES, "exposures": cell.exposures, "seed": cell.seed,
                "retention": RETENTION, "runs": runs,
            }
        )  # fmt: skip
        found = experiment.run(DATA, own, backend=backend)
        folder = RunFolder.open(Path(runs) / found.run)
        return _counted(cell, found, folder.questions(), folder.answers())


def _counted(cell: Cell, found: Results, questions: Iterable[Question], answers: Iterable[Answer]) -> Run:
    asked = {question.id: question for question in questions}
    values: dict[tuple[str, str, int], Counts] = {}
    right: dict[tuple[str, int], dict[str, bool]] = {}
    teacher: Counts = {}
    for answer in answers:
        key, question = answer.key, asked[answer.key.question]
        if key.probe in ("held_out", "trained"):
            statuses = [outcome.status for outcome in scoring.score(answer, question).outcomes]
            own = values.setdefault((key.arm, key.probe, key.trial), {})
            _add(own, question.example, statuses.count("right"), len(statuses))
        elif key.probe in analysis.RETENTION:
            right.setdefault((key.probe, key.trial), {})[question.id] = bool(scoring.is_right(answer, question))
        elif key.probe == "teacher" and question.facts:
            _add(teacher, question.example, int(bool(lessons.reads_right(answer, question))), 1)

    def kept(probe: str, trial: int) -> Counts:
        counts: Counts = {}
        for name, before in right[probe, 0].items():
            if before:
                _add(counts, asked[name].example, int(right[probe, trial][name]), 1)
        return counts

    costs = {cost.trial: cost for cost in found.costs if cost.arm == "lora"}
    return Run(
        exposures=cell.exposures, seed=cell.seed, began=found.created, seconds=sum(found.seconds.values()),
        model=found.model.model_copy(update={"path": ""}), provenance=found.provenance,
        base=values["base", "held_out", 0], ceiling=values["ceiling", "held_out", 0], teacher=teacher,
        trials=tuple(
            Trial(
                recipe=trial.recipe, steps=trial.steps, positions=costs[trial.trial].preparation_tokens,
                seconds=costs[trial.trial].preparation_seconds, held_out=values["lora", "held_out", trial.trial],
                trained=values["lora", "trained", trial.trial], general=kept("general", trial.trial),
                reading=kept("reading", trial.trial),
            )
            for trial in found.trials
        ),
    )  # fmt: skip


def _add(counts: Counts, name: str, right: int, items: int) -> None:
    before = counts.get(name, (0, 0))
    counts[name] = (before[0] + right, before[1] + items)


def _share(counts: Counts) -> float:
    return sum(right for right, _ in counts.values()) / max(1, sum(items for _, items in counts.values()))
