"""Reads and writes Ollama's Modelfile: commands with values, in the grammar that Ollama's own reader has.

Knows no server and no model. That grammar has no escapes, so some texts cannot be written; they are refused here
instead of reaching the model as something else. Source of the grammar: parser/parser.go of github.com/ollama/ollama.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, get_args

from kurabe.errors import DataError
from kurabe.schema import Message

COMMANDS = (
    "FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE", "RENDERER", "PARSER", "REQUIRES",
    "DRAFT",
)  # fmt: skip
ROLES: tuple[str, ...] = get_args(Message.model_fields["role"].annotation)
SIZE_LIMIT = 4 * 1024 * 1024  # bytes

# The reader drops what is not printable, so it stands as NUL while the text is taken apart: in a value it vanishes, in
# a command's name it is an error.
_DROPPED = "\0"
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[A-Za-z]+")
_KEYS = {"PARAMETER": re.compile(r"[A-Za-z0-9_]+"), "MESSAGE": re.compile(r"[A-Za-z]+")}
_BLANK = re.compile(r"[ \t\0]*")
_LINE = re.compile(r"[^\r\n]*")
_OPEN = re.compile(r'"\0*"\0*"|"')
# A quoted value ends with quotes that end their line.
_CLOSE = {3: re.compile(r'"\0*"\0*"[ \t\0]*(?=[\r\n]|\Z)'), 1: re.compile(r'"[ \t\0]*(?=[\r\n]|\Z)')}


class Command(NamedTuple):
    """One command. `key` is the name of a PARAMETER or the role of a MESSAGE."""

    name: str  # in capitals
    value: str
    key: str = ""


class Modelfile(NamedTuple):
    """The commands of one Modelfile, in its order."""

    commands: tuple[Command, ...]

    def last(self, name: str) -> str | None:
        """The value of the command of that name; the last one counts, None where there is none."""
        return next((c.value for c in reversed(self.commands) if c.name == name), None)

    @property
    def parameters(self) -> dict[str, list[str]]:
        """Name -> its values in order: `stop` may stand more than once."""
        found: dict[str, list[str]] = {}
        for command in self.commands:
            if command.name == "PARAMETER":
                found.setdefault(command.key.lower(), []).append(command.value)
        return found

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation that stands before each question: SYSTEM, then every MESSAGE."""
        system = self.last("SYSTEM")
        first = [] if not system else [Message(role="system", content=system)]
        rest = [
            Message.model_validate({"role": c.key, "content": c.value}) for c in self.commands if c.name == "MESSAGE"
        ]
        return (*first, *rest)


def read_file(path: Path) -> Modelfile:
    """The Modelfile at `path`. Raises DataError for a file that Ollama would refuse, with its line."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise DataError(f"The Modelfile is longer than {SIZE_LIMIT:,} bytes.", where=str(path), fix="Shorten it.")
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "It is not UTF-8."
        raise DataError(
            "The Modelfile cannot be read.",
            where=str(path),
            why=why or "",
            fix="Give the path of a text file in UTF-8.",
        ) from None
    return parse(text, str(path))


def parse(text: str, where: str = "Modelfile") -> Modelfile:
    """The commands of a Modelfile's text. Raises DataError with the line of what Ollama would refuse."""
    text = "".join(c if c.isprintable() or c in " \t\r\n" else _DROPPED for c in text)
    commands: list[Command] = []
    at = _past(_BETWEEN, text, 0)
    while at < len(text):
        name, at = _word(_NAME, text, at, where, "a command")
        name = name.upper()
        if name not in COMMANDS:
            _refuse(text, at, where, f"{name} is no command; there are {', '.join(COMMANDS)}.")
        key = ""
        if name in _KEYS:
            key, at = _word(_KEYS[name], text, at, where, "a name" if name == "PARAMETER" else "a role")
        if name == "MESSAGE" and key not in ROLES:
            _refuse(text, at, where, f"{key} is no role; there are {', '.join(ROLES)}.")
        value, at = _value(text, at, where)
        commands.append(Command(name, value, key))
        at = _past(_BETWEEN, text, at)
    if not any(command.name == "FROM" for command in commands):
        raise DataError("The Modelfile has no FROM.", where=where, fix="Write FROM and the path of a GGUF file.")
    return Modelfile(tuple(commands))


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _word(pattern: re.Pattern[str], text: str, at: int, where: str, what: str) -> tuple[str, int]:
    """A word with the one blank that must follow it."""
    end = _past(pattern, text, at)
    if end == at or text[end : end + 1] not in (" ", "\t"):
        _refuse(text, at, where, f"Here {what} must stand, then a blank and a value.")
    return text[at:end], end + 1


def _value(text: str, at: int, where: str) -> tuple[str, int]:
    """A value and where it ends: quoted over several lines, or the rest of the line without its outer blanks."""
    start = _past(_BLANK, text, at)
    opened = _OPEN.match(text, start)
    if opened is None:
        end = _past(_LINE, text, start)
        return text[start:end].replace(_DROPPED, "").strip(" \t"), end
    quotes = opened[0].count('"')
    closed = _CLOSE[quotes].search(text, opened.end())
    if closed is None:
        _refuse(text, start, where, f"The value begins with {opened[0]} and no line ends with it.")
    return text[opened.end() : closed.start()].replace(_DROPPED, ""), closed.end()


def _refuse(text: str, at: int, where: str, why: str) -> NoReturn:
    line = len(re.findall(r"\r\n|\r|\n", text[:at])) + 1
    raise DataError(
        "Ollama would not read this Modelfile.",
        where=f"{where}:{line}",
        why=why.replace(_DROPPED, "�"),
        fix="Correct that line.",
    )


def write(commands: Sequence[Command]) -> str:
    """The text of a Modelfile with these commands, which reads back as they are.

    Raises DataError where the grammar has no way to write a value: one that holds three double quotes, or a character
    that the reader drops.
    """
    lines = []
    for command in commands:
        if command.name not in COMMANDS:
            raise ValueError(f"{command.name} is no command")
        pattern = _KEYS.get(command.name)
        if not (pattern.fullmatch(command.key) if pattern else command.key == ""):
            raise ValueError(f"{command.key!r} cannot stand after {command.name}")
        if command.name == "MESSAGE" and command.key not in ROLES:
            raise ValueError(f"{command.key!r} is no role")
        key = [command.key] if command.key else []
        lines.append(" ".join([command.name, *key, _quoted(command.value, command.name)]) + "\n")
    return "".join(lines)


def messages(conversation: Iterable[Message]) -> list[Command]:
    """A conversation as commands: a first system message is SYSTEM, the rest are MESSAGE."""
    commands = [Command("MESSAGE", message.content, message.role) for message in conversation]
    if commands and commands[0].key == "system":
        commands[0] = Command("SYSTEM", commands[0].value)
    return commands


def _quoted(value: str, name: str) -> str:
    where = f"the value of {name}"
    if '"""' in value:
        raise DataError(
            "This text cannot be written into a Modelfile.", where=where,
            why='It holds three double quotes in a row, which end a value there; Modelfiles have no escapes.',
            fix="Use other quotation marks in the text.",
        )  # fmt: skip
    dropped = next((c for c in value if not c.isprintable() and c not in "\t\r\n"), None)
    if dropped is not None:
        raise DataError(
            "This text cannot be written into a Modelfile.", where=where,
            why=f"Ollama drops the character U+{ord(dropped):04X} when it reads one.",
            fix="Put an ordinary blank or nothing in its place.",
        )  # fmt: skip
    if '"' in value:
        # A quote at the end of a line would end a value in single quotes, and one at the start would begin one.
        return f'"""{value}"""' if value[0] == '"' or re.search(r"[\r\n\t]|^ | $", value) else value
    return f'"{value}"' if not value or re.search(r"[\r\n\t]|^ | $", value) else value
