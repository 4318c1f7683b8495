"""Can this recipe learn at all? Arithmetic on steps, rates, masks and wordings, before anything is trained.

Knows no model and no file: it is given a plan and token counts. The sentences are `audit.<id>.what` and
`audit.<id>.why` of the catalogues.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kurabe.auditing.costs import cost_of
from kurabe.recipes import SHORT_RUN_STEPS, Plan, Recipe
from kurabe.schema import Finding, Level

# Published recipes show each fact 100 to 1,000 times (docs/science.md).
ENOUGH_EXPOSURES = 100


class RowTokens(NamedTuple):
    """One sample in tokens: what the model is given, and what it shall say (the end token counts)."""

    prompt: int
    answer: int


class TokenStats(NamedTuple):
    """One pass over the samples in positions. Rows `beyond` the recipe's fixed length are trained whole."""

    positions: int
    padding: int
    prompt: int
    answer: int
    beyond: int
    longest: int


def token_stats(rows: Sequence[RowTokens], recipe: Recipe) -> TokenStats:
    """What a recipe's fixed length makes of these rows. Without one, rows are packed and nothing is padded."""
    fixed = recipe.pad_to or 0
    lengths = [sum(row) for row in rows]
    positions, prompt = sum(max(fixed, length) for length in lengths), sum(row.prompt for row in rows)
    return TokenStats(
        positions=positions, padding=positions - sum(lengths), prompt=prompt, answer=sum(lengths) - prompt,
        beyond=sum(length > fixed > 0 for length in lengths), longest=max(lengths, default=0),
    )  # fmt: skip


def audit_plan(
    plan: Plan, wordings: Sequence[int], stats: TokenStats, *, hidden: int, context: int
) -> tuple[Finding, ...]:
    """Everything to be said about training by this plan. `wordings` is the number of trained wordings per example.

    A flaw is a warning, because a flawed recipe may be trained on purpose; what cannot be done at all is refused.
    """
    findings = [
        *_impossible(plan, stats, context),
        *_steps(plan, hidden),
        *_loss(plan, stats),
        *_exposure(plan, wordings),
    ]
    order: tuple[Level, ...] = ("refuse", "warn", "info")
    return tuple(sorted(findings, key=lambda finding: order.index(finding.level)))


def _finding(plan: Plan, level: Level, key: str, values: dict[str, Any], **repaired: Any) -> Finding:
    """`repaired`: settings of a recipe that would mend it. A recipe that pads and learns everything learns padding."""
    cost = cost_of(key, {"with_padding": plan.recipe.pad_to is not None, "steps": plan.steps})
    return Finding(id=key, level=level, recipe=plan.recipe.name, values=values, repaired=repaired, cost=cost)


def _impossible(plan: Plan, stats: TokenStats, context: int) -> Iterator[Finding]:
    if plan.samples == 0:
        yield _finding(plan, "refuse", "no-samples", {})
    elif stats.longest > context:
        yield _finding(plan, "refuse", "answer-too-long", {"tokens": stats.longest, "context": context})


def _steps(plan: Plan, hidden: int) -> Iterator[Finding]:
    recipe = plan.recipe
    # The whole schedule in steps at the full rate: the old show's nine steps come to 3.6.
    work = {"steps": plan.steps, "full_steps": round(sum(plan.rates) / plan.rate, 1)}
    if recipe.warmup_steps is not None and recipe.warmup_steps >= plan.steps:
        yield _finding(plan, "warn", "warmup-exceeds-steps", {"warmup": recipe.warmup_steps, **work}, warmup_steps=None)
    if plan.steps < SHORT_RUN_STEPS:
        yield _finding(plan, "warn", "too-few-steps", {"enough": SHORT_RUN_STEPS, **work}, min_steps=SHORT_RUN_STEPS)
    if plan.rate != recipe.rate:
        rates = {"literal": recipe.rate, "width": recipe.rate_width, "scaled": plan.rate, "hidden": hidden}
        yield _finding(plan, "info", "rate-scaled", rates)


def _loss(plan: Plan, stats: TokenStats) -> Iterator[Finding]:
    recipe = plan.recipe
    if stats.beyond:
        rows = {"rows": stats.beyond, "length": recipe.pad_to, "longest": stats.longest}
        yield _finding(plan, "info", "truncated-rows", rows)
    if recipe.loss_on == "everything" and stats.positions:
        shares = {name: round(getattr(stats, name) / stats.positions, 4) for name in ("padding", "prompt", "answer")}
        if stats.padding:
            yield _finding(plan, "warn", "loss-on-padding", shares, loss_on="answer")
        yield _finding(plan, "warn", "loss-on-prompt", shares, loss_on="answer")


def _exposure(plan: Plan, wordings: Sequence[int]) -> Iterator[Finding]:
    single = sum(count == 1 for count in wordings)
    if single:
        more = {"wordings": None} if plan.recipe.wordings else {}  # else the rows themselves have no more
        yield _finding(plan, "warn", "one-wording", {"single": single, "examples": len(wordings)}, **more)
    exposures = plan.epochs * plan.samples / max(1, len(wordings))
    if plan.samples and exposures < ENOUGH_EXPOSURES:
        yield _finding(plan, "warn", "low-exposure", {"exposures": round(exposures, 1), "enough": ENOUGH_EXPOSURES},
                       exposures=ENOUGH_EXPOSURES)  # fmt: skip
