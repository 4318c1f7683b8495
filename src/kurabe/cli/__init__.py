"""The command line: parse, call, print. One file per command; a command's own imports happen when it is called."""

from __future__ import annotations


def main() -> None:
    """Entry point of the `kurabe` script."""
    raise NotImplementedError
