"""A conversation with a GGUF file: alone, or with the words and settings of a Modelfile before it.

Knows no screen and no Ollama. What a Modelfile asks for and llama.cpp does not do here is listed, not dropped silently.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kurabe.errors import DataError, MissingError
from kurabe.export.modelfile import Modelfile, read_file
from kurabe.llamacpp import GGUFBackend
from kurabe.schema import Answer, AnswerKey, Message, Request

LONGEST = 256  # tokens of an answer where nobody says otherwise
# Parameters that llama.cpp's requests have under the same name.
_OPTIONS: dict[str, Callable[[str], float | int]] = {
    "top_k": int, "top_p": float, "min_p": float, "typical_p": float, "repeat_penalty": float, "repeat_last_n": int,
    "presence_penalty": float, "frequency_penalty": float,
}  # fmt: skip
_OWN: dict[str, Callable[[str], float | int]] = {"temperature": float, "seed": int, "num_predict": int}


class Setup(NamedTuple):
    """Which file is spoken to, and how."""

    file: Path
    conversation: tuple[Message, ...] = ()
    stop: tuple[str, ...] = ()
    options: dict[str, Any] = {}  # noqa: RUF012  (nobody writes into it)
    temperature: float = 0.0  # greedy, as kurabe answers everywhere; Ollama's own default is not
    seed: int = 0
    longest: int = LONGEST  # tokens
    ignored: tuple[str, ...] = ()
    adapter: Path | None = None  # a LoRA that lies over the file


def from_modelfile(path: Path) -> Setup:
    """What a Modelfile says. Its FROM must be one local file, and so its ADAPTER where there is one: nothing is
    fetched. Raises DataError, MissingError."""
    read = read_file(path)
    file = _file(read, path, "FROM")
    adapter = _file(read, path, "ADAPTER") if read.last("ADAPTER") is not None else None
    numbers: dict[str, Any] = {}
    known = _OPTIONS | _OWN
    for name, values in read.parameters.items():
        if name in known:
            try:
                numbers[name] = known[name](values[-1])
            except ValueError:
                raise DataError(
                    f"{values[-1]!r} is no value for the parameter {name}.", where=str(path), fix="Correct that line."
                ) from None
    ignored = [f"PARAMETER {name}" for name in read.parameters if name not in known and name != "stop"]
    ignored += [name for name in ("TEMPLATE", "RENDERER", "PARSER", "DRAFT") if read.last(name) is not None]
    predict = numbers.get("num_predict", LONGEST)
    return Setup(
        file, read.messages, tuple(read.parameters.get("stop", ())),
        {name: value for name, value in numbers.items() if name in _OPTIONS},
        numbers.get("temperature", 0.0), numbers.get("seed", 0), predict if predict > 0 else LONGEST, tuple(ignored),
        adapter,
    )  # fmt: skip


def _file(read: Modelfile, path: Path, command_name: str) -> Path:
    """The file that FROM or ADAPTER names, seen from the Modelfile's folder."""
    names = [command.value for command in read.commands if command.name == command_name]
    file = path.parent / Path(names[0]).expanduser()
    if len(names) > 1 or not names[0] or not file.is_file():
        raise MissingError(
            f"{command_name} does not name one GGUF file here.", where=str(path), why=f"It says: {', '.join(names)}",
            fix=f"Write the path of a GGUF file after {command_name}; models of a registry are not fetched.",
        )  # fmt: skip
    return file


class Dialogue:
    """One conversation that grows with each question that was answered."""

    def __init__(self, backend: GGUFBackend, setup: Setup) -> None:
        self.backend, self.setup = backend, setup
        self.messages = list(setup.conversation)
        self._asked = 0

    def ask(self, question: str) -> Answer:
        """The answer, which belongs to the conversation from now on unless it failed."""
        asked = Message(role="user", content=question)
        self._asked += 1
        key = AnswerKey(
            model=self.backend.info.name, trial=0, arm="chat", hop="gguf", probe="ask",
            question=str(self._asked),
        )  # fmt: skip
        request = Request(
            key=key, messages=(*self.messages, asked), max_new_tokens=self.setup.longest,
            temperature=self.setup.temperature, seed=self.setup.seed,
        )  # fmt: skip
        (answer,) = self.backend.answer([request])
        if answer.finish != "error":
            self.messages += [asked, Message(role="assistant", content=answer.text)]
        return answer
