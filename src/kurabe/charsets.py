"""In which encoding a text file is written: told by its mark or strict UTF-8, never guessed in silence.

Knows no rows. A file that is not UTF-8 is refused with its likely encodings, each with a sample to judge by.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import NamedTuple

from kurabe.errors import DataError, SettingsError

HEAD = 65_536  # bytes that are looked at before the file is read
_SAMPLE = 24  # characters shown around the first one that is not ASCII
_MARKS = (  # the longer marks first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CANDIDATES = ("cp932", "euc_jp", "cp1252")
_UNMARKED = ("utf-16-le", "utf-16-be")


class Guess(NamedTuple):
    """An encoding in which the bytes make sense, how much sense, and a sample to judge by."""

    encoding: str
    score: float
    sample: str


def pick(path: Path, head: bytes, wanted: str | None) -> str:
    """The encoding to read the file with: the user's, else the byte order mark's, else UTF-8."""
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if wanted is None:
        if marked is None and b"\0" in head[:4096]:
            raise _not_text(path, head)
        return marked or "utf-8"
    try:
        known = codecs.lookup(wanted)
        b"a".decode(known.name, "ignore")  # refuses codecs that are not of text, such as base64 and idna
    except (LookupError, UnicodeError):
        raise SettingsError(
            f"There is no text encoding {wanted!r}.", where="--encoding", fix="For example: cp932, euc_jp, utf-16."
        ) from None
    return marked if marked and known.name.startswith(marked) else known.name


def undecodable(path: Path, encoding: str) -> DataError:
    """The refusal of a file that is not in `encoding`: the line, and the likely encodings with samples."""
    line, data = _first_bad_line(path, encoding)
    guesses = [guess for guess in likely(data) if guess.encoding != encoding]
    if not guesses:
        return DataError(
            f"The file is not in {encoding}.", where=f"{path}:{line}",
            why="No encoding that kurabe knows fits the whole of it; it may be damaged or a mixture.",
            fix="Save it as UTF-8 and look at that line.",
        )  # fmt: skip
    samples = ", ".join(f"{guess.encoding} (“{guess.sample}”)" for guess in guesses)
    return DataError(
        f"The file is not in {encoding}.", where=f"{path}:{line}", why=f"It could be {samples}.",
        fix=f"Where the sample reads well, add --encoding {guesses[0].encoding}; or save the file as UTF-8.",
    )  # fmt: skip


def likely(data: bytes) -> list[Guess]:
    """The encodings in which all of `data` can be decoded and reads like text, the likeliest first."""
    guesses = []
    for encoding in _CANDIDATES:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        foreign = [i for i, c in enumerate(text) if ord(c) > 127]
        score = sum(_plausible(text, i) for i in foreign) / max(1, len(foreign))
        if score > 0.4:
            start = max(0, foreign[0] - _SAMPLE // 4)
            guesses.append(Guess(encoding, score, " ".join(text[start : start + _SAMPLE].split())))
    return sorted(guesses, key=lambda guess: -guess.score)


def _plausible(text: str, i: int) -> float:
    """How well a character beyond ASCII fits into text, from 0 to 1."""
    c = text[i]
    if "ぁ" <= c <= "ヶ" or c in "ー、。「」・？！（）　〜～：":
        return 1.0
    if "一" <= c <= "鿿" or "０" <= c <= "ｚ":
        return 0.7
    neighbours = text[max(0, i - 1)] + text[min(len(text) - 1, i + 1)]
    alone = sum(ord(n) > 127 for n in neighbours if n != c) == 0  # é stands among ASCII letters, mojibake in rows
    return 0.7 if alone and (c in "’‘“”–—…€£§°" or ("À" <= c <= "ÿ" and c not in "×÷")) else 0.0


def _first_bad_line(path: Path, encoding: str) -> tuple[int, bytes]:
    """(line number, the bytes from the file's start to a little behind it) of the first byte that doesn't decode."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines, data = 1, b""
    with open(path, "rb") as file:
        while chunk := file.read(HEAD):
            data = (data + chunk)[-16 * HEAD :]
            try:
                lines += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as error:
                lines += error.object[: error.start].count(b"\n")
                data += file.read(HEAD)
                break
    cut = data.rfind(b"\n")
    return lines, data[:cut] if cut > 0 else data  # a character cut in half at the end fits no encoding


def _not_text(path: Path, head: bytes) -> DataError:
    for encoding in _UNMARKED:
        text = head[: len(head) // 4 * 4].decode(encoding, "replace")
        if sum(c < "\u0100" or "\u3000" <= c <= "鿿" for c in text) > 0.95 * len(text) and "\0" not in text:
            sample = " ".join(text[:_SAMPLE].split())
            return DataError(
                "The file is not in utf-8.", where=str(path), why=f"It could be {encoding} (“{sample}”).",
                fix=f"Where the sample reads well, add --encoding {encoding}; or save the file as UTF-8.",
            )  # fmt: skip
    return DataError("The file holds no text.", where=str(path), fix="Bring JSONL, JSON, CSV or Parquet.")
