"""Regular expressions that are compiled when they are first used, so that importing a file full of them costs nothing.

Knows no text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property

Matcher = Callable[..., "re.Match[str] | None"]


class Pattern:
    """`re.compile`, later. The methods are the compiled pattern's own, bound at the first use."""

    def __init__(self, source: str, flags: int = 0) -> None:
        self.source, self.flags = source, flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.source, self.flags)

    @cached_property
    def match(self) -> Matcher:
        return self.compiled.match

    @cached_property
    def fullmatch(self) -> Matcher:
        return self.compiled.fullmatch

    @cached_property
    def search(self) -> Matcher:
        return self.compiled.search

    @cached_property
    def finditer(self) -> Callable[..., Iterator[re.Match[str]]]:
        return self.compiled.finditer

    @cached_property
    def findall(self) -> Callable[[str], list[str]]:
        return self.compiled.findall
