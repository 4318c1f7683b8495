"""Results -> Markdown: the same sentences and tables as the page, without charts.

Knows no HTML. Text from data and models is escaped so that it can neither format nor link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kurabe.charts import arm_name
from kurabe.report import answers, sentences, tables
from kurabe.schema import ArmAnswer, Results
from kurabe.texts import Texts

# What formats, links, mentions or ends a cell anywhere (an underscore between letters, a lone &, $5 do not: a formula
# cannot end before a digit); what begins a list or draws a line, at the start; bare addresses.
_SPECIAL = re.compile(r"([\\`*\[\]<>#|~@]|\$(?!\d)|&(?=#?\w+;)|_(?![^\W_])|(?<![^\W_])_)")
_START = re.compile(r"^(\d*)([-+=.)])(?=[\s=-]|$)")
_ADDRESS = re.compile(r"(?i)(?<=[a-z])(:)(?=//)|(?<=www)(\.)")


def markdown(results: Results, t: Texts) -> str:
    """The whole report; the verdict stands first and last."""
    parts = [
        f"# {inert(t('report.title', run=results.run))}",
        *_verdict(results, t),
        *table(tables.arms(results, t)),
        *_beside(results, t),
        *table(tables.differences(results, t)),
        f"- {t('report.note.luck')}",
        *table(tables.style(results, t)),
        *table(tables.style_differences(results, t)),
        *([f"- {t('report.style.explained')}"] if any(arm.style for arm in results.arms) else []),
        *table(tables.consistency(results, t)),
        *([f"- {t('report.consistency.explained')}"] if results.consistency else []),
        *table(tables.likelihood(results, t)),
        *([f"- {t('report.likelihood.explained')}"] if results.likelihood else []),
        *_training(results, t),
        *_curves(results, t),
        *_answers(results, t),
        *table(tables.stale(results, t)),
        *([f"- {t('report.stale.explained')}"] if results.stale else []),
        *table(tables.retention(results, t)),
        *table(tables.unknown(results, t)),
        *([f"- {t('report.unknown.explained')}"] if results.unknown else []),
        *_parity(results, t),
        *table(tables.costs(results, t)),
        *_bullets(inert(sentences.sentence(note, t)) for note in results.notes),
        *_bullets(map(inert, sentences.teachers(results, t))),
        *table(tables.settings(results, t)),
        *table(tables.provenance(results, t)),
        f"## {t('report.command')}",
        f"    {sentences.command(results)}".replace("\n", " "),
        "---",
        f"**{_headline(results, t)}**",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def inert(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown would obey."""
    text = _SPECIAL.sub(r"\\\1", " ".join(answers.visible(text).split()))
    return _ADDRESS.sub(lambda found: "\\" + found[0], _START.sub(r"\1\\\2", text))


def _headline(results: Results, t: Texts) -> str:
    beside = [sentences.reservation(results.verdict, t), sentences.poor_reading(results, t)]
    beside.append(sentences.missing_arms(results, t))
    return " ".join(filter(None, (sentences.headline(results.verdict, t), *beside)))


def _verdict(results: Results, t: Texts) -> list[str]:
    return [
        f"**{_headline(results, t)}**",
        *_bullets(filter(None, (*sentences.reasons(results.verdict, t), *sentences.risks(results, t)))),
        f"{t('report.changes')}:",
        *_bullets(sentences.changes(results.verdict, t)),
        *_bullets(map(inert, sentences.beside(results, t))),
    ]


def _beside(results: Results, t: Texts) -> list[str]:
    if not results.beside:
        return []
    said = [t("report.beside.explained"), *sentences.served(results, t)]
    return [*table(tables.filled(tables.beside(results, t))), *_bullets(map(inert, said))]


def _training(results: Results, t: Texts) -> list[str]:
    found = [
        f"{finding.recipe}: {' '.join(sentences.finding(finding, t))}"
        for finding in results.audit
        if finding.level != "info"
    ]
    return [*table(tables.trials(results, t)), *_bullets(found)]


def _curves(results: Results, t: Texts) -> list[str]:
    parts = []
    for axis, found in tables.curves(results, t):
        parts += [*table(found), *_bullets(map(inert, sentences.curve(results, axis, t)))]
    return [*parts, f"- {t('curve.note')}"] if parts else []


def _parity(results: Results, t: Texts) -> list[str]:
    if results.parity is None:
        return []
    return [*table(tables.parity(results.parity, t)), *_bullets(map(inert, sentences.parity(results.parity, t)))]


def _answers(results: Results, t: Texts) -> list[str]:
    parts = [f"## {t('report.answers.caption')}"]
    for question in answers.shown(results.questions):
        parts += [f"### {inert(question.text)}", f"- **{t('report.expected')}**: {inert(question.expected)}"]
        main = answers.main_arms(results)
        parts += [_answer(answer, t) for answer in question.answers if answer.label in main]
    return parts


def _answer(answer: ArmAnswer, t: Texts) -> str:
    marks = inert(", ".join(_mark(value, t) for value in answers.values(answer)))
    missing = answers.absent(answer)
    text = t(f"absent.{missing}") if missing else inert(answer.text[: answers.SHOWN_CHARACTERS])
    line = f"- **{arm_name(answer.label, t)}**: {text}"
    failed = t("comma").join(t(f"check.{name}") for name, held in answer.checks.items() if not held)
    beneath = [marks, f"✗ {t('report.style.failed')} {inert(failed)}" if failed else ""]
    return "  \n  ".join([line, *filter(None, beneath)])


def _mark(value: answers.Value, t: Texts) -> str:
    instead = f" ({t('report.instead_of', expected=value.instead_of)})" if value.instead_of else ""
    return f"{answers.SIGNS[value.mark]} {t(f'mark.{value.mark}')} {value.text}{instead}"


def table(found: tables.Table) -> list[str]:
    """A heading and the table under it; nothing where there is no row."""
    if not found.rows:
        return []
    lines = [found.head, ["---"] * len(found.head), *found.rows]
    return [f"## {found.caption}", "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)]


def _cell(text: str) -> str:
    return text if text == "---" else inert(text)


def _bullets(items: Iterable[str]) -> list[str]:
    listed = "\n".join(f"- {item}" for item in items)
    return [listed] if listed else []
