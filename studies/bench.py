"""Train a study's trials, ask each its questions on the way and at its end, store it when its training ends.

Knows no study, no page and no statistics: what sets trials apart and what they are asked is in the `Plan` that it is
given. All that is left goes to the backend in one call; which trials share a batch is its business.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from kurabe import arms, backends, planning, provenance, recipes, scoring
from kurabe.arms import Material
from kurabe.errors import StoppedError
from kurabe.model import Backend, TrialPlan
from kurabe.prompts import NEUTRAL
from kurabe.recipes import Recipe
from kurabe.schema import Answer, AnswerKey, Message, ModelInfo, Question, Request, Sample, Step
from kurabe.settings import RunSettings
from kurabe.texts import seconds as said_seconds
from studies.results import Counts, End, Probes, Run, Session, State, Tally, Trial, Writer

TRIED_STEPS = 3  # for the forecast, of one trial alone; one more warms up and is not counted
LAST_STEPS = 5  # their losses are averaged

Say = Callable[[str], None]
Questions = Mapping[str, Sequence[Question]]  # by probe, as the study calls them


class Task(NamedTuple):
    """One trial as it is trained, what it is asked, and after which steps; at its end it is asked in any case. Of the
    questions of one probe, `scored`, it is then also computed how likely their expected answers are."""

    plan: TrialPlan
    questions: Questions
    after: frozenset[int] = frozenset()
    scored: str | None = None


class Plan(NamedTuple):
    """What a study hands to the bench.

    `references` are asked before any training, by arm; `likely` are scored before it. `task` makes a run's task, under
    a number, for a model, from what the references came to.
    """

    command: str
    runs: Sequence[Run]
    kind: type[Trial[Any]]
    data: str
    data_sha256: str
    references: Mapping[str, Questions]
    task: Callable[[Run, int, ModelInfo, Mapping[str, Probes]], Task]
    material: Material = Material((), "", "en")
    likely: Sequence[Question] = ()


# --- what studies make tasks of ---------------------------------------------------------------------------------------


def fair(model: ModelInfo, **changes: object) -> Recipe:
    """The recipe `fair` as it is used on a model of this size, with these fields changed."""
    return recipes.for_model(recipes.RECIPES["fair"], model.parameters).model_copy(update=changes)


def exactly(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with so many epochs, however few steps they are."""
    return recipe.model_copy(update={"epochs": epochs, "min_steps": 0, "exposures": 0})


def after_epochs(plan: recipes.Plan, epochs: Sequence[int]) -> frozenset[int]:
    """The steps that end these epochs."""
    return frozenset(epoch * plan.steps_per_epoch for epoch in epochs)


def rows(pairs: Sequence[tuple[str, str, str]]) -> tuple[Sample, ...]:
    """(example, question, answer) -> training rows under the neutral system message."""
    return tuple(
        Sample(
            example=example,
            messages=(
                Message(role="system", content=NEUTRAL["en"]),
                Message(role="user", content=question),
                Message(role="assistant", content=answer),
            ),
        )
        for example, question, answer in pairs
    )


# --- the whole study --------------------------------------------------------------------------------------------------


def run(plan: Plan, path: Path, settings: RunSettings, say: Say) -> None:
    """The whole study, or what is left of it, into the results file."""
    backend = backends.load(settings)
    with Writer(path, plan.kind, plan.command, backend.info, plan.data_sha256) as writer:
        left = writer.left(plan.runs, say)
        if not left:
            return
        bench = Bench(backend, plan, left)
        # What the first session found untrained decides for all: a study goes on with the questions it began with.
        first = writer.study.sessions[0] if writer.study.sessions else None
        session = bench.begin(first.references if first else None)
        writer.append(session)
        say(f"{len(left)} trials on {session.provenance.processor}, {session.model.threads} threads: "
            f"about {said_seconds(session.predicted_seconds)} at most")  # fmt: skip
        began = time.monotonic()
        for done, trial in enumerate(bench.trials(), start=1):
            writer.append(trial)
            say(f"{done:>3}/{len(left)}  {said_seconds(time.monotonic() - began):>12}  {told(trial)}")
        end(writer, len(left), plan.command, say)


def end(writer: Writer, trials: int, command: str, say: Say) -> None:
    """Store and say that a session did all that was left."""
    process = psutil.Process()
    lasted, times = time.time() - process.create_time(), process.cpu_times()
    load = os.getloadavg()[2] if hasattr(os, "getloadavg") else None
    writer.append(End(trials=trials, seconds=lasted, load=load, processor=times.user + times.system))
    say(f"{said_seconds(lasted)} since the start of the process. The page: {command} --page")


def told(trial: Trial[Any]) -> str:
    """A trial on one line: what it was, and the share of each probe that came out right at its end."""
    shares = []
    for probe, tally in trial.end.items():
        items = sum(counts.items for counts in tally.values())
        shares.append(f"{probe} {sum(c.right for c in tally.values()) / max(1, items):.0%}")
    return f"{trial.cell}, seed {trial.seed}: {', '.join(shares)}"


class Bench:
    """The loaded model and the runs that are left."""

    def __init__(self, backend: Backend, plan: Plan, left: Sequence[Run]) -> None:
        self._backend, self._plan, self._left = backend, plan, left
        self._tasks: list[Task] = []
        self._limit = 0
        self._build: dict[str, arms.MessageBuilder] = {}

    def begin(self, known: Mapping[str, Probes] | None) -> Session:
        """Answer without training (where no session has), try a few steps, and predict."""
        every = [q for probes in self._plan.references.values() for own in probes.values() for q in own]
        self._limit = 2 * planning.longest_answer(every, self._backend)
        answered = {arm: self._ask(arm, 0, probes) for arm, probes in self._plan.references.items()}
        references = known or {arm: tally(probes, answered[arm]) for arm, probes in self._plan.references.items()}
        info = self._backend.info
        self._tasks = [self._plan.task(one, n, info, references) for n, one in enumerate(self._left, start=1)]
        seconds = [answer.seconds for answers in answered.values() for own in answers.values() for answer in own]
        asked = sum(
            (1 + len(task.after - {task.plan.plan.steps})) * sum(map(len, task.questions.values()))
            for task in self._tasks
        )
        seen = sum(rows_seen(task.plan.plan) for task in self._tasks)
        predicted = asked * statistics.fmean(seconds) + seen * self._seconds_per_row(self._tasks[0].plan)
        return Session(
            began=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            model=info.model_copy(update={"path": ""}),  # a path says nothing to those who read the file
            provenance=provenance.describe(self._plan.data_sha256), data=self._plan.data, max_new_tokens=self._limit,
            predicted_seconds=predicted, references=dict(references),
            likely=self._likely("base", 0, self._plan.likely),
        )  # fmt: skip

    def trials(self) -> Iterator[Trial[Any]]:
        """Each trial when its last step is done and its last question answered, whether others still train or not."""
        steps: dict[int, list[Step]] = {task.plan.trial: [] for task in self._tasks}
        states: dict[int, list[State]] = {number: [] for number in steps}
        spent: dict[int, float] = dict.fromkeys(steps, 0.0)
        for step in self._backend.train([task.plan for task in self._tasks]):
            steps[step.trial].append(step)
            task = self._tasks[step.trial - 1]
            if step.step not in task.after and step.step != step.steps:
                continue
            answers = self._ask("lora", step.trial, task.questions)
            spent[step.trial] += sum(answer.seconds for own in answers.values() for answer in own)
            states[step.trial].append(State(steps=step.step, epochs=step.epoch, answers=tally(task.questions, answers)))
            if step.step == step.steps:
                said = next(own[0].text for own in answers.values() if own)
                yield self._trial(step.trial, steps.pop(step.trial), states[step.trial], spent[step.trial], said)

    def _trial(
        self, number: int, steps: Sequence[Step], states: Sequence[State], spent: float, said: str
    ) -> Trial[Any]:
        one, task = self._left[number - 1], self._tasks[number - 1]
        own = task.plan
        losses = [step.loss for step in steps]
        finite = [loss for loss in losses[-LAST_STEPS:] if loss is not None]
        likely = self._likely("lora", number, task.questions[task.scored]).values() if task.scored else ()
        return self._plan.kind(
            cell=one.cell, seed=one.seed, samples=len(own.samples), steps=own.plan.steps, rows=rows_seen(own.plan),
            rate=own.plan.rate, trainable=self._backend.trainable(own.plan.recipe.rank), first_loss=losses[0],
            last_loss=statistics.fmean(finite) if finite else None, not_finite=losses.count(None),
            train_seconds=sum(step.seconds for step in steps), answer_seconds=spent, states=tuple(states), said=said,
            likely=statistics.fmean(likely) if likely else None,
        )  # fmt: skip

    def _seconds_per_row(self, trial: TrialPlan) -> float:
        """From the first steps of a trial."""
        first, short = (trial.plan.model_copy(update={"rates": trial.plan.rates[:n]}) for n in (1, TRIED_STEPS + 1))
        tried = [step.seconds for step in self._backend.train([trial._replace(plan=short)]) if step.step > 1]
        return sum(tried) / max(1, rows_seen(short) - rows_seen(first))

    def _likely(self, arm: str, trial: int, asked: Sequence[Question]) -> dict[str, float]:
        """Log-probability per token of each expected answer, by question."""
        pairs = [(self._request(arm, trial, question), question.expected) for question in asked]
        scores = [score for some in _batches(pairs, self._backend)
                  for score in self._backend.score(*zip(*some, strict=True))]  # fmt: skip
        return {
            question.id: score.logprob / score.tokens
            for question, score in zip(asked, scores, strict=True)
            if score.logprob is not None
        }

    # --- asking -------------------------------------------------------------------------------------------------------

    def _ask(self, arm: str, trial: int, questions: Questions) -> dict[str, list[Answer]]:
        """Every question under one trial."""
        requests = [self._request(arm, trial, question) for own in questions.values() for question in own]
        answers = answered(self._backend, requests, self._plan.command)
        left = iter(answers)
        return {probe: list(itertools.islice(left, len(own))) for probe, own in questions.items()}

    def _request(self, arm: str, trial: int, question: Question) -> Request:
        if arm not in self._build:
            self._build[arm] = arms.ARMS[arm].prepare(self._plan.material)
        key = AnswerKey(
            model=self._backend.info.name, trial=trial, arm=arm, hop=planning.LIVE, probe=question.probe,
            question=question.id,
        )  # fmt: skip
        return Request(key=key, messages=self._build[arm](question), max_new_tokens=self._limit)


def answered(backend: Backend, requests: Sequence[Request], command: str) -> list[Answer]:
    """The answers, in the order of the requests. One that did not come is no wrong answer: its trial is not stored."""
    answers = [answer for some in _batches(requests, backend) for answer in backend.answer(some)]
    failed = [answer for answer in answers if answer.finish == "error"]
    if failed:
        raise StoppedError(
            f"{len(failed)} of {len(answers)} answers did not come; the trials stored before are kept.",
            where=failed[0].key.question, why=failed[0].error, fix=f"Close other programs, then: {command}",
        )  # fmt: skip
    return answers


def _batches(items: Sequence[object], backend: Backend) -> Iterator[Sequence]:  # type: ignore[type-arg]
    size = planning.rows_per_batch(backend)
    for start in range(0, len(items), size):
        yield items[start : start + size]


# --- counting ---------------------------------------------------------------------------------------------------------


def tally(questions: Questions, answers: Mapping[str, Sequence[Answer]]) -> Probes:
    """Right and wrong values of each example, by probe."""
    return {probe: count(zip(own, answers[probe], strict=True)) for probe, own in questions.items()}


def count(pairs: Iterable[tuple[Question, Answer]]) -> Tally:
    """Right and wrong values of each example; of a question that accepts strings, one value."""
    counts: Tally = {}
    for question, answer in pairs:
        right, wrong, items = _counted(answer, question)
        before = counts.get(question.example, Counts(right=0, wrong=0, items=0))
        counts[question.example] = Counts(
            right=before.right + right, wrong=before.wrong + wrong, items=before.items + items
        )
    return counts


def _counted(answer: Answer, question: Question) -> tuple[int, int, int]:
    if question.accept:
        right = bool(scoring.is_right(answer, question))
        return int(right), int(not right), 1
    status = [outcome.status for outcome in scoring.score(answer, question).outcomes]
    return status.count("right"), status.count("wrong"), len(status)


def rows_seen(plan: recipes.Plan) -> int:
    """Training rows of all steps; the last step of an epoch may have fewer than the others."""
    epochs, rest = divmod(plan.steps, plan.steps_per_epoch)
    return epochs * plan.samples + min(plan.samples, rest * plan.recipe.batch * plan.recipe.accumulation)
