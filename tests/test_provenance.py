"""Provenance names what is installed here, without importing it; the meter is monotonic and its peak can start anew."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kurabe import meter, provenance
from kurabe.meter import Meter


def test_this_machine_is_described() -> None:
    found = provenance.describe("abc")
    assert found.data_sha256 == "abc" and found.cores >= 1 and found.memory > 1 << 28
    assert found.processor and found.python == sys.version.split()[0]
    import pydantic

    assert found.libraries["pydantic"] == pydantic.__version__


def test_versions_are_read_without_importing_torch() -> None:
    code = "import sys; from kurabe import provenance; provenance.describe(''); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_what_is_not_installed_is_left_out() -> None:
    assert provenance.versions(("pydantic", "no-such-library")).keys() == {"pydantic"}


def test_the_commit_is_read_from_the_checkout(tmp_path: Path) -> None:
    assert provenance.commit(tmp_path) == ""
    git = tmp_path / ".git"
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    assert provenance.commit(tmp_path) == ""
    (git / "packed-refs").write_text("# pack\nbbb refs/heads/other\naaa refs/heads/main\n", encoding="utf-8")
    assert provenance.commit(tmp_path) == "aaa"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "main").write_text("ccc\n", encoding="utf-8")
    assert provenance.commit(tmp_path) == "ccc"
    (git / "HEAD").write_text("ddd\n", encoding="utf-8")
    assert provenance.commit(tmp_path) == "ddd"
    (git / "worktrees" / "beside").mkdir(parents=True)
    (git / "worktrees" / "beside" / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    (git / "worktrees" / "beside" / "commondir").write_text("../..\n", encoding="utf-8")
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / ".git").write_text(f"gitdir: {git / 'worktrees' / 'beside'}\n", encoding="utf-8")
    assert provenance.commit(beside) == "ccc"


def test_the_meter_counts_monotonic_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: -1e9)
    with Meter() as work:
        time.sleep(0.02)
    assert 0.02 <= work.seconds < 5
    usage = work.usage("answering", arm="prompt", tokens=7)
    assert (usage.arm, usage.trial, usage.tokens, usage.seconds) == ("prompt", 0, 7, work.seconds)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets the peak start anew")
def test_the_peak_is_that_of_the_work_alone() -> None:
    size = 64 << 20
    with Meter() as large:
        block = bytearray(b"x") * size
    del block
    with Meter() as small:
        pass
    assert large.peak_memory - small.peak_memory > size // 2
    assert small.peak_memory > 1 << 20 and meter.peak_memory() > 1 << 20
