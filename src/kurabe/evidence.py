"""What the verdict reads: arms, paired differences, retention, costs, findings, and the questions that are put to them.

Knows no rule and no margin but the fewest questions that retention needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kurabe.schema import ArmResult, CostEstimate, Difference, Finding, Measure, Probe, RetentionResult

MIN_EXAMPLES = 8  # independent examples, or retention questions, below which nothing is concluded


class Evidence(NamedTuple):
    """Everything the rule reads. Only the first recipe's trial speaks for `lora` and what it is combined with."""

    arms: tuple[ArmResult, ...]
    differences: tuple[Difference, ...]
    retention: tuple[RetentionResult, ...]
    costs: tuple[CostEstimate, ...]
    audit: tuple[Finding, ...]
    examples: int  # independent examples with scored held-out answers
    stand_in: bool
    recipe: str  # the first recipe
    prompt_fits: bool = True  # whether all facts fit into the model's window
    questions_per_day: int | None = None
    generated: int = 0  # examples whose held-out wordings were made by rules

    def arm(self, label: str) -> ArmResult | None:
        """The result of one arm; "lora" is the first recipe's."""
        return next((a for a in self.arms if a.label == label), None)

    def ran(self, labels: Iterable[str]) -> list[str]:
        """Those of `labels` that were run, in their order."""
        return [label for label in labels if self.arm(label) is not None]

    def share(self, label: str, measure: Measure = "recall") -> float | None:
        """Recall or style of one arm; None where it was not run or nothing was scored."""
        arm = self.arm(label)
        estimate = arm and (arm.recall if measure == "recall" else arm.style)
        return estimate.value if estimate else None

    def difference(self, label: str, other: str, measure: Measure = "recall") -> Difference | None:
        """Recall or style of `label` minus that of `other`; None where it was not measured."""
        wanted = (label, other, measure)
        found = next((d for d in self.differences if (d.label, d.other, d.measure) == wanted), None)
        return found if found is not None and found.estimate.value is not None else None

    def kept(self, probe: Probe) -> RetentionResult | None:
        """Retention under the first recipe, where enough questions were right before to tell."""
        found = (r for r in self.retention if r.recipe == self.recipe and r.probe == probe)
        return next((r for r in found if r.right_before >= MIN_EXAMPLES and r.kept.value is not None), None)

    def cost(self, label: str) -> CostEstimate | None:
        """What one arm costs; None where it was not run."""
        return next((c for c in self.costs if c.label == label), None)

    @property
    def only_style(self) -> bool:
        """Whether rows ask for a form and hold no value to check."""
        return any(arm.style for arm in self.arms) and all(arm.recall.value is None for arm in self.arms)
