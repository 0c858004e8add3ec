"""A connection of HTTP/2: what no client of gRPC would send, and what a slow one does."""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from volary.serving.http2 import STREAMS, Connection, Stream
from volary.serving.http2_frames import Code, Flag, Kind, block, frame

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), ("content-type", "application/grpc")]
_WHOLE = Flag.END_HEADERS | Flag.END_STREAM
_HEAD, _END = block((b":status", b"200")), block((b"grpc-status", b"0"))


@dataclass
class _Wire:
    """A transport: what was written to it, and whether it was closed."""

    sent: bytes = b""
    closed: bool = False
    reading: bool = True

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        """Kind, flags, stream, payload of all that was written."""
        found, data = [], self.sent
        while data:
            size = int.from_bytes(data[:3])
            found.append((data[3], data[4], int.from_bytes(data[5:9]), data[9 : 9 + size]))
            data = data[9 + size :]
        return found

    def of(self, kind: Kind) -> list[tuple[int, int, bytes]]:
        return [(flags, stream, payload) for found, flags, stream, payload in self.frames() if found == kind]


@dataclass
class _Calls:
    """Answers with so many bytes, or not at all."""

    size: int | None = 5
    body_limit: int = 1000
    draining: bool = False
    bodies: list[bytes] = field(default_factory=list)
    large: int = 0

    def begin(self, connection: Connection, stream: Stream) -> None:
        self.bodies.append(bytes(stream.body))
        if self.size is not None:
            connection.answer(stream, _HEAD, bytes(self.size), _END)

    def too_large(self, connection: Connection, stream: Stream) -> None:
        self.large += 1
        connection.refuse(stream, _HEAD)

    def opened(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...


def _talk(calls: _Calls, *pieces: bytes, greet: bool = True, then: Callable[[Connection, _Wire], None] | None = None) -> _Wire:
    """A connection that gets these pieces, each in a packet of its own."""

    async def run() -> _Wire:
        wire, connection = _Wire(), Connection(calls)
        connection.connection_made(cast("asyncio.Transport", wire))
        for piece in (_PREFACE + frame(Kind.SETTINGS), *pieces) if greet else pieces:
            if not wire.closed:
                connection.data_received(piece)
        if then is not None:
            then(connection, wire)
        connection.connection_lost(None)
        return wire

    return asyncio.run(run())


def _request(stream: int = 1, flags: int = _WHOLE, headers: list[tuple[str, str]] | None = None) -> bytes:
    return frame(Kind.HEADERS, flags, stream, Encoder().encode(headers or _HEADERS))


def _data(payload: bytes, stream: int = 1, flags: int = Flag.END_STREAM) -> bytes:
    return frame(Kind.DATA, flags, stream, payload)


def _credit(stream: int, size: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, size.to_bytes(4))


def _ended(wire: _Wire) -> Code:
    """Why it was closed by us."""
    assert wire.closed
    return Code(struct.unpack(">LL", wire.of(Kind.GOAWAY)[-1][2])[1])


def _settings(**values: int) -> bytes:
    numbers = {"window": 4, "frame": 5, "push": 2}
    return frame(Kind.SETTINGS, 0, 0, b"".join(struct.pack(">HL", numbers[name], value) for name, value in values.items()))


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_make_it_raise(data: bytes, greet: bool) -> None:
    _talk(_Calls(), data, greet=greet)


_frames = st.builds(
    frame,
    st.integers(0, 10),
    st.integers(0, 255),
    st.sampled_from([0, 1, 2, 3, 5]),
    st.binary(max_size=30) | st.just(Encoder().encode(_HEADERS)),
)


@given(st.lists(_frames, max_size=12), st.sampled_from([None, 0, 100_000]))
def test_no_frames_make_it_raise(frames: list[bytes], size: int | None) -> None:
    _talk(_Calls(size), *frames)


@given(st.integers(1, 40))
def test_how_the_bytes_are_cut_into_packets_makes_no_difference(size: int) -> None:
    whole = _PREFACE + frame(Kind.SETTINGS) + _request(flags=Flag.END_HEADERS) + _data(b"abc", flags=0) + _data(b"def")
    calls = _Calls()
    wire = _talk(calls, *(whole[at : at + size] for at in range(0, len(whole), size)), greet=False)
    assert calls.bodies == [b"abcdef"]
    assert [payload for _, _, payload in wire.of(Kind.DATA)] == [bytes(5)]


def test_padding_priority_and_continuation() -> None:
    encoded = Encoder().encode(_HEADERS)
    calls = _Calls()
    first = frame(Kind.HEADERS, Flag.PADDED | Flag.PRIORITY, 1, b"\x02" + bytes(5) + encoded[:7] + b"\0\0")
    wire = _talk(
        calls,
        first,
        frame(Kind.CONTINUATION, Flag.END_HEADERS, 1, encoded[7:]),
        _data(b"\x03abc\0\0\0", flags=Flag.PADDED | Flag.END_STREAM),
    )
    assert calls.bodies == [b"abc"]
    assert not wire.closed


def test_repeated_headers_mean_what_the_table_says() -> None:
    """The second block is an index alone; it means something else after the table has changed."""
    encoder, seen = Encoder(), []

    class Seeing(_Calls):
        def begin(self, connection: Connection, stream: Stream) -> None:
            seen.append(dict(stream.headers)[b":path"])
            super().begin(connection, stream)

    paths = ["/a", "/a", "/a", "/b", "/b", "/a", "/b"]
    _talk(
        Seeing(),
        *(frame(Kind.HEADERS, _WHOLE, 2 * n + 1, encoder.encode([*_HEADERS[:2], (":path", path)])) for n, path in enumerate(paths)),
    )
    assert [path.decode() for path in seen] == paths


def test_an_answer_waits_for_the_windows_of_the_client() -> None:
    sizes = []

    def then(connection: Connection, wire: _Wire) -> None:
        sizes.append(sum(len(payload) for _, _, payload in wire.of(Kind.DATA)))
        connection.data_received(_credit(1, 500))
        sizes.append(sum(len(payload) for _, _, payload in wire.of(Kind.DATA)))
        connection.data_received(_settings(window=100_000))
        sizes.append(sum(len(payload) for _, _, payload in wire.of(Kind.DATA)))
        connection.data_received(_credit(0, 100_000))

    wire = _talk(_Calls(100_000), _settings(window=1000), _request(), then=then)
    assert sizes == [1000, 1500, 65535]
    assert sum(len(payload) for _, _, payload in wire.of(Kind.DATA)) == 100_000
    assert wire.frames()[-1][0] == Kind.HEADERS
    assert Decoder().decode(wire.frames()[-1][3]) == [("grpc-status", "0")]


def test_a_client_that_does_not_read_is_not_read_either() -> None:
    def then(connection: Connection, wire: _Wire) -> None:
        connection.pause_writing()
        connection.data_received(_request())
        assert not wire.reading
        assert not wire.of(Kind.DATA)
        connection.resume_writing()
        assert wire.reading

    assert _talk(_Calls(), then=then).of(Kind.DATA)


def test_a_large_request_is_given_room_and_one_above_the_limit_is_refused() -> None:
    calls = _Calls(body_limit=3 << 20)
    wire = _talk(calls, _request(flags=Flag.END_HEADERS), *[_data(bytes(16384), flags=0)] * 100, _data(b""))
    assert len(calls.bodies[0]) == 100 * 16384
    assert sum(int.from_bytes(payload) for _, stream, payload in wire.of(Kind.WINDOW_UPDATE) if stream == 1) >= 100 * 16384 - (1 << 20)
    calls = _Calls(body_limit=10)
    wire = _talk(calls, _request(flags=Flag.END_HEADERS), _data(bytes(11), flags=0), _data(bytes(11)))
    assert calls.large == 1
    assert not calls.bodies
    assert not wire.closed


def test_streams_beyond_the_limit_are_refused() -> None:
    wire = _talk(_Calls(None), *(_request(2 * n + 1) for n in range(STREAMS + 1)))
    assert wire.of(Kind.RST_STREAM) == [(0, 2 * STREAMS + 1, Code.REFUSED_STREAM.to_bytes(4))]


@pytest.mark.parametrize(
    "nuisance",
    [
        _request(1) + frame(Kind.RST_STREAM, 0, 1, bytes(4)),
        frame(Kind.PING, 0, 0, bytes(8)),
        frame(Kind.SETTINGS),
        _data(b"", stream=1, flags=0),
        frame(Kind.PRIORITY, 0, 1, bytes(5)),
        frame(99),
    ],
    ids=["reset", "ping", "settings", "empty", "priority", "unknown"],
)
def test_frames_that_only_make_work_end_the_connection(nuisance: bytes) -> None:
    pieces = [nuisance] * 1100
    if nuisance.startswith(_request(1)[:5]):
        pieces = [_request(2 * n + 1) + frame(Kind.RST_STREAM, 0, 2 * n + 1, bytes(4)) for n in range(1100)]
    elif nuisance[3] == Kind.DATA:
        pieces.insert(0, _request(flags=Flag.END_HEADERS))
    assert _ended(_talk(_Calls(None), *pieces)) is Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    ("piece", "code"),
    [
        (frame(Kind.DATA, 0, 0, b""), Code.PROTOCOL_ERROR),
        (frame(Kind.DATA, 0, 7, b""), Code.PROTOCOL_ERROR),
        (_request(2), Code.PROTOCOL_ERROR),
        (frame(Kind.HEADERS, Flag.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), Code.COMPRESSION_ERROR),
        (frame(Kind.HEADERS, 0, 1, b"") + frame(Kind.PING, 0, 0, bytes(8)), Code.PROTOCOL_ERROR),
        (frame(Kind.CONTINUATION, Flag.END_HEADERS, 1, b""), Code.PROTOCOL_ERROR),
        (frame(Kind.PING, 0, 0, b""), Code.FRAME_SIZE_ERROR),
        (frame(Kind.SETTINGS, 0, 0, b"1"), Code.FRAME_SIZE_ERROR),
        (_settings(frame=1), Code.PROTOCOL_ERROR),
        (_settings(push=2), Code.PROTOCOL_ERROR),
        (_settings(window=1 << 31), Code.FLOW_CONTROL_ERROR),
        (_credit(0, 0), Code.PROTOCOL_ERROR),
        (_credit(0, (1 << 31) - 1), Code.FLOW_CONTROL_ERROR),
        (frame(Kind.PUSH_PROMISE, 0, 1, bytes(4)), Code.PROTOCOL_ERROR),
        (b"\xff\xff\xff" + bytes(6), Code.FRAME_SIZE_ERROR),
        (frame(Kind.HEADERS, 0, 1, b"") + frame(Kind.CONTINUATION, 0, 1, bytes(16384)) * 3, Code.ENHANCE_YOUR_CALM),
    ],
)
def test_what_breaks_the_protocol_ends_the_connection(piece: bytes, code: Code) -> None:
    assert _ended(_talk(_Calls(), piece)) is code


@pytest.mark.parametrize(
    "headers",
    [
        _HEADERS[1:],
        [*_HEADERS, (":path", "/y")],
        [*_HEADERS, (":authority", "z")],
        [*_HEADERS[:3], ("Upper", "x")],
        [*_HEADERS, ("connection", "close")],
        [*_HEADERS, ("te", "gzip")],
        [(":method", "POST"), (":scheme", "http"), (":path", "")],
    ],
)
def test_headers_that_are_no_requests_end_the_stream(headers: list[tuple[str, str]]) -> None:
    wire = _talk(_Calls(), _request(headers=headers), _request(3))
    assert wire.of(Kind.RST_STREAM) == [(0, 1, Code.PROTOCOL_ERROR.to_bytes(4))]
    assert [stream for _, stream, _ in wire.of(Kind.DATA)] == [3]


def test_a_draining_server_tells_the_client_to_go_and_answers_what_it_sent_before_it_read_that() -> None:
    def then(connection: Connection, wire: _Wire) -> None:
        last, code = struct.unpack(">LL", wire.of(Kind.GOAWAY)[0][2])
        assert (last, code) == ((1 << 31) - 1, Code.NO_ERROR)
        connection.data_received(_request(3))
        assert [stream for _, stream, _ in wire.of(Kind.DATA)] == [1, 3]
        assert not wire.closed
        connection.data_received(frame(Kind.PING, Flag.ACK, 0, wire.of(Kind.PING)[0][2]))
        assert wire.closed

    _talk(_Calls(draining=True), _request(1), then=then)


def test_a_lost_connection_cancels_its_requests() -> None:
    async def run() -> bool:
        class Slow(_Calls):
            def begin(self, connection: Connection, stream: Stream) -> "asyncio.Task[None]":  # type: ignore[override]
                return asyncio.get_running_loop().create_task(asyncio.sleep(60))

        wire, connection = _Wire(), Connection(Slow())
        connection.connection_made(cast("asyncio.Transport", wire))
        connection.data_received(_PREFACE + frame(Kind.SETTINGS) + _request())
        task = next(task for task in asyncio.all_tasks() if task is not asyncio.current_task())
        connection.connection_lost(None)
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(run())


def test_long_texts_of_header_blocks() -> None:
    for size in (0, 126, 127, 128, 254, 255, 300, 5000):
        assert Decoder().decode(block((b"x", b"a" * size))) == [("x", "a" * size)]
