"""A Python script or notebook -> what it configures. The calls are read from the syntax tree; nothing is run.

Knows the calls of transformers, TRL, PEFT and Unsloth and no judgement. What is computed at run time is unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kurabe.auditing.configured import Configured, Rows, number, truth, whole
from kurabe.auditing.data import Counter
from kurabe.auditing.libraries import LIBRARIES
from kurabe.auditing.script_data import find_rows
from kurabe.auditing.script_labels import read_labels
from kurabe.auditing.script_models import read_models
from kurabe.auditing.script_prompts import APPLIED, HAND_MADE, chats
from kurabe.auditing.script_tree import ARGUMENTS, Script
from kurabe.auditing.script_values import last_name, parse
from kurabe.errors import DataError

_ASKERS = ("generate", "pipeline", "GenerationConfig", "SamplingParams")
_SEEDS = ("manual_seed", "manual_seed_all", "set_seed", "seed_everything", "enable_full_determinism")
_OPTIMIZERS = ("AdamW", "Adam", "SGD", "Adafactor", "AdamW8bit", "PagedAdamW8bit")
_LIMITS = ("max_new_tokens", "num_predict", "max_tokens")
Keywords = dict[str, tuple[Any, int]]


class Reading(NamedTuple):
    """What was found in a script: the description, its rows where they are at hand, settings not understood."""

    configured: Configured
    rows: Rows | None
    unread: tuple[str, ...]


def read(path: Path, count: Counter | None = None) -> Reading:
    """Raises DataError for what is no Python, and for a script that neither trains nor asks a model."""
    tree = parse(path)
    try:
        return _read(path, tree, count)
    except RecursionError:
        raise DataError("The script is nested too deeply.", where=str(path),
                        fix="Give the script of the training itself.") from None  # fmt: skip


def _read(path: Path, tree: ast.Module, count: Counter | None) -> Reading:
    script = Script(path.name, tree)
    script.chats = chats(script.tree, script.values)
    for part in (_arguments, _lora, _trainer, read_labels, _tokenizer, read_models, _asking, _prompts):
        part(script)
    if not script.trains and not script.found:
        raise DataError(
            "Nothing in this script is a fine-tune that kurabe can read.", where=str(path),
            why="It calls neither TrainingArguments, SFTConfig nor LoraConfig, and it asks no model.",
            fix="Give the script with these calls, or the folder or YAML file of the training.",
        )  # fmt: skip
    if script.trains:
        _fill_defaults(script)
    elif script.found.get("method") is None:
        script.found["task"] = "predict"
    library = script.library
    known = {field: value for field, value in script.found.items() if value is not None}
    configured = Configured.model_validate(
        {"tool": library.name, "version": library.version, "places": script.places, "assumed": script.assumed, **known}
    )
    return Reading(configured, find_rows(path, script, count), tuple(script.unread))


def _arguments(script: Script) -> None:
    for call in script.named(*ARGUMENTS):
        script.trains = True
        script.library = LIBRARIES[ARGUMENTS[last_name(call.func)]]
        script.take(call, script.library)
    if script.has("SFTTrainer"):
        script.trains, script.library = True, LIBRARIES["trl"]
    if script.trains:
        script.found.setdefault("method", "full")
    for call in script.named(*_OPTIMIZERS):  # a training loop of one's own
        rate, line = script.values.keywords(call).get("lr", (None, 0))
        script.set("rate", number(rate), line)


def _lora(script: Script) -> None:
    peft = LIBRARIES["peft"]
    for call in script.named("LoraConfig", "get_peft_model"):
        if last_name(call.func) == "LoraConfig" or "r" in script.values.keywords(call):
            script.found["method"] = "lora"
            script.take(call, peft)
    if script.found.get("method") == "lora":
        script.assume(peft.defaults, peft)


def _trainer(script: Script) -> None:
    """What SFTTrainer itself is given, and which part of a row the loss covers."""
    for call in script.named("SFTTrainer"):
        keywords = script.values.keywords(call)
        for name in ("max_seq_length", "packing"):  # its own arguments before TRL 0.16
            if name in keywords:
                field, convert = script.library.keys[name]
                script.set(field, convert(keywords[name][0]), keywords[name][1])
    if script.has("train_on_responses_only", "DataCollatorForCompletionOnlyLM"):
        script.found["loss_on_prompt"] = False
    for call in script.named("SFTTrainer", "SFTConfig"):
        if {"formatting_func", "dataset_text_field"} & script.values.keywords(call).keys():
            script.set("loss_on_prompt", True, call.lineno)  # running text: all of it is learned


def _tokenizer(script: Script) -> None:
    """Rows that are padded or cut when they are made, and a tokenizer that is saved with that switched on."""
    saved = any("tokenizer" in ast.dump(call.func).lower() for call in script.named("save_pretrained"))
    for call in script.tokenizing():
        keywords = script.values.keywords(call)
        length, line = keywords.get("max_length", (None, 0))
        if keywords.get("padding", (None, 0))[0] == "max_length":
            script.set("padded", True, call.lineno)
            script.set("pad_to", whole(length), line)
            if saved:
                script.set("fixed_padding", whole(length), line)
        if truth(keywords.get("truncation", (None, 0))[0]):
            script.set("max_length", whole(length), line)


def _asking(script: Script) -> None:
    """Decoding, its limit and its seed, wherever the script lets a model answer."""
    asked, greedy = list(_generations(script)), False
    for keywords, line in asked:
        warm = number(keywords.get("temperature", (None, 0))[0])
        samples = truth(keywords.get("do_sample", (None, 0))[0])
        if samples and warm != 0:
            script.set("sampled", True, keywords["do_sample"][1] or line)
            script.set("temperature", warm)
        elif samples is False or warm == 0:
            greedy = True
        for limit in [keywords[name] for name in _LIMITS if name in keywords]:
            script.set("max_new_tokens", whole(limit[0]) or None, limit[1])
    if greedy:
        # Where a call says nothing, the model's own generation_config.json decides.
        script.set("sampled", False)
    if asked:
        script.set("seeded", script.has(*_SEEDS) or any("seed" in keywords for keywords, _ in asked))


def _generations(script: Script) -> Iterator[tuple[Keywords, int]]:
    """(settings, line) of each call that generates; Ollama's options are sampled unless they say otherwise."""
    for call in script.named(*_ASKERS):
        yield script.values.keywords(call), call.lineno
    for call in script.named("chat", "generate"):
        for word in call.keywords:
            table = script.values.of(script.values.node(word.value)) if word.arg == "options" else None
            if isinstance(table, dict):
                yield (
                    {"do_sample": (True, 0)} | {name: (value, call.lineno) for name, value in table.items()},
                    call.lineno,
                )


def _prompts(script: Script) -> None:
    """System message and template, in training and when it is asked."""
    trained = [chat for chat in script.chats if chat.use == "train"]
    asked = [chat for chat in script.chats if chat.use == "ask"]
    for texts, field in ((trained, "template"), (asked, "test_template")):
        if len({chat.template for chat in texts}) == 1:
            script.set(field, texts[0].template, texts[0].line)
    if len({chat.system for chat in trained}) == 1:
        script.set("system", trained[0].system, trained[0].line)
    # Asked in several ways: one that was trained is enough. A message that is not known could be that one.
    if asked and all(chat.system is not None for chat in asked):
        alike = sorted(asked, key=lambda chat: (chat.template != script.found.get("template"), not chat.system))
        match = next((chat for chat in alike if chat.system == script.found.get("system")), alike[0])
        script.set("test_system", match.system, match.line)
    pair = {script.found.get("template"), script.found.get("test_template")}
    if APPLIED in pair and not pair & set(HAND_MADE):  # a hand-written one can be what the model's template renders
        script.found.pop("test_template", None)


def _fill_defaults(script: Script) -> None:
    defaults = dict(script.library.defaults)
    if {"warmup_steps", "warmup_ratio"} & script.found.keys():
        defaults.pop("warmup_steps", None)
    if script.found.get("steps"):
        defaults.pop("epochs", None)
    script.assume(defaults, script.library)
