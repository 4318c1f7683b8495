"""Windows' rule on other systems: what is open or mapped can be neither replaced, renamed nor deleted.

A plugin: `python -m pytest -p tests.held_files` runs any test under it, as `make test-all` does. It reads from Linux's
/proc what each process of this user holds, and does nothing elsewhere. `test_held_files.py` shows that it refuses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EACCES
from pathlib import Path
from typing import Any
from unittest import mock

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if sys.platform == "linux":
        rule = held_files_stay()
        rule.__enter__()
        config.add_cleanup(lambda: rule.__exit__(None, None, None))


@contextmanager
def held_files_stay() -> Iterator[None]:
    """Within it, `os.replace`, `rename`, `unlink` and `remove` raise `PermissionError` for what some process holds."""
    changed = {name: _refusing(name, getattr(os, name)) for name in ("replace", "rename", "unlink", "remove")}
    with mock.patch.multiple(os, **changed):
        yield


def _refusing(name: str, change: Callable[..., None]) -> Callable[..., None]:
    def refusing(path: Any, *more: Any, **options: Any) -> None:
        _refuse(name, path, options.get("dir_fd", options.get("src_dir_fd")))
        if name in ("replace", "rename"):
            _refuse(name, more[0] if more else options["dst"], options.get("dst_dir_fd"))
        change(path, *more, **options)

    return refusing


def _refuse(name: str, path: Any, folder: int | None) -> None:
    place = os.fsdecode(path)
    if folder is not None:
        place = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), place)
    whole = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
    inside = f"{whole}/"  # a folder cannot be moved either while something in it is open
    if not os.path.islink(whole) and any(held == whole or held.startswith(inside) for held in _held()):
        raise PermissionError(EACCES, f"as on Windows: {name} of what is still open", place)


def _held() -> Iterator[str]:
    """The paths that processes of this user hold open or mapped."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's, or it ended just now
            yield from (os.readlink(entry) for entry in (process / "fd").iterdir())
        with suppress(OSError):
            for line in (process / "maps").read_text(encoding="utf-8").splitlines():
                yield from line.split(maxsplit=5)[5:]
