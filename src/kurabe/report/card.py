"""A model card: what the shipped files are, what was measured of them, what they were made of.

Knows no file system: records in, Markdown out. The front matter is the one that model hubs read.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from kurabe import texts
from kurabe.charts import arm_name
from kurabe.report import sentences, tables
from kurabe.report.markdown import inert, table
from kurabe.schema import Parity, Results, Shipped
from kurabe.texts import Texts


class Shipment(NamedTuple):
    """What lies in the folder that the card describes."""

    name: str
    arm: str
    files: tuple[Shipped, ...]
    parity: Parity | None
    system: str  # the message before every question; "" for an arm that searches
    license: str  # of the base, as its folder names it; "" where it names none
    chart: str = ""  # the file of the chart beside the card
    runner: str = ""  # the program that searches, for an arm that does


def card(results: Results, shipment: Shipment, t: Texts) -> str:
    """The whole card; the report's own tables and sentences stand in it."""
    named, arm = results.run, arm_name(shipment.arm, t)
    parts = [
        _front_matter(results, shipment),
        f"# {inert(shipment.name)}",
        t("report.card.lead", arm=inert(arm), run=inert(named), version=shipment.files[0].kurabe),
        *([t("report.card.stand_in")] if results.stand_in else []),
        *([t("report.card.searched", file=f"`{shipment.runner}`")] if shipment.runner else []),
        *table(_files(shipment, t)),
        f"## {t('report.card.use')}",
        _use(shipment),
        *table(tables.arms(results, t)),
        f"**{sentences.headline(results.verdict, t)}** {sentences.reservation(results.verdict, t)}".strip(),
        *_proof(shipment, t),
        f"## {t('report.card.made')}",
        "\n".join(f"- {line}" for line in _made(results, shipment, t)),
        *([t("report.card.system"), _quoted(shipment.system)] if shipment.system else []),
        *(table(tables.trials(results, t)) if shipment.arm.startswith("lora") else []),
        f"## {t('report.card.limits')}",
        f"- {t('report.card.limit_measured')}\n- {t('report.card.limit_facts', created=results.created[:10])}",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(results: Results, shipment: Shipment) -> str:
    """JSON is YAML, so its quotes hold whatever a name brings."""
    tags = ["kurabe", "gguf", *(["lora"] if shipment.arm.startswith("lora") else [])]
    lines = {
        "base_model": results.model.name, "license": shipment.license or "other", "language": [results.language],
        "tags": tags, "pipeline_tag": "text-generation",
    }  # fmt: skip
    return "\n".join(
        ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in lines.items()), "---"]
    )


def _files(shipment: Shipment, t: Texts) -> tables.Table:
    head = tuple(t(f"report.card.head.{column}") for column in range(1, 5))
    rows = tuple((f.file, f.format, texts.size(f.size), f.sha256) for f in shipment.files)
    return tables.Table("files", t("report.card.files"), head, rows)


def _use(shipment: Shipment) -> str:
    """What a person types, in this folder."""
    stem = shipment.files[-1].file.removesuffix(".gguf")
    lines = [f"kurabe chat -f {stem}.Modelfile", f"ollama create NAME -f {stem}.Modelfile"]
    lines = [f'python {shipment.runner} "..."'] if shipment.runner else lines
    return "\n".join(f"    {line}" for line in lines)


def _proof(shipment: Shipment, t: Texts) -> list[str]:
    if shipment.parity is None:
        return []
    said = [f"- {inert(line)}" for line in sentences.parity(shipment.parity, t)]
    chart = [f"![{t('report.card.chart')}]({shipment.chart})"] if shipment.chart else []
    return [*table(tables.parity(shipment.parity, t)), *chart, "\n".join(said)]


def _made(results: Results, shipment: Shipment, t: Texts) -> list[str]:
    model, last = results.model, shipment.files[-1]
    asked = [question for question in results.questions if question.probe == "held_out"]
    words = {"name": inert(model.name), "parameters": f"{model.parameters:,}", "sha256": model.sha256}
    lines = [t("report.card.base", **words)]
    known = t("report.card.license", license=inert(shipment.license))
    lines.append(known if shipment.license else t("report.card.license_unknown"))
    if last.adapter_sha256:
        form = t("report.card.beside" if last.format == "LoRA" else "report.card.merged")
        lines.append(t("report.card.adapter", form=form, sha256=last.adapter_sha256))
    examples = len({question.example for question in asked})
    lines.append(t("report.card.data", data=inert(results.data), examples=examples, questions=len(asked)))
    return lines


def _quoted(text: str) -> str:
    """Indented, so that nothing in it is Markdown."""
    return "\n".join(f"    {line}" for line in text.splitlines())
