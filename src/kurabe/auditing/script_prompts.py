"""Chat texts in a script: which system message and which markers stand in training, and which when it is asked.

Knows no library. A text is training where an answer stands in it, and a question where it ends before the answer;
where neither is plain, it counts for nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from kurabe.auditing.script_values import HOLE, UNKNOWN, Values, last_name

Use = Literal["train", "ask"]
END_TOKENS = (
    "</s>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<|end|>",
    "<eos>",
)
_TRAINING_NAMES = re.compile(r"(?i)train|format|preprocess|tokeni[sz]e|collat|build|convert|map_|to_text|dataset")
_ASKING_NAMES = re.compile(r"(?i)test|generat|ask|infer|chat|eval|predict|answer|respon|complet|demo|query")
# What stands before the answer and before the system message, by template.
_ANSWER = {
    "chatml": r"<\|im_start\|>\s*assistant",
    "zephyr": r"<\|assistant\|>",
    "llama-3": r"<\|start_header_id\|>assistant<\|end_header_id\|>",
    "llama-2": r"\[/INST\]",
    "gemma": r"<start_of_turn>model",
    "alpaca": r"#+ ?(?:Response|Answer|Output|Assistant|回答|応答) ?[:：]",
    "vicuna": r"(?m)^ASSISTANT ?:|(?<= )ASSISTANT ?:",
    "plain": r"(?m)^(?:Answer|A|Assistant|回答|答え) ?[:：]",
}
_SYSTEM = re.compile(
    r"(?:<\|im_start\|>\s*system\s|<\|system\|>|<<SYS>>|<\|start_header_id\|>system<\|end_header_id\|>)"
    r"(.*?)(?:<\|im_end\|>|</s>|<\|end\|>|<</SYS>>|<\|eot_id\|>|<\||\[/INST\])",
    re.DOTALL,
)
APPLIED = "chat template"
HAND_MADE = ("alpaca", "vicuna", "plain")  # no chat template of a model renders these
# Words before a colon are a template only where the question has such a word, too.
_ASKED = re.compile(r"(?im)(?:^|\s)(?:question|q|user|human|customer|質問|問) ?[:：]")
_TALK = {"print", "info", "debug", "warning", "write", "echo", "add_argument", "title", "markdown", "Exception"}


class Chat(NamedTuple):
    """One chat text: what it is for, its system message ("" for none, None for unknown), its markers, its end."""

    use: Use
    system: str | None
    template: str | None
    ends: bool | None  # whether an end token follows the answer; None: not for this text to say
    line: int


def chats(tree: ast.AST, values: Values) -> list[Chat]:
    """Every chat text of a script whose use is plain."""
    trained = max(
        (node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and last_name(node.func) == "train"),
        default=None,
    )
    found: list[Chat] = []
    for node, function in _with_functions(tree, ""):
        chat = None
        if isinstance(node, ast.List):
            chat = _messages(node, function, trained, values)
        elif isinstance(node, (ast.JoinedStr, ast.Constant, ast.BinOp)):
            chat = _text(node, function, trained, values)
        if chat:
            found.append(chat)
    return found


def _with_functions(node: ast.AST, function: str) -> Iterator[tuple[ast.AST, str]]:
    """Every node with the name of the function around it; texts inside of texts are left out."""
    stack: list[tuple[ast.AST, str]] = [(node, function)]
    while stack:
        here, name = stack.pop()
        yield here, name
        if isinstance(here, (ast.FunctionDef, ast.AsyncFunctionDef)):
            name = here.name
        if isinstance(here, ast.JoinedStr) or (isinstance(here, ast.BinOp) and _holds_text(here)):
            continue
        if isinstance(here, ast.Call) and last_name(here.func) in _TALK:
            continue
        if isinstance(here, ast.Expr) and isinstance(here.value, ast.Constant):
            continue  # a docstring
        stack.extend((child, name) for child in ast.iter_child_nodes(here))


def _holds_text(node: ast.BinOp) -> bool:
    """Whether a text is among the parts; a sum leans to the left, however long it is."""
    here: ast.expr = node
    while isinstance(here, ast.BinOp):
        if _is_text(here.right):
            return True
        here = here.left
    return _is_text(here)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _messages(node: ast.List, function: str, trained: int | None, values: Values) -> Chat | None:
    """A list of {"role": ..., "content": ...}."""
    turns = []
    for item in node.elts:
        if not isinstance(item, ast.Dict):
            return None
        table = {
            values.of(key): value
            for key, value in zip(item.keys, item.values, strict=True)
            if isinstance(key, ast.Constant)
        }
        role = values.of(table.get("role"))
        if role is UNKNOWN or "content" not in table:
            return None
        turns.append((role, table["content"]))
    if not turns:
        return None
    said = [content for role, content in turns if role == "system"]
    use: Use | None = "train" if any(role == "assistant" for role, _ in turns) else _use(node.lineno, function, trained)
    if use is None or (not said and {role for role, _ in turns} != {"user"} and use == "ask"):
        return None
    system = _known(values.words(said[0])) if said else ""
    return Chat(use, system, APPLIED, None, node.lineno)


def _text(node: ast.expr, function: str, trained: int | None, values: Values) -> Chat | None:
    """A text with a template's markers in it."""
    words = values.words(node)
    if not isinstance(words, str) or len(words) < 8:
        return None
    named = [(name, list(re.finditer(pattern, words))) for name, pattern in _ANSWER.items()]
    template, marks = next(((name, marks) for name, marks in named if marks), ("", []))
    if not marks or (template in ("vicuna", "plain") and not _ASKED.search(words)):
        return None
    tail = words[marks[-1].end() :]
    bare = tail
    for token in END_TOKENS:
        bare = bare.replace(token, "")
    use: Use = "train" if bare.strip(" \n\t<|>") else "ask"
    if use == "ask" and function and _TRAINING_NAMES.search(function) and not _ASKING_NAMES.search(function):
        return None  # the question's part of a training row, put together elsewhere
    system = _SYSTEM.search(words)
    ends = any(token in tail for token in END_TOKENS) or _names_end(node)
    said = (
        _known(system[1].strip()) if system else "" if template in ("chatml", "zephyr", "llama-3", "llama-2") else None
    )
    return Chat(use, said, template, ends if use == "train" else None, node.lineno)


def _names_end(node: ast.expr) -> bool:
    """Whether the text is put together with `tokenizer.eos_token` or a name like it."""
    return any(
        "eos" in last_name(part).lower() for part in ast.walk(node) if isinstance(part, (ast.Name, ast.Attribute))
    )


def _known(words: object) -> str | None:
    """A system message that is wholly known."""
    if not isinstance(words, str) or HOLE in words or re.fullmatch(r"\{\w*\}", words.strip()):
        return None
    return words.strip()


def _use(line: int, function: str, trained: int | None) -> Use | None:
    """By the function's name, else by whether the training was started before."""
    if function:
        training, asking = _TRAINING_NAMES.search(function), _ASKING_NAMES.search(function)
        if bool(training) != bool(asking):
            return "train" if training else "ask"
    if trained is not None and line > trained:
        return "ask"
    return None
