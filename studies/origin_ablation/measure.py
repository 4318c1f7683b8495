"""Train the trials, ask every question, count the values that came out right, store each trial when its training ends.

Knows no page and no statistics. Trials of one shape go to the backend in one call; which of them share a batch is its
business.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from kurabe import arms, backends, intake, planning, provenance
from kurabe.model import Backend, TrialPlan
from kurabe.schema import Answer, AnswerKey, Question, Request, Step
from kurabe.settings import RunSettings
from kurabe.texts import seconds as said_seconds
from studies.bench import LAST_STEPS, TRIED_STEPS, Say, answered, count, end, rows_seen
from studies.origin_ablation import cells
from studies.origin_ablation.cells import RUNS, Run
from studies.origin_ablation.results import COMMAND, Probes, Session, Trial, Writer

DATA = Path(__file__).resolve().parents[2] / "examples" / "support-en.jsonl"
REFERENCES = ("base", "ceiling")  # without training: the bare question, and with the one right row in the prompt


class Bench(NamedTuple):
    """What all trials share: the model, the rows, the questions, the answer limit."""

    backend: Backend
    material: arms.Material
    data_sha256: str
    questions: tuple[Question, ...]
    limit: int
    make: Callable[[AnswerKey], Request]


def prepare(backend: Backend, data: Path = DATA) -> Bench:
    """The examples with every wording in its role, and the questions: all held-out wordings and the row's own one."""
    request, examples = intake.read(data, RunSettings())
    material = arms.Material(examples, request.prompt, request.language)
    questions = tuple(planning.asked(examples))
    limit = 2 * planning.longest_answer(questions, backend)
    make = planning.request_maker(material, questions, limit)
    return Bench(backend, material, request.data_sha256, questions, limit, make)


def run(path: Path, settings: RunSettings, say: Say, runs: Sequence[Run] = RUNS) -> None:
    """The whole study, or what is left of it, into the results file."""
    bench = prepare(backends.load(settings))
    with Writer(path, bench.backend.info, bench.data_sha256) as writer:
        left = groups(writer.left(runs, say))
        waiting = sum(map(len, left))
        if not waiting:
            return
        session = begin(bench, left)
        writer.append(session)
        say(f"{waiting} trials on {session.provenance.processor}, {session.model.threads} threads: "
            f"about {said_seconds(session.predicted_seconds)}")  # fmt: skip
        began = time.monotonic()
        trials = (trial for group in left for trial in measure(bench, group))
        for done, trial in enumerate(trials, start=1):
            writer.append(trial)
            say(f"{done:>3}/{waiting}  {said_seconds(time.monotonic() - began):>12}  {_told(trial)}")
        end(writer, waiting, COMMAND, say)


def groups(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs whose batches have one shape and which are equally long, together; the short ones first."""
    kinds: dict[tuple[int, str], list[Run]] = {}
    for one in runs:
        kinds.setdefault((one.cell.steps, one.cell.loss), []).append(one)
    return [kinds[kind] for kind in sorted(kinds)]


# --- a session's beginning: what the model does untrained, and how long the rest will take ---------------------------


def begin(bench: Bench, left: Sequence[Sequence[Run]]) -> Session:
    """Answer without training, try a few steps of each kind of row, and predict."""
    references, slowest = {}, 0.0
    for arm in REFERENCES:
        answers = ask(bench, arm, 0)
        references[arm] = tally(bench, answers)
        slowest = max(slowest, sum(answer.seconds for answer in answers))
    predicted = 0.0
    for group in left:
        plans = _plans(bench, group)
        rows = sum(rows_seen(plan.plan) for plan in plans)
        # A trained model's answers are about as long as those with the right row in the prompt.
        predicted += rows * seconds_per_row(bench, plans[0]) + len(plans) * slowest
    info = bench.backend.info
    return Session(
        began=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=info.model_copy(update={"path": ""}),  # a path says nothing to those who read the file
        provenance=provenance.describe(bench.data_sha256), data=DATA.name, max_new_tokens=bench.limit,
        predicted_seconds=predicted, references=references,
    )  # fmt: skip


def seconds_per_row(bench: Bench, trial: TrialPlan) -> float:
    """From the first steps of a trial."""
    first, short = (trial.plan.model_copy(update={"rates": trial.plan.rates[:n]}) for n in (1, TRIED_STEPS + 1))
    tried = [step.seconds for step in bench.backend.train([trial._replace(plan=short)]) if step.step > 1]
    return sum(tried) / (rows_seen(short) - rows_seen(first))


# --- one group -------------------------------------------------------------------------------------------------------


def measure(bench: Bench, group: Sequence[Run]) -> Iterator[Trial]:
    """Train a group; each trial is asked everything when its last step is done, whether others still train or not."""
    plans = _plans(bench, group)
    steps: dict[int, list[Step]] = {plan.trial: [] for plan in plans}
    for step in bench.backend.train(plans):
        steps[step.trial].append(step)
        if step.step == step.steps:
            at = step.trial - 1
            yield _trial(bench, group[at], plans[at], steps[step.trial], ask(bench, "lora", step.trial))


def _plans(bench: Bench, group: Sequence[Run]) -> list[TrialPlan]:
    """Numbered within the group: the next group's adapters take the place of this one's."""
    hidden = bench.backend.info.hidden
    return [cells.trial_plan(one, number, bench.material, hidden) for number, one in enumerate(group, start=1)]


def _trial(bench: Bench, one: Run, plan: TrialPlan, steps: Sequence[Step], answers: Sequence[Answer]) -> Trial:
    losses = [step.loss for step in steps]
    finite = [loss for loss in losses[-LAST_STEPS:] if loss is not None]
    return Trial(
        cell=one.cell, seed=one.seed, samples=len(plan.samples), rate=plan.plan.rate,
        full_steps=cells.full_steps(plan.plan), rows=rows_seen(plan.plan),
        positions=sum(step.positions for step in steps),
        first_loss=losses[0], last_loss=statistics.fmean(finite) if finite else None,
        not_finite=losses.count(None), train_seconds=sum(step.seconds for step in steps),
        answer_seconds=sum(answer.seconds for answer in answers), answers=tally(bench, answers), said=answers[0].text,
    )  # fmt: skip


def ask(bench: Bench, arm: str, trial: int) -> list[Answer]:
    """Every question under one trial."""
    keys = [
        AnswerKey(model=bench.backend.info.name, trial=trial, arm=arm, hop=planning.LIVE, probe=q.probe, question=q.id)
        for q in bench.questions
    ]
    return answered(bench.backend, [bench.make(key) for key in keys], COMMAND)


def tally(bench: Bench, answers: Sequence[Answer]) -> Probes:
    """Right and wrong values of each example, by probe."""
    pairs = list(zip(bench.questions, answers, strict=True))
    return {
        probe: count((question, answer) for question, answer in pairs if question.probe == probe)
        for probe in dict.fromkeys(question.probe for question in bench.questions)
    }


def _told(trial: Trial) -> str:
    """A trial on one line: what it was, and the share of held-out values that came out right."""
    counts = trial.answers.get("held_out", {}).values()
    share = sum(c.right for c in counts) / max(1, sum(c.items for c in counts))
    return f"{trial.cell}, seed {trial.seed}: held-out recall {share:.0%}"
