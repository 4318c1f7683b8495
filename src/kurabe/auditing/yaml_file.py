"""Configurations in YAML: axolotl, LLaMA-Factory, `trl sft --config`, mlx-lm -> what is configured.

Knows the shapes of these files and no judgement. What a file leaves out is what its library does by default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kurabe.auditing.configured import Configured, number, text, truth, whole
from kurabe.auditing.files import read_text, read_yaml
from kurabe.auditing.libraries import LIBRARIES, SAMPLING, fields
from kurabe.errors import DataError

# Keys by which a file is known: all of one group, in this order.
_KNOWN: tuple[tuple[str, tuple[frozenset[str], ...]], ...] = (
    ("axolotl", (frozenset({"base_model", "micro_batch_size"}), frozenset({"base_model", "sequence_len"}),
                 frozenset({"base_model", "adapter"}), frozenset({"base_model", "datasets"}))),
    ("llama-factory", (frozenset({"finetuning_type"}), frozenset({"cutoff_len"}), frozenset({"export_dir"}),
                       frozenset({"stage", "model_name_or_path"}), frozenset({"template", "model_name_or_path"}))),
    ("mlx-lm", (frozenset({"model", "iters"}), frozenset({"lora_parameters"}), frozenset({"model", "mask_prompt"}),
                frozenset({"model", "fine_tune_type"}))),
    ("trl", (frozenset({"model_name_or_path", "dataset_name"}), frozenset({"model_name_or_path", "use_peft"}),
             frozenset({"model_name_or_path", "datasets"}),
             frozenset({"model_name_or_path", "per_device_train_batch_size"}))),
)  # fmt: skip


def tool_of(settings: Mapping[str, Any]) -> str | None:
    """The library that a table of settings is for."""
    keys = settings.keys()
    return next((tool for tool, groups in _KNOWN if any(group <= keys for group in groups)), None)


def read(path: Path) -> tuple[Configured, list[str]]:
    """What a YAML file configures, and the settings in it that were not understood."""
    settings = read_yaml(path)
    tool = tool_of(settings)
    if tool is None:
        raise DataError(
            "This YAML file is no training configuration that kurabe knows.", where=str(path),
            why=f"Its settings: {', '.join(list(settings)[:8])}.",
            fix="Give a file for axolotl, LLaMA-Factory, `trl sft --config` or mlx-lm.",
        )  # fmt: skip
    return configured(tool, settings, lines(path.name, read_text(path)))


def lines(name: str, words: str) -> dict[str, str]:
    """Setting -> the file's name and the line that it stands in."""
    found: dict[str, str] = {}
    for number_, line in enumerate(words.splitlines(), start=1):
        match = re.match(r"\s*[\"']?([\w.-]+)[\"']?\s*:", line)
        if match:
            found.setdefault(match[1], f"{name}:{number_}")
    return found


def configured(tool: str, settings: Mapping[str, Any], places: Mapping[str, str]) -> tuple[Configured, list[str]]:
    """The settings of one library as a description; raises nothing for values of the wrong kind, they stay unknown."""
    library = LIBRARIES[tool]
    flat = _flat(tool, settings)
    found, unread = fields(library, flat)
    where = {library.keys[key][0]: places[key] for key in library.keys if key in places and flat.get(key) is not None}
    own, elsewhere = {"axolotl": _axolotl, "llama-factory": _llama_factory, "mlx-lm": _mlx, "trl": _trl}[tool](settings)
    found |= own
    defaults = dict(library.defaults)
    if elsewhere:  # only training has a schedule
        defaults = {}
    if {"warmup_steps", "warmup_ratio"} & found.keys():
        for field in ("warmup_steps", "warmup_ratio", "warmup_most"):
            defaults.pop(field, None)
    if found.get("steps") and tool != "mlx-lm":
        defaults.pop("epochs", None)
    assumed = {field: value for field, value in defaults.items() if field not in found}
    found |= assumed
    known = {field: value for field, value in found.items() if field in Configured.model_fields}
    task = {"task": elsewhere} if elsewhere else {}
    return Configured.model_validate(
        {
            "tool": tool,
            "version": library.version,
            "places": where,
            "assumed": dict.fromkeys(assumed, library.version),
            **known,
            **task,
        }
    ), unread


def _flat(tool: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with those of mlx-lm's inner table beside the others."""
    inner = settings.get("lora_parameters") if tool == "mlx-lm" else None
    return {**settings, **inner} if isinstance(inner, dict) else dict(settings)


def _axolotl(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    found: dict[str, Any] = {"method": "lora" if settings.get("adapter") in ("lora", "qlora") else "full"}
    if settings.get("adapter") not in (None, "", "lora", "qlora"):
        found["method"] = None
    datasets = settings.get("datasets")
    kinds = (
        {str(entry.get("type", "")) for entry in datasets if isinstance(entry, dict)}
        if isinstance(datasets, list)
        else set()
    )
    if any(kind.startswith("completion") for kind in kinds):
        found["loss_on_prompt"] = None  # running text has no prompt
    return found, "merge" if truth(settings.get("merge_lora")) else None


def _llama_factory(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    kind = settings.get("finetuning_type", "lora")
    found: dict[str, Any] = {"method": kind if kind in ("lora", "full") else None}
    rank = whole(settings.get("lora_rank", 8))
    if found["method"] == "lora" and rank and settings.get("lora_alpha") is None:
        found["alpha"] = float(2 * rank)
    if found["method"] != "lora":
        found |= {"rank": None, "targets": None}
    if settings.get("stage", "sft") == "pt":
        found["loss_on_prompt"] = None
    if settings.get("export_dir"):
        # Weights can also be named as quantised ones.
        bits = whole(settings.get("quantization_bit")) or re.search(
            r"(?i)(bnb|awq|gptq|4bit|8bit|int4|int8)", text(settings.get("model_name_or_path")) or ""
        )
        return found | {"merged": bool(settings.get("adapter_name_or_path")), "quantised": bool(bits)}, "merge"
    asks = truth(settings.get("do_predict")) or truth(settings.get("predict_with_generate"))
    if asks:
        found |= {field: value for field, value in SAMPLING.items() if settings.get(_named(field)) is None}
        found["seeded"] = True  # transformers' trainer seeds with 42 where nothing is said
    trains = truth(settings.get("do_train"))
    return found, "predict" if asks and not trains else None


def _named(field: str) -> str:
    return "do_sample" if field == "sampled" else field


def _mlx(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    kind = settings.get("fine_tune_type", "lora")
    found: dict[str, Any] = {"method": "lora" if kind in ("lora", "dora") else kind if kind == "full" else None}
    inner = settings.get("lora_parameters")
    if found["method"] == "lora" and not (isinstance(inner, dict) and inner.get("scale") is not None):
        found["scale"] = 20.0
    plan = settings.get("lr_schedule")
    if isinstance(plan, dict):
        arguments = plan.get("arguments")
        found["warmup_steps"] = whole(plan.get("warmup")) or 0
        found["schedule"] = {"cosine_decay": "cosine", "linear_schedule": "linear"}.get(str(plan.get("name")))
        if isinstance(arguments, list) and arguments and number(arguments[0]) is not None:
            found["rate"] = number(arguments[0])  # it replaces learning_rate
    if truth(settings.get("train")) is False:
        return found, "predict"
    return found, None


def _trl(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    peft = truth(settings.get("use_peft"))
    found: dict[str, Any] = {"method": "lora" if peft else "full"}
    if peft:
        found |= {"rank": whole(settings.get("lora_r", 16)), "alpha": number(settings.get("lora_alpha", 32))}
    return found, None
