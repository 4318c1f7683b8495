"""What a run will ask and train, decided before the first answer: questions, arms that fit, trials, batches.

Knows no file and no order of steps. The batches hold answer keys only; a request is made from its key again, so that
a resumed run asks exactly what was planned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from kurabe import arms, recipes
from kurabe.audit import RowTokens, audit, token_stats
from kurabe.errors import DataError
from kurabe.model import Backend, TrialPlan
from kurabe.retention import general_questions, reading_questions
from kurabe.schema import (
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
)
from kurabe.settings import RunSettings

LIVE = "live"  # answered in this process by the loaded model
RETENTION: tuple[Probe, ...] = ("general", "reading")
SMALL_MODEL = 100_000_000
ROWS_SMALL, ROWS_LARGE, ROWS_GPU = 64, 16, 256  # answers per batch: what a kill can cost is one batch


class Work(NamedTuple):
    """Everything that is decided before the first answer."""

    questions: tuple[Question, ...]
    batches: tuple[Batch, ...]
    trials: tuple[TrialInfo, ...]
    findings: tuple[Finding, ...]
    notes: tuple[Reason, ...]
    max_new_tokens: int


def plan_work(material: arms.Material, settings: RunSettings, backend: Backend) -> Work:
    """The questions, trials and batches of a run, and what the audit says about them."""
    trials = trial_plans(material, settings, backend)
    own, other = list(asked(material.examples)), retention(settings, material.language) if trials else ()
    questions = [*own, *other]
    # Twice the longest expected answer of the user's own; a retention question's must fit as it is.
    limit = settings.max_new_tokens or max(2 * longest_answer(own, backend), longest_answer(other, backend))
    kept, notes = fitting_arms(settings.arms, material, questions, backend, limit)
    questions, left_out = fitting_retention(questions, backend, limit)
    infos: list[TrialInfo] = []
    findings: list[Finding] = []
    for trial in trials:
        info, found = describe_trial(trial, material, backend)
        infos.append(info)
        findings.extend(found)
    keys = stage_keys(kept, questions, [trial.trial for trial in trials], backend.info.name)
    return Work(
        questions=tuple(questions), batches=tuple(batches(keys, rows_per_batch(backend))), trials=tuple(infos),
        findings=tuple(findings), notes=(*notes, *left_out), max_new_tokens=limit,
    )  # fmt: skip


# --- questions -------------------------------------------------------------------------------------------------


def asked(examples: Iterable[Example]) -> Iterator[Question]:
    """Every held-out wording, and the first trained wording of each example."""
    for example in examples:
        for n, text in enumerate(example.texts("held_out"), start=1):
            yield _question(example, f"h{n}", "held_out", text)
        for text in example.texts("trained")[:1]:
            yield _question(example, "t1", "trained", text)


def _question(example: Example, suffix: str, probe: Probe, text: str) -> Question:
    return Question(
        id=f"{example.id}/{suffix}", example=example.id, probe=probe, text=text, expected=example.answer,
        facts=example.facts,
    )  # fmt: skip


def retention(settings: RunSettings, language: str) -> tuple[Question, ...]:
    """General questions and other shops' prompts: what tuning may cost elsewhere."""
    if not settings.retention:
        return ()
    general = general_questions(language, settings.retention)
    return (*general, *reading_questions(language, settings.retention, settings.seed))


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


# --- trials ----------------------------------------------------------------------------------------------------


def trained_recipes(settings: RunSettings) -> tuple[str, ...]:
    """The recipes that some arm answers with."""
    used = {arms.ARMS[name].trials for name in settings.arms}
    return settings.recipes if "each" in used else settings.recipes[:1] if "first" in used else ()


def trial_plans(material: arms.Material, settings: RunSettings, backend: Backend) -> tuple[TrialPlan, ...]:
    """One trial per recipe, in the order of the settings; the first one decides the verdict."""
    plans = []
    for number, name in enumerate(trained_recipes(settings), start=1):
        recipe = recipes.for_model(recipes.RECIPES[name], backend.info.parameters)
        rows = arms.samples(material.examples, material.language, recipe.wordings)
        plan = recipes.plan(recipe, len(rows), len(material.examples), backend.info.hidden)
        plans.append(TrialPlan(trial=number, plan=plan, samples=rows, seed=settings.seed))
    return tuple(plans)


def describe_trial(
    trial: TrialPlan, material: arms.Material, backend: Backend
) -> tuple[TrialInfo, tuple[Finding, ...]]:
    """What a trial comes to, and what the audit finds in it."""
    plan, recipe = trial.plan, trial.plan.recipe
    prompts = [backend.count(sample.messages[:-1]) for sample in trial.samples]
    rows = [
        RowTokens(prompt, backend.count(sample.messages) - prompt)
        for prompt, sample in zip(prompts, trial.samples, strict=True)
    ]
    stats = token_stats(rows, recipe)
    info = TrialInfo(
        trial=trial.trial, recipe=recipe.name, examples=len(material.examples), samples=len(rows), steps=plan.steps,
        epochs=plan.epochs, rank=recipe.rank, rate=plan.rate, seed=trial.seed,
        trainable=backend.trainable(recipe.rank), positions=stats.positions * plan.epochs,
    )  # fmt: skip
    wordings = [len(example.texts("trained")[: recipe.wordings]) for example in material.examples]
    return info, audit(plan, wordings, stats, hidden=backend.info.hidden, context=backend.info.context)


# --- batches ---------------------------------------------------------------------------------------------------


def stage_keys(
    names: Sequence[str], questions: Sequence[Question], trials: Sequence[int], model: str
) -> dict[str, list[list[AnswerKey]]]:
    """Stage -> groups of keys. A group is one arm under one trial, or one trial's retention: metered apart."""

    def keys(arm: str, trial: int, probes: Sequence[Probe]) -> list[AnswerKey]:
        return [
            AnswerKey(model=model, trial=trial, arm=arm, hop=LIVE, probe=q.probe, question=q.id)
            for q in questions
            if q.probe in probes
        ]

    before = [keys(name, 0, arms.ARMS[name].probes) for name in names if 0 in trials_of(name, trials)]
    before.append(keys("base", 0, RETENTION))
    after: list[list[AnswerKey]] = []
    for trial in trials:
        used = [name for name in names if trial in trials_of(name, trials)]
        after.extend(keys(name, trial, arms.ARMS[name].probes) for name in used)
        after.append(keys("lora", trial, RETENTION))
    return {"base": before, "answer": after}


def trials_of(arm: str, trials: Sequence[int]) -> list[int]:
    """The trials under which an arm answers; 0 is the model without an adapter."""
    return {"none": [0], "each": list(trials), "first": list(trials[:1])}[arms.ARMS[arm].trials]


def metered_as(batch: Batch) -> tuple[str, int]:
    """The arm and the trial that a batch's work is charged to; retention belongs to no arm."""
    key = batch.keys[0]
    return ("retention" if key.probe in RETENTION else key.arm), key.trial


def rows_per_batch(backend: Backend) -> int:
    """How many answers are asked for, and stored, together."""
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


def request_maker(
    material: arms.Material, questions: Sequence[Question], max_new_tokens: int
) -> Callable[[AnswerKey], Request]:
    """A function that makes the request of a key. Each arm is prepared once."""
    by_id = {question.id: question for question in questions}
    builders: dict[str, arms.MessageBuilder] = {}

    def make(key: AnswerKey) -> Request:
        if key.arm not in builders:
            builders[key.arm] = arms.ARMS[key.arm].prepare(material)
        return Request(key=key, messages=builders[key.arm](by_id[key.question]), max_new_tokens=max_new_tokens)

    return make
