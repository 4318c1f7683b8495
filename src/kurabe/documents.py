"""The user's documents as passages: Markdown and text files, cut where their authors cut them.

Knows no question and no index. A passage is whole paragraphs under the headings that they stand under, so that it can
be read by itself; only a paragraph that is longer than a passage is cut, at the end of a sentence where it has one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kurabe import charsets
from kurabe.errors import DataError, MissingError
from kurabe.schema import Passage

SUFFIXES = (".md", ".markdown", ".txt")
MOST_CHARACTERS = 600  # of a passage without its headings: about 150 tokens of English, a table of prices
MOST_BYTES = 20_000_000  # of all documents together; more is a job for a search engine
_HEADING = re.compile(r"^(#{1,6})[ \t]+(.*?)[ \t#]*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_SENTENCE = re.compile(r".+?(?:[.!?]\s+|[。！？]|\n|$)", re.DOTALL)


def read_passages(places: Sequence[str | Path]) -> tuple[Passage, ...]:
    """The passages of these files, and of all Markdown and text files in these folders, in the order of their names.

    Raises `MissingError` for a place that cannot be read, `DataError` where there is no text in any of them.
    """
    files = [file for place in places for file in _files(Path(os.path.expanduser(place)))]
    total = sum(file.stat().st_size for file in files)
    if total > MOST_BYTES:
        raise DataError(
            f"The documents hold {total:,} bytes.", where=str(places[0]), why=f"The limit is {MOST_BYTES:,}.",
            fix="Name only those that answer your questions.",
        )  # fmt: skip
    passages = tuple(
        Passage(source=file.name, text=text)
        for file in dict.fromkeys(files)
        for text in cut(_read(file), markdown=file.suffix.lower() != ".txt")
    )
    if not passages:
        raise DataError("The documents hold no text.", where=str(places[0]), fix="Name files with text in them.")
    return passages


def _files(place: Path) -> list[Path]:
    """A file itself; of a folder those with a suffix that says text, hidden ones and hidden folders left out."""
    if os.path.isfile(place):  # false also for what can be no name
        return [place]
    if not os.path.isdir(place):
        raise MissingError(
            "There is no such document.", where=str(place), fix="Name a Markdown or text file, or a folder of them."
        )
    found = [
        file
        for file in sorted(place.rglob("*"))
        if file.is_file() and file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(place).parts)
    ]  # fmt: skip
    if not found:
        raise MissingError(
            "There is no document in this folder.", where=str(place), why=f"Documents end in {', '.join(SUFFIXES)}.",
            fix="Name the file itself, or a folder that holds such files.",
        )  # fmt: skip
    return found


def _read(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise MissingError(
            "The document cannot be read.", where=str(file), why=error.strerror or str(error), fix="Check its rights."
        ) from None
    try:
        return _decoded(file, data)
    except DataError as refused:  # it names `--encoding`, which is the data file's, and the forms of rows
        raise DataError(
            refused.what, where=refused.where, why=refused.why, fix="Bring Markdown or text, saved as UTF-8."
        ) from None


def _decoded(file: Path, data: bytes) -> str:
    chosen = charsets.pick(file, data[: charsets.HEAD], None)
    try:
        return data.decode("utf-8-sig" if chosen == "utf-8" else chosen)
    except UnicodeDecodeError:
        raise charsets.undecodable(file, chosen) from None


def cut(text: str, *, markdown: bool = True) -> Iterator[str]:
    """The passages of one document: each at most `MOST_CHARACTERS` under its headings. Headings alone are none."""
    for headings, paragraphs in _sections(text.splitlines(), markdown):
        held: list[str] = []
        for piece in (piece for paragraph in paragraphs for piece in _pieces(paragraph)):
            if held and sum(map(len, held)) + len(piece) > MOST_CHARACTERS:
                yield "\n".join([*headings, *held])
                held = []
            held.append(piece)
        if held:
            yield "\n".join([*headings, *held])


def _sections(lines: Iterable[str], markdown: bool) -> Iterator[tuple[list[str], list[str]]]:
    """(the headings above, the paragraphs below) of each stretch without a heading in it. A `#` in a code block is no
    heading."""
    above: dict[int, str] = {}
    paragraphs: list[str] = []
    lines_held: list[str] = []
    fenced = False

    def end_paragraph() -> None:
        if any(line.strip() for line in lines_held):
            paragraphs.append("\n".join(line.rstrip() for line in lines_held).strip("\n"))
        lines_held.clear()

    for line in lines:
        fenced ^= markdown and bool(_FENCE.match(line))
        # A line longer than a passage is no heading: it would stand above each of its passages.
        heading = _HEADING.match(line) if markdown and not fenced and len(line) <= MOST_CHARACTERS else None
        if heading:
            end_paragraph()
            if paragraphs:
                yield list(above.values()), paragraphs
                paragraphs = []
            level = len(heading[1])
            above = {at: words for at, words in above.items() if at < level} | {level: heading[2]}
        elif line.strip() or fenced:
            lines_held.append(line)
        else:
            end_paragraph()
    end_paragraph()
    if paragraphs:
        yield list(above.values()), paragraphs


def _pieces(paragraph: str) -> Iterator[str]:
    """A paragraph, cut at the ends of lines or sentences where it is too long for one passage."""
    if len(paragraph) <= MOST_CHARACTERS:
        yield paragraph
        return
    held = ""
    for sentence in _SENTENCE.findall(paragraph):
        for start in range(0, len(sentence), MOST_CHARACTERS):  # in one piece, unless it is longer than a passage
            piece = sentence[start : start + MOST_CHARACTERS]
            if len(held) + len(piece) > MOST_CHARACTERS:
                yield held.strip()
                held = ""
            held += piece
    yield held.strip()
