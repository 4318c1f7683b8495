"""Run folder -> Results: scores, estimates, paired differences, retention, costs, and the verdict on them.

Knows no model and no screen text. It reads the folder and nothing else, so analysing twice gives the same results.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kurabe import (
    checks,
    consistency,
    cost,
    curves,
    lessons,
    likelihood,
    measures,
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
from kurabe.measures import Arm, Asked
from kurabe.recipes import RECIPES
from kurabe.runs import RunFolder
from kurabe.schema import (
    Answer,
    ArmAnswer,
    ConsistencyResult,
    CostEstimate,
    CurvePoint,
    OtherResult,
    Probe,
    Question,
    QuestionResult,
    Reason,
    Results,
    RetentionResult,
    RunInfo,
    TeacherResult,
    TrialInfo,
)
from kurabe.settings import Price, RunSettings

CONTROLS = ("ceiling", "shuffled")  # what nobody could ship: one is told which row is asked for, one learned nonsense
RETENTION: tuple[Probe, ...] = ("general", "reading")
ENDED = ("audit.note.trial-broken", "audit.note.trial-learned")


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
    arms, others = measures.arms(answers, asked, info), measures.others(everything, asked, info)
    first = info.trials[0].recipe if info.trials else ""

    # 3. Numbers.
    asked_of = {arm.label: arm.asked for arm in arms}
    empty = style.passed_by_all(asked_of)
    arm_results = tuple(measures.arm_result(arm, settings.seed, empty) for arm in arms)
    differences = (*measures.differences(arms, settings.seed), *style.differences(asked_of, settings.seed, empty))
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
        examples=measures.independent(arm_results, differences),
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


# --- numbers ---------------------------------------------------------------------------------------------------


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
            arms=tuple(measures.arm_result(arm, settings.seed, empty) for arm in arms),
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
            "recall": measures.clusters(own["held_out"], ("right",)),
            "trained": measures.clusters(own["trained"], ("right",)),
            "wrong": measures.clusters(own["held_out"], ("wrong",)),
            "extra": measures.sums(own["held_out"], lambda row: len(row.score.extra), lambda row: 1),
            "general": {
                row.question.id: stats.Cluster(right, 1)
                for row in own["general"]
                for right in [scoring.is_right(row.answer, row.question)]
                if right is not None and row.question.id in common
            },
        }
        for trial, own in rows.items()
    }
    prompt = next((measures.clusters(arm.held_out, ("right",)) for arm in arms if arm.label == "prompt"), {})
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
