"""Reads the header of a GGUF file of unknown origin: everything is bounded before it is believed.

Knows no model and no tensor's data. A file that it accepts may still hold a model that nobody can run; a file that it
refuses would make other readers loop, allocate or read beyond the end.
The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import os
import struct
from array import array
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from kurabe.errors import COPY_AGAIN, MissingError

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # version 1 counts in 32 bits; nobody writes it any more
# The largest headers published (262,144 pieces with 514,906 merges) take about 18 MB; models have up to 2,000 tensors.
HEADER_LIMIT = 32 * 1024 * 1024  # bytes
FIELDS_LIMIT = 4096
TENSORS_LIMIT = 16_384
STRINGS_LIMIT = 1_000_000  # of all arrays together
TEXT_LIMIT = 1024 * 1024  # bytes of one string that stands by itself
TEXTS_LIMIT = 8 * 1024 * 1024  # bytes of all strings that are kept
KEY_LIMIT = 1024  # bytes; the format allows 65,535
NAME_LIMIT = 64  # bytes of a tensor's name, as ggml has it
DIMENSIONS_LIMIT = 4
ELEMENTS_LIMIT = 1 << 48  # of one tensor
ALIGNMENT, ALIGNMENT_LIMIT = 32, 65_536

STRING, ARRAY = 8, 9
# Value type -> struct code.
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
SIZES = {kind: struct.calcsize("<" + code) for kind, code in SCALARS.items()}
FLOATS = {6: "f", 12: "d"}
# Tensor type -> weights in a block, bytes of a block.
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}  # fmt: skip

Scalar = bool | int | float | str


class Array(NamedTuple):
    """Where an array's elements lie in the file. They were walked over, not kept: `Header.elements` reads them."""

    kind: int  # the elements' value type
    length: int
    start: int  # bytes from the beginning of the file
    end: int


class Field(NamedTuple):
    """One entry of the metadata: the format's value type, and the value."""

    kind: int
    value: Scalar | Array


class Tensor(NamedTuple):
    """One tensor as the header announces it."""

    name: str
    shape: tuple[int, ...]  # as the file has it: the fastest dimension first
    kind: int  # ggml's type
    offset: int  # bytes from the beginning of the data
    size: int  # bytes


class Header(NamedTuple):
    """What stands before a GGUF file's data."""

    path: Path
    version: int
    alignment: int
    fields: dict[str, Field]
    tensors: tuple[Tensor, ...]
    data_start: int  # bytes from the beginning of the file

    def text(self, name: str) -> str | None:
        """The string of that name; None where there is none or the value is something else."""
        field = self.fields.get(name)
        return field.value if field and isinstance(field.value, str) else None

    def number(self, name: str) -> int | None:
        """The whole number of that name; None where there is none or the value is something else."""
        value = self.fields[name].value if name in self.fields else None
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, name: str) -> bool | None:
        """The truth value of that name; None where there is none or the value is something else."""
        value = self.fields[name].value if name in self.fields else None
        return value if isinstance(value, bool) else None

    def elements(self, name: str, count: int | None = None) -> list[Scalar]:
        """The first `count` elements of the array of that name, all by default; none where there is no such array.
        Bytes that are no UTF-8 become U+FFFD: a vocabulary may hold half a character."""
        place = self.fields[name].value if name in self.fields else None
        if not isinstance(place, Array):
            return []
        wanted = place.length if count is None else min(count, place.length)
        with self.path.open("rb") as file:
            file.seek(place.start)
            data = file.read(place.end - place.start)
        if place.kind != STRING:
            return list(struct.unpack_from(f"<{wanted}{SCALARS[place.kind]}", data))
        texts: list[Scalar] = []
        at = 0
        for _ in range(wanted):
            (length,) = struct.unpack_from("<Q", data, at)
            texts.append(data[at + 8 : at + 8 + length].decode("utf-8", "replace"))
            at += 8 + length
        return texts


def read_header(path: Path) -> Header:
    """The header of a GGUF file, checked.

    Raises MissingError, which says what is wrong and at which byte, for a file that is cut, hostile or no GGUF file.
    """
    try:
        with path.open("rb") as file:
            return _read(_Cursor(file, path))
    except OSError as error:
        raise MissingError(
            "The GGUF file cannot be read.", where=str(path), why=error.strerror or str(error),
            fix="Give the path of a GGUF file.",
        ) from None  # fmt: skip


class _Cursor:
    """Walks through a file's beginning; what was read so far stays in one buffer of at most HEADER_LIMIT bytes."""

    PIECE = 1 << 20

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.size = os.fstat(file.fileno()).st_size
        self.buffer = bytearray()
        self.at = 0
        self.kept = 0  # bytes of strings

    def refuse(self, why: str, at: int | None = None) -> NoReturn:
        raise MissingError(
            "The GGUF file is refused.", where=f"{self.path}, byte {self.at if at is None else at:,}", why=why,
            fix=COPY_AGAIN,
        )  # fmt: skip

    def reach(self, end: int, what: str) -> int:
        """Have everything up to byte `end` in the buffer; says how far the buffer goes."""
        if end > self.size:
            self.refuse(f"The file ends at byte {self.size:,}, in the middle of {what}.")
        if end > HEADER_LIMIT:
            self.refuse(f"The header is longer than {HEADER_LIMIT:,} bytes, in {what}.")
        while len(self.buffer) < end:
            piece = self.file.read(min(self.PIECE, HEADER_LIMIT - len(self.buffer)))
            if not piece:
                self.refuse(f"The file ended while it was read, in the middle of {what}.")
            self.buffer += piece
        return len(self.buffer)

    def scalar(self, code: str, what: str) -> Scalar:
        start, self.at = self.at, self.at + struct.calcsize("<" + code)
        self.reach(self.at, what)
        value: Scalar = struct.unpack_from("<" + code, self.buffer, start)[0]
        if isinstance(value, float) and not math.isfinite(value):
            self.refuse(f"{what} is {value}.", start)
        return value

    def whole(self, code: str, what: str, limit: int) -> int:
        """A count or a length that may be `limit` at most."""
        start, value = self.at, int(self.scalar(code, what))
        if value > limit:
            self.refuse(f"{what} is {value:,}; at most {limit:,} is read.", start)
        return value

    def text(self, what: str, limit: int) -> str:
        length = self.whole("Q", f"the length of {what}", limit)
        start, self.at = self.at, self.at + length
        self.reach(self.at, what)
        self.kept += length
        if self.kept > TEXTS_LIMIT:
            self.refuse(f"Its texts take more than {TEXTS_LIMIT:,} bytes.")
        try:
            return self.buffer[start : self.at].decode()
        except UnicodeDecodeError:
            self.refuse(f"{what} is not UTF-8.", start)

    def pass_strings(self, count: int, what: str) -> None:
        """Go over an array of strings: a loop without calls, because a vocabulary has half a million of them."""
        unpack, buffer, at = struct.Struct("<Q").unpack_from, self.buffer, self.at
        have = len(buffer)
        for _ in range(count):
            if at + 8 > have:
                have = self.reach(at + 8, what)
            at += 8 + unpack(buffer, at)[0]
        self.reach(at, what)
        self.at = at

    def pass_scalars(self, kind: int, count: int, what: str) -> None:
        start, end = self.at, self.at + count * SIZES[kind]
        self.reach(end, what)
        self.at = end
        if kind in FLOATS:
            for at in range(start, end, self.PIECE):
                numbers = array(FLOATS[kind], bytes(self.buffer[at : min(at + self.PIECE, end)]))
                if not math.isfinite(sum(numbers)):  # one NaN or infinity makes the sum one
                    self.refuse(f"{what} holds a number that is not finite.", at)


def _read(cursor: _Cursor) -> Header:
    cursor.reach(4, "the first word")
    if bytes(cursor.buffer[:4]) != MAGIC:
        cursor.refuse("It does not begin with the word GGUF.", 0)
    cursor.at = 4
    version = int(cursor.scalar("I", "the version"))
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        cursor.refuse("Its numbers are big-endian." if swapped else f"It has version {version}; 2 and 3 are read.", 4)
    tensor_count = cursor.whole("Q", "the number of tensors", TENSORS_LIMIT)
    field_count = cursor.whole("Q", "the number of fields", FIELDS_LIMIT)
    fields: dict[str, Field] = {}
    strings = 0
    for _ in range(field_count):
        start = cursor.at
        key = cursor.text("a key", KEY_LIMIT)
        if not key or key in fields:
            cursor.refuse(f"The key {key!r} stands twice." if key else "A key is empty.", start)
        fields[key] = _field(cursor, key, STRINGS_LIMIT - strings)
        value = fields[key].value
        strings += value.length if isinstance(value, Array) and value.kind == STRING else 0
    alignment = _alignment(cursor, fields.get("general.alignment"))
    tensors = [_tensor(cursor, alignment) for _ in range(tensor_count)]
    data_start = -(-cursor.at // alignment) * alignment
    _check_places(cursor, tensors, data_start)
    return Header(cursor.path, version, alignment, fields, tuple(tensors), data_start)


def _field(cursor: _Cursor, key: str, strings_left: int) -> Field:
    start, kind = cursor.at, int(cursor.scalar("I", f"the type of {key}"))
    if kind == STRING:
        return Field(kind, cursor.text(key, TEXT_LIMIT))
    if kind == 7:
        at, byte = cursor.at, int(cursor.scalar("B", key))
        if byte > 1:
            cursor.refuse(f"{key} is {byte}; a truth value is 0 or 1.", at)
        return Field(kind, bool(byte))
    if kind in SCALARS:
        return Field(kind, cursor.scalar(SCALARS[kind], key))
    if kind != ARRAY:
        cursor.refuse(f"{key} has the unknown type {kind}.", start)
    start, inner = cursor.at, int(cursor.scalar("I", f"the type of {key}"))
    if inner != STRING and inner not in SCALARS:
        cursor.refuse(f"{key} is an array of {'arrays' if inner == ARRAY else f'the unknown type {inner}'}.", start)
    limit = strings_left if inner == STRING else HEADER_LIMIT // SIZES[inner]
    count = cursor.whole("Q", f"the number of elements of {key}", limit)
    begin = cursor.at
    if inner == STRING:
        cursor.pass_strings(count, key)
    else:
        cursor.pass_scalars(inner, count, key)
    return Field(kind, Array(inner, count, begin, cursor.at))


def _alignment(cursor: _Cursor, field: Field | None) -> int:
    if field is None:
        return ALIGNMENT
    value = field.value if field.kind == 4 else None
    if not isinstance(value, int) or not 1 <= value <= ALIGNMENT_LIMIT or value & (value - 1):
        cursor.refuse(f"general.alignment is {value!r}; a power of two up to {ALIGNMENT_LIMIT:,} in 32 bits is needed.")
    return value


def _tensor(cursor: _Cursor, alignment: int) -> Tensor:
    start = cursor.at
    name = cursor.text("a tensor's name", NAME_LIMIT)
    dimensions = cursor.whole("I", f"the number of dimensions of {name}", DIMENSIONS_LIMIT)
    shape = tuple(cursor.whole("Q", f"a dimension of {name}", ELEMENTS_LIMIT) for _ in range(dimensions))
    kind, offset = int(cursor.scalar("I", f"the type of {name}")), int(cursor.scalar("Q", f"the offset of {name}"))
    weights = math.prod(shape)
    if not name or not shape or not 1 <= weights <= ELEMENTS_LIMIT:
        cursor.refuse(f"The tensor {name!r} has the shape {list(shape)}.", start)
    if kind not in BLOCKS:
        cursor.refuse(f"The tensor {name!r} has the unknown type {kind}.", start)
    block, size = BLOCKS[kind]
    if shape[0] % block:
        cursor.refuse(f"The rows of {name!r} have {shape[0]} weights; its type needs a multiple of {block}.", start)
    if offset % alignment:
        cursor.refuse(f"The data of {name!r} begins at {offset:,}, which is no multiple of {alignment}.", start)
    return Tensor(name, shape, kind, offset, weights // block * size)


def _check_places(cursor: _Cursor, tensors: list[Tensor], data_start: int) -> None:
    """No name twice, no tensor beyond the file's end, no byte that belongs to two tensors."""
    if len({tensor.name for tensor in tensors}) < len(tensors):
        cursor.refuse("Two tensors have the same name.")
    ordered = sorted(tensors, key=lambda tensor: tensor.offset)
    for tensor in ordered:
        end = data_start + tensor.offset + tensor.size
        if end > cursor.size:
            cursor.refuse(
                f"The data of {tensor.name!r} ends at byte {end:,}; the file has {cursor.size:,}.",
                min(data_start + tensor.offset, cursor.size),
            )
    for one, following in pairwise(ordered):
        if one.offset + one.size > following.offset:
            cursor.refuse(f"The data of {one.name!r} and {following.name!r} overlap.", data_start + following.offset)
