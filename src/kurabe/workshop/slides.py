"""What each step shows: records of the run -> values for the page's templates.

Knows no HTML and no process. A step whose run has not come so far shows that, and no figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from kurabe import charts, texts
from kurabe.arms import write_prompt
from kurabe.charts import ChartSize, arm_name, colour_token
from kurabe.recipes import RECIPES, Recipe, for_model, scaled_rate
from kurabe.report import answers, sentences, tables
from kurabe.runs import EXPORT
from kurabe.schema import ArmAnswer, CurvePoint, QuestionResult, Results, TrialInfo
from kurabe.texts import Texts
from kurabe.workshop.measured import SIGN, counted
from kurabe.workshop.questions import likely
from kurabe.workshop.show import OLLAMA_STEPS, Show

LARGE = ChartSize(680, 17)  # read from the last row
COMPARED = ("base", "lora (origin)", "lora")  # before; after by the old recipe; after by the fair one
SHOWN = 3  # questions of the comparison before its overview
SETTINGS = ("rank", "rate", "schedule", "warmup_steps", "batch", "repeats", "pad_to", "loss_on", "wordings")


class Cell(NamedTuple):
    """One arm's answer: its name, its text in pieces, its values by mark."""

    name: str
    token: str
    absent: str
    pieces: Sequence[answers.Piece]
    groups: Sequence[tuple[answers.Mark, Sequence[answers.Value]]]


def slide(show: Show) -> dict[str, Any]:
    """The values of the step on screen."""
    t, step = Texts(show.session.language), show.session.current
    found = {"checklist": _checklist, "recipe": _recipe, "train": _train, "prompt": _prompt, "ship": _ship,
             "cleanup": _cleanup}.get(step)  # fmt: skip
    if found:
        values = found(show, t)
    elif show.results is None:
        values = {"missing": True}
    else:
        values = _MEASURED[step](show.results, show.session.part, t)
    return {"missing": False, "parts": parts(show), "banners": banners(show, t), **values}


def banners(show: Show, t: Texts) -> list[tuple[str, str]]:
    """What the show mended by itself, or what the presenter can mend, on the step that it is about: (for the room, what
    the presenter reads beside it)."""
    step, said = show.session.current, []
    if step == "train" and show.session.tempo == "live":
        said += [(t(f"workshop.repair.{one.key}", **one.values), "") for one in show.repaired]
        rows = [one.at_once for one in show.view.trained if one.at_once is not None]
        said += [(t("workshop.repair.memory", rows=rows[-1]), "")] if rows else []
    if step in OLLAMA_STEPS and show.ollama is False:
        said.append((t("workshop.repair.ollama"), t("workshop.repair.ollama_fix")))
    return said


def parts(show: Show) -> int:
    """How many parts the step on screen has: a clicker goes through them before it leaves the step."""
    results, step = show.results, show.session.current
    if results is None:
        return 1
    if step == "compare":
        return min(SHOWN, len(answers.shown(results.questions))) + 1
    return {"verdict": 2, "questions": len(likely(results, Texts(show.session.language)))}.get(step, 1)


# --- before and beside the run -----------------------------------------------------------------------------------


def _checklist(show: Show, t: Texts) -> dict[str, Any]:
    """A room need not read whose computer it is: the home folder's name is left out."""
    home, found = str(Path.home()), show.checks()
    if found and len(home) > 1:  # a container's home may be "/"
        found = [{name: words.replace(home, "~") for name, words in check.items()} for check in found]
    return {"checks": found, "why": show.stage.why(t)}


def _recipe(show: Show, t: Texts) -> dict[str, Any]:
    """The two recipes setting by setting, as used on this model; with the run's own numbers once there are any."""
    info = show.info
    parameters, hidden = (info.model.parameters, info.model.hidden) if info else (0, 0)
    recipes = [for_model(RECIPES[name], parameters) if parameters else RECIPES[name] for name in ("origin", "fair")]
    trials = {trial.recipe: trial for trial in info.trials} if info else {}
    rows = []
    for name in SETTINGS:
        cells = [_setting(recipe, name, hidden, t) for recipe in recipes]
        rows.append((t(f"workshop.recipe.{name}"), cells, cells[0] != cells[1], t(f"workshop.recipe.{name}_does")))
    if len(trials) == 2:
        cells = [texts.count(trials[recipe.name].steps) for recipe in recipes]
        rows.append((t("workshop.recipe.steps"), cells, cells[0] != cells[1], t("workshop.recipe.steps_does")))
    return {"rows": rows}


def _setting(recipe: Recipe, name: str, hidden: int, t: Texts) -> str:
    """One setting in words that a room understands."""
    if name == "rate":
        return texts.rate(scaled_rate(recipe, hidden) if hidden else recipe.rate)
    if name == "repeats":
        return t("workshop.recipe.seen", times=recipe.exposures or recipe.epochs)
    if name == "batch":
        return texts.count(recipe.batch * recipe.accumulation)
    value = getattr(recipe, name)
    if isinstance(value, str):
        return t(f"workshop.recipe.values.{value}")
    if value is None:
        return t(f"workshop.recipe.values.no_{name}")
    return texts.count(value)


def _train(show: Show, t: Texts) -> dict[str, Any]:
    seen = show.view
    drawn = _losses(seen.points, show.session.language)
    job = show.jobs.get("run")
    failed = job is not None and job.state == "failed" and show.session.tempo == "live"
    columns = [
        {
            "recipe": one.recipe, "step": one.step, "steps": one.steps, "share": round(100 * one.share),
            "loss": _loss(one.losses[-1] if one.losses else None),
            "left": None if one.left is None or one.step == one.steps else texts.seconds(one.left, t.language),
            "token": colour_token("lora" if one.trial == 1 else "further", "lora"),
        }
        for one in sorted(seen.trained, key=lambda one: one.recipe == "fair")
    ]  # fmt: skip
    return {
        "columns": columns, "chart": Markup(drawn) if drawn else None, "stage": seen.stage, "done": seen.done,
        "total": seen.total, "finished": seen.finished, "waiting": not seen.stage and not failed,
        "failed": job.code if failed and job else None,
    }  # fmt: skip


@lru_cache(maxsize=8)
def _losses(points: tuple[CurvePoint, ...], language: str) -> str | None:
    """The curves so far; both pages ask for the same ones."""
    return charts.losses(points, Texts(language), LARGE)


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def _prompt(show: Show, t: Texts) -> dict[str, Any]:
    """The Modelfile's message, and the prompt arm's answers to the first questions of the data."""
    found, results = show.data, show.results
    rows = answers.shown(results.questions)[:2] if results else []
    return {
        "system": write_prompt(found.examples, found.language), "missing": results is None,
        "rows": [
            (question.text, cells(question, results, ("prompt",), t)[0], answers.expected_pieces(question))
            for question in rows if results
        ],
    }  # fmt: skip


def _ship(show: Show, t: Texts) -> dict[str, Any]:
    """The files of the way to Ollama with their real sizes; what each lost, once it was asked."""
    job, found = show.jobs.get("ship"), show.parity
    adapters = sorted((show.run / "adapters").glob("1-*/adapter_model.safetensors"))
    files = [(t("report.parity.adapter"), texts.size(_size(path)), path.name) for path in adapters]
    written = sorted((show.run / EXPORT).glob("*.gguf"), key=_size)[::-1]
    files += [(path.stem.rpartition("-")[2], texts.size(_size(path)), path.name) for path in written]
    return {
        "missing": show.results is None, "files": files, "working": job is not None and job.state == "running",
        "failed": job is not None and job.state == "failed" and found is None,
        "table": tables.parity(found, t) if found else None,
        "said": sentences.parity(found, t) if found else [],
    }  # fmt: skip


def _size(path: Path) -> int:
    return path.stat().st_size


def _cleanup(show: Show, t: Texts) -> dict[str, Any]:
    used = sum(path.lstat().st_size for folder in show.folders for path in folder.rglob("*") if path.is_file())
    return {"there": bool(show.folders), "size": texts.size(used), "run": show.stage.name, "kept": show.kept,
            "report": show.results is not None}  # fmt: skip


# --- from the results ----------------------------------------------------------------------------------------------


def _compare(results: Results, part: int, t: Texts) -> dict[str, Any]:
    """One question per part, then all of them with their marks."""
    rows = answers.shown(results.questions)
    if part >= min(SHOWN, len(rows)):
        labels = [label for label in COMPARED if _has(results, label)]
        names = [_name(label, t) for label in labels]
        overview = [
            (row.text, [[(answers.SIGNS[mark], mark) for mark in _marks(row, label)] for label in labels])
            for row in rows
        ]  # fmt: skip
        return {"names": names, "overview": overview}
    row = rows[part]
    return {
        "question": row.text, "cells": cells(row, results, COMPARED, t),
        "expected": answers.expected_pieces(row),
    }  # fmt: skip


def cells(row: QuestionResult, results: Results, labels: Sequence[str], t: Texts) -> list[Cell]:
    """The answers of these arms to one question."""
    arms = {arm.label: arm.arm for arm in results.arms}
    by_label = {answer.label: answer for answer in row.answers}
    return [cell(by_label[label], arms[label], t) for label in labels if label in by_label]


def cell(answer: ArmAnswer, arm: str, t: Texts) -> Cell:
    listed = groupby(answers.values(answer), key=lambda value: value.mark)
    return Cell(_name(answer.label, t), colour_token(answer.label, arm), answers.absent(answer),
                answers.pieces(answer), [(mark, list(values)) for mark, values in listed])  # fmt: skip


def _name(label: str, t: Texts) -> str:
    """An arm as the room knows it: before, after by the old recipe, after by the fair one."""
    return t(f"workshop.column.{COMPARED.index(label)}") if label in COMPARED else arm_name(label, t)


def _has(results: Results, label: str) -> bool:
    return any(arm.label == label for arm in results.arms)


def _marks(row: QuestionResult, label: str) -> list[answers.Mark]:
    answer = next((answer for answer in row.answers if answer.label == label), None)
    return [outcome.status for outcome in answer.outcomes] if answer else []


def _counted(results: Results, part: int, t: Texts) -> dict[str, Any]:
    table = counted(results)
    recall = {arm.label: texts.percent(arm.recall.value) for arm in results.arms}
    order = [label for label in (*COMPARED, "prompt") if label in table]
    head = [count.name(t) for count in table[order[0]]] if order else []
    rows = [
        (_name(label, t), [(SIGN[c.mark], c.mark, f"{c.had} / {c.asked}") for c in table[label]], recall[label])
        for label in order
    ]
    return {"head": head, "rows": rows}


def _audit(results: Results, part: int, t: Texts) -> dict[str, Any]:
    found = [f for f in results.audit if f.recipe == "origin" and f.level != "info"]
    other = sum(f.recipe == "fair" and f.level != "info" for f in results.audit)
    return {"findings": [sentences.finding(f, t) for f in found], "other": other}


def _retention(results: Results, part: int, t: Texts) -> dict[str, Any]:
    drawn = charts.retention(results, t, LARGE)
    rows = [
        (t(f"report.probe.{r.probe}"), r.recipe, r.right_before, texts.percent(r.kept.value),
         texts.interval(r.kept.low, r.kept.high))
        for r in results.retention
    ]  # fmt: skip
    return {"rows": rows, "chart": Markup(drawn) if drawn else None}


def _verdict(results: Results, part: int, t: Texts) -> dict[str, Any]:
    verdict = results.verdict
    drawn = charts.recall(results, t, LARGE)
    return {
        "headline": sentences.headline(verdict, t), "reservation": sentences.reservation(verdict, t),
        "reasons": sentences.reasons(verdict, t)[:2], "changes": sentences.changes(verdict, t)[:2],
        "chart": Markup(drawn), "part": part,
    }  # fmt: skip


def _costs(results: Results, part: int, t: Texts) -> dict[str, Any]:
    return {"table": tables.costs(results, t)}


def _questions(results: Results, part: int, t: Texts) -> dict[str, Any]:
    listed = likely(results, t)
    part = min(part, len(listed) - 1)
    return {"asked": listed[part], "number": part + 1, "count": len(listed)}


def _summary(results: Results, part: int, t: Texts) -> dict[str, Any]:
    return {"headline": sentences.headline(results.verdict, t), "cases": [t(f"workshop.cases.{n}") for n in (1, 2, 3)]}


_MEASURED: dict[str, Callable[[Results, int, Texts], dict[str, Any]]] = {
    "compare": _compare, "counted": _counted, "audit": _audit, "retention": _retention, "verdict": _verdict,
    "costs": _costs, "questions": _questions, "summary": _summary,
}  # fmt: skip


def asked(show: Show, trials: Sequence[TrialInfo], t: Texts) -> list[tuple[str, str, str]]:
    """(arm, colour, words) of the answers to the audience's question."""
    recipes = {trial.trial: trial.recipe for trial in trials}
    rows = []
    for answer in (show.asked.answers or []) if show.asked else []:
        label = answer["arm"] + (f" ({recipes[answer['trial']]})" if answer["trial"] > 1 else "")
        missing = "none" if answer["finish"] == "error" else "" if answer["text"].strip() else "empty"
        words = t(f"absent.{missing}") if missing else answers.visible(answer["text"])
        rows.append((arm_name(label, t), colour_token(label, answer["arm"]), words))
    return rows
