"""The main job: a file of questions and answers in, a run folder with its results out.

The only file that orders the steps. Knows no torch, no screen and no statistics; a resumed run takes the same path as
a new one and leaves out what is stored already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kurabe import (
    backends,
    beside,
    budget,
    footprint,
    forecast,
    intake,
    planning,
    provenance,
    raypool,
    runs,
    session,
    stages,
    storage,
    tuned,
)
from kurabe.analysis import analyse, load_run, unfinished
from kurabe.cluster import Cluster
from kurabe.errors import DataError, SettingsError, StoppedError, UserError
from kurabe.events import Emit, Recorder
from kurabe.memory import Plan
from kurabe.meter import Meter
from kurabe.model import Backend
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
)
from kurabe.session import Session
from kurabe.settings import RunSettings, parse
from kurabe.stopping import Stop
from kurabe.texts import Texts
from kurabe.trials import Trials, plan_trials


def run(
    data: str | Path | Sequence[Example],
    settings: RunSettings | None = None,
    *,
    emit: Emit | None = None,
    backend: Backend | None = None,
) -> Results:
    """Measure every arm on `data` (a file, or examples) and store the run in a new folder under `settings.runs`."""
    with _begun(data, settings or RunSettings()) as folder:
        return _finish(folder, emit, backend)


def begin(data: str | Path | Sequence[Example], settings: RunSettings) -> Path:
    """Store what is asked for in a new folder under `settings.runs`, and nothing else: `resume` carries it out."""
    with _begun(data, settings) as folder:
        return folder.path


@contextmanager
def _begun(data: str | Path | Sequence[Example], settings: RunSettings) -> Iterator[RunWriter]:
    """A new run folder with its request; it goes again where it cannot be planned."""
    request, examples = intake.read(data, settings)
    folder = RunWriter.begin(Path(settings.runs), request.name)
    try:
        reviews = tuple(intake.generated_wordings(examples))
        folder.publish({runs.REQUEST: request, runs.EXAMPLES: examples, runs.WORDINGS: reviews})
        yield folder
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
        session.mend(folder, record)
        with record.stage("load"):
            others: list[beside.Other] = []
            if beside.wanted(folder):  # before the weights are loaded: a server that is not there is told at once
                others = opened.enter_context(beside.connected(RunSettings.model_validate(folder.request().settings)))
            at_work = session.begin(folder, session.load(folder, backend, opened), record, stop, pool)
            info, trials = _plan(at_work, others)
            infos = {trial.trial: trial for trial in (*info.trials, *info.swept)}
        stop.check()
        with record.stage("base"):
            make = stages.prepare(folder, info)
            stages.answer(at_work, make, "base")
        if info.beside:
            with record.stage(beside.STAGE):
                beside.ask(folder, others, make, record, stop)
        with record.stage("train"):
            for together in stages.turns(at_work, trials):
                stages.train(at_work, together, infos, make)
        with record.stage("answer"):
            stages.answer(at_work, make, "answer")
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
    session.check_same_model(run_folder, backend)
    asked = Question(id="ask", example="", probe="ask", text=question, expected="")
    make = planning.request_maker(session.material(run_folder), [asked], info.max_new_tokens)
    requests: list[Request] = []
    for name in names:
        for trial in planning.trials_of(name, info.trials):
            if trial:
                stages.load_adapter(run_folder, backend, trial)
            key = AnswerKey(
                model=info.model.name, trial=trial, arm=name, hop=planning.LIVE, probe="ask", question=asked.id
            )
            requests.append(make(key))
    return list(backend.answer(requests))


# --- the plan ----------------------------------------------------------------------------------------------------


def _plan(at_work: Session, others: Sequence[beside.Other]) -> tuple[RunInfo, Trials]:
    """What will be asked and trained: stored before the first answer, and kept to by every later session."""
    folder, backend, record = at_work.folder, at_work.backend, at_work.record
    request = folder.request()
    asked, material = RunSettings.model_validate(request.settings), session.material(folder)
    if not folder.planned:
        if asked.minutes:
            record("note", key="audit.note.minutes-measuring", values={"minutes": asked.minutes})
        asked, found = tuned.apply(asked, backend.info)
        slots = at_work.cluster.slots if at_work.cluster else 1
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


# --- a free question ---------------------------------------------------------------------------------------------


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
