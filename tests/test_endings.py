"""A training whose loss is no number ends after three such steps in a row, and its last step says so."""

from __future__ import annotations

import pickle

from test_fake import trial

from kurabe.endings import NOT_FINITE_STEPS, Endings
from kurabe.fake import FakeBackend


def test_only_so_many_steps_in_a_row_end_a_training_and_no_other() -> None:
    bad = {1: {2, 3, 5, 6, 7, 8}, 2: {1, 3}}

    def losses(number: int, step: int) -> float | None:
        return None if step in bad[number] else 1.0

    steps = list(Endings().steps(FakeBackend(losses=losses), [trial(1, rows=40), trial(2, rows=40)]))
    first, second = ([step for step in steps if step.trial == number] for number in (1, 2))
    assert [step.step for step in first] == list(range(1, 5 + NOT_FINITE_STEPS))  # 5, 6 and 7 are in a row
    assert [step.ended for step in first] == [None] * 6 + ["broken"]
    assert second[-1].step == second[-1].steps and not any(step.ended for step in second)


def test_the_rule_can_be_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(Endings()))
    steps = list(sent.steps(FakeBackend(losses=lambda number, step: None), [trial(1, rows=40)]))
    assert len(steps) == NOT_FINITE_STEPS
