"""What can be seen of a run while it works: made from its events alone, live and recorded alike."""

from __future__ import annotations

from kurabe.schema import Event
from kurabe.workshop.watch import until, view


def events(*kinds: tuple[str, dict[str, object]]) -> list[Event]:
    return [
        Event(seq=n, at="", elapsed=float(n), kind=kind, values=dict(values))
        for n, (kind, values) in enumerate(kinds, 1)
    ]


TRIAL = ("trial", {"trial": 1, "recipe": "fair", "steps": 4})


def step(number: int, loss: float | None = 1.0) -> tuple[str, dict[str, object]]:
    return ("step", {"trial": 1, "step": number, "loss": loss, "seconds": 2.0})


RUN = events(
    ("stage", {"name": "base", "state": "start"}), ("batch", {"done": 8, "total": 20}),
    ("stage", {"name": "base", "state": "end"}), ("stage", {"name": "train", "state": "start"}), TRIAL,
    step(1), step(2, None), step(3), ("end", {"seconds": 9}),
)  # fmt: skip


def test_nothing_is_nothing() -> None:
    assert view([]) == ("", 0, 0, (), 0.0) and not view([]).finished


def test_answers_belong_to_their_stage() -> None:
    assert view(RUN[:2])[:3] == ("base", 8, 20)
    assert view(RUN[:4])[:3] == ("train", 0, 0)


def test_a_training_tells_its_steps_losses_and_time_left() -> None:
    (trained,) = view(RUN[:7]).trained
    assert (trained.step, trained.steps, trained.losses, trained.left) == (2, 4, (1.0, None), 4.0)
    assert trained.share == 0.5
    assert [(p.x, p.value, p.recipe) for p in view(RUN[:7]).points] == [(1, 1.0, "fair"), (2, None, "fair")]


def test_before_the_first_step_no_time_is_invented() -> None:
    assert view(RUN[:5]).trained[0].left is None


def test_a_training_that_was_killed_begins_again() -> None:
    again = view([*RUN[:7], *events(TRIAL, step(1, 0.5))])
    assert again.trained[0].losses == (0.5,)


def test_a_training_that_was_cut_goes_on_from_its_step() -> None:
    goes_on = ("trial", {"trial": 1, "recipe": "fair", "steps": 4, "from_step": 1})
    (trained,) = view(events(TRIAL, step(1, 3.0), step(2, 2.0), goes_on, step(2, 1.5), step(3, 1.0))).trained
    assert (trained.step, trained.losses) == (3, (3.0, 1.5, 1.0))


def test_the_control_is_none_of_the_recipes_that_are_shown() -> None:
    control = ("trial", {"trial": 2, "recipe": "fair", "steps": 4, "shuffled": True})
    taken = ("step", {"trial": 2, "step": 1, "loss": 9.0, "seconds": 2.0})
    assert view(events(TRIAL, step(1), control, taken)).trained == view(events(TRIAL, step(1))).trained


def test_a_recording_shows_what_had_happened_by_then() -> None:
    assert view(until(RUN, 3)) == view(RUN[:3])
    assert view(until(RUN, 1e9)) == view(RUN) and view(RUN).finished
