"""How well each arm keeps the form that rows ask for: shares of checks that hold, and differences of tuned arms.

Knows no rule of form (`checks.py` does), no model and no file. Facts are counted apart from this, as recall.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from kurabe import checks, stats, verdict
from kurabe.schema import Answer, Difference, Estimate, Question

TUNED = ("lora", "lora+prompt", "lora+rag")
UNTRAINED = ("prompt", "few-shot", "rag")
PASSED = 0.95  # a check that every compared arm passes as often as this tells them not apart
Rows: TypeAlias = Sequence[tuple[Question, Answer]]  # one arm's answers to held-out questions
_Held: TypeAlias = dict[tuple[str, str, str], bool]  # (example, question id, check) -> whether it holds


def passed_by_all(arms: Mapping[str, Rows]) -> tuple[str, ...]:
    """The kinds of check that say nothing about the arms, because each arm that is compared by form passes them in at
    least 95 %: counted in, they would make every difference smaller. None is named where fewer than two arms are
    compared, or where no other kind would be left."""
    held = [_held(arms[label]) for label in (*TUNED, *UNTRAINED) if label in arms]
    held = [own for own in held if own]
    shares = [_shares(own) for own in held] if len(held) > 1 else []
    names = dict.fromkeys(name for own in shares for name in own)
    passed = tuple(name for name in names if all(own.get(name, 1.0) >= PASSED for own in shares))
    return passed if len(passed) < len(names) else ()


def estimate(rows: Rows, seed: int, without: Collection[str] = ()) -> Estimate | None:
    """Share of checks that hold, examples resampled, some kinds left out; None where no row has checks."""
    if all(question.checks is None for question, _ in rows):
        return None
    return stats.share(_clusters(_held(rows, without)), seed)


def by_check(rows: Rows, seed: int) -> dict[str, Estimate]:
    """The same for each kind of check that a row asks for."""
    held = _held(rows)
    names = dict.fromkeys(name for question, _ in rows if question.checks for name in question.checks.given)
    return {
        name: stats.share(_clusters({key: value for key, value in held.items() if key[2] == name}), seed)
        for name in names
    }


def differences(arms: Mapping[str, Rows], seed: int, without: Collection[str] = ()) -> Iterator[Difference]:
    """Style of each tuned arm minus that of each way without training, on the checks that both were judged by. `arms`
    are the answers by label; arms that were not run, and rows without checks, give no difference."""
    held = {label: _held(arms[label], without) for label in (*TUNED, *UNTRAINED) if label in arms}
    for label, other in ((label, other) for label in TUNED for other in UNTRAINED):
        common = held.get(label, {}).keys() & held.get(other, {}).keys()
        if common:
            first, second = (
                _clusters({key: value for key, value in held[arm].items() if key in common}) for arm in (label, other)
            )
            found = stats.difference(first, second, seed)
            yield Difference(
                label=label,
                other=other,
                measure="style",
                estimate=found,
                smallest_detectable=stats.smallest_detectable(first, second),
                needed=stats.examples_needed(first, second, verdict.wanted_difference(found.value)),
            )


def examples(styles: Iterable[Estimate | None], found: Sequence[Difference]) -> int:
    """Independent examples that a verdict by form rests on: those of the LoRA's comparisons, or of its poorest arm."""
    compared = [d.estimate.n for d in found if d.measure == "style" and d.label == "lora"]
    return min(compared or [style.n for style in styles if style is not None], default=0)


def _held(rows: Rows, without: Collection[str] = ()) -> _Held:
    return {
        (question.example, question.id, name): held
        for question, answer in rows
        for name, held in checks.judged(answer, question).items()
        if name not in without
    }


def _shares(held: _Held) -> dict[str, float]:
    """Kind of check -> share of the answers that pass it."""
    found: dict[str, list[bool]] = {}
    for (_, _, name), holds in held.items():
        found.setdefault(name, []).append(holds)
    return {name: sum(every) / len(every) for name, every in found.items()}


def _clusters(held: _Held) -> dict[str, stats.Cluster]:
    clusters: dict[str, stats.Cluster] = {}
    for (example, _, _), holds in sorted(held.items()):
        before = clusters.get(example, stats.Cluster(0, 0))
        clusters[example] = stats.Cluster(before.total + holds, before.items + 1)
    return clusters
