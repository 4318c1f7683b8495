"""One key of a GGUF file's metadata: its name, the kind of its value, and the value.

Knows neither the byte layout of a GGUF file nor where a value comes from.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["u32", "i32", "u64", "f32", "bool", "str", "[str]", "[f32]", "[i32]", "raw"]
Value = int | float | bool | str | bytes | list[str] | list[float] | list[int]


class Field(NamedTuple):
    """A key with a value of one GGUF type; `[str]` is an array of strings, `raw` a type and a value as another file has
    them."""

    key: str
    kind: Kind
    value: Value
