"""Run folder -> Results: scores, estimates, paired differences, retention, costs, and the verdict on them.

Knows no model and no screen text. It reads the folder and nothing else, so analysing twice gives the same results.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from kurabe import (
    checks,
    consistency,
    cost,
    curves,
    lessons,
    likelihood,
    planning,
    scoring,
    stale,
    stats,
    storage,
    style,
    unknown,
    verdict,
)
from kurabe.errors import StoppedError
from kurabe.evidence import Evidence
from kurabe.recipes import RECIPES
from kurabe.runs import RunFolder
from kurabe.schema import (
    Answer,
    ArmAnswer,
    ArmResult,
    ConsistencyResult,
    CostEstimate,
    CurvePoint,
    Difference,
    OtherResult,
    Probe,
    Question,
    QuestionResult,
    Reason,
    Results,
    RetentionResult,
    RunInfo,
    Score,
    Status,
    TeacherResult,
    TrialInfo,
)
from kurabe.settings import ARM_NAMES, Price, RunSettings

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
CONTROLS = ("ceiling", "shuffled")  # what nobody could ship: one is told which row is asked for, one learned nonsense
RETENTION: tuple[Probe, ...] = ("general", "reading")
ENDED = ("audit.note.trial-broken", "audit.note.trial-learned")


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


def load_run(path: str | Path) -> Results:
    """The results of a run folder, analysed anew, with what was added since: the proof of the files that were shipped
    from it, the other models of a curve. Raises `StoppedError` where the run is not finished."""
    folder = RunFolder.open(path)
    results, models = analyse(folder), folder.models()
    drawn = (*results.curves, *(point for model in models for point in model.points))
    return results.model_copy(update={"parity": folder.parity(), "models": models, "curves": drawn})


def analyse(folder: RunFolder) -> Results:
    """Results of a run whose planned answers have all come."""
    # 1. What was asked and what came; an unfinished run is refused.
    if not folder.planned:
        raise unfinished(folder, "It was stopped before its plan was stored.")
    info, questions, everything = folder.info(), folder.questions(), folder.answers()
    planned = {key for batch in folder.plan() for key in batch.keys}
    missing = planned - {answer.key for answer in everything}
    if missing:
        raise unfinished(folder, f"{len(missing)} of {len(planned)} answers have not come yet.")
    settings = RunSettings.model_validate(info.settings)

    # 2. Scores, arm by arm; other models apart.
    asked = {question.id: question for question in questions}
    answers = [answer for answer in everything if answer.key.hop == planning.LIVE]
    arms, others = _arms(answers, asked, info), _others(everything, asked, info)
    first = info.trials[0].recipe if info.trials else ""

    # 3. Numbers.
    asked_of = {arm.label: arm.asked for arm in arms}
    empty = style.passed_by_all(asked_of)
    arm_results = tuple(_arm_result(arm, settings.seed, empty) for arm in arms)
    differences = (*_differences(arms, settings.seed), *style.differences(asked_of, settings.seed, empty))
    retention = tuple(_retention(answers, asked, info.trials, settings.seed))
    teachers = tuple(_teachers(answers, asked, info.trials, settings.seed))
    costs = _costs(arms, folder, settings)
    findings = folder.findings()
    swept = _curves(answers, asked, info, arms, first, settings.seed)

    # 4. The verdict on them.
    evidence = Evidence(
        arms=arm_results,
        differences=differences,
        retention=retention,
        costs=costs,
        audit=findings,
        examples=_independent(arm_results, differences),
        stand_in=info.model.stand_in,
        recipe=first,
        prompt_fits=not ("prompt" in settings.arms and all(arm.arm != "prompt" for arm in arms)),
        questions_per_day=settings.questions_per_day,
        generated=sum(any(w.generated and w.role == "held_out" for w in e.wordings) for e in folder.examples()),
    )
    return Results(
        verdict=verdict.decide(evidence),
        stand_in=info.model.stand_in,
        arms=arm_results,
        differences=differences,
        retention=retention,
        stale=tuple(stale.results(answers, asked, folder.examples(), settings.seed)),
        unknown=tuple(
            unknown.results({key: label for label, key in _labels(arms).items()}, answers, asked, settings.seed)
        ),
        consistency=tuple(_consistency(arms, answers, asked, settings.seed)),
        likelihood=tuple(likelihood.results(_labels(arms), answers, asked, settings.seed)),
        teachers=teachers,
        costs=costs,
        beside=tuple(_beside(others, folder, info, settings, empty)),
        curves=(*_loss_curves(folder, info), *swept.points),
        crossings=swept.crossings,
        predictions=swept.predictions,
        audit=findings,
        questions=tuple(_side_by_side([*arms, *itertools.chain(*others)], questions)),
        trials=info.trials,
        model=info.model,
        provenance=info.provenance,
        settings=info.settings,
        run=info.name,
        data=info.data,
        created=info.created,
        language=info.language,
        seconds=_stage_seconds(folder),
        planned=info.planned,
        notes=(*info.notes, *_ended(folder), *_notes(arms, empty)),
    )


def unfinished(folder: RunFolder, why: str) -> StoppedError:
    """The refusal of a run that has to be resumed first."""
    return StoppedError(
        "The run is not finished.", where=str(folder.path), why=why, fix=storage.go_on(folder.path)
    )  # fmt: skip


# --- answers by arm --------------------------------------------------------------------------------------------


def _arms(answers: Sequence[Answer], asked: Mapping[str, Question], info: RunInfo) -> list[Arm]:
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
    arms = [
        Arm(arm, trial, recipe, label, tuple(rows["held_out"]), tuple(rows["trained"]))
        for (arm, trial), rows in groups.items()
        for recipe in [recipes.get(trial, "")]
        for label in [arm if trial in named else f"{arm} ({recipe})"]
    ]
    return sorted(arms, key=lambda a: (a.trial not in named, ARM_NAMES.index(a.arm), a.trial))


def _others(answers: Sequence[Answer], asked: Mapping[str, Question], info: RunInfo) -> list[list[Arm]]:
    """The arms of each other model, labelled with its name."""
    groups = [[a for a in answers if (a.key.hop, a.key.model) == (planning.SERVED, o.name)] for o in info.beside]
    return [
        [arm._replace(label=f"{arm.arm} @ {other.name}") for arm in _arms(group, asked, info)]
        for other, group in zip(info.beside, groups, strict=True)
    ]


def _scored(rows: Iterable[Asked]) -> list[Asked]:
    """Rows that count: an answer came, and there was a value to find."""
    return [row for row in rows if row.answer.finish != "error" and row.question.facts]


def _clusters(rows: Iterable[Asked], statuses: Statuses) -> dict[str, stats.Cluster]:
    """Per example, how many of its expected values came out with one of these statuses, of how many."""
    return _sums(
        rows, lambda row: sum(o.status in statuses for o in row.score.outcomes), lambda r: len(r.score.outcomes)
    )


def _sums(
    rows: Iterable[Asked], total: Callable[[Asked], float], items: Callable[[Asked], int]
) -> dict[str, stats.Cluster]:
    clusters: dict[str, stats.Cluster] = {}
    for row in _scored(rows):
        before = clusters.get(row.question.example, stats.Cluster(0, 0))
        clusters[row.question.example] = stats.Cluster(before.total + total(row), before.items + items(row))
    return clusters


# --- numbers ---------------------------------------------------------------------------------------------------


def _arm_result(arm: Arm, seed: int, empty: Sequence[str]) -> ArmResult:
    counted = Counter(o.status for row in arm.held_out for o in row.score.outcomes)
    return ArmResult(
        arm=arm.arm,
        trial=arm.trial,
        recipe=arm.recipe,
        label=arm.label,
        recall=stats.share(_clusters(arm.held_out, ("right",)), seed),
        trained=stats.share(_clusters(arm.trained, ("right",)), seed),
        wrong=stats.share(_clusters(arm.held_out, ("wrong",)), seed),
        extra=stats.mean(_sums(arm.held_out, lambda row: len(row.score.extra), lambda row: 1), seed),
        outcomes={status: counted[status] for status in ("right", "wrong", "missing", "refused", "unscored")},
        answers=len(arm.held_out),
        cut=sum(row.score.cut for row in arm.held_out),
        unscored=sum(row.answer.finish == "error" for row in arm.held_out),
        style=style.estimate(arm.asked, seed, empty),
        checks=style.by_check(arm.asked, seed),
    )


def _differences(arms: Sequence[Arm], seed: int) -> Iterable[Difference]:
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
    common = {row.question.id for row in _scored(first.held_out)} & {
        row.question.id for row in _scored(second.held_out)
    }
    pair = [[row for row in arm.held_out if row.question.id in common] for arm in (first, second)]
    return _clusters(pair[0], ("right",)), _clusters(pair[1], ("right",))


def _independent(arms: Sequence[ArmResult], differences: Sequence[Difference]) -> int:
    """Examples that the deciding comparison rests on; without one, those of the arm that has the fewest. Rows that
    hold no values are counted by their checks of form."""
    if all(arm.recall.value is None for arm in arms):
        return style.examples((arm.style for arm in arms), differences)
    pairs = (("lora", "prompt"), ("lora", "rag"))
    deciding = [d.estimate.n for d in differences if d.measure == "recall" and (d.label, d.other) in pairs]
    return min(deciding or [arm.recall.n for arm in arms], default=0)


def _retention(
    answers: Sequence[Answer], asked: Mapping[str, Question], trials: Sequence[TrialInfo], seed: int
) -> Iterable[RetentionResult]:
    """Of the questions right before tuning, the share still right under each trial."""
    right: dict[tuple[Probe, int], dict[str, bool]] = {}
    for answer in answers:
        key = answer.key
        outcome = scoring.is_right(answer, asked[key.question]) if key.probe in RETENTION else None
        if outcome is not None:
            right.setdefault((key.probe, key.trial), {})[key.question] = outcome
    for trial in trials:
        for probe in RETENTION:
            before, after = right.get((probe, 0), {}), right.get((probe, trial.trial), {})
            known = [name for name, was_right in before.items() if was_right and name in after]
            if before and after:
                yield RetentionResult(
                    trial=trial.trial,
                    recipe=trial.recipe,
                    probe=probe,
                    asked=len(before.keys() & after.keys()),
                    right_before=len(known),
                    kept=stats.share(_kept(known, after, asked), seed),
                )


def _consistency(
    arms: Sequence[Arm], answers: Sequence[Answer], asked: Mapping[str, Question], seed: int
) -> Iterable[ConsistencyResult]:
    return consistency.results(_labels(arms), {arm.label: arm.held_out for arm in arms}, answers, asked, seed)


def _labels(arms: Sequence[Arm]) -> dict[str, tuple[str, int]]:
    return {arm.label: (arm.arm, arm.trial) for arm in arms}


def _teachers(
    answers: Sequence[Answer], asked: Mapping[str, Question], trials: Sequence[TrialInfo], seed: int
) -> Iterable[TeacherResult]:
    """How well the model read what each trial learned from it, over the training rows of each example."""
    read: dict[str, stats.Cluster] = {}
    for answer in answers:
        right = lessons.reads_right(answer, asked[answer.key.question]) if answer.key.probe == "teacher" else None
        if right is not None:
            example = asked[answer.key.question].example
            before = read.get(example, stats.Cluster(0, 0))
            read[example] = stats.Cluster(before.total + right, before.items + 1)
    for trial in trials:
        if read and RECIPES[trial.recipe].teacher and not trial.shuffled:  # the control has no teacher
            rows = round(sum(cluster.items for cluster in read.values()))
            yield TeacherResult(trial=trial.trial, recipe=trial.recipe, rows=rows, read=stats.share(read, seed))


def _kept(known: Iterable[str], after: Mapping[str, bool], asked: Mapping[str, Question]) -> dict[str, stats.Cluster]:
    """Per shop, or per general question, how many are still right of those that were: what shares a prompt is read, or
    no longer read, together."""
    clusters: dict[str, stats.Cluster] = {}
    for name in known:
        before = clusters.get(asked[name].example, stats.Cluster(0, 0))
        clusters[asked[name].example] = stats.Cluster(before.total + after[name], before.items + 1)
    return clusters


def _costs(arms: Sequence[Arm], folder: RunFolder, settings: RunSettings) -> tuple[CostEstimate, ...]:
    """Costs of all arms but the controls."""
    usages = folder.usages()
    return cost.with_break_even(
        [
            cost.cost(arm.label, arm.arm, arm.trial, [row.answer for row in arm.held_out], usages, settings.prices)
            for arm in arms
            if arm.arm not in CONTROLS
        ]
    )


def _beside(
    others: Sequence[Sequence[Arm]], folder: RunFolder, info: RunInfo, settings: RunSettings, empty: Sequence[str]
) -> Iterable[OtherResult]:
    """What each other model came to, with its own price."""
    said: dict[str, set[str]] = {}
    for event in folder.events():
        if event.kind == "served":
            said.setdefault(event.values["model"], set()).update(event.values["said"])
    for model, arms in zip(info.beside, others, strict=True):
        price = settings.prices.models.get(model.model.name, Price())
        yield OtherResult(
            model=model,
            said=tuple(sorted(said.get(model.name, ()))),
            arms=tuple(_arm_result(arm, settings.seed, empty) for arm in arms),
            costs=tuple(
                cost.cost(arm.label, arm.arm, 0, [row.answer for row in arm.held_out], [], price)
                for arm in arms
                if arm.arm not in CONTROLS
            ),
        )


def _loss_curves(folder: RunFolder, info: RunInfo) -> tuple[CurvePoint, ...]:
    recipes = {trial.trial: trial.name for trial in info.trials}
    return tuple(
        CurvePoint(
            axis="step", x=step.step, measure="loss", trial=step.trial, recipe=recipes[step.trial], value=step.loss
        )
        for step in folder.steps()
        if step.trial in recipes
    )


def _curves(
    answers: Sequence[Answer], asked: Mapping[str, Question], info: RunInfo, arms: Sequence[Arm], recipe: str, seed: int
) -> curves.Curves:
    """The curves of a sweep: what each of its trials came to, example by example."""
    trials = {point.trial for point in info.points}
    rows: dict[int, dict[str, list[Asked]]] = {
        trial: {"held_out": [], "trained": [], "general": []} for trial in trials
    }
    for answer in answers:
        key = answer.key
        if key.trial in trials and key.arm == "lora" and key.probe in rows[key.trial]:
            question = asked[key.question]
            rows[key.trial][key.probe].append(Asked(question, answer, scoring.score(answer, question)))
    # All trials were asked the first few general questions; the table's own trial was asked more.
    common = _known(answers, asked)
    for own in rows.values():
        common &= {row.question.id for row in own["general"]}
    measured = {
        trial: {
            "recall": _clusters(own["held_out"], ("right",)),
            "trained": _clusters(own["trained"], ("right",)),
            "wrong": _clusters(own["held_out"], ("wrong",)),
            "extra": _sums(own["held_out"], lambda row: len(row.score.extra), lambda row: 1),
            "general": {
                row.question.id: stats.Cluster(right, 1)
                for row in own["general"]
                for right in [scoring.is_right(row.answer, row.question)]
                if right is not None and row.question.id in common
            },
        }
        for trial, own in rows.items()
    }
    prompt = next((_clusters(arm.held_out, ("right",)) for arm in arms if arm.label == "prompt"), {})
    return curves.curves(info.points, measured, prompt, recipe, seed)


def _known(answers: Sequence[Answer], asked: Mapping[str, Question]) -> set[str]:
    """The general questions that were right before tuning."""
    return {
        answer.key.question
        for answer in answers
        if answer.key.probe == "general"
        and answer.key.trial == 0
        and scoring.is_right(answer, asked[answer.key.question])
    }


def _stage_seconds(folder: RunFolder) -> dict[str, float]:
    """Seconds per stage, the attempts of a resumed run added up. The analysis itself is left out: it has not ended when
    it is made the first time, and results made again are the same."""
    seconds: Counter[str] = Counter()
    for event in folder.events():
        if event.kind == "stage" and event.values.get("state") == "end" and event.values["name"] != "analyse":
            seconds[event.values["name"]] += event.values["seconds"]
    return dict(seconds)


def _ended(folder: RunFolder) -> Iterable[Reason]:
    """Trials that took fewer steps than planned, each told once: those of a curve that broke down, whose points the
    reader has to know, and those that had learned what they are checked by."""
    told = [Reason.model_validate(event.values) for event in folder.events() if event.kind == "note"]
    return {note.values["trial"]: note for note in told if note.key in ENDED}.values()


# --- side by side, and what has to be said beside the numbers --------------------------------------------------


def _side_by_side(arms: Sequence[Arm], questions: Sequence[Question]) -> Iterable[QuestionResult]:
    """The user's questions with every arm's answer: all held-out ones, and the trained ones that were asked."""
    answered: dict[str, list[ArmAnswer]] = {}
    for arm in arms:
        for row in (*arm.held_out, *arm.trained):
            answered.setdefault(row.question.id, []).append(
                ArmAnswer(
                    label=arm.label,
                    text=row.answer.text,
                    outcomes=row.score.outcomes,
                    extra=row.score.extra,
                    finish=row.answer.finish,
                    checks=checks.judged(row.answer, row.question),
                )
            )
    for question in questions:
        if question.id in answered:
            yield QuestionResult(
                id=question.id,
                example=question.example,
                probe=question.probe,
                text=question.text,
                expected=question.expected,
                facts=question.facts,
                answers=tuple(answered[question.id]),
            )


def _notes(arms: Sequence[Arm], empty: Sequence[str]) -> list[Reason]:
    """Examples that cannot enter recall because their expected answer holds no checkable value, and checks that do not
    enter form because every arm passes them."""
    without = {
        row.question.example
        for arm in arms
        for row in arm.held_out
        if not row.question.facts and not row.question.checks
    }
    notes = [Reason(key="analysis.no_facts", values={"examples": len(without)})] if without else []
    if empty:
        notes.append(Reason(key="analysis.checks_passed", values={"checks": ", ".join(empty)}))
    return notes
