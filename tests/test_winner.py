"""What is shipped is what the verdict names: its base, its adapter, the message it was asked under."""

from pathlib import Path

import pytest

from kurabe.arms import INDEXED
from kurabe.errors import UserError
from kurabe.export import winner as winners
from kurabe.export.winner import winner
from kurabe.prompts import NEUTRAL
from kurabe.runs import RunFolder

RUN = Path(__file__).parent / "data/run-v1"


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored run's model folder counts as verified: it lies on another machine."""

    class Weights:
        sha256 = RunFolder.open(RUN).info().model.sha256

    monkeypatch.setattr(winners.hub, "verify", lambda path: Weights)


@pytest.mark.usefixtures("trusted")
def test_prompt_arms_bring_the_prompt_and_no_adapter() -> None:
    found = winner(RUN, "prompt")
    assert (found.adapter, found.trial, found.system) == (None, 0, RunFolder.open(RUN).request().prompt)
    assert winner(RUN, "base").system == NEUTRAL[RunFolder.open(RUN).request().language]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("arm", ["ceiling", "shuffled", "nonsense"])
def test_a_control_is_no_arm_to_ship(arm: str) -> None:
    with pytest.raises(UserError) as caught:
        winner(RUN, arm)
    assert "base" in caught.value.fix and "control" in caught.value.why


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("arm", INDEXED)
def test_an_arm_that_was_not_measured_is_refused(arm: str) -> None:
    with pytest.raises(UserError) as caught:
        winner(RUN, arm)
    assert "not measured" in caught.value.why


def test_other_weights_than_the_measured_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Weights:
        sha256 = "another"

    monkeypatch.setattr(winners.hub, "verify", lambda path: Weights)
    with pytest.raises(UserError, match="does not hold the weights"):
        winner(RUN, "base")
