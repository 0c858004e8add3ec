"""gRPC over HTTP/2: the service of the Open Inference Protocol, its status codes, and what is counted.

The models, the counters and the way through `Served` are those of HTTP: a canary is judged by both. What
is counted is the HTTP status of the same answer. Protocol: grpc/doc/PROTOCOL-HTTP2.md.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from time import perf_counter
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from volary import __version__
from volary.common.names import SYNTHETIC_HEADER
from volary.serving import grpc_messages, proto, protocol
from volary.serving.app import App
from volary.serving.encoding import ENCODINGS, inflate
from volary.serving.grpc_messages import parse
from volary.serving.http2 import Connection, Stream
from volary.serving.http2_frames import block
from volary.serving.protocol import Call, Rejected
from volary.serving.refusal import Internal, Overloaded
from volary.serving.served import Served
from volary.serving.tensors import Array, show
from volary.serving.wire import rest

_log = logging.getLogger(__name__)

EXTENSIONS = ("model_repository",)

_OK = 0
_UNKNOWN = 2
_UNIMPLEMENTED = 12
_CODES: Mapping[int, int] = MappingProxyType(
    {
        400: 3,  # INVALID_ARGUMENT
        404: 5,  # NOT_FOUND
        413: 8,  # RESOURCE_EXHAUSTED
        415: _UNIMPLEMENTED,
        500: 13,  # INTERNAL
        503: 14,  # UNAVAILABLE
        504: 4,  # DEADLINE_EXCEEDED
    }
)
_SECONDS: Mapping[bytes, float] = MappingProxyType({b"H": 3600, b"M": 60, b"S": 1, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9})  # of grpc-timeout
_DIGITS = 8  # of it
_MESSAGE = 1000  # characters
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_PREFIX = 5  # bytes before a message: whether it is compressed, and its length
_LARGE = 256 * 1024  # bytes of a message that is parsed in a thread
_LOOPBACK = "127.0.0.1"
_SYNTHETIC = SYNTHETIC_HEADER.encode()
_METHOD = f"/{proto.SERVICE}/".encode()
_HEALTH = b"/grpc.health.v1.Health/Check"
# grpc.health.v1.HealthCheckResponse with status SERVING, and NOT_SERVING.
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"

_CONTENT = (b"content-type", b"application/grpc")
_HEAD = block((b":status", b"200"), _CONTENT, (b"grpc-accept-encoding", b"identity,deflate,gzip"))
_TRAILERS = block((b"grpc-status", b"0"))

Plain = Callable[[bytes], bytes]  # a method that no model works for


class _Unimplemented(Rejected):
    def __init__(self, message: str) -> None:
        super().__init__(415, message)


class Service:
    """Answers the requests of every connection. Belongs to the event loop's thread."""

    def __init__(self, app: App, body_limit: int) -> None:
        self.body_limit = body_limit + _PREFIX
        self.connections: set[Connection] = set()
        self._app = app
        self._infer_path = _METHOD + b"ModelInfer"
        self._plain: Mapping[bytes, Plain] = {
            _METHOD + b"ServerLive": self._live,
            _METHOD + b"ServerReady": self._ready,
            _METHOD + b"ServerMetadata": self._server_metadata,
            _METHOD + b"ModelReady": self._model_ready,
            _METHOD + b"ModelMetadata": self._model_metadata,
            _METHOD + b"RepositoryIndex": self._index,
            _HEALTH: self._health,
        }

    @property
    def draining(self) -> bool:
        """Whether clients are told to go, each with its next answer."""
        return self._app.draining

    def opened(self, connection: Connection) -> None:
        """A client came."""
        self.connections.add(connection)

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        self.connections.discard(connection)

    def too_large(self, connection: Connection, stream: Stream) -> None:
        """As HTTP's 413."""
        _refuse(connection, stream, _too_large(self.body_limit - _PREFIX))

    def begin(self, connection: Connection, stream: Stream) -> "asyncio.Task[None] | None":
        """Answer a whole request."""
        headers = dict(stream.headers)
        if (status := _unspeakable(headers)) is not None:
            connection.refuse(stream, block((b":status", status)))
            return None
        path = headers.get(b":path", b"")
        if path == self._infer_path:
            return _begun(self._answer_inference(connection, stream, headers))
        try:
            method = self._plain.get(path, _no_method)
            _answer(connection, stream, method(_message(stream.body, headers, self.body_limit - _PREFIX)))
        except Rejected as fault:
            _refuse(connection, stream, fault)
        except Exception:  # noqa: BLE001 -- a client must not see a stack trace
            _log.exception("a request failed in Volary itself")
            _refuse(connection, stream, Internal())
        return None

    async def _answer_inference(self, connection: Connection, stream: Stream, headers: Mapping[bytes, bytes]) -> None:
        started = perf_counter()
        app = self._app
        app.in_flight += 1
        app.arrived += 1
        try:
            data = _message(stream.body, headers, self.body_limit - _PREFIX)
            request = await _parsed(data)
            served = app.pick(request.model_name, request.model_version, stream.headers)
            await self._infer(connection, stream, headers, served, request, len(data), started)
        except Rejected as fault:
            _refuse(connection, stream, fault)
        except Exception:  # noqa: BLE001 -- a client must not see a stack trace
            _log.exception("a request failed in Volary itself")
            _refuse(connection, stream, Internal())
        finally:
            app.in_flight -= 1

    async def _infer(
        self,
        connection: Connection,
        stream: Stream,
        headers: Mapping[bytes, bytes],
        served: Served,
        request: Any,
        size: int,
        started: float,
    ) -> None:
        # Only the agent is believed, which speaks from within the pod.
        synthetic = _SYNTHETIC in headers and connection.peer == _LOOPBACK
        schema = served.schema

        def read() -> Call:
            return grpc_messages.read_call(request, schema)

        def write(call: Call, arrays: Sequence[Array]) -> bytes:
            return grpc_messages.answer(schema, request, call, arrays)

        served.in_flight += 1
        try:
            deadline = _deadline(headers, self._app.timeout)
            served.admit(deadline)
            data = await served.infer(size, read, write, counted=not synthetic, deadline=deadline)
        except Rejected as fault:
            served.finished(fault.status, perf_counter() - started, fault=fault, synthetic=synthetic)
            _refuse(connection, stream, fault)
        else:
            served.finished(200, perf_counter() - started, synthetic=synthetic)
            _answer(connection, stream, data)
        finally:
            served.in_flight -= 1

    # ---- methods without a model

    def _live(self, data: bytes) -> bytes:
        parse(proto.ServerLiveRequest, data)
        return _dump(proto.ServerLiveResponse(live=True))

    def _ready(self, data: bytes) -> bytes:
        parse(proto.ServerReadyRequest, data)
        return _dump(proto.ServerReadyResponse(ready=self._app.ready))

    def _health(self, data: bytes) -> bytes:
        """`data` names a service or none: all are as the process is."""
        del data
        return _SERVING if self._app.ready else _NOT_SERVING

    def _server_metadata(self, data: bytes) -> bytes:
        parse(proto.ServerMetadataRequest, data)
        return _dump(proto.ServerMetadataResponse(name="volary", version=__version__, extensions=EXTENSIONS))

    def _model_ready(self, data: bytes) -> bytes:
        request = parse(proto.ModelReadyRequest, data)
        return _dump(proto.ModelReadyResponse(ready=self._app.is_ready(request.name, request.version)))

    def _model_metadata(self, data: bytes) -> bytes:
        request = parse(proto.ModelMetadataRequest, data)
        served, versions = self._app.described(request.name, request.version)
        return grpc_messages.metadata(served.schema, versions, protocol.PLATFORM)

    def _index(self, data: bytes) -> bytes:
        request = parse(proto.RepositoryIndexRequest, data)
        answer = proto.RepositoryIndexResponse()
        for schema, state in self._app.index():
            if state == protocol.READY or not request.ready:
                answer.models.add(name=schema.model, version=schema.version, state=state)
        return _dump(answer)


def _no_method(data: bytes) -> bytes:
    del data
    raise _Unimplemented(f"there is no such method; the service is {proto.SERVICE}")


def _begun(answer: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
    """Run it as far as it does not wait; a task only where it does: that costs half of what a small request does."""
    try:
        waiting = answer.send(None)
    except StopIteration:
        return None

    async def go_on() -> None:
        await rest(answer, waiting)

    return asyncio.get_running_loop().create_task(go_on())


def _dump(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _answer(connection: Connection, stream: Stream, message: bytes) -> None:
    connection.answer(stream, _HEAD, b"\0" + len(message).to_bytes(4) + message, _TRAILERS)


def _refuse(connection: Connection, stream: Stream, fault: Rejected) -> None:
    code = _CODES.get(fault.status, _UNKNOWN)
    headers = [(b":status", b"200"), _CONTENT, (b"grpc-status", b"%d" % code), (b"grpc-message", _quoted(fault.message))]
    if isinstance(fault, Overloaded):  # gRFC A6: clients with a retry policy wait so long
        headers.append((b"grpc-retry-pushback-ms", b"%d" % (1000 * fault.retry_after)))
    connection.refuse(stream, block(*headers))


def _quoted(message: str) -> bytes:
    """Percent-encoded UTF-8, as the protocol wants it."""
    return quote(message[:_MESSAGE], safe=_PRINTABLE).encode()


def _unspeakable(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The HTTP status for a client that does not speak gRPC."""
    if headers.get(b":method") != b"POST":
        return b"405"
    kind = headers.get(b"content-type", b"")
    return None if kind.startswith(b"application/grpc") and kind[16:17] in (b"", b"+", b";") else b"415"


def _message(body: bytearray, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The one message of a unary request. Raises Rejected."""
    if len(body) < _PREFIX or len(body) != _PREFIX + int.from_bytes(body[1:_PREFIX]):
        raise Rejected(400, f"the request: found {len(body)} bytes of data, expected one message with its length before it")
    data = bytes(memoryview(body)[_PREFIX:])
    if not body[0]:
        return data
    encoding = headers.get(b"grpc-encoding", b"identity")
    if encoding not in ENCODINGS:
        raise _Unimplemented(f"grpc-encoding: found {show(encoding.decode('latin-1'))}, expected identity, deflate or gzip")
    return inflate(data, encoding, limit)


def _too_large(limit: int) -> Rejected:
    return Rejected(413, f"the message is larger than {limit} bytes, the most this server takes")


async def _parsed(data: bytes) -> Any:
    if len(data) <= _LARGE:
        return parse(proto.ModelInferRequest, data)
    return await asyncio.to_thread(parse, proto.ModelInferRequest, data)


def _deadline(headers: Mapping[bytes, bytes], default: float) -> float:
    """On the loop's clock, by `grpc-timeout`: `250m` is a quarter of a second. `default` in seconds. Raises Rejected (400)."""
    text = headers.get(b"grpc-timeout")
    if text is None:
        return default if default == math.inf else asyncio.get_running_loop().time() + default
    unit = _SECONDS.get(text[-1:])
    if unit is None or not text[:-1].isdigit() or len(text) > _DIGITS + 1:
        raise Rejected(400, f"grpc-timeout: found {show(text.decode('latin-1'))}, expected at most 8 digits and one of H, M, S, m, u, n")
    return asyncio.get_running_loop().time() + int(text[:-1]) * unit
