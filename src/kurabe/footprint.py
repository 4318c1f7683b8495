"""The memory that a planned run takes on the model that is loaded: what the trials and batches ask, as bytes.

Knows no formula (`memory.py` has them) and measures nothing: counts of tokens in, a plan out.
"""

from __future__ import annotations

from kurabe import planning
from kurabe.arms import Material
from kurabe.memory import Load, Plan, Shape
from kurabe.model import Backend, TrialPlan


def plan(work: planning.Work, material: Material, backend: Backend) -> Plan | None:
    """What the run takes by its use; None on a model that has not said how it is built."""
    shape, held = Shape.of_info(backend.info), backend.info.footprint
    return None if shape is None or held is None else Plan.of(shape, held, load(work, material, backend))


def load(work: planning.Work, material: Material, backend: Backend) -> Load:
    """What the run asks of the model at most: the largest step of training, the largest batch of answers."""
    steps = [_step(training.trial, backend) for training in work.trainings.trainings]
    positions, labelled = max(steps, default=(0, 0))
    recipes = [training.trial.plan.recipe for training in work.trainings.trainings]
    make = planning.request_maker(material, work.questions, work.max_new_tokens)
    prompts = [backend.count(make(key).messages) for batch in work.batches for key in batch.keys]
    trained = [trial.trainable for trial in (*work.trials, *work.swept)]
    return Load(
        adapters=sum(trained), trained=max(trained, default=0), positions=positions, labelled=labelled,
        dropout=any(recipe.dropout for recipe in recipes),
        rows=max((len(batch.keys) for batch in work.batches), default=0),
        columns=max(prompts, default=0) + work.max_new_tokens,
    )  # fmt: skip


def _step(trial: TrialPlan, backend: Backend) -> tuple[int, int]:
    """(positions, labels) of one optimizer step, between its mean and its largest: rows are drawn anew in each epoch.
    What all rows begin with is computed once, unless dropout gives each row masks of its own."""
    recipe, samples = trial.plan.recipe, trial.samples
    rows = min(recipe.batch * recipe.accumulation, len(samples))
    if not rows:
        return 0, 0
    whole = [backend.count(sample.messages) for sample in samples]
    if recipe.pad_to:
        return rows * max(recipe.pad_to, *whole), rows * max(recipe.pad_to, *whole)
    answers = [n - backend.count(s.messages[:-1]) for n, s in zip(whole, samples, strict=True)]
    first = samples[0].messages[:-1]
    shared = 0 if recipe.dropout else max(0, backend.count(first) - backend.count(first[-1:]))
    positions = shared + rows * (_typical(whole) - shared)
    return positions, positions if recipe.loss_on == "everything" else rows * _typical(answers)


def _typical(lengths: list[int]) -> int:
    return round((sum(lengths) / len(lengths) + max(lengths)) / 2)
