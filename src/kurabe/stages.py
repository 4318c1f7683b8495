"""The two things that a run does, batch by batch and trial by trial: it asks, and it trains.

What is done is stored at once; what is stored already is not done again. Knows no order of these stages.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from kurabe import lessons, planning, runs, storage
from kurabe.arms import ARMS, INDEXED
from kurabe.checkpoints import Checkpoints, Found, Progress
from kurabe.endings import NOT_FINITE_STEPS, Endings
from kurabe.errors import StoppedError
from kurabe.events import Recorder
from kurabe.learned import LearnedPoint
from kurabe.memory import FLOAT
from kurabe.meter import Meter, peak_memory, reset_peak_memory
from kurabe.model import Backend, TrialPlan
from kurabe.runs import RunFolder, RunWriter
from kurabe.schema import Answer, AnswerKey, Batch, Request, RunInfo, Sample, Step, TrialInfo, Usage
from kurabe.session import Session, material
from kurabe.trials import Training, Trials

# --- answering, before training and after it ---------------------------------------------------------------------


def prepare(folder: RunWriter, info: RunInfo) -> Callable[[AnswerKey], Request]:
    """What makes the requests. Building an index is metered: it is what an arm takes before its first answer."""
    own = material(folder)
    planned = {key.arm for batch in folder.plan() for key in batch.keys}
    usages = []
    for name in (name for name in INDEXED if name in planned):
        with Meter() as meter:
            ARMS[name].prepare(own)
        usages.append(meter.usage("preparation", arm=name))
    folder.append_usage(runs.INDEXING, usages)
    return planning.request_maker(own, folder.questions(), info.max_new_tokens)


def answer(session: Session, make: Callable[[AnswerKey], Request], stage: str) -> None:
    """Ask the batches of one stage that are not stored yet. A batch is stored as a whole or asked again."""
    folder, record = session.folder, session.record
    trials = folder.info().trials
    stored = {answer.key for answer in folder.answers()}
    batches = [batch for batch in folder.plan() if batch.stage == stage]
    waiting = [batch for batch in batches if not stored.issuperset(batch.keys)]
    total, left = (sum(len(batch.keys) for batch in some) for some in (batches, waiting))
    with closing(_answered(session, waiting, make)) as answered:
        for batch, answers, meter in answered:
            if [answer.key for answer in answers] != list(batch.keys):
                raise RuntimeError("the backend's answers do not match its requests")
            kind, arm, trial = planning.metered_as(batch, trials)
            tokens = sum(answer.prompt_tokens + answer.new_tokens for answer in answers)
            folder.append_usage(runs.batch_unit(batch.batch), [meter.usage(kind, arm=arm, trial=trial, tokens=tokens)])
            folder.append_answers(batch.batch, answers)
            left -= len(answers)
            record("batch", stage=stage, done=total - left, total=total, seconds=round(meter.seconds, 6))
            session.stop.check()


def _answered(
    session: Session, batches: Sequence[Batch], make: Callable[[AnswerKey], Request]
) -> Generator[tuple[Batch, list[Answer], Meter], None, None]:
    """The answers of each batch with what they took: one after the other, on a cluster in the order they are done."""

    def requests(batch: Batch) -> list[Request]:
        return [make(key) for key in batch.keys]

    folder = session.folder
    questions = {question.id: question for question in folder.questions()}
    alternatives = folder.info().settings.get("alternatives", 0)
    ask = partial(planning.carry_out, questions=questions, alternatives=alternatives)
    if session.cluster:
        yield from session.cluster.answer(batches, requests, ask, partial(_adapter, folder))
        return
    for batch in batches:
        with Meter() as meter:
            answers = ask(session.backend, requests(batch))
        yield batch, answers, meter


# --- training ----------------------------------------------------------------------------------------------------


def turns(session: Session, trials: Trials) -> list[Sequence[Training]]:
    """What is trained at a time: in this process the trials of the table one by one, because their time and memory
    are told apart; a cluster sees to that itself."""
    return [trials.trainings] if session.cluster else [*([training] for training in trials.compared), trials.swept]


def train(
    session: Session,
    trainings: Sequence[Training],
    infos: Mapping[int, TrialInfo],
    make: Callable[[AnswerKey], Request],
) -> None:
    """Train what has not been stored, together, and load every adapter. A cut training goes on from its checkpoint,
    or else starts again."""
    folder, record, checkpoints = session.folder, session.record, Checkpoints(session.folder)
    wanted = {t.trial.trial: [t.trial.trial, *(number for _, number in t.keep)] for t in trainings}
    waiting = {t.trial.trial: t for t in trainings if not all(map(folder.adapter, wanted[t.trial.trial]))}
    checkpoints.drop(wanted.keys() - waiting.keys())  # a kill may have come between an adapter and the end of its state
    plans, learned = _lessons(session, waiting.values()), LearnedPoint(folder.questions())
    # What has states on its way that are points of a curve goes on until the last of them.
    learned.watch((t.trial for t in waiting.values() if not t.keep), session.backend.info.name, make)
    endings = Endings(learned)
    begun = {n: found for n, t in waiting.items() if (found := _begun(session, checkpoints, t)) is not None}
    progress = {number: begun[number].progress if number in begun else Progress() for number in waiting}
    plans = [plan._replace(state=begun[plan.trial].files) if plan.trial in begun else plan for plan in plans]
    for number, done in progress.items():
        if number in begun:
            endings.recall(number, done.seen)
        record("trial", **infos[number].model_dump(mode="json"), from_step=done.step)
    at_work: dict[int, Progress] = {}  # those that took a step in this session
    reset_peak_memory()
    trained = session.cluster.train(plans, endings) if session.cluster else endings.steps(session.backend, plans)
    with closing(trained):  # at once, when the run is stopped: what is at work elsewhere ends
        for step in trained:
            record("step", **step.model_dump(mode="json"))
            info, done = infos[step.trial], at_work.setdefault(step.trial, progress[step.trial])
            _take_in(step, done, info, record)
            if step.ended == "broken" and info in folder.info().trials:
                raise _diverged(folder, info, step.step)
            for steps, number in (*waiting[step.trial].keep, (step.steps, step.trial)):
                due = steps == step.step or (step.ended and steps > step.step)  # what was ended stays as it is
                if due and not folder.adapter(number):  # a state on the way may be there from before a kill
                    _store(session, infos[number], step.trial, done)
            if done.over:
                checkpoints.drop([step.trial])
            if not session.cluster and (checkpoints.due() or session.stop.asked):
                _checkpoint(session, checkpoints, at_work, endings, infos)
            session.stop.check()
    # Answers are given by what was stored, so that a resumed run cannot answer differently.
    for number in (number for numbers in wanted.values() for number in numbers):
        if session.cluster:
            _adapter(folder, number)
        else:
            load_adapter(folder, session.backend, number)
    session.stop.check()


def _lessons(session: Session, trainings: Iterable[Training]) -> list[TrialPlan]:
    """The trials with their rows as they are learned: what the model said itself before is stored by now."""
    questions = {question.id: question for question in session.folder.questions()}
    said = {answer.key.question: answer for answer in session.folder.answers() if answer.key.probe in lessons.LESSONS}

    def fits(sample: Sample) -> bool:
        return session.backend.count(sample.messages) <= session.backend.info.context

    return [
        training.trial._replace(
            samples=lessons.answered(training.trial.samples, questions, said, fits),
            keep=tuple(steps for steps, _ in training.keep),
        )
        for training in trainings
    ]


def _begun(session: Session, checkpoints: Checkpoints, training: Training) -> Found | None:
    """The state that a cut training goes on from, if it comes from such a device and every adapter that it left on
    its way is there."""
    trial = training.trial.trial
    found = None if session.cluster else checkpoints.find(trial)
    left = [number for at, number in training.keep if found and at <= found.progress.step]
    if (
        found is None
        or found.progress.device != session.backend.info.device
        or not all(map(session.folder.adapter, left))
    ):
        checkpoints.drop([trial])
        return None
    values = {"trial": trial, "step": found.progress.step, "steps": training.trial.plan.steps}
    session.record("note", key="audit.note.training-goes-on", values=values)
    return found


def _checkpoint(
    session: Session,
    checkpoints: Checkpoints,
    at_work: Mapping[int, Progress],
    endings: Endings,
    infos: Mapping[int, TrialInfo],
) -> None:
    """Store what the trials in training have come to."""
    live = {number: done for number, done in at_work.items() if not done.over}
    for number, done in live.items():
        done.seen, done.device = endings.seen(number), session.backend.info.device
    session.record.sync()  # the steps up to here count from now on
    largest = max((infos[number].trainable for number in live), default=0)
    checkpoints.store(live, session.backend.save_state, largest * FLOAT)


def _take_in(step: Step, done: Progress, info: TrialInfo, record: Recorder) -> None:
    done.take_in(step)
    if step.at_once not in (None, done.at_once):
        done.at_once = step.at_once
        record("note", key="audit.note.batch-halved", values={"recipe": info.recipe, "rows": step.at_once})
    if step.ended == "broken":
        record("note", key="audit.note.trial-broken", values={"trial": info.trial, "rate": info.rate})
    if step.ended == "learned":
        values = {"trial": step.trial, "step": step.step, "steps": step.steps}
        record("note", key="audit.note.trial-learned", values=values)


def _store(session: Session, info: TrialInfo, trained_as: int, done: Progress) -> None:
    """Publish the adapter as it is now, as this trial's, with what it has taken so far."""
    folder, trainer = session.folder, session.cluster or session.backend
    usage = Usage(
        kind="preparation", arm="lora", trial=info.trial, seconds=done.seconds, tokens=done.positions,
        peak_memory=done.peak_memory or peak_memory(),
    )  # fmt: skip
    folder.append_usage(runs.trial_unit(info.trial), [usage])
    session.record.sync()
    with folder.staged() as stage:
        adapter = stage / "adapters" / f"{info.trial}-{info.name}"
        adapter.mkdir(parents=True)
        trainer.save_adapter(trained_as, adapter)


def load_adapter(folder: RunFolder, backend: Backend, trial: int) -> None:
    """Load a trial's stored adapter. Raises StoppedError where it is not there, or not as it was stored."""
    backend.load_adapter(trial, _adapter(folder, trial))


def _adapter(folder: RunFolder, trial: int) -> Path:
    """Where a trial's adapter lies, as it was stored."""
    path = folder.adapter(trial)
    if path is None:
        raise StoppedError(
            f"The adapter of trial {trial} is not there, or not as it was stored.",
            where=str(folder.path / "adapters"),
            fix=storage.go_on(folder.path),
        )
    return path


def _diverged(folder: RunFolder, info: TrialInfo, step: int) -> StoppedError:
    return StoppedError(
        f"The training of trial {info.trial} ({info.name}) has broken down.",
        where=f"{folder.path}, step {step} of {info.steps}",
        why=f"The loss was not a finite number in {NOT_FINITE_STEPS} steps in a row, at a rate of {info.rate:.1e}.",
        fix="Run again with another recipe, or on the CPU: --recipes fair --device cpu",
    )
