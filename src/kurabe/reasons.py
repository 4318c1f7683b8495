"""Evidence -> the reasons of a verdict: keys of the catalogue with the numbers in their sentences.

Knows no rule's order and no words. What decides is said by `verdict`; here is what stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kurabe.evidence import Evidence
from kurabe.schema import Difference, Estimate, Probe, Reason

KEPT = 0.90  # retention whose upper bound lies below this is a loss that was shown
MANY_EXTRA = 0.5  # unexpected values per answer from which on they are named
PROBES: tuple[Probe, ...] = ("general", "reading")


def reason(key: str, **values: Any) -> Reason:
    """One sentence of why."""
    return Reason(key=f"verdict.reason.{key}", values=values)


def change(key: str, **values: Any) -> Reason:
    """One sentence of what would change the verdict."""
    return Reason(key=f"verdict.change.{key}", values=values)


def estimate(share: Estimate) -> dict[str, Any]:
    """A share with its interval, as a sentence takes it."""
    return {"recall": share.value, "low": share.low, "high": share.high, "examples": share.n}


def pair(e: Evidence, label: str, other: str) -> dict[str, Any]:
    """Two arms by name, with the recall of each."""
    return {"label": label, "other": other, "recall": e.share(label), "other_recall": e.share(other)}


def recalls(e: Evidence, label: str, other: str) -> list[Reason]:
    """The recall of both, where both have one."""
    known = e.share(label) is not None and e.share(other) is not None
    return [reason("recalls", **pair(e, label, other))] if known else []


def versus(difference: Difference) -> Reason:
    """The difference in a sentence; without an interval where there is none."""
    values = {"label": difference.label, "other": difference.other, "difference": difference.estimate.value}
    end = "" if difference.measure == "recall" else "_style"
    if difference.estimate.low is None:
        return reason(f"difference_alone{end}", **values)
    low, high = difference.estimate.low, difference.estimate.high
    return reason(f"difference{end}", **values, low_points=low, high_points=high)


def lost(e: Evidence, probe: Probe, limit: float = KEPT) -> bool:
    """Whether tuning was shown to leave less than `limit` of what was right before."""
    kept = e.kept(probe)
    return kept is not None and kept.kept.high is not None and kept.kept.high < limit


def retained(e: Evidence, probes: Iterable[Probe] = PROBES) -> list[Reason]:
    """What tuning kept and what it lost; said with every verdict, because it holds whatever the recall is."""
    said = []
    for probe in probes:
        kept = e.kept(probe)
        if kept is not None:
            key = f"{'lost' if lost(e, probe) else 'kept'}_{probe}"
            said.append(reason(key, before=kept.right_before, **estimate(kept.kept)))
    return said


def burdens(e: Evidence, label: str) -> list[Reason]:
    """What speaks beside recall: retention under this recipe, unexpected values, break-even."""
    said, arm, lora = retained(e), e.arm(label), e.cost("lora")
    if arm is not None and arm.extra.value is not None and arm.extra.value >= MANY_EXTRA:
        said.append(reason("extra", label=label, extra=arm.extra.value))
    if lora is not None and lora.break_even is not None:
        said.append(reason("break_even", questions=lora.break_even))
    return said


def more(e: Evidence, label: str, other: str) -> Reason:
    """More examples, with the difference that as many as these show."""
    difference = e.difference(label, other)
    if difference is None or difference.smallest_detectable is None:
        return change("more_examples")
    return change("detectable", detectable=difference.smallest_detectable, examples=e.examples)
