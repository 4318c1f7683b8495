"""The main job: a file of questions and answers in, a run folder with its results out.

The only file that orders the steps. Knows no torch, no screen and no statistics; a resumed run takes the same path as
a new one and leaves out what is stored already.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from kurabe import (
    backends,
    beside,
    budget,
    footprint,
    forecast,
    intake,
    lessons,
    planning,
    provenance,
    raypool,
    runs,
    storage,
    tuned,
)
from kurabe.analysis import analyse, load_run, unfinished
from kurabe.arms import ARMS, INDEXED, Material
from kurabe.cluster import Cluster, Pool
from kurabe.endings import NOT_FINITE_STEPS, Endings
from kurabe.errors import DataError, MissingError, SettingsError, StoppedError, UserError
from kurabe.events import Emit, Recorder
from kurabe.learned import LearnedPoint
from kurabe.memory import Plan
from kurabe.meter import Meter, peak_memory, reset_peak_memory
from kurabe.model import Backend, TrialPlan
from kurabe.runs import RunFolder, RunWriter
from kurabe.schema import (
    Answer,
    AnswerKey,
    Axis,
    Batch,
    Example,
    Question,
    Request,
    Results,
    RunInfo,
    RunPlan,
    RunRequest,
    Sample,
    Step,
    TrialInfo,
    Usage,
)
from kurabe.settings import RunSettings, parse
from kurabe.stopping import Stop
from kurabe.texts import Texts
from kurabe.trials import Training, Trials, plan_trials


class Session(NamedTuple):
    """What the steps of one process share: the folder they write to, the model, the log, the stop button; and other
    processes that train and answer, where there are any."""

    folder: RunWriter
    backend: Backend
    record: Recorder
    stop: Stop
    cluster: Cluster | None


def run(
    data: str | Path | Sequence[Example],
    settings: RunSettings | None = None,
    *,
    emit: Emit | None = None,
    backend: Backend | None = None,
) -> Results:
    """Measure every arm on `data` (a file, or examples) and store the run in a new folder under `settings.runs`."""
    settings = settings or RunSettings()
    request, examples = intake.read(data, settings)
    folder = RunWriter.begin(Path(settings.runs), request.name)
    try:
        reviews = tuple(intake.generated_wordings(examples))
        folder.publish({runs.REQUEST: request, runs.EXAMPLES: examples, runs.WORDINGS: reviews})
        return _finish(folder, emit, backend)
    except UserError as error:
        if not folder.planned and not isinstance(error, StoppedError):
            folder.discard()
        raise
    finally:
        folder.close()


def curve(
    data: str | Path | Sequence[Example],
    over: Sequence[Axis],
    settings: RunSettings | None = None,
    *,
    seeds: int | None = None,
    emit: Emit | None = None,
    backend: Backend | None = None,
) -> Results:
    """A run with further trials along these axes: `curves`, `crossings` and `predictions` of its results."""
    wanted = (settings or RunSettings()).model_dump() | {"over": tuple(over)} | ({"seeds": seeds} if seeds else {})
    return run(data, parse(wanted, "curve"), emit=emit, backend=backend)


def resume(
    folder: str | Path, *, emit: Emit | None = None, backend: Backend | None = None, ray: str | None = None
) -> Results:
    """Finish a run that was stopped; a finished one gives its results, in the words and by the rule of this version.
    `ray` is where to go on, instead of where the settings say; "none" is in this process."""
    with RunWriter.resume(folder) as writer:
        return load_run(writer.path) if writer.finished else _finish(writer, emit, backend, ray)


def _finish(folder: RunWriter, emit: Emit | None, backend: Backend | None, ray: str | None = None) -> Results:
    """From a stored request to stored results. What is stored already is not done again."""
    record = Recorder(folder, emit)
    opened = ExitStack()
    joined = raypool.joined(ray or folder.request().settings.get("ray"))
    with opened, joined as pool, Stop(folder.path) as stop:
        _mend(folder, record)
        with record.stage("load"):
            others: list[beside.Other] = []
            if beside.wanted(folder):  # before the weights are loaded: a server that is not there is told at once
                others = opened.enter_context(beside.connected(RunSettings.model_validate(folder.request().settings)))
            session = _session(folder, _load(folder, backend, opened), record, stop, pool)
            info, trials = _plan(session, others)
            infos = {trial.trial: trial for trial in (*info.trials, *info.swept)}
        stop.check()
        with record.stage("base"):
            make = _prepare(folder, info)
            _answer(session, make, "base")
        if info.beside:
            with record.stage(beside.STAGE):
                beside.ask(folder, others, make, record, stop)
        with record.stage("train"):
            for together in _turns(session, trials):
                _train(session, together, infos, make)
        with record.stage("answer"):
            _answer(session, make, "answer")
        with record.stage("analyse"):
            results = analyse(folder)
            folder.publish({runs.RESULTS: results})
        record("end", seconds=round(record.elapsed, 6))
    return results


def plan_run(
    data: str | Path | Sequence[Example], settings: RunSettings | None = None, backend: Backend | None = None
) -> RunPlan:
    """What a run would do and take. It loads the model, tries a few steps and one batch, and stores nothing."""
    settings = settings or RunSettings()
    request, examples = intake.read(data, settings)
    with ExitStack() as opened:
        models = [other.model for other in opened.enter_context(beside.connected(settings))]
        with Meter() as loading:
            backend = opened.enter_context(backends.working(settings, backend))
        material = intake.material(request, examples)
        settings, found = tuned.apply(settings, backend.info)
        with raypool.joined(settings.ray) as pool:
            slots = Cluster(pool, settings, backend.info).slots if pool else 1
        pace = forecast.Pace(material, backend, settings.minutes, slots)
        fitted = budget.fit(material, settings, pace, loading.seconds)
        served = beside.plan(models, fitted.work, material, settings, backend)
        told = (*backends.told(backend), *fitted.work.notes, *found, *fitted.notes, *served.notes)
        loading_seconds = fitted.planned.get("load") or loading.seconds
        return forecast.forecast(fitted.work, fitted.settings, pace, loading_seconds, (*request.notes, *told))


def ask(
    folder: str | Path, question: str, arms: Sequence[str] | None = None, *, backend: Backend | None = None
) -> list[Answer]:
    """Answer a free question with the arms of a run. Nothing is stored: a run's answers are to its own questions."""
    run_folder = RunFolder.open(folder)
    if not run_folder.finished:
        raise unfinished(run_folder, "Its arms answer when they are trained.")
    info = run_folder.info()
    names = _askable(info, arms)
    backend = backend or backends.load(RunSettings.model_validate(info.settings))
    _check_same_model(run_folder, backend)
    asked = Question(id="ask", example="", probe="ask", text=question, expected="")
    make = planning.request_maker(_material(run_folder), [asked], info.max_new_tokens)
    requests: list[Request] = []
    for name in names:
        for trial in planning.trials_of(name, info.trials):
            if trial:
                _load_adapter(run_folder, backend, trial)
            key = AnswerKey(
                model=info.model.name, trial=trial, arm=name, hop=planning.LIVE, probe="ask", question=asked.id
            )
            requests.append(make(key))
    return list(backend.answer(requests))


# --- 1. what a killed session left -------------------------------------------------------------------------------


def _mend(folder: RunWriter, record: Recorder) -> None:
    """Say what the folder lost: a torn line, or an adapter that is not what was stored (it is trained again)."""
    for name, size in folder.torn.items():
        record("note", key="audit.note.torn-tail", values={"file": name, "bytes": size})
    for name in folder.forget_damaged("adapters/"):
        record("note", key="audit.note.file-damaged", values={"file": name})


# --- 2. the model ------------------------------------------------------------------------------------------------


def _load(folder: RunWriter, backend: Backend | None, opened: ExitStack) -> Backend:
    """The model that the settings name, or the one at hand; in every session of a run the same."""
    settings = RunSettings.model_validate(folder.request().settings)
    with Meter() as meter:
        backend = opened.enter_context(backends.working(settings, backend))
    if folder.planned:
        _check_same_model(folder, backend)
    folder.append_usage(runs.LOADING, [meter.usage("loading")])
    return backend


def _session(folder: RunWriter, backend: Backend, record: Recorder, stop: Stop, pool: Pool | None) -> Session:
    if pool is None:
        return Session(folder, backend, record, stop, None)

    def lost(why: str) -> None:
        stop.check()  # the signal may have gone to the workers, too: nothing is started again
        record("note", key="audit.note.worker-lost", values={"why": why})

    settings = RunSettings.model_validate(folder.request().settings)
    if settings.answers_from is not None:
        raise SettingsError(
            "Answers cannot come from a server and from a cluster.", where=settings.answers_from,
            fix="Leave out --ray, or --answers-from.",
        )  # fmt: skip
    cluster = Cluster(pool, settings, backend.info, lost)
    record("note", key="audit.note.cluster", values={"slots": cluster.slots})
    return Session(folder, backend, record, stop, cluster)


def _check_same_model(folder: RunFolder, backend: Backend) -> None:
    stored = folder.info().model
    if stored.sha256 != backend.info.sha256:
        raise MissingError(
            "This is not the model that the run began with.",
            where=stored.path or stored.name,
            why=f"Its weights have the hash {backend.info.sha256[:12]}; those of the run have {stored.sha256[:12]}.",
            fix="Put the old weights back, or run again in a new folder.",
        )


# --- 3. the plan -------------------------------------------------------------------------------------------------


def _plan(session: Session, others: Sequence[beside.Other]) -> tuple[RunInfo, Trials]:
    """What will be asked and trained: stored before the first answer, and kept to by every later session."""
    folder, backend, record = session.folder, session.backend, session.record
    request = folder.request()
    asked, material = RunSettings.model_validate(request.settings), _material(folder)
    if not folder.planned:
        if asked.minutes:
            record("note", key="audit.note.minutes-measuring", values={"minutes": asked.minutes})
        asked, found = tuned.apply(asked, backend.info)
        slots = session.cluster.slots if session.cluster else 1
        pace = forecast.Pace(material, backend, asked.minutes, slots)
        fitted = budget.fit(material, asked, pace, record.elapsed)
        fitted = fitted._replace(notes=(*found, *fitted.notes))
        refuse_the_impossible(fitted.work, request.data)
        served = beside.plan([other.model for other in others], fitted.work, material, asked, backend)
        folder.publish(
            {
                runs.INFO: _describe(request, fitted, backend, served, footprint.plan(fitted.work, material, backend)),
                runs.QUESTIONS: fitted.work.questions,
                runs.PLAN: (*fitted.work.batches, *served.batches),
                runs.AUDIT: fitted.work.findings,
            }
        )
    info, batches = folder.info(), folder.plan()
    _check_space(folder, info, batches)
    record(
        "plan", trials=len(info.trials) + len(info.swept), requests=sum(len(batch.keys) for batch in batches),
        batches=len(batches), examples=len(material.examples), questions=len(folder.questions()),
        max_new_tokens=info.max_new_tokens, planned=info.planned,
    )  # fmt: skip
    now = [note for note in backends.told(backend) if note not in info.notes]  # a resumed run's server may be a new one
    for note in (*info.notes, *now):
        record("note", key=note.key, values=note.values)
    return info, plan_trials(material, RunSettings.model_validate(info.settings), backend)


def _material(folder: RunFolder) -> Material:
    return intake.material(folder.request(), folder.examples())


def _describe(
    request: RunRequest, fitted: budget.Fitted, backend: Backend, served: beside.Plan, takes: Plan | None
) -> RunInfo:
    work = fitted.work
    return RunInfo(
        name=request.name, created=request.created, data=request.data, form=request.form, language=request.language,
        settings=fitted.settings.model_dump(mode="json"), model=backend.info, beside=served.models,
        provenance=provenance.describe(request.data_sha256), trials=work.trials, swept=work.swept,
        points=work.trainings.points, max_new_tokens=work.max_new_tokens, planned=fitted.planned,
        memory=takes._asdict() | {"peak": takes.peak} if takes else {},
        notes=(*request.notes, *backends.told(backend), *work.notes, *fitted.notes, *served.notes),
    )  # fmt: skip


def refuse_the_impossible(work: planning.Work, data: str) -> None:
    """Stop where training cannot be done at all; flaws are only warned of."""
    for finding in work.findings:
        if finding.level == "refuse":
            raise DataError(
                f"The recipe {finding.recipe!r} cannot be trained on these rows.",
                where=data,
                why=Texts("en")(f"audit.{finding.id}.what", **finding.values),
                fix=f"kurabe check {data}",
            )


def _check_space(folder: RunWriter, info: RunInfo, batches: Sequence[Batch]) -> None:
    """Stop before the work when the disk cannot hold what is still to be stored."""
    to_train = [trial for trial in (*info.trials, *info.swept) if not folder.adapter(trial.trial)]
    to_answer = sum(len(batch.keys) for batch in batches) - len(folder.answers())
    needed, free = forecast.disk_needed(to_train, to_answer), storage.free_space(folder.path)
    if free < needed:
        raise StoppedError(
            "The disk has not enough room for the rest of this run.",
            where=str(folder.path),
            why=f"About {needed:,} bytes are needed, {free:,} are free.",
            fix=f"Free some space, then: {storage.go_on(folder.path)}",
        )


# --- 4. answering, before training and after it ------------------------------------------------------------------


def _prepare(folder: RunWriter, info: RunInfo) -> Callable[[AnswerKey], Request]:
    """What makes the requests. Building an index is metered: it is what an arm takes before its first answer."""
    material = _material(folder)
    planned = {key.arm for batch in folder.plan() for key in batch.keys}
    usages = []
    for name in (name for name in INDEXED if name in planned):
        with Meter() as meter:
            ARMS[name].prepare(material)
        usages.append(meter.usage("preparation", arm=name))
    folder.append_usage(runs.INDEXING, usages)
    return planning.request_maker(material, folder.questions(), info.max_new_tokens)


def _answer(session: Session, make: Callable[[AnswerKey], Request], stage: str) -> None:
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


# --- 5. training -------------------------------------------------------------------------------------------------


def _turns(session: Session, trials: Trials) -> list[Sequence[Training]]:
    """What is trained at a time: in this process the trials of the table one by one, because their time and memory
    are told apart; a cluster sees to that itself."""
    return [trials.trainings] if session.cluster else [*([training] for training in trials.compared), trials.swept]


def _train(
    session: Session,
    trainings: Sequence[Training],
    infos: Mapping[int, TrialInfo],
    make: Callable[[AnswerKey], Request],
) -> None:
    """Train what has not been stored, together, and load every adapter. A cut training starts again."""
    folder, record = session.folder, session.record
    wanted = {t.trial.trial: [t.trial.trial, *(number for _, number in t.keep)] for t in trainings}
    waiting = {t.trial.trial: t for t in trainings if not all(map(folder.adapter, wanted[t.trial.trial]))}
    progress = {number: Progress() for number in waiting}
    plans, learned = _lessons(session, waiting.values()), LearnedPoint(folder.questions())
    for number in waiting:
        record("trial", **infos[number].model_dump(mode="json"))
    # What has states on its way that are points of a curve goes on until the last of them.
    learned.watch((t.trial for t in waiting.values() if not t.keep), session.backend.info.name, make)
    endings = Endings(learned)
    reset_peak_memory()
    trained = session.cluster.train(plans, endings) if session.cluster else endings.steps(session.backend, plans)
    with closing(trained):  # at once, when the run is stopped: what is at work elsewhere ends
        for step in trained:
            record("step", **step.model_dump(mode="json"))
            info, done = infos[step.trial], progress[step.trial]
            _take_in(step, done, info, record)
            if step.ended == "broken" and info in folder.info().trials:
                raise _diverged(folder, info, step.step)
            for steps, number in (*waiting[step.trial].keep, (step.steps, step.trial)):
                due = steps == step.step or (step.ended and steps > step.step)  # what was ended stays as it is
                if due and not folder.adapter(number):  # a state on the way may be there from before a kill
                    _store(session, infos[number], step.trial, done)
            session.stop.check()
    # Answers are given by what was stored, so that a resumed run cannot answer differently.
    for number in (number for numbers in wanted.values() for number in numbers):
        if session.cluster:
            _adapter(folder, number)
        else:
            _load_adapter(folder, session.backend, number)
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


@dataclass
class Progress:
    """What a training has taken so far."""

    positions: int = 0
    seconds: float = 0.0
    peak_memory: int | None = None  # of another process
    at_once: int | None = None


def _take_in(step: Step, done: Progress, info: TrialInfo, record: Recorder) -> None:
    done.positions += step.positions
    done.seconds += step.seconds
    done.peak_memory = step.peak_memory
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


def _load_adapter(folder: RunFolder, backend: Backend, trial: int) -> None:
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


# --- 6. a free question ------------------------------------------------------------------------------------------


def _askable(info: RunInfo, wanted: Sequence[str] | None) -> list[str]:
    """The arms that can answer a free question: all of the run's but the ceiling, which needs to know the right row."""
    present = [name for name in RunSettings.model_validate(info.settings).arms if name != "ceiling"]
    for name in wanted or ():
        if name not in present:
            raise SettingsError(
                f"This run cannot answer a free question with the arm {name!r}.",
                why="The ceiling is told which row is right." if name == "ceiling" else "The arm was not part of it.",
                fix=f"Its arms: {', '.join(present)}",
            )
    return list(wanted or present)
