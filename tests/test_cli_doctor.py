"""`kurabe doctor`: each part's verdict on a machine that lacks it, and no question to any other machine."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kurabe.cli import doctor, main
from kurabe.errors import EXIT_MISSING
from kurabe.texts import LANGUAGES, Texts


@pytest.mark.parametrize(("name", "floor", "cve"), doctor.FLOORS)
def test_a_library_below_its_floor_fails_with_the_hole(
    monkeypatch: pytest.MonkeyPatch, name: str, floor: str, cve: str
) -> None:
    installed = doctor.version_of
    older = ".".join([*floor.split(".")[:-1], str(int(floor.split(".")[-1]) - 1), "99"])
    monkeypatch.setattr(doctor, "version_of", lambda asked: older if asked == name else installed(asked))
    failed = [check for check in doctor.check_libraries() if check.level == "fail"]
    assert [check.values["name"] for check in failed] == [name]
    for language in LANGUAGES:
        row = doctor.describe(failed[0], Texts(language))
        assert cve in row["text"] and name in row["fix"]


def test_the_floors_are_those_that_the_package_asks_for() -> None:
    from importlib import metadata

    wanted = [line.lower() for line in metadata.requires("kurabe") or []]
    for name, floor, _ in doctor.FLOORS:
        assert any(re.fullmatch(rf"{name}\b.*>={re.escape(floor)}(,.*)?", line) for line in wanted)


def test_a_missing_library_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = doctor.version_of
    monkeypatch.setattr(doctor, "version_of", lambda name: "" if name in ("torch", "rich") else installed(name))
    failed = {check.values["name"] for check in doctor.check_libraries() if check.level == "fail"}
    assert failed == {"torch", "rich"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.13.0+cpu", (2, 13, 0)), ("5.3", (5, 3)), ("3.1.6.post1", (3, 1, 6)), ("2.6.0a0", (2, 6, 0)), ("", ())],
)
def test_release(version: str, expected: tuple[int, ...]) -> None:
    assert doctor.release(version) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", "http://127.0.0.1:11434"),
        ("localhost", "http://localhost:11434"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1", "http://127.0.0.1:80"),
        ("https://box", "https://box:443"),
        ("0.0.0.0", "http://0.0.0.0:11434"),
        ("[::1]:9", "http://[::1]:9"),
        ("'localhost'", "http://localhost:11434"),
        ("localhost:port", "http://localhost:11434"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(host: str, expected: str) -> None:
    assert doctor.ollama_url(host) == expected


class Server(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        Server.asked.append(self.path)
        self.send_response(302 if self.path == "/" and Server.away else 200)
        self.send_header("Location", "http://192.0.2.1/")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...

    away = False


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("away", [False, True])
def test_ollama_is_asked_once_and_a_redirect_is_not_followed(port: int, away: bool) -> None:
    Server.asked, Server.away = [], away
    check = doctor.check_ollama(f"0.0.0.0:{port}")
    assert (check.level, Server.asked) == ("ok", ["/"])


def test_a_closed_port_is_a_warning(port: int) -> None:
    assert doctor.check_ollama(f"127.0.0.1:{port}").level == "ok"
    assert doctor.check_ollama("127.0.0.1:9").level == "warn"


@pytest.mark.parametrize(
    "host", ["example.org", "https://10.0.0.1", "127.0.0.1.example.org", "[::2]", "http://u@192.0.2.1"]
)
def test_another_machine_is_named_and_not_asked(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    def refuse(*arguments: object, **values: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("http.client.HTTPConnection", refuse)
    check = doctor.check_ollama(host)
    assert (check.level, check.key) == ("warn", "ollama_elsewhere")


def test_little_memory_and_little_disk_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert doctor.check_disk(tmp_path / "a" / "b").level in ("ok", "warn")
    monkeypatch.setattr(doctor, "MEMORY_NEEDED", 10**18)
    monkeypatch.setattr(doctor, "DISK_NEEDED", 10**18)
    assert [doctor.check_memory().level, doctor.check_disk(tmp_path).level] == ["warn", "warn"]
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert doctor.check_disk(tmp_path).level == "fail"


def test_a_missing_or_damaged_model_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    assert doctor.check_model().level == "fail"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_check_has_its_sentence_and_what_is_not_well_its_fix(language: str, tmp_path: Path) -> None:
    for check in doctor.examine(tmp_path):
        row = doctor.describe(check, Texts(language))
        assert row["text"] and bool(row["fix"]) == (check.level != "ok")
    assert set(doctor.LEVELS) == {"ok", "warn", "fail"}


def test_the_exit_code_follows_the_worst_part(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for level, code in (("ok", 0), ("warn", 0), ("fail", EXIT_MISSING)):
        check = doctor.Check("python", level, "python", {"version": "3", "platform": "x"})
        monkeypatch.setattr(doctor, "examine", lambda runs, check=check: iter([check]))
        with pytest.raises(SystemExit) as end:
            main(["doctor", "--json"])
        assert int(end.value.code or 0) == code
        assert json.loads(capsys.readouterr().out)["checks"][0]["level"] == level
