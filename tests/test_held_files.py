"""The plugin that imitates Windows' rule refuses what it should, and only that."""

from __future__ import annotations

import mmap
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from held_files import held_files_stay

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


@pytest.fixture(autouse=True)
def rule() -> Iterator[None]:
    with held_files_stay():
        yield


def test_what_is_open_or_mapped_stays(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    held, free = folder / "held", folder / "free"
    held.write_bytes(b"weights")
    free.write_bytes(b"text")
    with held.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        for change in (
            held.unlink,
            lambda: os.remove(held),
            lambda: held.replace(tmp_path / "elsewhere"),
            lambda: free.replace(held),
            lambda: folder.rename(tmp_path / "renamed"),
            lambda: shutil.rmtree(folder),
        ):
            with pytest.raises(PermissionError, match="as on Windows"):
                change()
    with pytest.raises(PermissionError, match="as on Windows"):
        held.unlink()
    mapped.close()
    folder.rename(tmp_path / "renamed")
    shutil.rmtree(tmp_path / "renamed")
    assert not list(tmp_path.iterdir())
