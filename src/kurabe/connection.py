"""The way to a server: requests, many of them under way, tried again while that can help; every wait has an end.

Knows no protocol and no model. The key stands in the header of the requests and nowhere else; a body is refused where
it is longer than any answer.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures import TimeoutError as TooLate  # the built-in one only from Python 3.11 on
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kurabe import __version__
from kurabe.errors import MissingError
from kurabe.servers import Server

if TYPE_CHECKING:
    import httpx

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # what a later try may get past
HOPELESS = {401, 403, 404, 410}  # what every request would meet


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


class Failed(Exception):
    """No usable answer came. `again`: a later try may get one, after the `wait` seconds that the server asks for."""

    def __init__(self, why: str, *, status: int = 0, again: bool = False, wait: float = 0) -> None:
        super().__init__(why)
        self.status, self.again, self.wait = status, again, wait


class Connection:
    """One server. `close` it: requests under way fail then. Raises MissingError where the client is not installed."""

    def __init__(self, server: Server, key: str, limits: Limits, complaint: Callable[[bytes], str]) -> None:
        """`complaint` reads the server's own words out of the body of a refusal; "" where there are none."""
        try:
            import httpx
        except ImportError:
            raise MissingError("The client of servers is not installed.", fix='pip install "kurabe[servers]"') from None
        self.server, self.limits, self.has_key = server, limits, bool(key)
        self._secret, self._complaint = key, complaint
        self._closed = threading.Event()
        self._missed = 0
        # A connection ends with its answer: one that opens while the client is being closed would stay open.
        headers = {"User-Agent": f"kurabe/{__version__}", "Accept-Encoding": "identity", "Connection": "close"}
        self._client = httpx.Client(
            headers=headers | ({"Authorization": f"Bearer {key}"} if key else {}), follow_redirects=False,
            timeout=httpx.Timeout(limits.answer, connect=limits.connect),
            trust_env=not server.local,  # no proxy stands between this machine and itself
        )  # fmt: skip

    def close(self) -> None:
        self._closed.set()
        self._client.close()

    @property
    def given_up(self) -> bool:
        """Whether so many requests in a row had no answer that no further one is sent."""
        return self._missed >= self.limits.in_a_row

    def hope(self) -> None:
        """Begin anew with a server that was given up."""
        self._missed = 0

    def persist(self, ask: Callable[[], _Result]) -> _Result:
        """What `ask` returns, tried again while that can help. Raises Failed."""
        limits, tries, start = self.limits, 0, time.monotonic()
        if self.given_up:
            raise Failed(f"The server was given up after {limits.in_a_row} requests without an answer.")
        while True:
            tries += 1
            try:
                got = ask()
                self._missed = 0
                return got
            except Failed as failed:
                pause = min(max(limits.pause * 2 ** (tries - 1), failed.wait), limits.longest_pause)
                pause *= random.uniform(1, 1.25)  # so that requests that failed together do not come back together
                late = time.monotonic() + pause - start > limits.total
                if not failed.again or tries >= limits.tries or late or self._closed.wait(pause):
                    self._missed += failed.again or failed.status in HOPELESS
                    if tries > 1:
                        raise Failed(f"{failed} ({tries} tries)", status=failed.status) from None
                    raise

    def call(self, method: str, path: str, json: dict[str, Any] | None = None, *, root: bool = False) -> bytes:
        """One try: the body of a good answer. `path` goes on where the server's address ends, or before its /v1 with
        `root`. Raises Failed."""
        import httpx

        url = (self.server.root if root else self.server.url) + path
        try:
            response, body = in_time(lambda: self._exchange(method, url, json), self.limits.answer)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Failed(f"The server does not answer: {error or type(error).__name__}", again=True) from None
        except (httpx.TimeoutException, TooLate):
            raise Failed(f"No whole answer came within {self.limits.answer:g} seconds.", again=True) from None
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:  # RuntimeError: the client was closed
            again = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
            raise Failed(f"The connection broke: {error or type(error).__name__}", again=again) from None
        status = response.status_code
        if status == 200:
            return body
        said = self._complaint(body) or body[:200].decode("utf-8", "replace").strip() or response.reason_phrase
        wait = _asked_pause(response.headers.get("Retry-After", ""))
        raise Failed(f"The server answered {status}: {said}", status=status, again=status in AGAIN, wait=wait)

    def _exchange(self, method: str, url: str, json: dict[str, Any] | None) -> tuple[httpx.Response, bytes]:
        """The head and the body as it was sent: a packed one was not asked for, and could unpack to any size."""
        body = b""
        with self._client.stream(method, url, json=json) as response:
            for piece in response.iter_raw():
                body += piece
                if len(body) > self.limits.size:
                    raise Failed(f"The answer is longer than {self.limits.size:,} bytes.")
        return response, body

    def safe(self, text: str) -> str:
        """What a server says, short, and without the key that it may repeat."""
        return (text.replace(self._secret, "***") if self._secret else text)[:300]

    def unusable(self, error: Exception, status: int = 0, variable: str = "") -> MissingError:
        """The refusal of a server that does not tell what it has. `variable` is the one that its key is always in."""
        why = self.safe(str(error))
        if status in (401, 403):
            what = "The server refuses the key." if self.has_key else "The server wants a key."
            named = "Put its key into an environment variable and name that one: --key-env NAME."
            fix = f"Put its key into the environment variable {variable}." if variable else named
        else:
            what = "The server cannot be asked for its models."
            start = "Start it (ollama serve), or name its address in OLLAMA_HOST."
            ollama = self.server.kind == "ollama"
            fix = start if ollama else "Start it, or mend its address: http://HOST:PORT/v1#NAME."
        return MissingError(what, where=self.server.url, why=why, fix=fix)


def at_once(
    work: Callable[[_Item], _Result], items: Sequence[_Item], most: int, seconds: float | None = None,
    in_order: bool = True,
) -> Iterator[_Result]:  # fmt: skip
    """`work` of every item, in their order or each as soon as it is there, up to `most` of them under way; TooLate
    where one takes more `seconds`.

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
        for future in futures if in_order else as_completed(futures):
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
