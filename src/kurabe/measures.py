"""What the arms' answers come to: scores by arm, shares with intervals, paired differences.

Knows no file, no verdict's rule and no screen text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from kurabe import planning, scoring, stats, style, verdict
from kurabe.schema import Answer, ArmResult, Difference, Question, RunInfo, Score, Status
from kurabe.settings import ARM_NAMES

# Which arms are compared with which, where both were run; a further recipe's LoRA is compared with `base`.
COMPARED = (
    ("lora", "prompt"),
    ("lora", "rag"),
    ("rag", "prompt"),
    ("few-shot", "prompt"),
    ("lora+prompt", "prompt"),
    ("lora+prompt", "lora"),
    ("lora+prompt", "rag"),
    ("lora+rag", "prompt"),
    ("lora+rag", "rag"),
    ("lora+rag", "lora"),
    ("prompt", "base"),
    ("lora", "base"),
    ("lora", "shuffled"),
    ("ceiling", "prompt"),
)


class Asked(NamedTuple):
    """One answer with the question it belongs to and its score."""

    question: Question
    answer: Answer
    score: Score


class Arm(NamedTuple):
    """One arm under one trial, with its answers to the user's own questions."""

    arm: str
    trial: int
    recipe: str  # "" without an adapter
    label: str
    held_out: tuple[Asked, ...]
    trained: tuple[Asked, ...]

    @property
    def asked(self) -> list[tuple[Question, Answer]]:
        """The held-out questions and answers, without their scores."""
        return [(row.question, row.answer) for row in self.held_out]


Statuses: TypeAlias = tuple[Status, ...]


def arms(answers: Sequence[Answer], asked: Mapping[str, Question], info: RunInfo) -> list[Arm]:
    """Every (arm, trial) that was asked held-out questions, in the design's order, further recipes last."""
    groups: dict[tuple[str, int], dict[str, list[Asked]]] = {}
    compared = {0, *(trial.trial for trial in info.trials)}
    for answer in answers:
        key = answer.key
        if key.probe in ("held_out", "trained") and key.trial in compared:
            question = asked[key.question]
            row = Asked(question, answer, scoring.score(answer, question))
            groups.setdefault((key.arm, key.trial), {"held_out": [], "trained": []})[key.probe].append(row)
    recipes = {trial.trial: trial.recipe for trial in info.trials}
    # The first recipe, and the control that repeats it, are named by their arm alone.
    named = {0, *(trial.trial for trial in info.trials[:1]), *(trial.trial for trial in info.trials if trial.shuffled)}
    found = [
        Arm(arm, trial, recipe, label, tuple(rows["held_out"]), tuple(rows["trained"]))
        for (arm, trial), rows in groups.items()
        for recipe in [recipes.get(trial, "")]
        for label in [arm if trial in named else f"{arm} ({recipe})"]
    ]
    return sorted(found, key=lambda a: (a.trial not in named, ARM_NAMES.index(a.arm), a.trial))


def others(answers: Sequence[Answer], asked: Mapping[str, Question], info: RunInfo) -> list[list[Arm]]:
    """The arms of each other model, labelled with its name."""
    groups = [[a for a in answers if (a.key.hop, a.key.model) == (planning.SERVED, o.name)] for o in info.beside]
    return [
        [arm._replace(label=f"{arm.arm} @ {other.name}") for arm in arms(group, asked, info)]
        for other, group in zip(info.beside, groups, strict=True)
    ]


def scored(rows: Iterable[Asked]) -> list[Asked]:
    """Rows that count: an answer came, and there was a value to find."""
    return [row for row in rows if row.answer.finish != "error" and row.question.facts]


def clusters(rows: Iterable[Asked], statuses: Statuses) -> dict[str, stats.Cluster]:
    """Per example, how many of its expected values came out with one of these statuses, of how many."""
    return sums(
        rows, lambda row: sum(o.status in statuses for o in row.score.outcomes), lambda r: len(r.score.outcomes)
    )


def sums(
    rows: Iterable[Asked], total: Callable[[Asked], float], items: Callable[[Asked], int]
) -> dict[str, stats.Cluster]:
    clusters: dict[str, stats.Cluster] = {}
    for row in scored(rows):
        before = clusters.get(row.question.example, stats.Cluster(0, 0))
        clusters[row.question.example] = stats.Cluster(before.total + total(row), before.items + items(row))
    return clusters


def arm_result(arm: Arm, seed: int, empty: Sequence[str]) -> ArmResult:
    counted = Counter(o.status for row in arm.held_out for o in row.score.outcomes)
    return ArmResult(
        arm=arm.arm,
        trial=arm.trial,
        recipe=arm.recipe,
        label=arm.label,
        recall=stats.share(clusters(arm.held_out, ("right",)), seed),
        trained=stats.share(clusters(arm.trained, ("right",)), seed),
        wrong=stats.share(clusters(arm.held_out, ("wrong",)), seed),
        extra=stats.mean(sums(arm.held_out, lambda row: len(row.score.extra), lambda row: 1), seed),
        outcomes={status: counted[status] for status in ("right", "wrong", "missing", "refused", "unscored")},
        answers=len(arm.held_out),
        cut=sum(row.score.cut for row in arm.held_out),
        unscored=sum(row.answer.finish == "error" for row in arm.held_out),
        style=style.estimate(arm.asked, seed, empty),
        checks=style.by_check(arm.asked, seed),
    )


def differences(arms: Sequence[Arm], seed: int) -> Iterable[Difference]:
    """Differences of recall between arms that were both run, on the questions that both answered."""
    by_label = {arm.label: arm for arm in arms}
    further = [(arm.label, "base") for arm in arms if arm.label != arm.arm]
    for label, other in (*COMPARED, *further):
        if label in by_label and other in by_label:
            first, second = _paired(by_label[label], by_label[other])
            yield Difference(
                label=label,
                other=other,
                estimate=(estimate := stats.difference(first, second, seed)),
                smallest_detectable=stats.smallest_detectable(first, second),
                needed=stats.examples_needed(first, second, verdict.wanted_difference(estimate.value)),
            )


def _paired(first: Arm, second: Arm) -> tuple[stats.Clusters, stats.Clusters]:
    """The right values of both arms per example, over the questions that both have a scored answer to."""
    common = {row.question.id for row in scored(first.held_out)} & {row.question.id for row in scored(second.held_out)}
    pair = [[row for row in arm.held_out if row.question.id in common] for arm in (first, second)]
    return clusters(pair[0], ("right",)), clusters(pair[1], ("right",))


def independent(arms: Sequence[ArmResult], differences: Sequence[Difference]) -> int:
    """Examples that the deciding comparison rests on; without one, those of the arm that has the fewest. Rows that
    hold no values are counted by their checks of form."""
    if all(arm.recall.value is None for arm in arms):
        return style.examples((arm.style for arm in arms), differences)
    pairs = (("lora", "prompt"), ("lora", "rag"))
    deciding = [d.estimate.n for d in differences if d.measure == "recall" and (d.label, d.other) in pairs]
    return min(deciding or [arm.recall.n for arm in arms], default=0)
