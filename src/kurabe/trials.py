"""Which trials a run trains: one per recipe for the table, and those that are points of curves.

Knows no question and no file. A resumed run makes the same trials from the same settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kurabe import arms, lessons, recipes, sweeps
from kurabe.auditing.plan import RowTokens, audit_plan, token_stats
from kurabe.errors import SettingsError
from kurabe.model import Backend, TrialPlan
from kurabe.schema import Finding, Point, TrialInfo
from kurabe.settings import RunSettings


class Training(NamedTuple):
    """One training, and the trials that are states on its way: (optimizer steps, trial)."""

    trial: TrialPlan
    keep: tuple[tuple[int, int], ...] = ()
    shuffled: bool = False  # the control


class Trials(NamedTuple):
    """All trainings of a run: those of the table first, in the order of the settings; the first one decides. The
    control, where it was asked for, is the last of them."""

    compared: tuple[Training, ...]
    swept: tuple[Training, ...] = ()
    points: tuple[Point, ...] = ()

    @property
    def trainings(self) -> tuple[Training, ...]:
        return self.compared + self.swept


def trained_recipes(settings: RunSettings) -> tuple[str, ...]:
    """The recipes that some arm answers with."""
    used = {arms.ARMS[name].trials for name in settings.arms}
    return settings.recipes if "each" in used else settings.recipes[:1] if used & {"first", "control"} else ()


def plan_trials(material: arms.Material, settings: RunSettings, backend: Backend) -> Trials:
    """One trial per recipe, then those that the settings' axes ask for, numbered through."""
    found = [_recipe(name, settings, backend) for name in trained_recipes(settings)]
    compared = [
        _trial(
            number, sweeps.Spec(recipe, len(material.examples), settings.seed), material, backend, settings.seed
        )._replace(alone=True)
        for number, recipe in enumerate(found, start=1)
    ]
    trials = Trials((*map(Training, compared), *_control(compared, material, settings, backend)))
    if not settings.over:
        return trials
    if "lora" not in settings.arms:
        raise SettingsError(
            "A curve needs the arm 'lora'.",
            why="Its points are LoRAs, asked without the prompt.",
            fix=f"--arms {','.join([*settings.arms, 'lora'])}",
        )
    return _with_sweep(trials, material, settings, backend)


def _control(
    compared: Sequence[TrialPlan], material: arms.Material, settings: RunSettings, backend: Backend
) -> Iterator[Training]:
    """The first recipe once more, on shuffled answers: the same rows but for that, the same steps, the same seed. No
    teacher, which would say the right ones."""
    if "shuffled" in settings.arms and arms.can_shuffle(material.examples):
        shuffled = material._replace(examples=arms.shuffle(material.examples, settings.seed))
        recipe = compared[0].plan.recipe.model_copy(update={"teacher": False})
        spec = sweeps.Spec(recipe, len(material.examples), settings.seed)
        trial = _trial(len(compared) + 1, spec, shuffled, backend, settings.seed)
        yield Training(trial._replace(alone=True), shuffled=True)


def describe(
    training: Training, material: arms.Material, backend: Backend
) -> tuple[list[TrialInfo], tuple[Finding, ...]]:
    """What a training comes to, each of its trials, and what the audit finds in it."""
    trial, recipe, plan = training.trial, training.trial.plan.recipe, training.trial.plan
    prompts = [backend.count(sample.messages[:-1]) for sample in trial.samples]
    rows = [
        RowTokens(prompt, backend.count(sample.messages) - prompt)
        for prompt, sample in zip(prompts, trial.samples, strict=True)
    ]
    stats = token_stats(rows, recipe)
    used = {sample.example for sample in trial.samples if sample.example}
    wordings = [len(e.texts("trained")[: recipe.wordings]) for e in material.examples if e.id in used]
    whole = TrialInfo(
        trial=trial.trial, recipe=recipe.name, examples=len(used), samples=len(rows), steps=plan.steps,
        epochs=plan.epochs, rank=recipe.rank, rate=plan.rate, seed=trial.seed,
        trainable=backend.trainable(recipe.rank), positions=stats.positions * plan.epochs,
        wordings=max(wordings, default=0), shuffled=training.shuffled,
    )  # fmt: skip
    states = []
    for steps, number in training.keep:
        told = {"trial": number, "of": trial.trial, "steps": steps, "epochs": steps / plan.steps_per_epoch}
        states.append(whole.model_copy(update=told | {"positions": 0}))  # what it took is its training's
    return [whole, *states], audit_plan(plan, wordings, stats, hidden=backend.info.hidden, context=backend.info.context)


def _recipe(name: str, settings: RunSettings, backend: Backend) -> recipes.Recipe:
    recipe = recipes.adjusted(recipes.RECIPES[name], settings.exposures, settings.wordings, settings.rate)
    return recipes.for_model(recipe, backend.info.parameters)


def _trial(number: int, spec: sweeps.Spec, material: arms.Material, backend: Backend, seed: int) -> TrialPlan:
    examples = sweeps.chosen(material.examples, spec.examples, spec.seed)
    rows = lessons.rows(spec.recipe, material, examples, seed)
    own = sum(bool(row.example) for row in rows)
    plan = recipes.plan(spec.recipe, own, len(examples), backend.info.hidden, beside=len(rows) - own)
    return TrialPlan(trial=number, plan=plan, samples=rows, seed=spec.seed)


def _with_sweep(trials: Trials, material: arms.Material, settings: RunSettings, backend: Backend) -> Trials:
    """The points of all axes. What two of them train alike is trained once; the table's first trial is one of them."""
    first = trials.compared[0].trial
    recipe, every = _recipe(first.plan.recipe.name, settings, backend), len(material.examples)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    tries = sweeps.to_try(settings.over, recipe, material.examples, first.plan.epochs, seeds)
    number = len(trials.compared)
    known = {sweeps.Spec(recipe, every, settings.seed): first}
    kept: dict[int, list[tuple[int, int]]] = {}
    points = []
    for tried in tries:
        # 1. The training, which may be there already.
        whole = tried.spec._replace(checkpoint=None)
        if whole not in known:
            number += 1
            known[whole] = _trial(number, whole, material, backend, settings.seed)
        trained = known[whole]
        trial = trained.trial
        # 2. Its end, or a state on its way, which is a trial of its own.
        if tried.spec.checkpoint is not None and tried.spec.checkpoint < trained.plan.epochs:
            number += 1
            trial = number
            kept.setdefault(trained.trial, []).append(
                (round(tried.spec.checkpoint) * trained.plan.steps_per_epoch, trial)
            )
        points.append(Point(axis=tried.axis, x=tried.x, trial=trial, unseen=tried.unseen))
    swept = [Training(t, tuple(kept.get(t.trial, ()))) for t in known.values() if t.trial != first.trial]
    return trials._replace(swept=tuple(swept), points=tuple(points))
