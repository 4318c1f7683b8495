"""Errors that a user can mend, and the exit codes they end with.

Raised anywhere, printed once, in `cli/`. A bug is any other exception and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_DATA = 3
EXIT_MISSING = 4
EXIT_RESUMABLE = 5
EXIT_CANNOT_TELL = 6  # only with --gate
EXIT_GATE = 7  # only with --gate
EXIT_BUSY = 8
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

COPY_AGAIN = "Copy or download the model again."  # the mend of every broken model folder


_SHOWN = 60  # characters of a value that was refused


def in_words(error: Mapping[str, Any]) -> str:
    """Why a value was refused, of one of pydantic's errors: "'abc' is no whole number"."""
    given, context = repr(error["input"]), error.get("ctx", {})
    given = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}…"
    said = {
        "int": "is no whole number", "float": "is no number", "bool": "is neither true nor false",
        "string": "is no text", "list": "is no list", "tuple": "is no list", "dict": "is no table",
        "literal": f"is none of {context.get('expected')}",
        "greater_than": f"is not above {context.get('gt')}", "greater_than_equal": f"is below {context.get('ge')}",
        "less_than": f"is not below {context.get('lt')}", "less_than_equal": f"is above {context.get('le')}",
    }  # fmt: skip
    kind = str(error["type"])
    known = said.get(kind) or said.get(kind.split("_")[0])
    return f"{given} {known}" if known else str(error["msg"]).removeprefix("Value error, ")


class UserError(Exception):
    """What went wrong, where, why, and the command or act that fixes it. All four are plain sentences."""

    exit_code = EXIT_USAGE

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.why, self.fix = what, where, why, fix

    def __repr__(self) -> str:
        return f"{type(self).__name__}(what={self.what!r}, where={self.where!r}, why={self.why!r}, fix={self.fix!r})"

    def lines(self) -> list[tuple[str, str]]:
        """(name, sentence) of the parts that are filled, in reading order."""
        parts = [("what", self.what), ("where", self.where), ("why", self.why), ("fix", self.fix)]
        return [(name, text) for name, text in parts if text]


class SettingsError(UserError):
    """An unknown key, a value of the wrong type, flags that exclude each other."""


class DataError(UserError):
    """The user's file is refused. `problems` lists everything found, so that one edit can mend it all."""

    exit_code = EXIT_DATA

    def __init__(
        self, what: str, *, where: str = "", why: str = "", fix: str = "", problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, where=where, why=why, fix=fix)
        self.problems = problems


class MissingError(UserError):
    """Something the work needs is not there: weights, disk space, a server, a device, a library."""

    exit_code = EXIT_MISSING


class StoppedError(UserError):
    """The run stopped and can go on: `kurabe resume RUN`."""

    exit_code = EXIT_RESUMABLE


class InterruptedRun(StoppedError):
    """Ctrl-C: what was done is stored."""

    exit_code = EXIT_INTERRUPTED


class TerminatedRun(StoppedError):
    """SIGTERM: what was done is stored."""

    exit_code = EXIT_TERMINATED


class BusyError(UserError):
    """Another process holds the run folder or the port."""

    exit_code = EXIT_BUSY
