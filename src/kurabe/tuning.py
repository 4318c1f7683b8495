"""The rate for a new base: one training per rate, all in one batch, on a few rows; each is asked its check wordings.

Knows no screen and stores nothing (`tuned.py` does). Held-out wordings are not looked at: nothing is chosen by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

from kurabe import __version__, arms, intake, lessons, planning, recipes, scoring, stats, sweeps
from kurabe.errors import DataError
from kurabe.model import Backend, TrialPlan
from kurabe.recipes import RECIPES
from kurabe.schema import AnswerKey, Example, Question, RateTried, Request, Step, TunedRate, Wording
from kurabe.settings import RunSettings
from kurabe.stats import Cluster

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # on the rate that the recipe's rule gives
STEP = 2.0  # where the best one is the first or the last, one more beyond it is tried
EXAMPLES = 12  # at most: enough for an interval, few enough to be quick
CHECKS = 2  # wordings per example that are kept out of training
LEAST = 3  # trained wordings that an example must have to give some away


def tune(
    data: str | Path, settings: RunSettings, backend: Backend, watch: Callable[[Step], None] = lambda step: None
) -> TunedRate:
    """The rate at which this model recalls most on check wordings. The recipe's own stays unless another one's recall
    is higher by more than the interval of their difference. Raises DataError for rows without wordings to check by."""
    request, examples = intake.read(data, settings)
    material = _material(intake.material(request, examples), settings.seed)
    recipe = recipes.adjusted(RECIPES[settings.recipes[0]], settings.exposures, settings.wordings)
    recipe = recipes.for_model(recipe, backend.info.parameters)
    tried = Trials(material, recipe, settings, backend)
    tried.measure(FACTORS, watch)
    best = tried.best()
    if best in (FACTORS[0], FACTORS[-1]):
        tried.measure([best * STEP if best > 1 else best / STEP], watch)
        best = tried.best()
    return TunedRate(
        model=backend.info.name, model_sha256=backend.info.sha256, recipe=recipe.name, factor=best,
        rate=recipes.scaled_rate(recipe, backend.info.hidden) * best, hidden=backend.info.hidden,
        examples=len(material.examples), data=Path(request.data).name, tried=tuple(tried.rows()), kurabe=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )  # fmt: skip


class Trials:
    """What each rate came to: per seed and example, how many expected values came out right on check wordings."""

    def __init__(
        self, material: arms.Material, recipe: recipes.Recipe, settings: RunSettings, backend: Backend
    ) -> None:
        self.material, self.recipe, self.backend = material, recipe, backend
        self.seeds = range(settings.seed, settings.seed + settings.seeds)
        self.questions = list(_questions(material.examples))
        self.recalls: dict[float, list[dict[str, Cluster]]] = {}
        self.steps = 0

    def measure(self, factors: Sequence[float], watch: Callable[[Step], None]) -> None:
        """Train these rates together, ask each adapter, and let them go."""
        specs = {n: (f, s) for n, (f, s) in enumerate(((f, s) for f in factors for s in self.seeds), start=1)}
        plans = [self._plan(number, factor, seed) for number, (factor, seed) in specs.items()]
        self.steps = plans[0].plan.steps
        for step in self.backend.train(plans):
            watch(step)
        for number, (factor, _) in specs.items():
            self.recalls.setdefault(factor, []).append(self._ask(number))
        self.backend.forget(list(specs))

    def best(self) -> float:
        """The factor with the highest recall; 1 where it is not higher by more than its interval."""
        merged = {factor: stats.merged(runs) for factor, runs in self.recalls.items()}
        shares = {factor: self._share(factor) for factor in self.recalls}
        # Of equal ones the nearest to the recipe's own.
        best = max(shares, key=lambda factor: (shares[factor], -abs(factor - 1)))
        gain = stats.difference(merged[best], merged[1.0])
        return best if gain.low is not None and gain.low > 0 else 1.0

    def rows(self) -> Iterator[RateTried]:
        """Every rate with its recall, the smallest first."""
        for factor in sorted(self.recalls):
            estimate = stats.pooled(self.recalls[factor])
            yield RateTried(
                factor=factor, recall=estimate.value or 0.0, low=estimate.low, high=estimate.high,
                seeds=len(self.recalls[factor]),
            )  # fmt: skip

    def _share(self, factor: float) -> float:
        counted = [cluster for run in self.recalls[factor] for cluster in run.values()]
        return sum(c.total for c in counted) / sum(c.items for c in counted)

    def _plan(self, number: int, factor: float, seed: int) -> TrialPlan:
        recipe = self.recipe.model_copy(update={"rate": self.recipe.rate * factor})
        rows = lessons.rows(recipe, self.material, self.material.examples, seed)
        plan = recipes.plan(recipe, len(rows), len(self.material.examples), self.backend.info.hidden)
        return TrialPlan(trial=number, plan=plan, samples=rows, seed=seed)

    def _ask(self, trial: int) -> dict[str, Cluster]:
        build = arms.ARMS["lora"].prepare(self.material)
        limit = 2 * planning.longest_answer(self.questions, self.backend)
        size = planning.rows_per_batch(self.backend)
        requests = [
            Request(
                key=AnswerKey(
                    model=self.backend.info.name, trial=trial, arm="lora", hop=planning.LIVE, probe="check",
                    question=question.id,
                ),
                messages=build(question), max_new_tokens=limit,
            )
            for question in self.questions
        ]  # fmt: skip
        answers = [
            answer for k in range(0, len(requests), size) for answer in self.backend.answer(requests[k : k + size])
        ]
        found: dict[str, Cluster] = {}
        for question, answer in zip(self.questions, answers, strict=True):
            outcomes = scoring.score(answer, question).outcomes
            before = found.get(question.example, Cluster(0, 0))
            right = sum(outcome.status == "right" for outcome in outcomes)
            found[question.example] = Cluster(before.total + right, before.items + len(outcomes))
        return found


def _material(material: arms.Material, seed: int) -> arms.Material:
    """A few examples that have values, wordings to learn from and wordings to be checked by."""
    usable = [e for e in map(_with_checks, material.examples) if e.facts and e.texts("check") and e.texts("trained")]
    if len(usable) < stats.MIN_FOR_INTERVAL:
        raise DataError(
            f"Only {len(usable)} of {len(material.examples)} rows can be used to compare rates.",
            why=f"It takes {stats.MIN_FOR_INTERVAL} rows with a value in the answer and {LEAST} trained wordings.",
            fix="Leave FILE out: the rows that come with kurabe do. Or add wordings: kurabe reword FILE",
        )  # fmt: skip
    return material._replace(examples=sweeps.chosen(usable, EXAMPLES, seed))


def _with_checks(example: Example) -> Example:
    """The example with its last trained wordings kept for checking, where none are."""
    trained = example.texts("trained")
    if example.texts("check") or len(trained) < LEAST:
        return example
    kept = set(trained[-CHECKS:])

    def moved(wording: Wording) -> Wording:
        moves = wording.role == "trained" and wording.text in kept
        return wording.model_copy(update={"role": "check"}) if moves else wording

    return example.model_copy(update={"wordings": tuple(map(moved, example.wordings))})


def _questions(examples: Sequence[Example]) -> Iterator[Question]:
    for example in examples:
        for n, text in enumerate(example.texts("check"), start=1):
            yield Question(
                id=f"{example.id}/c{n}", example=example.id, probe="check", text=text, expected=example.answer,
                facts=example.facts,
            )  # fmt: skip
