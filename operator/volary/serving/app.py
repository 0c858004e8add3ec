"""The ASGI application: routes, status codes, and what is counted. No framework, for speed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

from volary.common.names import SYNTHETIC_HEADER
from volary.serving import metrics, protocol
from volary.serving.metrics import Metrics
from volary.serving.model import Model, RunFailed
from volary.serving.pace import Pace
from volary.serving.protocol import Rejected, Schema
from volary.serving.tensors import show

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON = b"application/json"
_SYNTHETIC = SYNTHETIC_HEADER.encode()
_LOOPBACK = "127.0.0.1"
# What `curl -d` says of JSON unless told otherwise is let through: the body decides.
_CONTENT_TYPES = (_JSON, b"", b"application/x-www-form-urlencoded")

_log = logging.getLogger(__name__)


class ClientGone(Exception):
    """The client closed the connection before it had sent its request."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole."""

    status: int
    body: bytes
    content_type: bytes = _JSON
    allow: bytes = b""  # methods, with a 405


class App:
    """One version of one model. `model` is None until it is loaded; `draining` is set once, by SIGTERM.

    All attributes belong to the event loop's thread.
    """

    def __init__(self, schema: Schema, revision: str, workers: Executor, body_limit: int) -> None:
        self.model: Model | None = None
        self.draining = False
        self.in_flight = 0  # inference requests not yet answered
        self.arrived = 0  # inference requests ever
        self.metrics = Metrics(schema.model, schema.version, revision, lambda: self.in_flight)
        self._schema = schema
        self._workers = workers
        self._body_limit = body_limit
        self._pace = Pace()
        path = f"/v2/models/{schema.model}"
        self._infer_paths = frozenset({f"{path}/infer", f"{path}/versions/{schema.version}/infer"})

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One HTTP request; uvicorn is told to send nothing else."""
        if scope["path"] not in self._infer_paths:
            await self._send(send, self._route(scope["method"], scope["path"]))
        elif scope["method"] != "POST":
            await self._send(send, _not_allowed(b"POST"))
        else:
            await self._answer_inference(scope, receive, send)

    def became_ready(self, model: Model) -> None:
        """The model is loaded: requests are answered from now on."""
        self.model = model
        self.metrics.mark_loaded()

    @property
    def ready(self) -> bool:
        """Whether new clients should come."""
        return self.model is not None and not self.draining

    async def _answer_inference(self, scope: Message, receive: Receive, send: Send) -> None:
        started = perf_counter()
        self.in_flight += 1
        self.arrived += 1
        try:
            reply = await self._infer(scope, receive)
            if _is_synthetic(scope):
                self.metrics.count_synthetic(reply.status)
            else:
                self.metrics.count(reply.status)
                self.metrics.observe_request(perf_counter() - started)
            await self._send(send, reply)
        except ClientGone:
            pass
        finally:
            self.in_flight -= 1

    async def _infer(self, scope: Message, receive: Receive) -> Reply:
        model = self.model
        if model is None:
            return _error(503, f"the model {show(self._schema.model)} is still loading")
        try:
            body = await self._body(scope["headers"], receive)
        except Rejected as fault:
            return _error(fault.status, fault.message)
        if self._pace.is_quick(len(body)):
            reply, seconds = self._timed_work(model, body)
        else:
            reply, seconds = await asyncio.get_running_loop().run_in_executor(self._workers, self._timed_work, model, body)
        self._pace.learn(len(body), seconds)
        return reply

    def _timed_work(self, model: Model, body: bytes) -> tuple[Reply, float]:
        """The time is taken here: waiting for a thread says nothing about the request."""
        started = thread_time()
        reply = self._work(model, body)
        return reply, thread_time() - started

    def _work(self, model: Model, body: bytes) -> Reply:
        """From the body to the answer, in whatever thread."""
        try:
            call = protocol.read_call(body, self._schema)
            started = perf_counter()
            try:
                arrays = model.run(call.inputs, call.outputs)
            except RunFailed as failure:
                if (fault := model.disagreement(call.inputs)) is not None:
                    return _error(400, fault)
                _log.warning("inference failed: %s", failure)
                return _error(500, f"the model failed on this request: {failure}")
            self.metrics.observe_inference(perf_counter() - started)
            return Reply(200, protocol.answer(self._schema, call, arrays))
        except Rejected as fault:
            return _error(fault.status, fault.message)
        except Exception:  # noqa: BLE001 -- a client must not see a stack trace
            _log.exception("inference failed in Volary itself")
            return _error(500, "internal error; the server's log has the details")

    async def _body(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> bytes:
        """Raises Rejected (413, 415) or ClientGone. uvicorn throws away what is left unread of a body."""
        _check_headers(headers, self._body_limit)
        message = await receive()
        if message["type"] == "http.request" and not message["more_body"] and len(message["body"]) <= self._body_limit:
            whole: bytes = message["body"]
            return whole
        body = bytearray()
        while message["type"] == "http.request":
            body += message["body"]
            if len(body) > self._body_limit:
                raise _too_large(self._body_limit)
            if not message["more_body"]:
                return bytes(body)
            message = await receive()
        raise ClientGone

    def _route(self, method: str, path: str) -> Reply:
        match path.split("/"):
            case ["", "v2"]:
                reply = Reply(200, protocol.server_metadata())
            case ["", "v2", "health", "live"]:
                reply = Reply(200, b'{"live":true}')
            case ["", "v2", "health", "ready"]:
                reply = Reply(200, b'{"ready":true}') if self.ready else Reply(503, b'{"ready":false}')
            case ["", "v2", "models", model, "versions", version, *rest]:
                reply = self._route_model(model, version, rest) or _no_path(path)
            case ["", "v2", "models", model, *rest]:
                reply = self._route_model(model, self._schema.version, rest) or _no_path(path)
            case ["", "metrics"]:
                reply = Reply(200, self.metrics.render(), metrics.CONTENT_TYPE)
            case _:
                reply = _no_path(path)
        return reply if method in ("GET", "HEAD") or reply.status == 404 else _not_allowed(b"GET, HEAD")

    def _route_model(self, model: str, version: str, rest: list[str]) -> Reply | None:
        served = self._schema
        if model != served.model:
            return _error(404, f"there is no model {show(model)}; this server serves {show(served.model)}")
        if version != served.version:
            return _error(404, f"there is no version {show(version)} of {show(model)}; this server serves {show(served.version)}")
        match rest:
            case []:
                return Reply(200, protocol.model_metadata(served))
            case ["ready"]:
                return Reply(200 if self.ready else 503, protocol.model_ready(served, ready=self.ready))
            case _:
                return None

    async def _send(self, send: Send, reply: Reply) -> None:
        headers = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(reply.body))]
        if reply.allow:
            headers.append((b"allow", reply.allow))
        if self.draining:
            headers.append((b"connection", b"close"))  # a kept connection would outlive the Service's endpoint
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})


def _is_synthetic(scope: Message) -> bool:
    """Only the agent is believed, which speaks from within the pod: clients cannot keep out of the evidence."""
    client = scope.get("client")
    return client is not None and client[0] == _LOOPBACK and any(name == _SYNTHETIC for name, _ in scope["headers"])


def _check_headers(headers: Iterable[tuple[bytes, bytes]], body_limit: int) -> None:
    for name, value in headers:
        if name == b"content-type":
            kind = value.split(b";", 1)[0].strip().lower()
            if kind not in _CONTENT_TYPES:
                raise Rejected(415, f"content-type: found {kind.decode('latin-1')}, expected application/json")
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise Rejected(415, f"content-encoding: found {value.decode('latin-1')}, expected none")
        elif name == b"content-length" and int(value) > body_limit:
            raise _too_large(body_limit)


def _too_large(limit: int) -> Rejected:
    return Rejected(413, f"the body is larger than {limit} bytes, the most this server takes")


def _no_path(path: str) -> Reply:
    return _error(404, f"there is nothing at {show(path)}")


def _not_allowed(allow: bytes) -> Reply:
    return Reply(405, protocol.error(f"method not allowed; this path takes {allow.decode()}"), allow=allow)


def _error(status: int, message: str) -> Reply:
    return Reply(status, protocol.error(message))
