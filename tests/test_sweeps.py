"""Every axis varies one thing around the recipe; what two of its points train alike is trained once."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kurabe import sweeps, trials
from kurabe.arms import Material
from kurabe.fake import FakeBackend
from kurabe.recipes import RECIPES
from kurabe.schema import Axis, Example, Wording
from kurabe.settings import AXES, RunSettings

FAIR = RECIPES["fair"]


def examples(count: int, wordings: int) -> tuple[Example, ...]:
    return tuple(
        Example(
            id=f"row{n}", answer=f"It costs ${n}.50.", facts=(),
            wordings=tuple(Wording(text=f"Wording {w} of {n}?", role="trained") for w in range(wordings)),
        )
        for n in range(count)
    )  # fmt: skip


def planned(*axes: Axis, seeds: int = 1, count: int = 10, wordings: int = 8) -> trials.Trials:
    settings = RunSettings(over=axes, seeds=seeds, recipes=("fair",))
    return trials.plan_trials(Material(examples(count, wordings), "", "en"), settings, FakeBackend())


def values(axis: Axis) -> dict[float, sweeps.Tried]:
    return {tried.x: tried for tried in sweeps.to_try([axis], FAIR, examples(10, 8), 12, [0])}


def test_examples_go_up_to_all_of_them_and_each_holds_the_fewer() -> None:
    tried = values("examples")
    assert list(tried) == [1, 2, 3, 5, 10]
    assert {t.spec.examples for t in tried.values()} == {1, 2, 3, 5, 10} and {
        t.spec.recipe for t in tried.values()
    } == {FAIR}
    for seed in range(5):
        sets = [{e.id for e in sweeps.chosen(examples(10, 1), count, seed)} for count in (1, 2, 3, 5, 10)]
        assert [len(s) for s in sets] == [1, 2, 3, 5, 10]
        assert all(few <= more for few, more in pairwise(sets))
    assert len({sweeps.chosen(examples(10, 1), 3, seed) for seed in range(5)}) > 1


def test_wordings_rank_and_rate_change_only_themselves() -> None:
    assert [t.spec.recipe.wordings for t in values("wordings").values()] == [1, 2, 3, 5, None]
    for axis, field in (("wordings", "wordings"), ("rank", "rank"), ("rate", "rate")):
        for tried in values(axis).values():  # type: ignore[arg-type]
            changed = {k for k, v in tried.spec.recipe if v != getattr(FAIR, k)}
            assert changed <= {field} and tried.spec.examples == 10


def test_the_axis_of_seeds_has_the_seeds_themselves() -> None:
    tried = sweeps.to_try(["seeds"], FAIR, examples(10, 8), 12, [4, 5, 6])
    assert [(t.x, t.spec.seed) for t in tried] == [(seed, seed) for seed in (4, 5, 6, 7, 8)]


def test_samples_are_examples_times_wordings_and_end_at_all() -> None:
    tried = values("samples")
    assert max(tried) == 80 and min(tried) == 1
    for x, point in tried.items():
        assert x == point.spec.examples * (point.spec.recipe.wordings or 8)


def test_epochs_are_states_of_one_training_and_the_whole_run_is_what_they_predict() -> None:
    tried = values("epochs")
    assert max(tried) == 24 and [x for x, t in tried.items() if t.unseen] == [12]
    assert tried[12].spec == sweeps.Spec(FAIR, 10, 0)
    others = [t.spec for x, t in tried.items() if x != 12]
    assert {s.recipe.schedule for s in others} == {"flat"} and [s.checkpoint for s in others] == [
        x for x in tried if x != 12
    ]


@pytest.mark.parametrize("axis", AXES)
def test_an_unseen_point_lies_inside_the_range(axis: Axis) -> None:
    tried = values(axis)
    unseen = [x for x, t in tried.items() if t.unseen]
    assert len(unseen) <= 1 and all(min(tried) < x < max(tried) for x in unseen)
    assert bool(unseen) == (axis not in ("seeds", "rate"))


def test_what_two_axes_train_alike_is_trained_once() -> None:
    both = planned("examples", "wordings", seeds=2)
    by_axis: dict[str, dict[tuple[float, int], int]] = {"examples": {}, "wordings": {}}
    infos = {t.trial.trial: t.trial for t in both.trainings}
    for point in both.points:
        by_axis[point.axis][point.x, infos[point.trial].seed] = point.trial
    assert by_axis["examples"][10, 0] == by_axis["wordings"][8, 0] == 1  # the table's own trial
    assert by_axis["examples"][10, 1] == by_axis["wordings"][8, 1] != 1
    plans = [(t.trial.plan, t.trial.samples, t.trial.seed) for t in both.trainings]
    assert len(plans) == len(set(plans)) == 2 * (5 + 5 - 1)


def test_the_states_of_a_training_are_trials_of_their_own() -> None:
    found = planned("epochs")
    (long,) = [t for t in found.swept if t.keep]
    per_epoch = long.trial.plan.steps_per_epoch
    numbers = {point.x: point.trial for point in found.points}
    assert {steps // per_epoch: trial for steps, trial in long.keep} == {
        x: t for x, t in numbers.items() if t not in (1, long.trial.trial)
    }
    assert numbers[max(numbers)] == long.trial.trial and long.trial.plan.steps == max(numbers) * per_epoch
    infos, _ = trials.describe(long, Material(examples(10, 8), "", "en"), FakeBackend())
    assert [info.epochs for info in infos[1:]] == [steps / per_epoch for steps, _ in long.keep]
    assert {info.of for info in infos[1:]} == {long.trial.trial} and infos[0].of == 0


def test_the_same_settings_make_the_same_trials() -> None:
    assert planned(*AXES, seeds=2) == planned(*AXES, seeds=2)
    assert planned().swept == () and planned().points == ()
    numbers = [t.trial.trial for t in planned(*AXES).trainings] + [n for t in planned(*AXES).swept for _, n in t.keep]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_a_rate_without_decay_is_that_of_a_shorter_run() -> None:
    from kurabe.recipes import plan

    flat = FAIR.model_copy(update={"schedule": "flat", "min_steps": 0, "exposures": 0})
    long, short = (plan(flat.model_copy(update={"epochs": epochs}), 400, 10, 256).rates for epochs in (20, 8))
    assert long[: len(short)] == short and len(set(long[20:])) == 1
