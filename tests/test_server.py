"""The show's server: nobody but this computer's own pages, and everything that is shown is inert text."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import show_runs
import test_report
from starlette.testclient import TestClient

from kurabe.cli.workshop import bind
from kurabe.workshop.script import load
from kurabe.workshop.server import ACTIONS, application, drawn, serving
from kurabe.workshop.session import Session
from kurabe.workshop.show import Asked, Show, Stage

TOKEN, PORT = "right-token", 8765
HOME = f"http://127.0.0.1:{PORT}"
ROWS = Path(__file__).parents[1] / "examples" / "support-en.jsonl"
ROUTES = ("/present", "/audience", "/static/show.css", "/state", "/report", "/nowhere")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return show_runs.write(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def show(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Show]:
    monkeypatch.setattr(Show, "begin", lambda self: None)  # the checklist's own process is another test's
    scripts = {language: load(language) for language in ("en", "ja")}
    made = Show(Session(scripts, "en"), Stage(ROWS, "tiny", lambda t: "why", tmp_path, "show", finished))
    yield made
    made.close()


@pytest.fixture
def client(show: Show) -> Iterator[TestClient]:
    with TestClient(application(show, TOKEN, PORT), base_url=HOME) as opened:  # type: ignore[arg-type]
        yield opened


def own(**more: str) -> dict[str, str]:
    return {"X-Kurabe-Token": TOKEN, "Origin": HOME, **more}


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_needs_the_token(client: TestClient, route: str) -> None:
    assert client.get(route).status_code == 403
    assert client.get(route, params={"token": "wrong-token"}).status_code == 403
    assert client.get(route, params={"token": TOKEN}).status_code in (200, 404)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"[::1]:{PORT}",
        f"127.0.0.1:{PORT}.evil.example",
        "",
    ],
)
def test_another_host_is_refused_before_any_route(client: TestClient, route: str, host: str) -> None:
    """A name that a foreign page made point at this computer brings that name along."""
    answer = client.get(route, params={"token": TOKEN}, headers={"Host": host})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Kurabe-Token": TOKEN},
        own(Origin="http://evil.example"),
        own(Origin="http://127.0.0.1:9999"),
        own(Origin="null"),
        {"Origin": HOME},
    ],
)
def test_only_our_own_page_steers(client: TestClient, show: Show, headers: dict[str, str]) -> None:
    before = show.session.at
    assert client.post("/act", json={"name": "next"}, headers=headers).status_code == 403
    assert show.session.at == before


def test_another_page_of_this_computer_cannot_read(client: TestClient) -> None:
    answer = client.get("/state", headers={"X-Kurabe-Token": TOKEN, "Sec-Fetch-Site": "same-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize("route", ROUTES)
def test_reading_changes_nothing(client: TestClient, show: Show, route: str) -> None:
    before = (show.session.version, show.session.at, show.session.tempo)
    client.get(route, params={"token": TOKEN, "name": "next"})
    assert client.get("/act", params={"token": TOKEN, "name": "next"}).status_code == 405
    assert (show.session.version, show.session.at, show.session.tempo) == before


@pytest.mark.parametrize("body", [b"", b"[]", b'{"value": 1}', b"next", b'{"name": "' + b"x" * 5000 + b'"}'])
def test_an_action_that_is_none_is_refused(client: TestClient, body: bytes) -> None:
    assert client.post("/act", content=body, headers=own()).status_code == 400


@pytest.mark.parametrize(
    "act", [{"name": "format-disk"}, {"name": "goto", "value": "finale"}, {"name": "ask", "value": " "}]
)
def test_what_cannot_be_done_is_said(client: TestClient, act: dict[str, str]) -> None:
    answer = client.post("/act", json=act, headers=own())
    assert answer.status_code == 409 and answer.json()["problem"]


def test_the_pages_allow_nothing_from_elsewhere(client: TestClient) -> None:
    for route in ("/present", "/audience", "/static/show.js", "/state"):
        answer = client.get(route, params={"token": TOKEN})
        policy = answer.headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and answer.headers["cache-control"] == "no-store"
        )


def test_the_talk_track_never_reaches_the_room(client: TestClient, show: Show) -> None:
    for step in show.session.steps:
        show.session.go_to(step)
        told = client.get("/state", params={"token": TOKEN, "role": "audience"}).text
        mine = show.step()
        assert mine and mine.track[0] not in json.loads(told)["html"]
        assert mine.track[0][:30] in client.get("/state", params={"token": TOKEN, "role": "present"}).json()["html"]


def test_every_step_is_drawn_in_both_languages_and_roles(show: Show) -> None:
    show.act("tempo")
    show.act("tempo")
    assert show.session.tempo == "skip" and show.results is not None
    for language in ("en", "ja"):
        while show.session.language != language:
            show.act("language")
        for step in show.session.steps:
            show.session.go_to(step)
            for role in ("audience", "present"):
                state = drawn(show, role, TOKEN)
                assert state["title"] in state["html"] and state["step"] == step
    assert set(state["words"]) >= {name for name, _ in ACTIONS}


def test_before_a_run_no_figure_is_shown(show: Show) -> None:
    for step in ("compare", "counted", "audit", "retention", "verdict", "costs", "summary"):
        show.session.go_to(step)
        state = drawn(show, "audience", TOKEN)
        assert "notyet" in state["html"] and "%" not in state["html"]


def test_the_recording_is_labelled_and_the_live_run_is_not(show: Show) -> None:
    assert "● recorded" not in drawn(show, "audience", TOKEN)["html"]
    show.act("tempo")
    assert "● recorded" in drawn(show, "audience", TOKEN)["html"]


@pytest.mark.parametrize("words", test_report.HOSTILE)
def test_hostile_words_stay_words(show: Show, words: str) -> None:
    from kurabe.workshop.show import Asked

    show.asked = Asked(words, [{"arm": "base", "trial": 0, "text": words, "finish": "stop"}])
    page = test_report.Page(drawn(show, "audience", TOKEN)["html"])
    assert {tag for tag, _ in page.elements} <= {"header", "p", "span", "b", "section", "h1", "h2", "div"}
    assert {name for _, attributes in page.elements for name in attributes} <= {
        "class", "lang", "aria-labelledby", "aria-hidden", "id",
    }  # fmt: skip
    assert "<" not in words or words.strip() not in drawn(show, "audience", TOKEN)["html"]


def test_the_report_of_the_run_is_handed_out(client: TestClient, show: Show) -> None:
    assert client.get("/report", params={"token": TOKEN}).status_code == 404
    show.act("tempo")
    show.act("tempo")
    answer = client.get("/report", params={"token": TOKEN})
    assert answer.status_code == 200 and "<script" not in answer.text


def test_clean_removes_the_live_run_only(show: Show, finished: Path) -> None:
    shutil.copytree(finished, show.live)
    show.act("clean")
    job = show.jobs["clean"]
    while job.state == "running":
        time.sleep(0.05)
    assert job.state == "done" and not show.live.exists() and finished.exists()


def test_open_windows_end_with_the_server(show: Show, caplog: pytest.LogCaptureFixture) -> None:
    """Ctrl-C while the pages are open, which is how a show ends: no window is cut off, nothing is logged."""
    listener = bind(None)
    port = listener.getsockname()[1]
    server = serving(show, TOKEN, port)
    logging.getLogger("uvicorn").propagate = True  # uvicorn keeps its words from the root logger
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/events?role=present&token={TOKEN}", timeout=30) as window:
            assert window.readline().startswith(b"id: ")
            server.should_exit = True
            window.read()
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
    assert caplog.text == ""


def test_what_a_machine_says_of_itself_is_for_the_presenter(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths, commands and a dead process's last words help the one who can mend it; a room reads only that it is so."""
    checks = [{"level": "fail", "text": f"no disk in {Path.home()}/runs", "fix": "free some"}]
    monkeypatch.setattr(show, "checks", lambda: checks)
    monkeypatch.setattr(show, "_doctor", lambda: None)
    ended = SimpleNamespace(state="failed", code=1, last_words="/secret/place is full", words=("ship",))
    show.jobs.update(doctor=ended, ship=ended)
    show.act("tempo")
    show.act("tempo")
    pages = {}
    for step in ("checklist", "ship", "ask"):
        show.act("goto", "audit" if step == "ask" else step)
        if step == "ask":
            show.asked = Asked("Who?", [], "/secret/place lacks a model")
        for role in ("audience", "present"):
            pages[role] = pages.get(role, "") + drawn(show, role, TOKEN)["html"]
    show.jobs.clear()
    for words in ("free some", "/secret/place is full", "/secret/place lacks a model"):
        assert words in pages["present"] and words not in pages["audience"]
    assert "no disk in ~/runs" in pages["audience"] and str(Path.home()) not in pages["audience"]
    assert "No answer came." in pages["audience"]
