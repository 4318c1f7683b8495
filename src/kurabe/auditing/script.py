"""A Python script or notebook -> what it configures. The calls are read from the syntax tree; nothing is run or imported.

Knows the calls of transformers, TRL, PEFT and Unsloth and no judgement. What is computed when the script runs is unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kurabe.auditing.configured import Configured, number, text, truth, whole
from kurabe.auditing.data import Counter, literal_rows, read_rows
from kurabe.auditing.configured import Rows
from kurabe.auditing.libraries import LIBRARIES, Library, fields
from kurabe.auditing.script_prompts import APPLIED, HAND_MADE, chats
from kurabe.auditing.script_values import UNKNOWN, Values, dotted, last_name, parse
from kurabe.errors import DataError, UserError

_ARGUMENTS = {"TrainingArguments": "transformers", "Seq2SeqTrainingArguments": "transformers", "SFTConfig": "trl"}
_LOADERS = ("AutoModelForCausalLM", "FastLanguageModel", "FastModel", "LlamaForCausalLM", "AutoModel", "AutoPeftModelForCausalLM")
_ASKERS = {"generate", "pipeline", "GenerationConfig", "SamplingParams"}
_SEEDS = {"manual_seed", "manual_seed_all", "set_seed", "seed_everything", "enable_full_determinism"}
_DATA_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet")


class Reading(NamedTuple):
    """What was found in a script: the description, its rows where they stand in it or beside it, names not understood."""

    configured: Configured
    rows: Rows | None
    unread: tuple[str, ...]


def read(path: Path, count: Counter | None = None) -> Reading:
    """Raises DataError for what is no Python, and for a script that neither trains nor asks a model."""
    tree = parse(path)
    script = _Script(tree)
    for part in (_arguments, _lora, _trainer, _labels, _tokenizer, _models, _asking, _prompts):
        part(script)
    if not script.found:
        raise DataError(
            "Nothing in this script is a fine-tune that kurabe can read.", where=str(path),
            why="It calls neither TrainingArguments, SFTConfig nor LoraConfig, and it asks no model.",
            fix="Give the script with these calls, or the folder or YAML file of the training.",
        )  # fmt: skip
    _fill_defaults(script)
    known = {field: value for field, value in script.found.items() if value is not None}
    configured = Configured.model_validate(
        {"tool": script.library.name, "version": script.library.version, "places": script.places, **known}
    )
    return Reading(configured, _data(path, script, count), tuple(script.unread))


class _Script:
    """A script while it is read: its calls, and the fields that were found with their lines."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree, self.values = tree, Values(tree)
        self.calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self.calls.sort(key=lambda call: (call.lineno, call.col_offset))
        self.library: Library = LIBRARIES["transformers"]
        self.trains = False
        self.found: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.unread: list[str] = []

    def named(self, *names: str) -> Iterator[ast.Call]:
        return (call for call in self.calls if last_name(call.func) in names)

    def set(self, field: str, value: Any, line: int = 0) -> None:
        """The first place that says something counts."""
        if value is not None and self.found.get(field) is None:
            self.found[field] = value
            if line:
                self.places[field] = f"line {line}"

    def take(self, call: ast.Call, library: Library) -> None:
        """The keywords of a call that are settings of this library."""
        given = self.values.keywords(call)
        known = {name: value for name, (value, _) in given.items() if value is not UNKNOWN}
        found, unread = fields(library, known)
        self.unread += [name for name in unread if name not in self.unread]
        lines = {field: given[key][1] for key, (field, _) in library.keys.items() if key in given}
        for field, value in found.items():
            self.set(field, value, lines.get(field, call.lineno))
        # A setting that is computed is not its default.
        for key, (field, _) in library.keys.items():
            if key in given and given[key][0] is UNKNOWN:
                self.found.setdefault(field, None)


def _arguments(script: _Script) -> None:
    for call in script.named(*_ARGUMENTS):
        script.trains = True
        script.library = LIBRARIES[_ARGUMENTS[last_name(call.func)]]
        script.take(call, script.library)
    if any(True for _ in script.named("SFTTrainer")):
        script.trains, script.library = True, LIBRARIES["trl"]
    if script.trains:
        script.found.setdefault("method", "full")


def _lora(script: _Script) -> None:
    for call in script.named("LoraConfig", "get_peft_model"):
        keywords = script.values.keywords(call)
        if last_name(call.func) == "LoraConfig" or "r" in keywords:
            script.found["method"] = "lora"
            script.take(call, LIBRARIES["peft"])
    if script.found.get("method") == "lora":
        for field, value in LIBRARIES["peft"].defaults.items():
            if field not in script.found:
                script.set(field, value)
                script.places[field] = f"default of {LIBRARIES['peft'].version}"


def _trainer(script: _Script) -> None:
    for call in script.named("SFTTrainer"):
        keywords = script.values.keywords(call)
        for name in ("max_seq_length", "packing"):  # its own arguments before TRL 0.16
            if name in keywords:
                field, convert = script.library.keys[name]
                script.set(field, convert(keywords[name][0]), keywords[name][1])
        collator = next((word.value for word in call.keywords if word.arg == "data_collator"), None)
        if collator is None or "CompletionOnly" not in _made_by(script, collator):
            if "formatting_func" in keywords or "dataset_text_field" in keywords:
                script.set("loss_on_prompt", True, call.lineno)  # running text: all of it is learned
    if any(True for _ in script.named("train_on_responses_only", "DataCollatorForCompletionOnlyLM")):
        script.found["loss_on_prompt"] = False
    elif script.found.get("loss_on_prompt") is None and script.library.name == "trl":
        for call in script.named("SFTConfig"):
            if "dataset_text_field" in script.values.keywords(call):
                script.set("loss_on_prompt", True, call.lineno)


def _made_by(script: _Script, node: ast.expr) -> str:
    made = script.values.node(node)
    return last_name(made.func) if isinstance(made, ast.Call) else last_name(made)


def _labels(script: _Script) -> None:
    """Labels that are made by hand: a copy of all tokens, or one with -100 in it."""
    copied = next((line for name, value, line in _stored(script.tree) if name == "labels" and "input_ids" in ast.dump(value)), 0)
    masks = any(isinstance(n, ast.UnaryOp) and isinstance(n.op, ast.USub) and isinstance(n.operand, ast.Constant)
                and n.operand.value == 100 for n in ast.walk(script.tree))  # fmt: skip
    collators = {last_name(call.func) for call in script.calls} & {"DataCollatorForLanguageModeling", "DataCollatorForCompletionOnlyLM"}
    if collators:
        # It makes the labels itself, and leaves out what has the padding token's id.
        script.set("loss_on_padding", False)
        if "DataCollatorForCompletionOnlyLM" not in collators and script.library.name != "trl":
            script.set("loss_on_prompt", True, next(script.named("DataCollatorForLanguageModeling")).lineno)
    elif copied and not masks and script.library.name != "trl":
        script.set("loss_on_prompt", True, copied)
        script.set("loss_on_padding", _padded(script), copied)
    ids = any(isinstance(node, ast.Compare) and "pad_token_id" in ast.dump(node) for node in ast.walk(script.tree))
    if _pad_is_end(script) and ("DataCollatorForLanguageModeling" in collators or (masks and ids)):
        # TRL's own collator goes by length and not by id.
        whose = "transformers" if "DataCollatorForLanguageModeling" in collators else "script"
        if whose == "script" or _imported_from(script, "DataCollatorForLanguageModeling", "transformers"):
            script.set("end_token", "masked" if _padded(script) or _ends(script) else "doubtful", _pad_is_end(script))
    elif script.trains and script.library.name == "transformers" and _hand_made_without_end(script):
        script.set("end_token", "never", _hand_made_without_end(script))


def _stored(tree: ast.AST) -> Iterator[tuple[str, ast.expr, int]]:
    """(key, value, line) of `x["key"] = value` and of {"key": value}."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                    yield str(target.slice.value), node.value, node.lineno
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value), value, key.lineno


def _pad_is_end(script: _Script) -> int:
    """The line of `tokenizer.pad_token = tokenizer.eos_token`, 0 where there is none."""
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Assign) and any(last_name(t) in ("pad_token", "pad_token_id") for t in node.targets):
            if last_name(node.value) in ("eos_token", "eos_token_id"):
                return node.lineno
    return 0


def _imported_from(script: _Script, name: str, module: str) -> bool:
    return any(isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == module
               and any(alias.name == name for alias in node.names) for node in ast.walk(script.tree))  # fmt: skip


def _ends(script: _Script) -> bool:
    """Whether training texts visibly hold an end token."""
    return any(chat.use == "train" and chat.ends for chat in chats(script.tree, script.values))


def _hand_made_without_end(script: _Script) -> int:
    """The line of the training text, where no training text ends with an end token and none comes from a template."""
    trained = [chat for chat in chats(script.tree, script.values) if chat.use == "train"]
    if not trained or any(chat.ends or chat.template == APPLIED for chat in trained):
        return 0
    named = any("eos_token" in last_name(n) for n in ast.walk(script.tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)
                and not _is_padding(script, n))  # fmt: skip
    return 0 if named else trained[0].line


def _is_padding(script: _Script, node: ast.Attribute) -> bool:
    """`pad_token = eos_token` and `pad_token_id=eos_token_id` put no end token into a text."""
    return any(
        (isinstance(n, ast.Assign) and n.value is node and any(last_name(t).startswith("pad_token") for t in n.targets))
        or (isinstance(n, ast.keyword) and n.value is node and n.arg in ("pad_token_id", "eos_token_id"))
        for n in ast.walk(script.tree)
    )


def _tokenizing(script: _Script) -> Iterator[ast.Call]:
    """Calls of a tokenizer on texts, the fixed length being in them."""
    for call in script.calls:
        if "tokenizer" in last_name(call.func).lower() or (last_name(call.func) == "__call__"):
            yield call


def _padded(script: _Script) -> bool | None:
    """Whether rows are padded to a fixed length when they are made."""
    for call in _tokenizing(script):
        padding = script.values.keywords(call).get("padding", (None, 0))[0]
        if padding == "max_length":
            return True
    return None


def _tokenizer(script: _Script) -> None:
    for call in _tokenizing(script):
        keywords = script.values.keywords(call)
        length, line = keywords.get("max_length", (None, 0))
        if keywords.get("padding", (None, 0))[0] == "max_length":
            script.set("padded", True, call.lineno)
            script.set("pad_to", whole(length), line)
            saved = any("tokenizer" in dotted(c.func).lower() for c in script.named("save_pretrained"))
            if saved:
                script.set("fixed_padding", whole(length), line)
        if truth(keywords.get("truncation", (None, 0))[0]):
            script.set("max_length", whole(length), line)


def _models(script: _Script) -> None:
    written = {script.values.of(call.args[0]) for call in script.named("save_pretrained", "save_model") if call.args}
    written |= {script.values.keywords(call).get("output_dir", ("", 0))[0] for call in script.named(*_ARGUMENTS)}
    written = {str(path).rstrip("/").removeprefix("./") for path in written if isinstance(path, str)}
    loads, merged = [], any(True for _ in script.named("merge_and_unload"))
    for call in script.named("from_pretrained"):
        owner = last_name(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        if owner in _LOADERS:
            keywords = script.values.keywords(call)
            name = script.values.of(call.args[0]) if call.args else next(
                (keywords[key][0] for key in ("pretrained_model_name_or_path", "model_name") if key in keywords), None)  # fmt: skip
            loads.append((text(name), _quantised(script, call), call.lineno))
    for call in script.named("SFTTrainer", "pipeline", "chat", "generate"):
        model = next((word.value for word in call.keywords if word.arg == "model"), None)
        named = text(script.values.of(model)) if model is not None else None
        if named:
            loads.append((named, None, call.lineno))
    named_loads = [(name, line) for name, _, line in loads if name and name.rstrip("/").removeprefix("./") not in written
                   and not any(name.removeprefix("./").startswith(path + "/") for path in written if path)]  # fmt: skip
    if named_loads:
        script.set("base", *named_loads[0])
        others = [(name, line) for name, line in named_loads[1:] if name != named_loads[0][0]]
        if others:
            script.set("other_bases", tuple(name for name, _ in others), others[0][1])
    bits = [quantised for name, quantised, _ in loads if quantised is not None]
    if bits:
        script.set("quantised", all(bits))
    if merged:
        script.set("merged", True, next(script.named("merge_and_unload")).lineno)


def _quantised(script: _Script, call: ast.Call) -> bool | None:
    """Whether a model is loaded in fewer bits; False where nothing says so."""
    keywords = script.values.keywords(call)
    if any(truth(keywords[name][0]) for name in ("load_in_4bit", "load_in_8bit") if name in keywords):
        return True
    config = next((script.values.node(word.value) for word in call.keywords if word.arg == "quantization_config"), None)
    if isinstance(config, ast.Call):
        inner = script.values.keywords(config)
        return any(truth(inner[name][0]) for name in ("load_in_4bit", "load_in_8bit") if name in inner) or last_name(config.func) != "BitsAndBytesConfig"
    return None if config is not None else False


def _asking(script: _Script) -> None:
    settings: list[tuple[dict[str, tuple[Any, int]], int, str]] = []
    for call in script.named(*_ASKERS):
        settings.append((script.values.keywords(call), call.lineno, last_name(call.func)))
    for call in script.calls:  # ollama.chat(..., options={"temperature": 0.7})
        options = next((word.value for word in call.keywords if word.arg == "options"), None)
        if options is not None and last_name(call.func) in ("chat", "generate"):
            table = script.values.of(script.values.node(options))
            if isinstance(table, dict):
                settings.append(({"do_sample": (True, call.lineno), **{k: (v, call.lineno) for k, v in table.items()}}, call.lineno, "ollama"))
    for keywords, line, _ in settings:
        warm = number(keywords.get("temperature", (None, 0))[0])
        if truth(keywords.get("do_sample", (None, 0))[0]) and warm != 0:
            script.set("sampled", True, keywords["do_sample"][1] or line)
            script.set("temperature", warm)
        tokens = next((keywords[name] for name in ("max_new_tokens", "num_predict", "max_tokens") if name in keywords), None)
        if tokens:
            script.set("max_new_tokens", whole(tokens[0]) or None, tokens[1])
    if settings and "sampled" not in script.found:
        script.set("sampled", False)
    seeded = any(True for _ in script.named(*_SEEDS)) or any("seed" in keywords for keywords, _, _ in settings)
    script.set("seeded", seeded)


def _prompts(script: _Script) -> None:
    found = chats(script.tree, script.values)
    by_use = {use: [chat for chat in found if chat.use == use] for use in ("train", "ask")}
    for use, template in (("train", "template"), ("ask", "test_template")):
        forms = {chat.template for chat in by_use[use]}
        if len(forms) == 1:
            script.set(template, forms.pop(), by_use[use][0].line)
    systems = {chat.system for chat in by_use["train"]}
    if len(systems) == 1:
        script.set("system", systems.pop(), by_use["train"][0].line if by_use["train"] else 0)
    # Asked in several ways: one that is trained for is enough. A message that is not known could be that one.
    asked = sorted(by_use["ask"], key=lambda chat: (chat.template != script.found.get("template"), not chat.system))
    if asked and all(chat.system is not None for chat in asked):
        match = next((chat for chat in asked if chat.system == script.found.get("system")), asked[0])
        script.set("test_system", match.system, match.line)
    pair = {script.found.get("template"), script.found.get("test_template")}
    if APPLIED in pair and not pair & set(HAND_MADE):  # a hand-written one can be what the model's template renders
        script.found.pop("test_template", None)


def _fill_defaults(script: _Script) -> None:
    if not script.trains:
        script.found["task"] = "predict"
        return
    defaults = dict(script.library.defaults)
    if {"warmup_steps", "warmup_ratio"} & script.found.keys():
        defaults.pop("warmup_steps", None)
    if script.found.get("steps"):
        defaults.pop("epochs", None)
    for field, value in defaults.items():
        if field not in script.found:
            script.found[field] = value
            script.places.setdefault(field, f"default of {script.library.version}")


def _data(path: Path, script: _Script, count: Counter | None) -> Rows | None:
    """Rows that stand in the script, else those of a data file beside it that the script names."""
    lists = [(len(node.elts), node) for node in ast.walk(script.tree) if isinstance(node, ast.List) and len(node.elts) > 1]
    for _, node in sorted(lists, key=lambda pair: -pair[0])[:20]:
        rows = script.values.of(node)
        if all(isinstance(row, (dict, list)) and "role" not in row for row in rows) and not _has_unknown(rows):
            found = literal_rows(f"{path.name}:{node.lineno}", rows, count)
            if found:
                return found
    for call in script.named("load_dataset", "open", "read_json", "read_csv", "from_json", "from_csv"):
        words = [call.args[0]] if call.args else []
        words += [word.value for word in call.keywords if word.arg == "data_files"]
        for node in words:
            name = script.values.of(node)
            name = name.get("train") if isinstance(name, dict) else name
            place = path.parent / name if isinstance(name, str) and "\0" not in name and len(name) < 500 else None
            if place and place.suffix.lower() in _DATA_SUFFIXES and _is_file(place):
                try:
                    return read_rows(place, count)
                except UserError:
                    continue
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _has_unknown(value: Any) -> bool:
    if isinstance(value, (list, dict)):
        return any(_has_unknown(part) for part in (value.values() if isinstance(value, dict) else value))
    return value is UNKNOWN
