"""HTTP/2 as far as gRPC's unary calls need it (RFC 9113, without TLS and without upgrade): one connection, as an asyncio protocol.

A request goes whole to `Calls.begin`, whose task answers it with `answer` or `refuse`. Header blocks are read
by the package `hpack`; ours hold literals alone, so that they can be made beforehand. Every queue is
bounded: what a peer may send by flow control, what we hold for it by its reading it, and frames that ask
for an answer but carry no work by a count.
"""

import asyncio
import math
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from hpack import HPACKError
from typing_extensions import override

from volary.serving.http2_frames import FRAME, HEAD, Code, Fault, Flag, Kind, credit, expect, frame, reset, unpadded
from volary.serving.http2_headers import LIST_LIMIT, Headers, Reader

STREAMS = 256  # of one connection at once
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_STREAM_WINDOW = 1 << 20  # bytes a request may be ahead of us
_CONNECTION_WINDOW = 1 << 24
_DEFAULT_WINDOW = 65535  # until either side says otherwise
_WINDOW_LIMIT = (1 << 31) - 1
_BLOCK = 32768  # bytes of an encoded header block
# Frames that cost us an answer and bring no work: more of them in that time are an attack (such as CVE-2023-44487).
_NUISANCES = 1000
_NUISANCE_SECONDS = 10.0
# A kept connection reaches one pod for ever, whatever became of the shares: so none lives longer than this.
_AGE = 10.0
_AGE_SPREAD = 0.2
_LEAVING = b"leaving."  # payload of the PING that tells that the peer has read our GOAWAY
_LEAVE_SECONDS = 5.0  # for it to do so


@dataclass(slots=True, eq=False)
class Stream:
    """One request and its answer."""

    number: int
    headers: Headers
    body: bytearray = field(default_factory=bytearray)
    window: int = _DEFAULT_WINDOW  # bytes we may send
    received: int = 0  # bytes not yet given back to the peer's window
    ended: bool = False  # the request is whole
    task: "asyncio.Task[None] | None" = None
    pending: bytes = b""  # of the answer's data
    trailers: bytes = b""  # frame that ends it


class Calls(Protocol):
    """Who answers."""

    body_limit: int  # bytes

    @property
    def draining(self) -> bool:
        """Whether connections are to be left as they are answered."""

    def begin(self, connection: "Connection", stream: Stream) -> "asyncio.Task[None] | None":
        """Answer a whole request, in this task or at once."""

    def too_large(self, connection: "Connection", stream: Stream) -> None:
        """Answer a request whose body is above the limit; the rest of it is thrown away."""

    def opened(self, connection: "Connection") -> None:
        """A client came."""

    def closed(self, connection: "Connection") -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """Belongs to the event loop's thread."""

    def __init__(self, calls: Calls) -> None:
        self.peer = ""  # address
        self._calls = calls
        self._transport: asyncio.Transport | None = None
        self._rest = b""  # an incomplete frame
        self._greeted = False
        self._settled = False  # the peer's first SETTINGS are there
        self._headers = Reader()
        self._block: tuple[int, Flag, bytearray] | None = None  # begun header block: stream, flags of HEADERS
        self._streams: dict[int, Stream] = {}
        self._last = 0  # the highest number of a stream
        self._window = _DEFAULT_WINDOW  # bytes we may send
        self._initial = _DEFAULT_WINDOW  # of a new stream
        self._frame = FRAME  # bytes of a payload we send
        self._received = 0
        self._blocked = False  # the peer does not read
        self._nuisances, self._nuisances_since = 0, -math.inf
        self._leaving = False
        self._left = False  # it has read so
        self._timers: list[asyncio.TimerHandle] = []
        self._takes: Mapping[int, Callable[[int, int, bytes], None]] = {
            Kind.DATA: self._take_data,
            Kind.HEADERS: self._take_headers,
            Kind.PRIORITY: self._take_priority,
            Kind.RST_STREAM: self._take_reset,
            Kind.SETTINGS: self._take_settings,
            Kind.PUSH_PROMISE: self._take_promise,
            Kind.PING: self._take_ping,
            Kind.GOAWAY: self._take_goaway,
            Kind.WINDOW_UPDATE: self._take_credit,
            Kind.CONTINUATION: self._take_continuation,
        }

    # ---- asyncio's side

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Our settings go first: the peer need not wait for them."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = (transport.get_extra_info("peername") or ("",))[0]
        settings = struct.pack(">HLHLHL", 3, STREAMS, 4, _STREAM_WINDOW, 6, LIST_LIMIT)
        self._write(frame(Kind.SETTINGS, payload=settings) + credit(0, _CONNECTION_WINDOW - _DEFAULT_WINDOW))
        age = _AGE * random.uniform(1 - _AGE_SPREAD, 1 + _AGE_SPREAD)  # noqa: S311 -- no secret: so that not all come back at once
        self._timers.append(asyncio.get_running_loop().call_later(age, self.leave))
        self._calls.opened(self)

    @override
    def data_received(self, data: bytes) -> None:
        """Any piece of the connection."""
        try:
            self._rest = self._read(self._rest + data if self._rest else data)
        except Fault as fault:
            self._end(fault.code)
        except HPACKError:
            self._end(Code.COMPRESSION_ERROR)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for the answers any more."""
        self._transport = None
        for timer in self._timers:
            timer.cancel()
        for stream in list(self._streams.values()):
            self._forget(stream)
        self._calls.closed(self)

    @override
    def pause_writing(self) -> None:
        """Nor is more of such a peer read."""
        self._blocked = True
        if self._transport is not None:
            self._transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        """It reads again."""
        self._blocked = False
        if self._transport is not None:
            self._transport.resume_reading()
        self._send_pending()

    # ---- for who answers

    def answer(self, stream: Stream, head: bytes, data: bytes, trailers: bytes) -> None:
        """Two encoded header blocks and what is between them, whole. Nothing where the stream is over."""
        if self._streams.get(stream.number) is not stream:
            return
        stream.trailers = frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream.number, trailers)
        first = frame(Kind.HEADERS, Flag.END_HEADERS, stream.number, head)
        size = len(data)
        if size <= self._frame and size <= stream.window and size <= self._window and not self._blocked:  # the busy path: one write
            self._window -= size
            self._write(first + frame(Kind.DATA, Flag.NONE, stream.number, data) + stream.trailers)
            self._answered(stream)
        else:
            self._write(first)
            stream.pending = data
            self._send_pending()

    def refuse(self, stream: Stream, head: bytes) -> None:
        """One encoded header block, and no data."""
        if self._streams.get(stream.number) is stream:
            self._write(frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream.number, head))
            self._answered(stream)

    def leave(self) -> None:
        """The peer is told to open no more streams here; when those there are over, the connection is closed."""
        if self._leaving or self._transport is None:
            return
        self._leaving = True
        # What it sent before it read this is answered too: only its answer to the PING tells that no more comes.
        self._write(frame(Kind.GOAWAY, payload=struct.pack(">LL", _WINDOW_LIMIT, Code.NO_ERROR)) + frame(Kind.PING, payload=_LEAVING))
        self._timers.append(asyncio.get_running_loop().call_later(_LEAVE_SECONDS, self._has_left))

    @property
    def busy(self) -> bool:
        """Whether requests are not yet answered, or answers not yet sent."""
        return bool(self._streams) or (self._transport is not None and self._transport.get_write_buffer_size() > 0)

    # ---- frames that come

    def _read(self, data: bytes) -> bytes:
        """All whole frames; what is left."""
        at = 0
        if not self._greeted:
            if not _PREFACE.startswith(data[: len(_PREFACE)]):
                raise Fault(Code.PROTOCOL_ERROR)
            if len(data) < len(_PREFACE):
                return data
            self._greeted, at = True, len(_PREFACE)
        while len(data) - at >= HEAD:
            size = int.from_bytes(data[at : at + 3])
            if size > FRAME:
                raise Fault(Code.FRAME_SIZE_ERROR)
            if len(data) - at < HEAD + size:
                break
            number = int.from_bytes(data[at + 5 : at + HEAD]) & _WINDOW_LIMIT
            self._take(data[at + 3], data[at + 4], number, data[at + HEAD : at + HEAD + size])
            at += HEAD + size
            if self._transport is None or self._transport.is_closing():
                return b""
        return data[at:]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if not self._settled and kind != Kind.SETTINGS:
            raise Fault(Code.PROTOCOL_ERROR)
        if self._block is not None and (kind != Kind.CONTINUATION or number != self._block[0]):
            raise Fault(Code.PROTOCOL_ERROR)
        take = self._takes.get(kind, self._take_unknown)
        take(flags, number, payload)

    def _take_unknown(self, flags: int, number: int, payload: bytes) -> None:
        """Of extensions: ignored."""
        del flags, number, payload
        self._nuisance()

    def _take_priority(self, flags: int, number: int, payload: bytes) -> None:
        del flags
        expect(number > 0, Code.PROTOCOL_ERROR)
        expect(len(payload) == 5, Code.FRAME_SIZE_ERROR)
        self._nuisance()

    def _take_goaway(self, flags: int, number: int, payload: bytes) -> None:
        del flags, payload
        expect(number == 0, Code.PROTOCOL_ERROR)
        self._leaving = True
        self._has_left()

    def _take_promise(self, flags: int, number: int, payload: bytes) -> None:
        """Clients push nothing."""
        del flags, number, payload
        raise Fault(Code.PROTOCOL_ERROR)

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        expect(0 < number <= self._last, Code.PROTOCOL_ERROR)
        size = len(payload)
        self._received += size
        if self._received >= _CONNECTION_WINDOW // 2:
            self._write(credit(0, self._received))
            self._received = 0
        if stream is None or stream.ended:
            self._nuisance()
            self._write(reset(number, Code.STREAM_CLOSED))
            if stream is not None:
                self._forget(stream)
            return
        content = unpadded(flags, payload)
        if not content and not flags & Flag.END_STREAM:
            self._nuisance()
        stream.body += content
        stream.received += size
        if len(stream.body) > self._calls.body_limit:
            stream.body.clear()
            stream.ended = True
            self._calls.too_large(self, stream)
            if not flags & Flag.END_STREAM:
                self._write(reset(number, Code.NO_ERROR))  # as RFC 9113, 8.1 says of an answer before the request's end
        elif flags & Flag.END_STREAM:
            self._whole(stream)
        elif stream.received >= _STREAM_WINDOW // 2:
            self._write(credit(number, stream.received))
            stream.received = 0

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        block = unpadded(flags, payload)
        if flags & Flag.PRIORITY:
            expect(len(block) >= 5, Code.FRAME_SIZE_ERROR)
            block = block[5:]
        expect(number % 2 == 1, Code.PROTOCOL_ERROR)
        if flags & Flag.END_HEADERS:
            self._take_block(flags, number, block)
        else:
            self._block = (number, Flag(flags & 0x2D), bytearray(block))

    def _take_continuation(self, flags: int, number: int, payload: bytes) -> None:
        del number  # proved
        if self._block is None:
            raise Fault(Code.PROTOCOL_ERROR)
        stream, first, block = self._block
        block += payload
        self._nuisance()
        expect(len(block) <= _BLOCK, Code.ENHANCE_YOUR_CALM)
        if flags & Flag.END_HEADERS:
            self._block = None
            self._take_block(first, stream, bytes(block))

    def _take_block(self, flags: int, number: int, block: bytes) -> None:
        headers = self._headers.read(block)
        if number <= self._last:
            self._take_trailers(flags, number)
            return
        self._last = number
        if headers is None:
            self._nuisance()
            self._write(reset(number, Code.PROTOCOL_ERROR))
            return
        if len(self._streams) >= STREAMS:
            self._nuisance()
            self._write(reset(number, Code.REFUSED_STREAM))
            return
        stream = self._streams[number] = Stream(number, headers, window=self._initial)
        if flags & Flag.END_STREAM:
            self._whole(stream)

    def _take_trailers(self, flags: int, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None or stream.ended:
            self._nuisance()
            self._write(reset(number, Code.STREAM_CLOSED))
        elif flags & Flag.END_STREAM:
            self._whole(stream)
        else:
            self._reset(stream, Code.PROTOCOL_ERROR)

    def _take_credit(self, flags: int, number: int, payload: bytes) -> None:
        del flags
        expect(len(payload) == 4, Code.FRAME_SIZE_ERROR)
        more = int.from_bytes(payload) & _WINDOW_LIMIT
        stream = self._streams.get(number)
        if number == 0:
            self._window += more
            expect(more > 0, Code.PROTOCOL_ERROR)
            expect(self._window <= _WINDOW_LIMIT, Code.FLOW_CONTROL_ERROR)
        elif stream is not None:
            stream.window += more
            if not more or stream.window > _WINDOW_LIMIT:
                self._reset(stream, Code.FLOW_CONTROL_ERROR if more else Code.PROTOCOL_ERROR)
                return
        else:
            expect(number <= self._last, Code.PROTOCOL_ERROR)
        self._send_pending()

    def _take_settings(self, flags: int, number: int, payload: bytes) -> None:
        expect(number == 0, Code.PROTOCOL_ERROR)
        expect(len(payload) % 6 == 0 and not (flags & Flag.ACK and payload), Code.FRAME_SIZE_ERROR)
        if flags & Flag.ACK:
            return
        if self._settled:
            self._nuisance()
        self._settled = True
        for setting, value in struct.iter_unpack(">HL", payload):
            self._take_setting(setting, value)
        self._write(frame(Kind.SETTINGS, Flag.ACK))
        self._send_pending()

    def _take_setting(self, setting: int, value: int) -> None:
        """Those that concern us: we push nothing, and our header blocks need no table."""
        if setting == 2:  # ENABLE_PUSH
            expect(value <= 1, Code.PROTOCOL_ERROR)
        elif setting == 4:  # INITIAL_WINDOW_SIZE, of streams that are open too
            expect(value <= _WINDOW_LIMIT, Code.FLOW_CONTROL_ERROR)
            for stream in self._streams.values():
                stream.window += value - self._initial
                expect(stream.window <= _WINDOW_LIMIT, Code.FLOW_CONTROL_ERROR)
            self._initial = value
        elif setting == 5:  # MAX_FRAME_SIZE
            expect(FRAME <= value < 1 << 24, Code.PROTOCOL_ERROR)
            self._frame = value

    def _take_ping(self, flags: int, number: int, payload: bytes) -> None:
        expect(number == 0, Code.PROTOCOL_ERROR)
        expect(len(payload) == 8, Code.FRAME_SIZE_ERROR)
        if not flags & Flag.ACK:
            self._nuisance()
            self._write(frame(Kind.PING, Flag.ACK, payload=payload))
        elif payload == _LEAVING:
            self._has_left()

    def _take_reset(self, flags: int, number: int, payload: bytes) -> None:
        del flags
        expect(0 < number <= self._last, Code.PROTOCOL_ERROR)
        expect(len(payload) == 4, Code.FRAME_SIZE_ERROR)
        self._nuisance()
        if (stream := self._streams.get(number)) is not None:
            self._forget(stream)

    # ---- streams

    def _whole(self, stream: Stream) -> None:
        stream.ended = True
        stream.task = self._calls.begin(self, stream)

    def _answered(self, stream: Stream) -> None:
        self._streams.pop(stream.number, None)
        if self._calls.draining:
            self.leave()
        self._close_if_over()

    def _forget(self, stream: Stream) -> None:
        """It is over without an answer."""
        self._streams.pop(stream.number, None)
        if stream.task is not None:
            stream.task.cancel()
        self._close_if_over()

    def _reset(self, stream: Stream, code: Code) -> None:
        self._write(reset(stream.number, code))
        self._forget(stream)

    def _send_pending(self) -> None:
        """What was held back, as far as the peer's windows allow now."""
        for stream in [stream for stream in self._streams.values() if stream.trailers]:
            while stream.pending and not self._blocked:
                size = min(len(stream.pending), self._frame, stream.window, self._window)
                if size <= 0:
                    break
                part, stream.pending = stream.pending[:size], stream.pending[size:]
                stream.window -= size
                self._window -= size
                self._write(frame(Kind.DATA, Flag.NONE, stream.number, part))
            if not stream.pending:
                self._write(stream.trailers)
                self._answered(stream)

    # ---- the end

    def _nuisance(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._nuisances_since > _NUISANCE_SECONDS:
            self._nuisances, self._nuisances_since = 0, now
        self._nuisances += 1
        expect(self._nuisances <= _NUISANCES, Code.ENHANCE_YOUR_CALM)

    def _has_left(self) -> None:
        self._left = True
        self._close_if_over()

    def _close_if_over(self) -> None:
        if self._left and not self._streams:
            self._end(Code.NO_ERROR)

    def _end(self, code: Code) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._write(frame(Kind.GOAWAY, payload=struct.pack(">LL", self._last, code)))
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
