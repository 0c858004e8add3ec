"""HTTP/1.1 on a connection: uvicorn's, with a short way for requests that come whole.

A request whose body came with its headers is answered in the same turn of the loop where that can
be: the application's coroutine is run at once, and becomes a task only if it has to wait. That saves
half of what a small request costs. What comes in parts, or while another is answered, goes uvicorn's
own way.
"""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, Protocol, cast
from urllib.parse import unquote

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from volary.serving.reply import Message, Receive, Send

_FAILED = b"internal error"
_KNOWN = 256  # URLs whose parts are remembered


class App(Protocol):
    """An ASGI application."""

    def __call__(self, scope: Message, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Answer one request."""


_Parts = tuple[str, bytes, bytes]  # path, as it came, query


class Wire(HttpToolsProtocol):
    """One connection."""

    _urls: dict[bytes, _Parts] = {}  # noqa: RUF012 -- of all connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._holding = False  # a request whose headers are complete, within one call of `data_received`
        self._body = b""

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._holding:  # the rest of its body is still to come
            self._give_up()

    @override
    def on_headers_complete(self) -> None:
        cycle: RequestResponseCycle | Turn | None = self.cycle
        if self.expect_100_continue or (cycle is not None and not cycle.response_complete):
            super().on_headers_complete()
        else:
            self._holding, self._body = True, b""

    @override
    def on_body(self, body: bytes) -> None:
        if self._holding:
            self._body = self._body + body if self._body else body
        else:
            super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        if not self._holding:
            super().on_message_complete()
            return
        self._holding = False
        scope = cast("Message", self.scope)
        try:
            scope["path"], scope["raw_path"], scope["query_string"] = self._parts()
        except (httptools.HttpParserError, ValueError):
            self.send_400_response("Invalid HTTP request received.")
            return
        scope["method"] = self.parser.get_method().decode("ascii")
        version = self.parser.get_http_version()
        scope["http_version"] = version
        turn = Turn(self, self._body, keep_alive=version != "1.0" and self.parser.should_keep_alive(), is_head=scope["method"] == "HEAD")
        self._body = b""
        self.cycle = cast("RequestResponseCycle", turn)  # what uvicorn asks of a cycle, a turn has
        turn.begin(cast("App", self.app)(scope, turn.receive, turn.send))

    def _give_up(self) -> None:
        self._holding = False
        super().on_headers_complete()
        if self._body:
            super().on_body(self._body)
            self._body = b""

    def _parts(self) -> _Parts:
        parts = self._urls.get(self.url)
        if parts is None:
            parsed = httptools.parse_url(self.url)
            parts = (unquote(parsed.path.decode("ascii")), parsed.path, parsed.query or b"")
            if len(self._urls) >= _KNOWN:
                self._urls.clear()
            self._urls[self.url] = parts
        return parts


class Turn:
    """One request and its answer."""

    def __init__(self, wire: Wire, body: bytes, *, keep_alive: bool, is_head: bool) -> None:
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self._wire = wire
        self._body: bytes | None = body
        self._is_head = is_head
        self._head: Message = {}
        self._parts: list[bytes] = []
        self._gone: asyncio.Event | None = None

    @property
    def message_event(self) -> "Turn":
        """What uvicorn sets when the connection is lost."""
        return self

    def set(self) -> None:
        """The connection is lost."""
        if self._gone is not None:
            self._gone.set()

    def begin(self, answer: Coroutine[Any, Any, None]) -> None:
        """Run the application, here as far as it does not wait."""
        try:
            waiting = answer.send(None)
        except StopIteration:
            return
        except Exception:
            self._wire.logger.exception("the application failed")
            self._fail()
            return
        task = self._wire.loop.create_task(self._go_on(answer, waiting))
        self._wire.tasks.add(task)
        task.add_done_callback(self._wire.tasks.discard)

    async def receive(self) -> Message:
        """The body, whole; then the end of the connection."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not (self.disconnected or self.response_complete):
            self._gone = asyncio.Event()
            await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """The head, then the body."""
        if message["type"] == "http.response.start":
            self._head = message
            return
        self._parts.append(message["body"])
        if message.get("more_body", False):
            return
        if self._wire.flow.write_paused and not self.disconnected:
            await self._wire.flow.drain()
        if not self.disconnected:
            self._answer(self._head["status"], self._head["headers"], b"".join(self._parts))

    def _answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        lines = [STATUS_LINE[status]]
        for name, value in [*self._wire.server_state.default_headers, *headers]:
            lines += (name, b": ", value, b"\r\n")
            if name == b"connection" and value == b"close":
                self.keep_alive = False
        if not self.keep_alive and (b"connection", b"close") not in headers:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        if not self._is_head:
            lines.append(body)
        self._wire.transport.write(b"".join(lines))
        self.response_complete = True
        if not self.keep_alive:
            self._wire.transport.close()
        self._wire.on_response_complete()

    async def _go_on(self, answer: Coroutine[Any, Any, None], waiting: Any) -> None:
        try:
            await rest(answer, waiting)
        except Exception:
            self._wire.logger.exception("the application failed")
            self._fail()

    def _fail(self) -> None:
        """A fault of ours: the application answers all others."""
        if not self.response_complete and not self.disconnected:
            self.keep_alive = False
            self._answer(500, [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_FAILED))], _FAILED)


@types.coroutine
def rest(answer: Coroutine[Any, Any, None], waiting: Any) -> Generator[Any, Any, None]:
    """What is left of a coroutine that waits for this already."""
    while True:
        try:
            try:
                value = yield waiting
            except BaseException as error:  # noqa: BLE001 -- such as a cancellation: it is the coroutine's
                waiting = answer.throw(error)
            else:
                waiting = answer.send(value)
        except StopIteration:
            return
