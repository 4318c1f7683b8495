"""The other models of a run: models that servers run, asked the same questions, with a prompt and without training.

Knows no score. Other weights are never compared as if they were the same: their answers carry another model in their
keys, and stand apart everywhere. Each answer is stored as soon as it is there; what was answered is not asked again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from kurabe import arms, storage
from kurabe.connection import Limits
from kurabe.cost import money_per_thousand
from kurabe.errors import MissingError, SettingsError, StoppedError
from kurabe.events import Recorder
from kurabe.model import Backend
from kurabe.planning import SERVED, Work, request_maker
from kurabe.remote import RemoteBackend
from kurabe.runs import RunFolder, RunWriter
from kurabe.schema import Answer, AnswerKey, Batch, OtherModel, Reason, Request
from kurabe.servers import key_for, others, server, serving
from kurabe.settings import Price, RunSettings
from kurabe.stopping import Stop

STAGE = "beside"
LIMITS = Limits()
TOLD = 10  # answers between two events


class Other(NamedTuple):
    """One other model and the way to it."""

    model: OtherModel
    backend: RemoteBackend


# --- 1. which ----------------------------------------------------------------------------------------------------


def check(settings: RunSettings) -> None:
    """Refuse, before anything is stored, names that are no servers', a key that is not there, and arms of which none
    is without training. Raises SettingsError or MissingError."""
    servers = others(settings.beside)
    key_for(servers, settings.key_env or "")
    if settings.answers_from is not None:
        serving(settings.answers_from)
    if servers and not untrained(settings):
        raise SettingsError(
            "--beside needs an arm without training.", why="Another model is asked, and never trained.",
            fix=f"--arms {','.join([*settings.arms, 'prompt'])}",
        )  # fmt: skip


def untrained(settings: RunSettings) -> list[str]:
    """The arms that another model can answer with."""
    return [name for name in settings.arms if arms.ARMS[name].trials == "none"]


@contextmanager
def connected(settings: RunSettings) -> Iterator[list[Other]]:
    """The other models, each found on its server. Raises MissingError as `RemoteBackend` does."""
    servers = others(settings.beside)
    key = key_for(servers, settings.key_env or "")
    with ExitStack() as stack:
        backends = [
            stack.enter_context(
                RemoteBackend(one, key if one.kind == "openai" else "", LIMITS._replace(at_once=settings.at_once))
            )
            for one in servers
        ]
        names = Counter(backend.info.name for backend in backends)
        found = []
        for backend in backends:
            name, named = backend.info.name, backend.server._replace(model=backend.info.name).named
            unique = named if names[name] > 1 else name
            told = OtherModel(name=unique, server=named, model=backend.info, version=backend.version())
            found.append(Other(told, backend))
        yield found


def wanted(folder: RunFolder) -> bool:
    """Whether a run still has to ask another model: a server is not needed for answers that are there."""
    return not folder.planned or any(batch.stage == STAGE for batch in _waiting(folder))


# --- 2. what -----------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """What the other models will be asked, and what is said of it beforehand."""

    models: tuple[OtherModel, ...] = ()
    batches: tuple[Batch, ...] = ()
    notes: tuple[Reason, ...] = ()


def plan(
    models: Sequence[OtherModel], work: Work, material: arms.Material, settings: RunSettings, backend: Backend
) -> Plan:
    """A batch of its own for each answer, numbered on from the run's own: the held-out questions in every arm without
    training, also in one that the own model's window cannot hold."""
    keys = [
        AnswerKey(model=model.name, trial=0, arm=name, hop=SERVED, probe="held_out", question=question.id)
        for model in models
        for name in untrained(settings)
        for question in work.questions
        if question.probe == "held_out"
    ]
    batches = tuple(
        Batch(batch=number, stage=STAGE, keys=(key,)) for number, key in enumerate(keys, start=len(work.batches) + 1)
    )
    make = request_maker(material, work.questions, work.max_new_tokens)
    said: list[Reason] = []
    for model in models:
        # Counted by the own model's tokenizer: about what another one makes of it.
        tokens = [backend.count(make(key).messages) for key in keys if key.model == model.name]
        said.extend(_notes(model, len(tokens), sum(tokens), len(tokens) * work.max_new_tokens, settings))
    return Plan(tuple(models), batches, tuple(said))


def _notes(model: OtherModel, requests: int, tokens: int, new: int, settings: RunSettings) -> Iterator[Reason]:
    """How much is asked, what that costs at most, and what has to be known of the way there."""
    told: dict[str, object] = {"model": model.name, "place": model.model.path, "requests": requests, "tokens": tokens}
    yield Reason(key="audit.note.beside", values=told)
    prices = settings.prices
    most = money_per_thousand(tokens / 1000, new / 1000, prices.models.get(model.model.name, Price()))
    if most is not None:
        cents = math.ceil(100 * most) / 100
        values = {"model": model.name, "money": cents, "currency": prices.currency}
        yield Reason(key="audit.note.beside-price", values=values)
    elif prices.models:
        yield Reason(key="audit.note.beside-no-price", values={"model": model.model.name})
    found = server(model.server)
    if settings.key_env and found is not None and found.url.startswith("http://") and not found.local:
        yield Reason(key="audit.note.beside-plain-key", values={"place": found.url})


# --- 3. asking ---------------------------------------------------------------------------------------------------


def ask(
    folder: RunWriter, found: Sequence[Other], make: Callable[[AnswerKey], Request], record: Recorder, stop: Stop
) -> None:
    """Ask every other model what it has not answered yet. Raises MissingError where a server has another model than
    the run began with, and StoppedError where one answers no more: what came is stored, and the rest can be resumed."""
    for model in folder.info().beside:
        waiting = {b.keys[0]: b.batch for b in _waiting(folder) if b.stage == STAGE and b.keys[0].model == model.name}
        if waiting:
            _ask(folder, _same(folder, model, found, record), waiting, make, record, stop)


def _ask(
    folder: RunWriter, other: Other, waiting: dict[AnswerKey, int], make: Callable[[AnswerKey], Request],
    record: Recorder, stop: Stop,
) -> None:  # fmt: skip
    start = record.elapsed
    done, failed = 0, []

    def store(answer: Answer) -> None:
        nonlocal done
        folder.append_answers(waiting[answer.key], [answer])
        done += 1
        if done % TOLD == 0 or done == len(waiting):
            record("batch", stage=STAGE, done=done, total=len(waiting), seconds=round(record.elapsed - start, 6))

    for answer in other.backend.as_they_come([make(key) for key in waiting]):
        # Whether an answer will never come is known when the server has answered others after it.
        if answer.finish == "error":
            failed.append(answer)
        else:
            store(answer)
        stop.check()
    if other.backend.given_up:
        raise StoppedError(
            f"The server of {other.model.name} does not answer any more; {len(waiting) - done} answers are missing.",
            where=other.model.model.path, why=failed[-1].error, fix=f"When it does: {storage.go_on(folder.path)}",
        )  # fmt: skip
    for answer in failed:
        store(answer)
    record("served", model=other.model.name, said=sorted(other.backend.said))


def _waiting(folder: RunFolder) -> list[Batch]:
    stored = {answer.key for answer in folder.answers()}
    return [batch for batch in folder.plan() if not stored.issuperset(batch.keys)]


def _same(folder: RunFolder, model: OtherModel, found: Sequence[Other], record: Recorder) -> Other:
    """The way to the model that was planned. The server's word is all there is: a name, and maybe a hash."""
    other = next((other for other in found if other.model.server == model.server), None)
    if other is None or other.model.model.sha256 != model.model.sha256:
        raise MissingError(
            f"The server has another model now than {model.name!r}, which the run began with.", where=model.model.path,
            why=f"Its hash was {model.model.sha256[:12] or 'not told'}.",
            fix=f"Serve the old one, then: {storage.go_on(folder.path)}; or run again in a new folder.",
        )  # fmt: skip
    if other.model.version != model.version:
        values = {"model": model.name, "before": model.version or "?", "now": other.model.version or "?"}
        record("note", key="audit.note.beside-version", values=values)
    return other
