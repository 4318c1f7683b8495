"""Which tokens a script learns: copies of all tokens, masks, collators, and what becomes of padding and the end token.

Knows no values beyond the script's own. Where labels are masked by hand, what is left in them stays unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kurabe.auditing.script_prompts import APPLIED
from kurabe.auditing.script_tree import Script
from kurabe.auditing.script_values import last_name

_COLLATOR, _ANSWERS_ONLY = "DataCollatorForLanguageModeling", "DataCollatorForCompletionOnlyLM"


def read_labels(script: Script) -> None:
    """Sets loss_on_padding, loss_on_prompt and end_token, as far as the script says so."""
    copied = next(
        (line for name, value, line in _stored(script) if name == "labels" and "input_ids" in ast.dump(value)), 0
    )
    masked = any(_is_mask(node) for node in script.nodes)
    collator = next(script.named(_COLLATOR), None)
    if collator or script.has(_ANSWERS_ONLY):
        # It makes the labels itself, and leaves out what has the padding token's id.
        script.set("loss_on_padding", False)
        if collator and not script.has(_ANSWERS_ONLY) and script.library.name != "trl":
            script.set("loss_on_prompt", True, collator.lineno)
    elif copied and not masked and script.library.name != "trl":
        script.set("loss_on_prompt", True, copied)
        script.set("loss_on_padding", _padded(script), copied)
    _end_token(script, collator is not None and _imported(script, _COLLATOR, "transformers"), masked)


def _end_token(script: Script, by_id: bool, masked: bool) -> None:
    """Masked with the padding whose token it is, or never in a row. TRL's own collator goes by length, not by id."""
    padding = _pad_is_end(script)
    by_hand = masked and any(
        isinstance(node, ast.Compare) and "pad_token_id" in ast.dump(node) for node in script.nodes
    )
    if padding and (by_id or by_hand):
        ends = any(chat.use == "train" and chat.ends for chat in script.chats)
        script.set("end_token", "masked" if _padded(script) or ends else "doubtful", padding)
    elif script.trains and script.library.name == "transformers":
        endless = _without_end(script)
        if endless:
            script.set("end_token", "never", endless)


def _stored(script: Script) -> Iterator[tuple[str, ast.expr, int]]:
    """(key, value, line) of `x["key"] = value` and of {"key": value}."""
    for node in script.nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                    yield str(target.slice.value), node.value, node.lineno
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value), value, key.lineno


def _is_mask(node: ast.AST) -> bool:
    """-100, the label that has no loss."""
    return (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
            and isinstance(node.operand, ast.Constant) and node.operand.value == 100)  # fmt: skip


def _pad_is_end(script: Script) -> int:
    """The line of `tokenizer.pad_token = tokenizer.eos_token`, 0 where there is none."""
    return next((node.lineno for node in script.nodes if isinstance(node, ast.Assign) and _pads_with_end(node)), 0)


def _pads_with_end(node: ast.Assign) -> bool:
    padding = any(last_name(target) in ("pad_token", "pad_token_id") for target in node.targets)
    return padding and last_name(node.value) in ("eos_token", "eos_token_id")


def _imported(script: Script, name: str, module: str) -> bool:
    """TRL has a collator of the same name."""
    return any(
        isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == module
        and any(alias.name == name for alias in node.names) for node in script.nodes
    )  # fmt: skip


def _padded(script: Script) -> bool | None:
    """Whether rows are padded to a fixed length when they are made."""
    settings = [script.values.keywords(call).get("padding", (None, 0))[0] for call in script.tokenizing()]
    return True if "max_length" in settings else None


def _without_end(script: Script) -> int:
    """The line of the training text, where no end token follows one, comes from a template or is added."""
    trained = [chat for chat in script.chats if chat.use == "train"]
    if not trained or any(chat.ends or chat.template == APPLIED for chat in trained):
        return 0
    # `pad_token = eos_token` and `pad_token_id=tokenizer.eos_token_id` put no end token into a text.
    padding = {id(node.value) for node in script.nodes if isinstance(node, ast.Assign) and _pads_with_end(node)}
    padding |= {
        id(node.value) for node in script.nodes if isinstance(node, ast.keyword) and str(node.arg).endswith("token_id")
    }
    named = any(
        isinstance(node, ast.Attribute) and "eos_token" in node.attr and id(node) not in padding
        for node in script.nodes
    )
    added = any("eos" in str(word.arg) for call in script.calls for word in call.keywords if word.arg != "eos_token_id")
    return 0 if named or added else trained[0].line
