"""The main job: a file of questions and answers in, a run folder with its results out.

The only file that orders the steps. Knows no torch, no screen and no statistics; a resumed run takes the same path as
a new one and leaves out what is stored already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kurabe import backends, budget, footprint, forecast, intake, lessons, planning, provenance, runs, storage
from kurabe.analysis import analyse, load_run, unfinished
from kurabe.arms import ARMS, INDEXED, Material
from kurabe.errors import DataError, MissingError, SettingsError, StoppedError, UserError
from kurabe.events import Emit, Recorder
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

NOT_FINITE_STEPS = 3  # in a row; after that a training does not recover


class Session(NamedTuple):
    """What the steps of one process share: the folder they write to, the model, the log, the stop button."""

    folder: RunWriter
    backend: Backend
    record: Recorder
    stop: Stop


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


def resume(folder: str | Path, *, emit: Emit | None = None, backend: Backend | None = None) -> Results:
    """Finish a run that was stopped; a finished one gives its results, in the words and by the rule of this version."""
    with RunWriter.resume(folder) as writer:
        return load_run(writer.path) if writer.finished else _finish(writer, emit, backend)


def _finish(folder: RunWriter, emit: Emit | None, backend: Backend | None) -> Results:
    """From a stored request to stored results. What is stored already is not done again."""
    record = Recorder(folder, emit)
    with Stop(folder.path) as stop:
        _mend(folder, record)
        with record.stage("load"):
            session = Session(folder, _load(folder, backend), record, stop)
            info, trials = _plan(session)
            infos = {trial.trial: trial for trial in (*info.trials, *info.swept)}
        stop.check()
        with record.stage("base"):
            make = _prepare(folder, info)
            _answer(session, make, "base")
        with record.stage("train"):
            for training in trials.compared:  # one by one: their time and memory are told apart
                _train(session, [training], infos)
            _train(session, trials.swept, infos)
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
    with Meter() as loading:
        backend = backend or backends.load(settings)
    material = intake.material(request, examples)
    pace = forecast.Pace(material, backend, settings.minutes)
    fitted = budget.fit(material, settings, pace, loading.seconds)
    notes = (*request.notes, *fitted.work.notes, *fitted.notes)
    loading_seconds = fitted.planned.get("load") or loading.seconds
    return forecast.forecast(fitted.work, fitted.settings, pace, loading_seconds, notes)


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


def _load(folder: RunWriter, backend: Backend | None) -> Backend:
    """The model that the settings name, or the one at hand; in every session of a run the same."""
    with Meter() as meter:
        backend = backend or backends.load(RunSettings.model_validate(folder.request().settings))
    if folder.planned:
        _check_same_model(folder, backend)
    folder.append_usage(runs.LOADING, [meter.usage("loading")])
    return backend


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


def _plan(session: Session) -> tuple[RunInfo, Trials]:
    """What will be asked and trained: stored before the first answer, and kept to by every later session."""
    folder, backend, record, _ = session
    request = folder.request()
    asked, material = RunSettings.model_validate(request.settings), _material(folder)
    if not folder.planned:
        if asked.minutes:
            record("note", key="audit.note.minutes-measuring", values={"minutes": asked.minutes})
        pace = forecast.Pace(material, backend, asked.minutes)
        fitted = budget.fit(material, asked, pace, record.elapsed)
        refuse_the_impossible(fitted.work, request.data)
        folder.publish(
            {
                runs.INFO: _describe(request, fitted, backend, footprint.plan(fitted.work, material, backend)),
                runs.QUESTIONS: fitted.work.questions,
                runs.PLAN: fitted.work.batches,
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
    for note in info.notes:
        record("note", key=note.key, values=note.values)
    return info, plan_trials(material, RunSettings.model_validate(info.settings), backend)


def _material(folder: RunFolder) -> Material:
    return intake.material(folder.request(), folder.examples())


def _describe(request: RunRequest, fitted: budget.Fitted, backend: Backend, takes: Plan | None) -> RunInfo:
    work = fitted.work
    return RunInfo(
        name=request.name, created=request.created, data=request.data, form=request.form, language=request.language,
        settings=fitted.settings.model_dump(mode="json"), model=backend.info,
        provenance=provenance.describe(request.data_sha256), trials=work.trials, swept=work.swept,
        points=work.trainings.points, max_new_tokens=work.max_new_tokens, planned=fitted.planned,
        memory=takes._asdict() | {"peak": takes.peak} if takes else {},
        notes=(*request.notes, *work.notes, *fitted.notes),
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
    folder, backend, record, stop = session
    trials = folder.info().trials
    stored = {answer.key for answer in folder.answers()}
    batches = [batch for batch in folder.plan() if batch.stage == stage]
    total, done = sum(len(batch.keys) for batch in batches), 0
    for batch in batches:
        if not stored.issuperset(batch.keys):
            with Meter() as meter:
                answers = list(backend.answer([make(key) for key in batch.keys]))
            if [answer.key for answer in answers] != list(batch.keys):
                raise RuntimeError("the backend's answers do not match its requests")
            kind, arm, trial = planning.metered_as(batch, trials)
            tokens = sum(answer.prompt_tokens + answer.new_tokens for answer in answers)
            usage = meter.usage(kind, arm=arm, trial=trial, tokens=tokens)
            folder.append_usage(runs.batch_unit(batch.batch), [usage])
            folder.append_answers(batch.batch, answers)
            done += len(answers)
            record("batch", stage=stage, done=done, total=total, seconds=round(meter.seconds, 6))
            stop.check()
        else:
            done += len(batch.keys)


# --- 5. training -------------------------------------------------------------------------------------------------


def _train(session: Session, trainings: Sequence[Training], infos: Mapping[int, TrialInfo]) -> None:
    """Train what has not been stored, together, and load every adapter. A cut training starts again."""
    folder, backend, record, stop = session
    wanted = {t.trial.trial: [t.trial.trial, *(number for _, number in t.keep)] for t in trainings}
    waiting = {t.trial.trial: t for t in trainings if not all(map(folder.adapter, wanted[t.trial.trial]))}
    progress = {number: Progress() for number in waiting}
    for number in waiting:
        record("trial", **infos[number].model_dump(mode="json"))
    reset_peak_memory()
    for step in backend.train(_lessons(session, waiting.values()), lambda trial: progress[trial].broken):
        record("step", **step.model_dump(mode="json"))
        info, done = infos[step.trial], progress[step.trial]
        _take_in(step, done, info, record)
        if done.broken and info in folder.info().trials:
            raise _diverged(folder, info, step.step)
        for steps, number in (*waiting[step.trial].keep, (step.steps, step.trial)):
            due = steps == step.step or (done.broken and steps > step.step)  # what broke down stays as it is
            if due and not folder.adapter(number):  # a state on the way may be there from before a kill
                _store(session, infos[number], step.trial, done)
        stop.check()
    # Answers are given by what was stored, so that a resumed run cannot answer differently.
    for numbers in wanted.values():
        for number in numbers:
            _load_adapter(folder, backend, number)
    stop.check()


def _lessons(session: Session, trainings: Iterable[Training]) -> list[TrialPlan]:
    """The trials with their rows as they are learned: what the model said itself before is stored by now."""
    questions = {question.id: question for question in session.folder.questions()}
    said = {answer.key.question: answer for answer in session.folder.answers() if answer.key.probe in lessons.LESSONS}

    def fits(sample: Sample) -> bool:
        return session.backend.count(sample.messages) <= session.backend.info.context

    return [
        training.trial._replace(samples=lessons.answered(training.trial.samples, questions, said, fits))
        for training in trainings
    ]


@dataclass
class Progress:
    """How far a training has come."""

    positions: int = 0
    seconds: float = 0.0
    not_finite: int = 0
    at_once: int | None = None

    @property
    def broken(self) -> bool:
        """Whether its loss has not been a number for too many steps: it does not recover."""
        return self.not_finite >= NOT_FINITE_STEPS


def _take_in(step: Step, done: Progress, info: TrialInfo, record: Recorder) -> None:
    done.positions += step.positions
    done.seconds += step.seconds
    done.not_finite = done.not_finite + 1 if step.loss is None else 0
    if step.at_once not in (None, done.at_once):
        done.at_once = step.at_once
        record("note", key="audit.note.batch-halved", values={"recipe": info.recipe, "rows": step.at_once})
    if done.broken:
        record("note", key="audit.note.trial-broken", values={"trial": info.trial, "rate": info.rate})


def _store(session: Session, info: TrialInfo, trained_as: int, done: Progress) -> None:
    """Publish the adapter as it is now, as this trial's, with what it has taken so far."""
    folder, backend, record, _ = session
    usage = Usage(
        kind="preparation", arm="lora", trial=info.trial, seconds=done.seconds, tokens=done.positions,
        peak_memory=peak_memory(),
    )  # fmt: skip
    folder.append_usage(runs.trial_unit(info.trial), [usage])
    record.sync()
    with folder.staged() as stage:
        adapter = stage / "adapters" / f"{info.trial}-{info.name}"
        adapter.mkdir(parents=True)
        backend.save_adapter(trained_as, adapter)


def _load_adapter(folder: RunFolder, backend: Backend, trial: int) -> None:
    path = folder.adapter(trial)
    if path is None:
        raise StoppedError(
            f"The adapter of trial {trial} is not there, or not as it was stored.",
            where=str(folder.path / "adapters"),
            fix=storage.go_on(folder.path),
        )
    backend.load_adapter(trial, path)


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
