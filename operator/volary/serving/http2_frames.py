"""Frames of HTTP/2 (RFC 9113, 4 and 6), as bytes. Pure."""

from enum import IntEnum, IntFlag
from functools import lru_cache

FRAME = 16384  # bytes of a payload: the protocol's default, which we do not raise
HEAD = 9  # bytes of a frame before its payload


class Kind(IntEnum):
    """Of a frame."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntFlag):
    """Of a frame; ACK and END_STREAM are one bit."""

    NONE = 0
    END_STREAM = 1
    ACK = 1
    END_HEADERS = 4
    PADDED = 8
    PRIORITY = 32


class Code(IntEnum):
    """Why a stream or a connection ends (RFC 9113, 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Fault(Exception):
    """The peer broke the protocol: the connection ends."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


def frame(kind: Kind, flags: int = Flag.NONE, stream: int = 0, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return b"%b%c%c%b%b" % (len(payload).to_bytes(3), kind, flags, stream.to_bytes(4), payload)


@lru_cache(maxsize=256)
def block(*headers: tuple[bytes, bytes]) -> bytes:
    """A header block of literals that enter no table (RFC 7541, 6.2.2). Values are at most 16 KiB in all: one frame."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(text: bytes) -> bytes:
    """A string without Huffman's code: its length with a prefix of 7 bits (RFC 7541, 5.1), then itself."""
    rest = len(text) - 127
    if rest < 0:
        return bytes([len(text)]) + text
    length = bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    length.append(rest)
    return bytes(length) + text


def credit(stream: int, size: int) -> bytes:
    """WINDOW_UPDATE: the peer may send so many bytes more; stream 0 is the connection."""
    return frame(Kind.WINDOW_UPDATE, Flag.NONE, stream, size.to_bytes(4))


def reset(stream: int, code: Code) -> bytes:
    """RST_STREAM."""
    return frame(Kind.RST_STREAM, Flag.NONE, stream, code.to_bytes(4))


def unpadded(flags: int, payload: bytes) -> bytes:
    """What is between the length of the padding and the padding. Raises Fault."""
    if not flags & Flag.PADDED:
        return payload
    expect(len(payload) > 0, Code.FRAME_SIZE_ERROR)
    expect(payload[0] < len(payload), Code.PROTOCOL_ERROR)
    return payload[1 : len(payload) - payload[0]]


def expect(met: bool, code: Code) -> None:  # noqa: FBT001 -- reads as a sentence
    """Raise Fault unless the peer has kept to this rule."""
    if not met:
        raise Fault(code)
