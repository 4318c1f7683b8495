"""A model that a server runs, as one that answers: OpenAI-compatible servers and Ollama.

Knows no adapter and no weights. A request that fails is tried again while that can help (`connection.py`), and becomes
an answer with finish "error" where it can't: unscored, not wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from kurabe.connection import AGAIN, Connection, Failed, Limits, at_once
from kurabe.dialects import DIALECTS, Known, NotAnAnswer, Reply, complaint, version
from kurabe.errors import MissingError
from kurabe.model import Capabilities
from kurabe.schema import Answer, ModelInfo, Request
from kurabe.servers import Server

_LISTED = 20


class RemoteBackend:
    """One model of one server. Use it in a `with` block, or `close` it.

    Raises MissingError where the server cannot be reached, wants another key or does not have the model, naming those
    that it has. A server whose list of models cannot be read is believed about the name.
    """

    capabilities = Capabilities()

    def __init__(self, server: Server, key: str = "", limits: Limits = Limits()) -> None:  # noqa: B008
        self.server, self.limits = server, limits
        self._dialect = DIALECTS[server.kind]()
        self._connection = Connection(server, key, limits, complaint)
        self.said: set[str] = set()  # by which names the server called what answered
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
        self._connection.close()

    def answer(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """The answers in the order of the requests, each as soon as it and those before it are there."""
        self._connection.hope()
        return at_once(self._answer, requests, self.limits.at_once)

    def as_they_come(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """The answers, each as soon as it is there: none waits for a slower one before it."""
        self._connection.hope()
        return at_once(self._answer, requests, self.limits.at_once, in_order=False)

    @property
    def given_up(self) -> bool:
        """Whether so many requests in a row had no answer that the rest was not asked."""
        return self._connection.given_up

    def version(self) -> str:
        """What the server says of its own version, "" where it says nothing."""
        for path in self._dialect.versions:
            try:
                found = version(self._connection.call("GET", path, root=True))
            except Failed:
                continue
            if found:
                return self._connection.safe(found)
        return ""

    # --- one request -------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Answer:
        start = time.monotonic()
        try:
            if request.key.trial:
                raise Failed(f"Trial {request.key.trial} has no adapter: a server answers as it is.")
            reply = self._connection.persist(lambda: self._reply(request))
        except Failed as failed:
            said, seconds = self._connection.safe(str(failed)), time.monotonic() - start
            return Answer(key=request.key, text="", finish="error", error=said, seconds=seconds)
        if reply.model:
            self.said.add(self._connection.safe(reply.model))
        return Answer(
            key=request.key, text=reply.text, finish=reply.finish, prompt_tokens=reply.prompt_tokens,
            cached_tokens=min(reply.cached_tokens, reply.prompt_tokens), new_tokens=reply.new_tokens,
            seconds=time.monotonic() - start,
        )  # fmt: skip

    def _reply(self, request: Request) -> Reply:
        """One try, and one more for each thing that this server wants said otherwise. Raises Failed."""
        while True:
            sent = self._dialect.body(self._known.name, request, self._known.context)
            try:
                return self._dialect.reply(self._connection.call("POST", self._dialect.asking, sent))
            except Failed as failed:
                if failed.status not in (400, 422) or not self._dialect.adapt(str(failed), sent):
                    raise
            except NotAnAnswer as error:
                # Without a status it was cut, or a page of something in between: the next one may be whole.
                again = error.status in AGAIN | {0}
                raise Failed(str(error), status=error.status, again=again) from None

    # --- the model ---------------------------------------------------------------------------------------------

    def _find(self) -> Known:
        """The model that was named, or the only one there is. Raises MissingError."""
        wanted, safe = self.server.model, self._connection.safe
        try:
            listed = self._dialect.known(self._connection.call("GET", self._dialect.listing))
        except (Failed, NotAnAnswer) as error:
            if wanted and self.server.kind == "openai" and error.status in (404, 405, 501):
                return Known(wanted)
            raise self._connection.unusable(error, error.status) from None
        names = {wanted, f"{wanted}:latest"} if self.server.kind == "ollama" else {wanted}
        found = next((known for known in listed if known.name in names), None)
        if found is None and not wanted and len(listed) == 1:
            found = listed[0]
        if found is None:
            has = ", ".join(known.name for known in listed[:_LISTED]) + (" ..." if len(listed) > _LISTED else "")
            first = listed[0].name if listed else "NAME"
            raise MissingError(
                f"The server has no model {wanted!r}." if wanted else "The server has several models, or none.",
                where=self.server.url, why=f"It has: {safe(has) or 'none'}.",
                fix=safe(f"Name one of them: {self.server._replace(model=first).named}") if listed
                else f"ollama pull {wanted}" if self.server.kind == "ollama" else "Start the server with a model.",
            )  # fmt: skip
        return found
