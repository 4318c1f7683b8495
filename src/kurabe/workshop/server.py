"""The show's two pages on this computer only: every request needs the token, the right host and, to change something,
the right origin.

Knows no step: it renders what `slides` and the session say, and hands actions to the show.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kurabe.errors import UserError
from kurabe.report import answers, render
from kurabe.texts import Texts
from kurabe.workshop import slides
from kurabe.workshop.show import Show

# Action -> its key; the buttons of the presenter's page, in their order.
ACTIONS = (("back", "←"), ("next", "→"), ("clock", "c"), ("start", "s"), ("tempo", "t"), ("ship", "x"), ("blank", "b"),
           ("dark", "d"), ("language", "l"), ("keep", "k"), ("clean", "Shift+Del"))  # fmt: skip
KINDS = {"show.css": "text/css", "show.js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
BODY_LIMIT = 4096  # bytes of an action
TICK = 0.25  # seconds between two looks at the work
REFRESH = 4.0  # seconds after which the presenter is told the machine's load again
BEAT = 15.0  # seconds after which an idle stream says that it lives


class Gate:
    """Before any route: 400 for another host, 403 without the token and, for POST, from another origin."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal and scope["type"] == "http":
            code, why = refusal
            await PlainTextResponse(why, code)(scope, receive, send)
        elif not refusal:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        if scope["type"] != "http":
            return 403, "Only HTTP is spoken here."
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 400, "This page is for this computer only."
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[-1]
        given = headers.get("x-kurabe-token", [given])[-1]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return 403, "The address lacks its token; use the one that kurabe workshop printed."
        origins = headers.get("origin", [])
        if scope["method"] not in ("GET", "HEAD") and origins != [f"http://{hosts[0]}"]:
            return 403, "Another page may not steer the show."
        if headers.get("sec-fetch-site", ["same-origin"])[-1] not in ("same-origin", "none"):
            return 403, "Another page may not read the show."
        return None


def serving(show: Show, token: str, port: int) -> uvicorn.Server:
    """uvicorn with the show. Told to stop, it ends the windows' streams first: cut off, each leaves a traceback."""
    app = application(show, token, port, lambda: server.should_exit)
    settings = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, server_header=False)
    server = uvicorn.Server(settings)
    return server


def application(show: Show, token: str, port: int, stopping: Callable[[], bool] = lambda: False) -> ASGIApp:
    """The show as an ASGI application behind its gate."""
    pages = Pages(show, token, stopping)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        show.begin()
        watching = asyncio.create_task(_watch(show))
        yield
        watching.cancel()
        show.close()

    routes = [
        Route("/present", pages.page), Route("/audience", pages.page), Route("/static/{name}", pages.static),
        Route("/state", pages.state), Route("/events", pages.events), Route("/act", pages.act, methods=["POST"]),
        Route("/report", pages.report),
    ]  # fmt: skip
    return Gate(Starlette(routes=routes, lifespan=lifespan), token, port)


class Pages:
    """What each route answers."""

    def __init__(self, show: Show, token: str, stopping: Callable[[], bool]) -> None:
        self.show, self.token, self._stopping = show, token, stopping

    async def page(self, request: Request) -> Response:
        """The empty page of one role; its script fills it."""
        role, t = request.url.path.strip("/"), Texts(self.show.session.language)
        html = _template("page.html").render(role=role, token=self.token, t=t, actions=ACTIONS)
        return _guarded(HTMLResponse(html))

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in KINDS:
            return _guarded(PlainTextResponse("Not here.", 404))
        text = resources.files("kurabe.workshop").joinpath(f"static/{name}").read_text(encoding="utf-8")
        return _guarded(Response(text, media_type=KINDS[name]))

    async def state(self, request: Request) -> Response:
        return _guarded(JSONResponse(await asyncio.to_thread(drawn, self.show, _role(request), self.token)))

    async def events(self, request: Request) -> Response:
        stream = self._stream(_role(request), request)
        return _guarded(StreamingResponse(stream, media_type="text/event-stream"))

    async def _stream(self, role: str, request: Request) -> AsyncIterator[str]:
        """The state whenever it has changed. Each message is whole: a window that comes back needs no history."""
        sent, quiet = -1, 0.0
        refreshed = REFRESH if role == "present" else BEAT  # the machine's load changes without an event
        while not self._stopping() and not await request.is_disconnected():
            if self.show.session.version != sent or (quiet >= refreshed and role == "present"):
                sent, quiet = self.show.session.version, 0.0
                state = await asyncio.to_thread(drawn, self.show, role, self.token)
                yield f"id: {sent}\ndata: {json.dumps(state, ensure_ascii=False)}\n\n"
            elif quiet >= refreshed:
                quiet = 0.0
                yield ": still here\n\n"
            await asyncio.sleep(TICK)
            quiet += TICK

    async def act(self, request: Request) -> Response:
        """One action: {"name": ..., "value": ...}. 409 with a sentence where it cannot be done now."""
        body = await request.body()
        try:
            if len(body) > BODY_LIMIT:
                raise ValueError("too long")
            wanted = json.loads(body)
            name, value = str(wanted["name"]), str(wanted.get("value", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            return _guarded(PlainTextResponse("An action is a JSON object with a name.", 400))
        try:
            await asyncio.to_thread(self._do, name, value)
        except UserError as error:
            return _guarded(JSONResponse({"problem": " ".join(part for _, part in error.lines())}, 409))
        return _guarded(JSONResponse({"version": self.show.session.version}))

    def _do(self, name: str, value: str) -> None:
        self.show.session.parts = slides.parts(self.show)
        self.show.act(name, value)

    async def report(self, request: Request) -> Response:
        """The hand-out: the report of the run that is shown. It brings a policy of its own, which allows no script."""
        results = self.show.results
        if results is None:
            return _guarded(PlainTextResponse("There is no finished run yet.", 404))
        return HTMLResponse(await asyncio.to_thread(render, results, "html", self.show.session.language))


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(18)


def drawn(show: Show, role: str, token: str) -> dict[str, Any]:
    """The state of one kind of page: its HTML and everything that its script needs."""
    session = show.session
    t = Texts(session.language)
    step = show.step()
    assert step is not None
    version = session.version  # what changes while this is drawn is not in it
    values = slides.slide(show)
    info = show.info
    html = _template("stage.html").render(
        role=role, t=t, token=token, session=session, show=show, step=step, following=show.step(1), slide=values,
        answers=slides.asked(show, info.trials if info else (), t), signs=answers.SIGNS, clock=clock,
        recorded=show.recorded, replaying=show.recorded and not show.view.finished, speed=f"{show.speed:.0f}",
        stand_in=info.model.stand_in if info else show.stage.model == "tiny",
        data_language=info.language if info else "en",
    )  # fmt: skip
    here, total = session.seconds()
    return {
        "version": version, "html": html, "language": session.language, "dark": session.dark,
        "blank": session.blank, "step": session.current, "title": step.title, "seconds": [here, total],
        "running": session.running, "said": said(show, t), "load": _load(t) if role == "present" else "",
        "steps": [[one.id, one.title] for one in show.steps()],
        "words": _words(t),
    }  # fmt: skip


def said(show: Show, t: Texts) -> str:
    """What a screen reader is told of the work."""
    seen = show.view
    if not seen.stage:
        return ""
    if seen.finished:
        return t("workshop.page.trained")
    parts = [t("workshop.page.steps_done", step=one.step, steps=one.steps) for one in seen.trained]
    return ". ".join([t(f"stage.{seen.stage}"), *parts])


def clock(seconds: float) -> str:
    """65 -> "1:05"."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _load(t: Texts) -> str:
    import psutil

    # Over a tenth of a second: what passed since the last call is remembered per thread, and threads change.
    return t("workshop.page.load", cpu=round(psutil.cpu_percent(0.1)), memory=round(psutil.virtual_memory().percent))


def _words(t: Texts) -> Mapping[str, str]:
    names = [name for name, _ in ACTIONS] + ["ask", "ask_label", "goto", "full", "help", "open_audience", "close"]
    return {name: t(f"workshop.act.{name}") for name in names}


def _role(request: Request) -> str:
    return "present" if request.query_params.get("role") == "present" else "audience"


def _guarded(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


async def _watch(show: Show) -> None:
    while True:
        await asyncio.sleep(TICK)
        await asyncio.to_thread(show.tick)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("kurabe.workshop"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=lambda value: answers.visible(value) if type(value) is str else value,
    )  # fmt: skip


def _template(name: str) -> Any:
    return _environment().get_template(name)
