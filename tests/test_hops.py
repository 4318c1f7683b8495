"""A hop held or it did not, and what a proof says follows from its numbers alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurabe import hops
from kurabe.schema import Estimate, Hop, Parity


def hop(name: str, size: int, lost: float | None, *, unscored: int = 0, same: int = 10) -> Hop:
    return Hop(
        hop=name, file=f"x-{name}.gguf" if size else "", size=size, answers=10, unscored=unscored, same=same,
        recall=Estimate(value=0.9), wrong=Estimate(value=0.0), lost=None if lost is None else Estimate(value=lost),
        seconds=1.0, held=hops.held(name, same, 10, 10 - unscored, lost),
    )  # fmt: skip


@given(st.integers(0, 10), st.integers(0, 10), st.floats(-1, 1), st.sampled_from(["F32", "F16", "Q8_0", "Q4_K_M"]))
def test_what_did_not_hold_has_a_cause(same: int, unscored: int, lost: float, name: str) -> None:
    found = hop(name, 5, lost, unscored=unscored, same=same)
    if found.held:
        assert unscored == 0 and lost >= -hops.MARGIN
        assert name not in hops.EXACT or same >= 9
    else:
        assert {"unscored": unscored > 0, "lost": lost < -hops.MARGIN, "differs": name in hops.EXACT}[hops.cause(found)]


@pytest.mark.parametrize("failed, larger", [([], ""), (["Q4_K_M"], "Q6_K"), (["Q4_K_M", "Q8_0"], "F16")])
def test_the_next_larger_format_is_one_that_held(failed: list[str], larger: str) -> None:
    sizes = {"Q4_K_M": 4, "Q6_K": 6, "Q8_0": 8, "F16": 16}
    files = [hop(name, size, -0.2 if name in failed else 0.0) for name, size in sizes.items()]
    parity = Parity(run="r", arm="lora", margin=hops.MARGIN, hops=(hop("adapter", 0, 0.0), *files))
    assert hops.next_larger(parity) == larger
