"""An arm that searches before it answers, outside its run: what it searches as a file, and a small program beside it.

Knows no run. A model file holds no search, so the rows or passages travel next to it and the same arm builds the
messages from them.
"""

from __future__ import annotations

import os
from pathlib import Path

from kurabe import arms
from kurabe.errors import COPY_AGAIN, DataError, MissingError
from kurabe.llamacpp import GGUFBackend
from kurabe.schema import Answer, AnswerKey, Message, Question, Request, SearchIndex

INDEX, RUNNER = "index.json", "ask.py"
_PROGRAM = '''"""Answers as the arm {arm} of the run {run} did: python ask.py "How much is shipping?"

Searches index.json for what it shows to the model. Needs: pip install "kurabe[gguf]"
"""

import sys
from pathlib import Path

from kurabe.export.searcher import Searcher

with Searcher(Path(__file__).with_name("index.json")) as searcher:
    for question in sys.argv[1:]:
        print(searcher.ask(question).text)
'''


def searches(arm: str) -> bool:
    """Whether the arm picks what it shows by the question, so that no Modelfile can hold it."""
    return arm in arms.INDEXED


def store(index: SearchIndex, run: str, out: Path) -> Path:
    """The index and the program beside the model's file, each replaced as a whole; the program's path."""
    program = _PROGRAM.format(arm=index.arm, run="".join(c for c in run if c.isalnum() or c in " ._-+"))
    for name, text in ((INDEX, index.model_dump_json(indent=1) + "\n"), (RUNNER, program)):
        whole = out / f".{name}.{os.getpid()}"
        whole.write_text(text, encoding="utf-8")
        os.replace(whole, out / name)
    return out / RUNNER


class Searcher:
    """The arm, ready to answer. Use it in a `with` block: llama.cpp's child ends with it."""

    def __init__(self, path: Path) -> None:
        try:
            self.index = SearchIndex.model_validate_json(path.read_bytes())
        except OSError:
            raise MissingError("There is no index here.", where=str(path), fix=COPY_AGAIN) from None
        except ValueError as error:
            why = str(error).splitlines()[0]
            raise DataError("The index cannot be read.", where=str(path), why=why, fix=COPY_AGAIN) from None
        found = self.index
        material = arms.Material(found.examples, "", found.language, found.passages, found.nearest)
        self._messages = arms.ARMS[found.arm].prepare(material)
        self._backend = GGUFBackend(path.with_name(Path(found.file).name))

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._backend.close()

    def messages(self, text: str) -> tuple[Message, ...]:
        """What the model is shown before it answers."""
        return self._messages(Question(id="asked", example="", probe="ask", text=text, expected="", facts=()))

    def ask(self, text: str) -> Answer:
        """The answer, greedy as it was measured."""
        key = AnswerKey(
            model=self._backend.info.name, trial=0, arm=self.index.arm, hop="gguf", probe="ask", question="asked"
        )
        asked = Request(key=key, messages=self.messages(text), max_new_tokens=self.index.max_new_tokens)
        (answer,) = self._backend.answer([asked])
        return answer
