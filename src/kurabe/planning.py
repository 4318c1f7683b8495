"""What a run will ask, decided before the first answer: questions, arms that fit, batches.

Knows no file and no order of steps. The batches hold answer keys only; a request is made from its key again, so that
a resumed run asks exactly what was planned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from kurabe import arms, consistency, lessons, likelihood, stale, unknown
from kurabe.errors import DataError
from kurabe.model import Backend
from kurabe.recipes import RECIPES
from kurabe.retention import general_questions, reading_questions
from kurabe.schema import (
    Answer,
    AnswerKey,
    Batch,
    Example,
    Finding,
    Message,
    Probe,
    Question,
    Reason,
    Request,
    TrialInfo,
    UsageKind,
)
from kurabe.settings import RunSettings
from kurabe.sweeps import chosen
from kurabe.trials import Trials, describe, plan_trials

LIVE, SERVED = "live", "server"  # answered by the run's own model; by another one, on a server
RETENTION: tuple[Probe, ...] = ("general", "reading")
REPEATED: tuple[Probe, ...] = ("sampled", "weighed")  # the arms' own questions once more, in another way
RETENTION_PER_UNKNOWN = 3  # of retention questions of one kind; every arm is asked each question on unknown things
SMALL_MODEL = 100_000_000
SWEPT_RETENTION = 20  # general questions that each further trial of a curve is asked
ROWS_SMALL, ROWS_LARGE, ROWS_GPU = 64, 16, 256  # answers per batch: what a kill can cost is one batch


class Work(NamedTuple):
    """Everything that is decided before the first answer."""

    questions: tuple[Question, ...]
    batches: tuple[Batch, ...]
    trainings: Trials
    trials: tuple[TrialInfo, ...]
    swept: tuple[TrialInfo, ...]
    findings: tuple[Finding, ...]
    notes: tuple[Reason, ...]
    max_new_tokens: int
    alternatives: int


def plan_work(material: arms.Material, settings: RunSettings, backend: Backend) -> Work:
    """The questions, trials and batches of a run, and what the audit says about them."""
    trainings = plan_trials(material, settings, backend)
    own, checked = list(asked(material.examples, settings.held_out)), list(check_questions(material.examples, settings))
    other = retention(settings, material.language) if trainings.compared else ()
    taught = lessons.asked((t.trial.plan.recipe for t in trainings.trainings), material, settings.seed)
    absent = unknown_questions(material, settings) if trainings.compared else ()
    questions = [*own, *checked, *other, *stale_questions(material, settings), *absent, *taught]
    # Twice the longest expected answer of the user's own; a retention question's must fit as it is.
    limit = settings.max_new_tokens or max(2 * longest_answer(own, backend), longest_answer(other, backend))
    kept, notes = fitting_arms(settings.arms, material, questions, backend, limit)
    questions, left_out = fitting_retention(questions, backend, limit)
    infos: list[TrialInfo] = []
    findings: list[Finding] = []
    for training in trainings.compared:
        found, faults = describe(training, material, backend)
        infos.extend(found)
        findings.extend(() if training.shuffled else faults)  # the control repeats a recipe, flaws included
    if "shuffled" in kept and not any(info.shuffled for info in infos):
        notes.append(Reason(key="audit.note.nothing-to-shuffle", values={}))
    # What the axes make of the recipe on purpose is no fault of it.
    swept = [info for training in trainings.swept for info in describe(training, material, backend)[0]]
    notes += rows_found(kept, material, own)
    unseen = stale.unseen([name for name in kept if "stale" in arms.ARMS[name].probes], material)
    keys = stage_keys(kept, questions, infos, backend.info.name, unseen)
    drawn = [(q.id, sample) for q in consistency.sampled(questions) for sample in range(1, settings.samples + 1)]
    likely = settings.alternatives if backend.capabilities.score else 0
    weighed = [(q.id, 0) for q in own if q.probe == "held_out" and likelihood.targets(q, likely)]
    for probe, again in zip(REPEATED, (drawn, weighed), strict=True):
        for stage, groups in repeated_keys(kept, infos, backend.info.name, probe, again).items():
            keys[stage].extend(groups)
    keys["base"].extend(lesson_keys(taught, backend.info.name))
    keys["answer"].append(swept_keys(swept, questions, material, backend.info.name))
    return Work(
        questions=tuple(questions), batches=tuple(batches(keys, rows_per_batch(backend))), trainings=trainings,
        trials=tuple(infos), swept=tuple(swept), findings=tuple(findings), notes=(*notes, *left_out),
        max_new_tokens=limit, alternatives=settings.alternatives,
    )  # fmt: skip


# --- questions -------------------------------------------------------------------------------------------------


def asked(examples: Iterable[Example], most: int | None = None) -> Iterator[Question]:
    """Every held-out wording, or the first `most` of them, and the first trained wording of each example."""
    for example in examples:
        for n, text in enumerate(example.texts("held_out")[:most], start=1):
            yield _question(example, f"h{n}", "held_out", text)
        for text in example.texts("trained")[:1]:
            yield _question(example, "t1", "trained", text)


def check_questions(examples: Iterable[Example], settings: RunSettings) -> Iterator[Question]:
    """The check wordings of examples that hold a value, where trainings may end by them."""
    for example in examples if settings.stop == "learned" else ():
        for n, text in enumerate(example.texts("check") if example.facts else (), start=1):
            yield _question(example, f"c{n}", "check", text)


def _question(example: Example, suffix: str, probe: Probe, text: str) -> Question:
    return Question(
        id=f"{example.id}/{suffix}", example=example.id, probe=probe, text=text, expected=example.answer,
        facts=example.facts, checks=example.checks,
    )  # fmt: skip


def stale_questions(material: arms.Material, settings: RunSettings) -> tuple[Question, ...]:
    """Questions about changed values, where a tuned model is shown facts: only there can old and new contradict."""
    shown = [name for name in settings.arms if "stale" in arms.ARMS[name].probes and arms.ARMS[name].trials != "none"]
    return stale.questions(material.examples) if shown else ()


def retention(settings: RunSettings, language: str) -> tuple[Question, ...]:
    """General questions and other shops' prompts: what tuning may cost elsewhere."""
    if not settings.retention:
        return ()
    general = general_questions(language, settings.retention)
    return (*general, *reading_questions(language, settings.retention, settings.seed))


def unknown_questions(material: arms.Material, settings: RunSettings) -> tuple[Question, ...]:
    """Questions that the data does not answer: whether tuning taught the model to answer always."""
    count = settings.retention // RETENTION_PER_UNKNOWN
    return unknown.asked(material.language, count, settings.seed, unknown.said_in(material))


def longest_answer(questions: Sequence[Question], backend: Backend) -> int:
    """The longest expected answer in tokens, its end token included."""
    return max((answer_tokens(backend, question.text, question.expected) for question in questions), default=1)


def answer_tokens(backend: Backend, question: str, answer: str) -> int:
    user = Message(role="user", content=question)
    return backend.count([user, Message(role="assistant", content=answer)]) - backend.count([user])


# --- arms ------------------------------------------------------------------------------------------------------


def fitting_arms(
    names: Sequence[str], material: arms.Material, questions: Sequence[Question], backend: Backend, limit: int
) -> tuple[list[str], list[Reason]]:
    """The arms whose longest request fits the model's context, and a note for each that does not.

    A prompt is never cut: an arm that cannot say all of it is left out. The plain arms cannot be left out.
    """
    kept, notes = [], []
    for name in names:
        arm = arms.ARMS[name]
        build = arm.prepare(material)
        tokens = max((backend.count(build(q)) for q in questions if q.probe in arm.probes), default=0) + limit
        if tokens <= backend.info.context:
            kept.append(name)
        elif arm.prepare is arms.prepare_plain:
            raise DataError(
                f"A question with its answer takes {tokens:,} tokens; the model reads {backend.info.context:,}.",
                why=f"The answer limit is {limit:,} tokens, twice the longest expected answer unless you set it.",
                fix="Shorten the longest answers, set --max-new-tokens, or use a model with a longer context.",
            )
        else:
            values = {"arm": name, "tokens": tokens, "context": backend.info.context}
            notes.append(Reason(key="audit.note.arm-left-out", values=values))
    return kept, notes


def rows_found(names: Sequence[str], material: arms.Material, questions: Sequence[Question]) -> list[Reason]:
    """How often the search over the training rows finds a held-out question's own row: without it no arm that searches
    can be right. Of documents nobody knows which passage is a question's own."""
    if material.passages or not set(names) & set(arms.INDEXED):
        return []
    index, asked = arms.index_rows(material.examples), [q for q in questions if q.probe == "held_out"]
    found = sum(
        q.example in {material.examples[n].id for n in index.search(q.text, material.nearest)} for q in asked
    )  # fmt: skip
    values = {"found": found, "questions": len(asked), "nearest": material.nearest}
    return [Reason(key="audit.note.rows-found", values=values)] if asked else []


def fitting_retention(
    questions: Sequence[Question], backend: Backend, limit: int
) -> tuple[list[Question], list[Reason]]:
    """Retention questions that the model's context can hold; the others are left out and counted."""
    fits = [
        q.probe not in RETENTION or backend.count(arms.messages("", q)) + limit <= backend.info.context
        for q in questions
    ]
    left_out = len(questions) - sum(fits)
    values = {"questions": left_out, "context": backend.info.context}
    notes = [Reason(key="audit.note.retention-left-out", values=values)] if left_out else []
    return [q for q, fit in zip(questions, fits, strict=True) if fit], notes


# --- batches ---------------------------------------------------------------------------------------------------


def stage_keys(
    names: Sequence[str],
    questions: Sequence[Question],
    trials: Sequence[TrialInfo],
    model: str,
    unseen: Collection[tuple[str, str]] = (),
) -> dict[str, list[list[AnswerKey]]]:
    """Stage -> groups of keys. A group is one arm under one trial, its answers on unknown things, or one trial's
    retention: metered apart. The arms are not asked the questions that are `unseen`, named by (arm, question)."""

    def keys(arm: str, trial: int, probes: Sequence[Probe]) -> list[AnswerKey]:
        return [
            AnswerKey(model=model, trial=trial, arm=arm, hop=LIVE, probe=q.probe, question=q.id)
            for q in questions
            if q.probe in probes and (arm, q.id) not in unseen
        ]

    def groups(arm: str, trial: int) -> list[list[AnswerKey]]:
        own = [probe for probe in arms.ARMS[arm].probes if probe != "unknown"]
        apart = keys(arm, trial, ("unknown",)) if "unknown" in arms.ARMS[arm].probes else []
        return [keys(arm, trial, own), *([apart] if apart else [])]

    before = [group for name in names if 0 in trials_of(name, trials) for group in groups(name, 0)]
    before.append(keys("base", 0, RETENTION))
    after: list[list[AnswerKey]] = []
    for info in trials:
        used = [name for name in names if info.trial in trials_of(name, trials)]
        after.extend(group for name in used for group in groups(name, info.trial))
        after.extend([keys("lora", info.trial, RETENTION)] if not info.shuffled else [])
    return {"base": before, "answer": after}


def repeated_keys(
    names: Sequence[str], trials: Sequence[TrialInfo], model: str, probe: Probe, asked: Sequence[tuple[str, int]]
) -> dict[str, list[list[AnswerKey]]]:
    """Stage -> groups of keys: questions that every arm is asked once more in another way, as (question, sample)."""
    groups: dict[str, list[list[AnswerKey]]] = {"base": [], "answer": []}
    for arm, trial in ((name, trial) for name in names for trial in trials_of(name, trials)):
        groups["answer" if trial else "base"].append(
            [
                AnswerKey(model=model, trial=trial, arm=arm, hop=LIVE, probe=probe, question=question, sample=sample)
                for question, sample in asked
            ]
        )
    return groups


def swept_keys(
    swept: Sequence[TrialInfo], questions: Sequence[Question], material: arms.Material, model: str
) -> list[AnswerKey]:
    """What the trials of the curves are asked, all in one group: the questions on the examples that they learned, and
    a few general ones."""
    general = [q for q in questions if q.probe == "general"][:SWEPT_RETENTION]
    return [
        AnswerKey(model=model, trial=info.trial, arm="lora", hop=LIVE, probe=q.probe, question=q.id)
        for info in swept
        for learned in [{e.id for e in chosen(material.examples, info.examples, info.seed)}]
        for q in (*(q for q in questions if q.example in learned and q.probe in arms.ARMS["lora"].probes), *general)
    ]


def lesson_keys(taught: Sequence[Question], model: str) -> list[list[AnswerKey]]:
    """What the model is asked so that its own answers can be trained on, by probe: each is another trial's to pay."""
    return [
        [
            AnswerKey(model=model, trial=0, arm=arm, hop=LIVE, probe=q.probe, question=q.id)
            for q in taught
            if q.probe == probe
        ]
        for probe, (arm, _) in lessons.LESSONS.items()
    ]


def trials_of(arm: str, trials: Sequence[TrialInfo]) -> list[int]:
    """The trials under which an arm answers; 0 is the model without an adapter."""
    true = [info.trial for info in trials if not info.shuffled]
    control = [info.trial for info in trials if info.shuffled]
    return {"none": [0], "each": true, "first": true[:1], "control": control}[arms.ARMS[arm].trials]


def metered_as(batch: Batch, trials: Sequence[TrialInfo]) -> tuple[UsageKind, str, int]:
    """What a batch's work is charged as, and to which arm and trial: retention, samples, likelihoods and questions on
    unknown things belong to no arm, and a lesson prepares the trial of the table that learns from it."""
    key = batch.keys[0]
    if key.probe in lessons.LESSONS:
        learning = [info.trial for info in trials if lessons.LESSONS[key.probe].learned_by(RECIPES[info.recipe])]
        return "preparation", "lora", learning[0]
    apart = "retention" if key.probe in RETENTION else key.probe if key.probe in (*REPEATED, "unknown") else key.arm
    return "answering", apart, key.trial


def rows_per_batch(backend: Backend) -> int:
    """How many answers are asked for, and stored, together."""
    if backend.capabilities.rows:
        return backend.capabilities.rows
    if not backend.info.device.startswith("cpu"):
        return ROWS_GPU
    return ROWS_SMALL if backend.info.parameters < SMALL_MODEL else ROWS_LARGE


def batches(stages: dict[str, list[list[AnswerKey]]], rows: int) -> Iterator[Batch]:
    """The groups cut into batches of at most `rows` keys, numbered through."""
    number = 0
    for stage, groups in stages.items():
        for group in groups:
            for start in range(0, len(group), rows):
                number += 1
                yield Batch.model_validate(
                    {"batch": number, "stage": stage, "keys": tuple(group[start : start + rows])}
                )


def carry_out(
    backend: Backend, requests: Sequence[Request], questions: Mapping[str, Question], alternatives: int
) -> list[Answer]:
    """The answers to the requests of one batch, whatever it asks: a text, or how likely some texts are."""
    if requests and requests[0].key.probe == "weighed":
        return list(likelihood.weigh(backend, requests, questions, alternatives))
    return list(backend.answer(requests))


def request_maker(
    material: arms.Material, questions: Sequence[Question], max_new_tokens: int
) -> Callable[[AnswerKey], Request]:
    """A function that makes the request of a key. Each arm is prepared once, and once more from changed values."""
    by_id = {question.id: question for question in questions}
    builders: dict[tuple[str, bool], arms.MessageBuilder] = {}

    def make(key: AnswerKey) -> Request:
        kind = key.arm, key.probe == "stale"
        if kind not in builders:
            builders[kind] = arms.ARMS[key.arm].prepare(stale.changed(material) if kind[1] else material)
        messages = builders[kind](by_id[key.question])
        if key.sample:
            drawn = {"temperature": consistency.TEMPERATURE, "seed": consistency.seed(key)}
            return Request(key=key, messages=messages, max_new_tokens=max_new_tokens, **drawn)
        return Request(key=key, messages=messages, max_new_tokens=max_new_tokens)

    return make
