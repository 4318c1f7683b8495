"""What is tried before a run, how long, and what is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from killed_run import backend, settings, write_data

from kurabe import backends, experiment, forecast
from kurabe.fake import FakeBackend
from kurabe.hf import HFBackend
from kurabe.model import Stopped, TrialPlan
from kurabe.schema import Answer, Request, RunPlan, Step


class Watched(FakeBackend):
    """Remembers what was trained, how far, what was forgotten, and how many answers were asked for together."""

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__(delay=delay)
        self.calls: list[list[int]] = []
        self.taken: Counter[int] = Counter()
        self.forgotten: set[int] = set()
        self.asked: list[list[Request]] = []

    def train(self, trials: Sequence[TrialPlan], stopped: Stopped | None = None) -> Iterator[Step]:
        self.calls.append([trial.trial for trial in trials])
        for step in super().train(trials, stopped):
            self.taken[step.trial] += 1
            yield step

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        self.asked.append(list(requests))
        yield from super().answer(requests)

    def forget(self, trials: Sequence[int]) -> None:
        super().forget(trials)
        self.forgotten.update(trials)


def planned(folder: Path, watched: FakeBackend, **changes: Any) -> RunPlan:
    return experiment.plan_run(write_data(folder), settings(folder, **changes), backend=watched)


def test_trials_of_a_curve_are_tried_together_as_they_are_trained(tmp_path: Path) -> None:
    watched = Watched()
    plan = planned(tmp_path, watched, over=("rank",), seeds=2)
    assert plan.seconds["train"] is not None
    assert [len(call) for call in watched.calls] == [1, 1, 11], "two recipes alone; the other ranks and seeds together"
    assert set(watched.taken.values()) == {forecast.CALIBRATION_STEPS + 1}
    assert watched.forgotten == set(watched.taken)


def test_slow_steps_are_tried_only_as_long_as_patience_lasts(clock: None, tmp_path: Path) -> None:
    watched = Watched(delay=20.0)
    planned(tmp_path, watched, minutes=1, recipes=("fair",))
    assert watched.taken == {1: 2}, "one to warm up and one that counts, though the patience was over at once"


@pytest.mark.parametrize(("delay", "most"), [(0.0, 60), (4.0, 8)])
def test_a_whole_batch_of_each_kind_is_tried_where_a_few_answers_take_short(
    clock: None, tmp_path: Path, delay: float, most: int
) -> None:
    watched = Watched(delay)
    planned(tmp_path, watched, minutes=10, retention=60)
    assert max(map(len, watched.asked)) == most
    assert {request.key.trial for tried in watched.asked for request in tried} == {0}


def test_where_answers_are_slow_two_kinds_are_tried_and_the_others_worked_out(clock: None, tmp_path: Path) -> None:
    """An answer takes as long whatever its prompt: so must those that were not tried."""
    watched = Watched(delay=2.0)
    plan = planned(tmp_path, watched, minutes=1, retention=20, recipes=("fair",))
    assert len({request.key.arm for tried in watched.asked for request in tried}) <= forecast.KINDS_TRIED
    assert plan.seconds["answer"] == pytest.approx(2.0 * plan.answers)
    patient = Watched(delay=0.0)
    planned(tmp_path, patient, minutes=1, retention=20, recipes=("fair",))
    assert len({request.key.arm for tried in patient.asked for request in tried}) > forecast.KINDS_TRIED


def test_a_lora_is_thought_to_say_as_much_as_a_model_told_the_right_row(tmp_path: Path) -> None:
    """The untuned model only says that it doesn't know: its answers are shorter."""
    watched = Watched()
    planned(tmp_path, watched, arms=("base", "lora"), retention=0)
    asked = [(tried[0].key.arm, {request.key.question for request in tried}) for tried in watched.asked]
    assert {arm for arm, _ in asked} == {"base", "ceiling"}
    assert all(any("costs $" in message.content for message in request.messages)
               for tried in watched.asked for request in tried if request.key.arm == "ceiling")  # fmt: skip


def test_the_time_is_that_of_the_run(clock: None, tmp_path: Path) -> None:
    data = write_data(tmp_path)
    wanted = settings(tmp_path, over=("rank", "epochs"), seeds=2)
    plan = experiment.plan_run(data, wanted, backend=backend(data, delay=0.1))
    results = experiment.run(data, wanted, backend=backend(data, delay=0.1))
    assert plan.seconds["train"] == pytest.approx(results.seconds["train"], rel=0.1)
    assert plan.seconds["answer"] == pytest.approx(results.seconds["base"] + results.seconds["answer"], rel=0.01)


def test_what_was_tried_on_a_real_model_leaves_no_adapter_behind(tiny_folder: Path, tmp_path: Path) -> None:
    wanted = settings(
        tmp_path, model=str(tiny_folder), threads=1, device="cpu", over=("rank",), retention=0, recipes=("fair",)
    )
    model = backends.load(wanted)
    assert isinstance(model, HFBackend)
    plan = experiment.plan_run(write_data(tmp_path), wanted, backend=model)
    assert (plan.seconds["train"] or 0) > 0 and (plan.seconds["answer"] or 0) > 0
    assert model.stack.slots == []
