"""A model that a server runs, as a backend that answers: OpenAI-compatible servers and Ollama.

Knows no adapter and no weights. Several requests are under way at once; one that fails is tried again while that can
help, and becomes an answer with finish "error" where it can't: unscored, not wrong. Every wait has an end. The key
stands in the header of the requests and nowhere else.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate  # the built-in one only from Python 3.11 on
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kurabe import __version__
from kurabe.dialects import DIALECTS, Known, NotAnAnswer, Reply, complaint
from kurabe.errors import MissingError
from kurabe.model import Capabilities, Score, Stopped, TrialPlan
from kurabe.schema import Answer, Message, ModelInfo, Request, Step
from kurabe.servers import Server

if TYPE_CHECKING:
    import httpx

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # what a later try may get past
_HOPELESS = {401, 403, 404, 410}  # what every request would meet
_LISTED = 20


class Limits(NamedTuple):
    """Seconds, tries and sizes."""

    connect: float = 5
    answer: float = 120  # for one try of one request
    total: float = 300  # no further try of a request begins after that
    tries: int = 5
    pause: float = 0.5  # before the second try; doubled for each further one
    longest_pause: float = 30  # also where the server asks for a longer one
    size: int = 4 << 20  # bytes of a body; an answer of a thousand tokens has a few thousand
    at_once: int = 4
    in_a_row: int = 5  # requests without an answer, then the server is given up


class _Failed(Exception):
    """No usable answer came. `again`: a later try may get one, after the `wait` seconds that the server asks for."""

    def __init__(self, why: str, *, status: int = 0, again: bool = False, wait: float = 0) -> None:
        super().__init__(why)
        self.status, self.again, self.wait = status, again, wait


class RemoteBackend:
    """One model of one server. Use it in a `with` block, or `close` it.

    Raises MissingError where the server cannot be reached, wants another key or does not have the model, naming those
    that it has. A server whose list of models cannot be read is believed about the name.
    """

    capabilities = Capabilities()

    def __init__(self, server: Server, key: str = "", limits: Limits = Limits()) -> None:  # noqa: B008
        try:
            import httpx
        except ImportError:
            raise MissingError("The client of servers is not installed.", fix='pip install "kurabe[servers]"') from None
        self.server, self.limits = server, limits
        self._dialect = DIALECTS[server.kind]()
        self._secret = key
        self._closed = threading.Event()
        self._missed = 0
        # A connection ends with its answer: one that opens while the client is being closed would stay open.
        headers = {"User-Agent": f"kurabe/{__version__}", "Accept-Encoding": "identity", "Connection": "close"}
        self._client = httpx.Client(
            headers=headers | ({"Authorization": f"Bearer {key}"} if key else {}), follow_redirects=False,
            timeout=httpx.Timeout(limits.answer, connect=limits.connect),
            trust_env=not server.local,  # no proxy stands between this machine and itself
        )  # fmt: skip
        try:
            self._known = self._find()
        except BaseException:
            self.close()
            raise
        self.info = ModelInfo(
            name=self._known.name, path=server.url, sha256=self._known.sha256, stand_in=False, family=server.kind,
            parameters=0, hidden=0, layers=0, context=self._known.context, vocabulary=0, dtype="", device="server",
            threads=0,
        )  # fmt: skip

    def __enter__(self) -> RemoteBackend:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connections; requests under way fail."""
        self._closed.set()
        self._client.close()

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """The answers in the order of the requests, each as soon as it and those before it are there."""
        self._missed = 0
        return at_once(self._answer, requests, self.limits.at_once)

    # --- one request -------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Answer:
        start = time.monotonic()
        try:
            if request.key.trial:
                raise _Failed(f"Trial {request.key.trial} has no adapter: a server answers as it is.")
            if self._missed >= self.limits.in_a_row:
                raise _Failed(f"The server was given up after {self.limits.in_a_row} requests without an answer.")
            reply = self._persist(request, start)
        except _Failed as failed:
            seconds = time.monotonic() - start
            return Answer(key=request.key, text="", finish="error", error=self._safe(str(failed)), seconds=seconds)
        return Answer(
            key=request.key, text=reply.text, finish=reply.finish, prompt_tokens=reply.prompt_tokens,
            cached_tokens=min(reply.cached_tokens, reply.prompt_tokens), new_tokens=reply.new_tokens,
            seconds=time.monotonic() - start,
        )  # fmt: skip

    def _persist(self, request: Request, start: float) -> Reply:
        """The reply to the request, tried again while that can help. Raises _Failed."""
        limits, tries = self.limits, 0
        while True:
            tries += 1
            try:
                sent = self._dialect.body(self._known.name, request, self._known.context)
                reply = self._reply(sent)
                self._missed = 0
                return reply
            except _Failed as failed:
                if failed.status in (400, 422) and self._dialect.adapt(str(failed), sent):
                    tries -= 1
                    continue
                pause = min(max(limits.pause * 2 ** (tries - 1), failed.wait), limits.longest_pause)
                pause *= random.uniform(1, 1.25)  # so that requests that failed together do not come back together
                late = time.monotonic() + pause - start > limits.total
                if not failed.again or tries >= limits.tries or late or self._closed.wait(pause):
                    self._missed += failed.again or failed.status in _HOPELESS
                    if tries > 1:
                        raise _Failed(f"{failed} ({tries} tries)", status=failed.status) from None
                    raise

    def _reply(self, sent: dict[str, Any]) -> Reply:
        try:
            return self._dialect.reply(self._call("POST", self._dialect.asking, sent))
        except NotAnAnswer as error:
            # Without a status it was cut, or a page of something in between: the next one may be whole.
            raise _Failed(str(error), status=error.status, again=error.status in _AGAIN | {0}) from None

    def _call(self, method: str, path: str, json: dict[str, Any] | None = None) -> bytes:
        """One try: the body of a good answer. Raises _Failed."""
        import httpx

        try:
            response, body = in_time(lambda: self._exchange(method, path, json), self.limits.answer)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Failed(f"The server does not answer: {error or type(error).__name__}", again=True) from None
        except (httpx.TimeoutException, TooLate):
            raise _Failed(f"No whole answer came within {self.limits.answer:g} seconds.", again=True) from None
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:  # RuntimeError: the client was closed
            again = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
            raise _Failed(f"The connection broke: {error or type(error).__name__}", again=again) from None
        status = response.status_code
        if status == 200:
            return body
        said = complaint(body) or body[:200].decode("utf-8", "replace").strip() or response.reason_phrase
        wait = _asked_pause(response.headers.get("Retry-After", ""))
        raise _Failed(f"The server answered {status}: {said}", status=status, again=status in _AGAIN, wait=wait)

    def _exchange(self, method: str, path: str, json: dict[str, Any] | None) -> tuple[httpx.Response, bytes]:
        """The head and the body as it was sent: a packed one was not asked for, and could unpack to any size."""
        body = b""
        with self._client.stream(method, self.server.url + path, json=json) as response:
            for piece in response.iter_raw():
                body += piece
                if len(body) > self.limits.size:
                    raise _Failed(f"The answer is longer than {self.limits.size:,} bytes.")
        return response, body

    def _safe(self, text: str) -> str:
        """What a server says, short, and without the key that it may repeat."""
        return (text.replace(self._secret, "***") if self._secret else text)[:300]

    # --- the model ---------------------------------------------------------------------------------------------

    def _find(self) -> Known:
        """The model that was named, or the only one there is. Raises MissingError."""
        wanted = self.server.model
        try:
            listed = self._dialect.known(self._call("GET", self._dialect.listing))
        except (_Failed, NotAnAnswer) as error:
            status = error.status
            if wanted and self.server.kind == "openai" and status in (404, 405, 501):
                return Known(wanted)
            raise self._unusable(error, status) from None
        names = {wanted, f"{wanted}:latest"} if self.server.kind == "ollama" else {wanted}
        found = next((known for known in listed if known.name in names), None)
        if found is None and not wanted and len(listed) == 1:
            found = listed[0]
        if found is None:
            has = ", ".join(known.name for known in listed[:_LISTED]) + (" ..." if len(listed) > _LISTED else "")
            first = listed[0].name if listed else "NAME"
            raise MissingError(
                f"The server has no model {wanted!r}." if wanted else "The server has several models, or none.",
                where=self.server.url, why=f"It has: {self._safe(has) or 'none'}.",
                fix=self._safe(f"Name one of them: {self.server._replace(model=first).named}") if listed
                else f"ollama pull {wanted}" if self.server.kind == "ollama" else "Start the server with a model.",
            )  # fmt: skip
        return found

    def _unusable(self, error: Exception, status: int) -> MissingError:
        why = self._safe(str(error))
        if status in (401, 403):
            what = "The server refuses the key." if self._secret else "The server wants a key."
            fix = "Put its key into an environment variable and name that one: --key-env NAME."
        else:
            what = "The server cannot be asked for its models."
            start = "Start it (ollama serve), or name its address in OLLAMA_HOST."
            fix = start if self.server.kind == "ollama" else "Start it, or mend its address: http://HOST:PORT/v1#NAME."
        return MissingError(what, where=self.server.url, why=why, fix=fix)

    # --- what a server does not do -----------------------------------------------------------------------------

    def count(self, messages: Sequence[Message]) -> int:
        """A server tells the tokens of a prompt when it answers it, not before."""
        raise NotImplementedError

    def trainable(self, rank: int) -> int:
        return 0

    def score(self, requests: Sequence[Request], targets: Sequence[str]) -> Iterator[Score]:
        raise NotImplementedError

    def train(self, trials: Sequence[TrialPlan], stopped: Stopped | None = None) -> Iterator[Step]:
        raise NotImplementedError

    def save_adapter(self, trial: int, folder: Path) -> None:
        raise NotImplementedError

    def load_adapter(self, trial: int, folder: Path) -> None:
        raise NotImplementedError

    def forget(self, trials: Sequence[int]) -> None:
        raise NotImplementedError


def at_once(
    work: Callable[[_Item], _Result], items: Sequence[_Item], most: int, seconds: float | None = None
) -> Iterator[_Result]:
    """`work` of every item in their order, up to `most` of them under way; TooLate where one takes more `seconds`.

    Whoever stops iterating waits for none: an executor's threads would hold the program until the last answer came.
    """
    todo: queue.SimpleQueue[tuple[Future[_Result], _Item]] = queue.SimpleQueue()
    futures: list[Future[_Result]] = []
    for item in items:
        futures.append(Future())
        todo.put((futures[-1], item))

    def serve() -> None:
        while True:
            try:
                future, item = todo.get_nowait()
            except queue.Empty:
                return
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work(item))
                except BaseException as error:
                    future.set_exception(error)

    for _ in range(min(most, len(futures))):
        threading.Thread(target=serve, daemon=True).start()
    try:
        for future in futures:
            yield future.result(seconds)
    finally:
        for future in futures:
            future.cancel()


def in_time(work: Callable[[], _Result], seconds: float) -> _Result:
    """What `work` returns or raises, or TooLate, whatever holds it up: a client can end the wait for a piece, and no
    client ends a head, or a row of interim answers, whose pieces never end. Nobody waits for it then."""
    return next(at_once(lambda _: work(), [None], 1, seconds))


def _asked_pause(header: str) -> float:
    """Seconds of a Retry-After header, which are a number or a date; 0 where it is neither."""
    try:
        return max(0.0, float(header)) if header.strip().isdigit() else _until(header)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _until(date: str) -> float:
    return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
