"""Work beside the talk, each in a process of its own: when one dies, the talk goes on and says so.

Knows no step and no page. A job is a kurabe command; the answering process keeps a run's model and adapters loaded.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

State: TypeAlias = Literal["running", "done", "failed"]
LAST_WORDS = 400  # characters of what a dead process said


class Job:
    """`kurabe WORDS...` in a process; its output goes to files, so that no full pipe can stop it."""

    def __init__(self, words: Sequence[str], logs: Path) -> None:
        self.words = tuple(words)
        self._logs = [logs / f"{words[0]}.out", logs / f"{words[0]}.err"]
        out, err = (path.open("wb") for path in self._logs)
        with out, err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kurabe", *words], stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def state(self) -> State:
        code = self._process.poll()
        return "running" if code is None else "done" if code == 0 else "failed"

    @property
    def code(self) -> int | None:
        """The exit code; negative where a signal ended it, None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        return self._logs[0].read_text(encoding="utf-8", errors="replace")

    @property
    def said(self) -> str:
        """What it said on stderr."""
        return self._logs[1].read_text(encoding="utf-8", errors="replace").strip()

    @property
    def last_words(self) -> str:
        """The end of that."""
        return self.said[-LAST_WORDS:]

    def end(self) -> None:
        """Stop it as Ctrl-C would, so that it stores what it has; then by force."""
        _end(self._process)


class Answering:
    """A process that answers free questions with all arms of a run, one after another.

    `answered(question, rows, problem)` is called from a thread: rows of {arm, trial, text, finish}, or what went wrong.
    """

    def __init__(self, run: Path, answered: Callable[[str, list[dict[str, Any]], str], None]) -> None:
        self.run, self._answered = run, answered
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kurabe.workshop.answering", str(run)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
        )  # fmt: skip
        self._waiting: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, question: str) -> None:
        self._waiting.append(question)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            self._fail()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            question = self._waiting.pop(0) if self._waiting else ""
            self._answered(question, said.get("answers", []), said.get("problem", ""))
        self._process.wait()
        self._fail()

    def _fail(self) -> None:
        while self._waiting:
            self._answered(self._waiting.pop(0), [], f"exit code {self._process.poll()}")

    def end(self) -> None:
        """Stop it, whatever it is doing: it stores nothing."""
        _end(self._process)
        self._listener.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # words that a dead process never read
                    pipe.close()


def _end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
