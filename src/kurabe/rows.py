"""The rows of a user's file, each with its line: JSONL, JSON, CSV, Parquet.

Knows no form of rows and no example. JSONL, CSV and Parquet are streamed; a JSON array is read whole.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import itertools
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

from kurabe import charsets
from kurabe.errors import DataError, MissingError
from kurabe.schema import Reason, Record
from kurabe.texts import Texts

MAX_LINE = 4_000_000  # characters; a longer line is no row of questions and answers
MAX_JSON = 256 * 2**20  # bytes; a larger array belongs into JSONL, which is streamed
FORMATS = {
    ".jsonl": "JSONL", ".ndjson": "JSONL", ".json": "JSON", ".csv": "CSV", ".tsv": "CSV", ".parquet": "Parquet",
}  # fmt: skip


class Problem(Record):
    """One thing found in the file. "refuse": that row can't be used; "note": it can, and this was done with it."""

    level: Literal["refuse", "note"]
    line: int  # 1-based; in Parquet, and in JSON where rows share a line, the row's number; 0: the file as a whole
    reason: Reason
    column: int = 0  # 1-based; 0 where there is none

    def sentence(self, t: Texts) -> str:
        """What was found, without its place."""
        return t(self.reason.key, **self.reason.values)

    def place(self, name: str) -> str:
        """name:line:column, as far as they are known."""
        return ":".join([name, *(str(number) for number in (self.line, self.column) if number)])


class Row(NamedTuple):
    """One row as it stood in the file."""

    line: int
    fields: dict[str, Any]


def refuse(key: str, line: int, column: int = 0, **values: Any) -> Problem:
    """A row that can't be used."""
    return Problem(level="refuse", line=line, column=column, reason=Reason(key=f"data.problem.{key}", values=values))


class RowFile:
    """One file of rows: what it is, and one pass over it; `sha256` is complete when the pass is over.

    The hash is that of the same text in UTF-8 without a byte order mark and with plain newlines, so that the same
    rows have the same hash in whichever encoding they were saved.
    """

    def __init__(self, path: str | Path, encoding: str | None = None) -> None:
        self.path = Path(path)
        head = _head(self.path)
        self.encoding = "" if head.startswith(b"PAR1") else charsets.pick(self.path, head, encoding)
        self.format = _format(self.path, head, self.encoding)
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[Row | Problem]:
        self._digest = hashlib.sha256()
        read = {"JSONL": self._jsonl, "JSON": self._json, "CSV": self._csv, "Parquet": self._parquet}
        return read[self.format]()

    # --- text --------------------------------------------------------------------------------------------------

    def _lines(self, longest: int | None = None) -> Iterator[str | None]:
        """The lines, each with its newline; None for one longer than any row may be (or than `longest`)."""
        longest = longest or MAX_LINE
        with open(self.path, encoding=self.encoding, newline=None) as file:
            line = self._piece(file, longest).removeprefix("\ufeff")
            while line:
                self._update(line)
                if not line.endswith("\n") and len(line) >= longest - 1:
                    while line and not line.endswith("\n"):
                        line = self._piece(file, longest)
                        self._update(line)
                    yield None
                elif line.endswith("\n"):
                    yield line
                else:  # the file's last line
                    self._update("\n")
                    yield line + "\n"
                line = self._piece(file, longest)

    def _piece(self, file: io.TextIOWrapper, longest: int) -> str:
        try:
            return file.readline(longest)
        except UnicodeDecodeError:
            raise charsets.undecodable(self.path, self.encoding) from None

    def _update(self, text: str) -> None:
        self._digest.update(text.encode("utf-8", "surrogatepass"))

    # --- JSONL -------------------------------------------------------------------------------------------------

    def _jsonl(self) -> Iterator[Row | Problem]:
        for number, line in enumerate(self._lines(), start=1):
            if line is None:
                yield refuse("line-too-long", number, limit=MAX_LINE)
            elif not line.isspace():
                yield _row(line.rstrip(), number)

    # --- JSON --------------------------------------------------------------------------------------------------

    def _json(self) -> Iterator[Row | Problem]:
        """The objects of one array, which may stand in an object ({"data": [...]}). Nothing around a fault can be
        trusted, so a fault refuses the file and not a row."""
        if self.path.stat().st_size > MAX_JSON:
            raise DataError(
                "The JSON file is too large to be read at once.", where=str(self.path),
                why=f"An array has to be held in memory; the limit is {MAX_JSON // 2**20} MB.",
                fix="Save it as JSONL, one object per line: that is streamed.",
            )  # fmt: skip
        text = "".join(filter(None, self._lines(MAX_JSON + 2))).rstrip()  # most programs write an array on one line
        line, seen, number = 1, 0, 0
        try:
            for at, value in _elements(text):
                line, seen = line + text.count("\n", seen, at), at
                number = max(line, number + 1)  # no two rows may have one: they are told apart by it
                column = at - text.rfind("\n", 0, at) if number == line else 0
                if isinstance(value, dict):
                    yield Row(number, value)
                else:
                    yield refuse("not-an-object", number, column, found=_json_type(value))
        except _NotJson as fault:
            line, column = text.count("\n", 0, fault.at) + 1, fault.at - text.rfind("\n", 0, fault.at)
            raise DataError(
                "The file is not valid JSON.", where=f"{self.path}:{line}:{column}", why=fault.why,
                fix="Mend it there. In JSONL, one object per line, a bad row does not hide the ones behind it.",
            ) from None  # fmt: skip

    # --- CSV ---------------------------------------------------------------------------------------------------

    def _csv(self) -> Iterator[Row | Problem]:
        """The first line names the columns; they are separated by commas, semicolons or tabs."""
        lines = (line if line is not None else self._too_long() for line in self._lines())
        first = next(lines, "")
        separator = max("\t,;", key=first.count) if self.path.suffix.lower() != ".tsv" else "\t"
        reader = csv.reader(itertools.chain([first], lines), delimiter=separator, strict=True)
        names: list[str] | None = None
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield refuse("not-csv", line, detail=str(error))
                continue
            if names is None:
                names = [cell.strip() for cell in cells]
            elif len(cells) > len(names):
                yield refuse("cells", line, cells=len(cells), columns=len(names))
            elif any(cells):
                fields = list(zip(names, cells, strict=False))
                filled = [(name, cell) for name, cell in fields if cell]
                twin = next((name for name, count in Counter(name for name, _ in filled).items() if count > 1), "")
                if twin:
                    yield refuse("field-twice", line, field=twin)
                else:  # of two columns with one name the filled one counts
                    yield Row(line, dict(fields) | dict(filled))

    def _too_long(self) -> NoReturn:
        raise DataError(f"A line has more than {MAX_LINE:,} characters.", where=str(self.path), fix="Break it up.")

    # --- Parquet -----------------------------------------------------------------------------------------------

    def _parquet(self) -> Iterator[Row | Problem]:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise MissingError(
                "Parquet files need pyarrow, which is not installed.", where=str(self.path),
                fix="pip install 'kurabe[hub]'",
            ) from None  # fmt: skip
        with open(self.path, "rb") as file:
            while chunk := file.read(2**20):
                self._digest.update(chunk)
        try:
            rows = itertools.count(1)
            for batch in parquet.ParquetFile(self.path).iter_batches(batch_size=1024):
                yield from (Row(next(rows), fields) for fields in batch.to_pylist())
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(
                "The file is not Parquet, or it is damaged.", where=str(self.path), why=str(error).split("\n")[0],
                fix="Save it again, or bring JSONL, JSON or CSV.",
            ) from None  # fmt: skip


# --- JSON, strictly --------------------------------------------------------------------------------------------


class _NotJson(Exception):
    """`key` and `values` say what is wrong, `why` in a sentence; `at` is the character where."""

    def __init__(self, key: str, why: str, at: int = 0, **values: Any) -> None:
        super().__init__(why)
        self.key, self.why, self.at, self.values = key, why, at, values


def _no_constant(name: str) -> NoReturn:
    raise _NotJson("nan", f"{name} is not JSON; write null or a text.", name=name)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        twin = next(name for name, count in counted.items() if count > 1)
        raise _NotJson("key-twice", f"The key {twin!r} stands twice in one object.", name=twin)
    return fields


# A string, or a constant outside of strings.
_TOKEN = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"|(?P<constant>NaN|-?Infinity)')
_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_twins)


def _decode(text: str, at: int) -> tuple[Any, int]:
    """The value that starts at `at`, and where it ends; `_NotJson` for everything that JSON does not allow."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _NotJson("not-json", f"{error.msg}.", error.pos, detail=error.msg) from None
    except RecursionError:
        raise _NotJson("too-deep", "Its values are nested too deeply.", at) from None
    except _NotJson as fault:  # the decoder does not say where
        group, name = ("constant" if fault.key == "nan" else "text"), fault.values["name"]
        fault.at = next((match.start() for match in _TOKEN.finditer(text, at) if match[group] == name), at)
        raise
    except ValueError as error:  # a number of thousands of digits
        raise _NotJson("not-json", str(error), at, detail=str(error).split(";")[0]) from None


def _row(text: str, line: int) -> Row | Problem:
    """One line of JSONL."""
    start = len(text) - len(text.lstrip())
    try:
        value, end = _decode(text, start)
    except _NotJson as fault:
        return refuse(fault.key, line, fault.at + 1, **fault.values)
    if end < len(text):
        return refuse("not-json", line, end + 1, detail="Extra data")
    if not isinstance(value, dict):
        return refuse("not-an-object", line, start + 1, found=_json_type(value))
    return Row(line, value)


def _json_type(value: Any) -> str:
    """JSON's own word for a value's type."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


_SPACE = re.compile(r"[ \t\n]*")
_ARRAY_OF_OBJECTS = re.compile(r"\[\s*\{")


def _next(text: str, at: int, expected: str) -> int:
    """The place of the next character that is no space; it must be one of `expected`."""
    at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
    if text[at : at + 1] not in tuple(expected):
        raise _NotJson("not-json", "Expecting " + " or ".join(repr(c) for c in expected) + ".", at)
    return at


def _elements(text: str) -> Iterator[tuple[int, Any]]:
    """(place, value) of the rows: the array that the text is, or the one array of objects in the object that it is."""
    at = _next(text, 0, "[{")
    end = yield from (_array if text[at] == "[" else _wrapped)(text, at)
    if end < len(text):
        raise _NotJson("not-json", "Something follows where it should end.", end)


def _array(text: str, at: int) -> Generator[tuple[int, Any], None, int]:
    """(place, value) of the elements of the array that begins at `at`; where it ends."""
    at = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
    while text[at : at + 1] != "]":
        value, end = _decode(text, at)
        yield at, value
        at = _next(text, end, ",]")
        if text[at] == ",":
            at = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
    return at + 1


def _wrapped(text: str, at: int) -> Generator[tuple[int, Any], None, int]:
    """The same for the object that begins at `at`. Of two arrays of objects nobody knows which one is meant."""
    found = ""
    while text[at] != "}":
        name, end = _decode(text, _next(text, at + 1, '"'))
        at = _SPACE.match(text, _next(text, end, ":") + 1).end()  # type: ignore[union-attr]
        if not _ARRAY_OF_OBJECTS.match(text, at):
            _, end = _decode(text, at)
        elif found:
            raise _NotJson("not-json", f"It holds two arrays of objects, {found!r} and {name!r}; keep one.", at)
        else:
            found = name
            end = yield from _array(text, at)
        at = _next(text, end, ",}")
    if not found:
        raise _NotJson("not-json", "There is no array of objects in it.", 0)
    return at + 1


# --- which file it is ------------------------------------------------------------------------------------------


def _head(path: Path) -> bytes:
    """The first bytes of a regular file; everything else is refused before it is opened, for it might never end."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, a pipe or a socket"
            raise DataError(
                f"This is {kind}, not a file.", where=str(path), fix="Name a file of questions and answers."
            )
        with open(path, "rb") as file:
            head = file.read(charsets.HEAD)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError("There is no such file.", where=str(path), fix=_nearest(path)) from None
    except (OSError, ValueError) as error:  # no permission; a name with a NUL
        raise DataError("The file cannot be read.", where=str(path), why=str(error), fix="Check the path.") from None
    if head.startswith(b"PK\x03\x04"):
        raise DataError("This is a ZIP or an Excel file.", where=str(path), fix="Save the sheet as CSV (UTF-8).")
    if not head.strip():
        raise DataError("The file is empty.", where=str(path), fix="Put one question with its answer on each line.")
    return head


def _nearest(path: Path) -> str:
    """A file beside it whose name is nearly the same."""
    try:
        there = itertools.islice(path.parent.iterdir(), 1000)
        names = [p.name for p in there if p.suffix.lower() in FORMATS and p.name != path.name]  # itself: a dead link
    except OSError:
        return "Check the path."
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean {str(path.with_name(near[0]))!r}?" if near else "Check the path."


def _format(path: Path, head: bytes, encoding: str) -> str:
    """The format by the name's ending; JSON and JSONL by the text as well, for their endings are often mixed up."""
    name = FORMATS.get(path.suffix.lower(), "")
    if not encoding or name == "CSV":
        return "CSV" if encoding else "Parquet"
    if name == "Parquet":
        raise DataError("The file is not Parquet.", where=str(path), fix="Give it the ending of its format.")
    text = head.decode(encoding, "ignore").lstrip("\ufeff \t\r\n")
    if text[:1] not in ("{", "["):
        if name:
            return name
        raise DataError(
            "The file's format is not known.", where=str(path), why=f"Its name ends in {path.suffix!r}.",
            fix="Bring .jsonl, .json, .csv or .parquet.",
        )  # fmt: skip
    first, _, rest = text.replace("\r", "\n").partition("\n")
    if text[0] == "[":
        return "JSONL" if name == "JSONL" and _is_json(first) else "JSON"
    return "JSONL" if name == "JSONL" or (rest.strip() and _is_json(first)) else "JSON"


def _is_json(text: str) -> bool:
    try:
        return _decode(text, 0)[1] == len(text.rstrip())
    except _NotJson:
        return False
