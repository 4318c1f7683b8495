"""`kurabe workshop`: the port, the addresses, the rehearsal's table and its exit codes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from kurabe.cli import main
from kurabe.cli.workshop import bind
from kurabe.errors import BusyError
from kurabe.workshop.rehearsal import Rehearsal, Timed

STEPS = (Timed("train", 2, 75.0), Timed("verdict", 1, 0.0))


def test_a_taken_port_is_passed_over_unless_it_was_named() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with pytest.raises(BusyError) as refused:
            bind(taken)
        assert str(taken) in refused.value.where and refused.value.fix and refused.value.exit_code == 8
    with bind(None) as first, bind(None) as second:
        assert first.getsockname()[0] == second.getsockname()[0] == "127.0.0.1"
        assert first.getsockname()[1] != second.getsockname()[1]


@pytest.mark.parametrize(
    ("length", "missing", "code"), [(20.0, (), 0), (2.0, (), 7), (20.0, (("no disk", "free some"),), 4)]
)
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_rehearsal_ends_with_what_it_found(
    length: float, missing: tuple[tuple[str, str], ...], code: int, language: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    found = Rehearsal(STEPS, length, tmp_path / "rehearsal", missing)
    monkeypatch.setattr("kurabe.workshop.rehearsal.rehearse", lambda show, length, tell: found)
    words = ["workshop", "--check", "--model", "tiny", "--runs", str(tmp_path), "--length", str(length)]
    with pytest.raises(SystemExit) as end:
        main([*words, "--lang", language])
    shown = capsys.readouterr().out
    assert (end.value.code or 0) == code and "3.0" in shown and all(part in shown for part in sum(missing, ()))
    with pytest.raises(SystemExit) as end:
        main([*words, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (end.value.code or 0) == code
    assert said["minutes"] == 3.0 and said["fits"] == (length >= 3) and len(said["missing"]) == len(missing)


def test_both_addresses_are_printed_and_carry_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: sockets[0].close())
    with pytest.raises(SystemExit) as end:
        main(["workshop", "--model", "tiny", "--runs", str(tmp_path), "--json", "--quiet"])
    said = json.loads(capsys.readouterr().out)
    assert not end.value.code
    tokens = {said[name].partition("?token=")[2] for name in ("present", "audience")}
    assert len(tokens) == 1 and len(tokens.pop()) >= 20
    assert said["audience"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("flags", "code", "named"),
    [(["--steps", "finale"], 2, "finale"), (["--script", "nowhere"], 4, "script.en.md"), (["--recorded", "x"], 4, "x")],
)
def test_what_is_not_there_is_refused_before_the_page(
    flags: list[str], code: int, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["workshop", "--model", "tiny", "--runs", str(tmp_path), "--lang", "en", *flags])
    assert end.value.code == code and named in capsys.readouterr().err
