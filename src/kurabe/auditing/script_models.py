"""Which weights a script loads, in how many bits, and whether an adapter is merged into them.

Knows no hub: names are compared by the rules. What the script itself wrote is no other model.
"""

from __future__ import annotations

import ast

from kurabe.auditing.configured import text, truth
from kurabe.auditing.script_tree import ARGUMENTS, Script
from kurabe.auditing.script_values import last_name

_LOADERS = ("AutoModelForCausalLM", "FastLanguageModel", "FastModel", "LlamaForCausalLM", "AutoModel")
_NAMES = ("pretrained_model_name_or_path", "model_name")
_BITS = ("load_in_4bit", "load_in_8bit")


def read_models(script: Script) -> None:
    """Sets base, other_bases, quantised and merged."""
    written = _written(script)
    loads: list[tuple[str, int]] = []
    bits: list[bool] = []
    for call in script.named("from_pretrained"):
        if isinstance(call.func, ast.Attribute) and last_name(call.func.value) in _LOADERS:
            quantised = _quantised(script, call)
            bits += [] if quantised is None else [quantised]
            loads += _named(script, call)
    for call in script.named("SFTTrainer", "pipeline", "chat", "generate"):
        loads += [(name, call.lineno) for word in call.keywords
                  if word.arg == "model" and (name := text(script.values.of(word.value)))]  # fmt: skip
    loads = [(name, line) for name, line in loads if not _is_own(name, written)]
    if loads:
        script.set("base", *loads[0])
        others = {name: line for name, line in reversed(loads) if name != loads[0][0]}
        if others:
            script.set("other_bases", tuple(sorted(others)), min(others.values()))
    if bits:
        script.set("quantised", all(bits))  # one that is not may be the one that is merged into
    for call in script.named("merge_and_unload"):
        script.set("merged", True, call.lineno)


def _written(script: Script) -> set[str]:
    """The folders that the script writes to."""
    found = [script.values.of(call.args[0]) for call in script.named("save_pretrained", "save_model") if call.args]
    found += [script.values.keywords(call).get("output_dir", ("", 0))[0] for call in script.named(*ARGUMENTS)]
    return {path for place in found if isinstance(place, str) and (path := _plain(place))}


def _plain(path: str) -> str:
    return path.removeprefix("./").rstrip("/")


def _is_own(name: str, written: set[str]) -> bool:
    return any(_plain(name) == path or _plain(name).startswith(path + "/") for path in written)


def _named(script: Script, call: ast.Call) -> list[tuple[str, int]]:
    keywords = script.values.keywords(call)
    names = [script.values.of(call.args[0])] if call.args else [keywords[key][0] for key in _NAMES if key in keywords]
    return [(name, call.lineno) for given in names if (name := text(given))]


def _quantised(script: Script, call: ast.Call) -> bool | None:
    """Whether a model is loaded in fewer bits; None where a setting says so that is not known."""
    keywords = script.values.keywords(call)
    if any(truth(keywords[name][0]) for name in _BITS if name in keywords):
        return True
    config = next((script.values.node(word.value) for word in call.keywords if word.arg == "quantization_config"), None)
    if not isinstance(config, ast.Call):
        return None if config is not None else False
    inner = script.values.keywords(config)
    other = last_name(config.func) != "BitsAndBytesConfig"
    return other or any(truth(inner[name][0]) for name in _BITS if name in inner)
