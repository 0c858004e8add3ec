"""What the headers of an inference request say."""

from collections.abc import Iterable

from volary.common import durations
from volary.common.names import SYNTHETIC_HEADER
from volary.serving import protocol, reply
from volary.serving.encoding import ENCODINGS
from volary.serving.protocol import Rejected
from volary.serving.reply import JSON, OCTETS, Message
from volary.serving.tensors import show

Headers = Iterable[tuple[bytes, bytes]]

PIN = b"x-volary-revision"  # header of a request that is for one revision or version
TIMEOUT = b"x-request-timeout"  # header: how long the request may wait for its turn, such as 250ms or 1.5 (seconds)
_JSON_LENGTH = protocol.JSON_LENGTH.encode()
_SYNTHETIC = SYNTHETIC_HEADER.encode()
_LOOPBACK = "127.0.0.1"
_DIGITS = 12  # more than any length we take has
# What `curl -d` says of JSON unless told otherwise is let through: the body decides.
_CONTENT_TYPES = (JSON, b"", b"application/x-www-form-urlencoded")


def is_synthetic(scope: Message) -> bool:
    """Only the agent is believed, which speaks from within the pod: clients cannot keep out of the evidence."""
    client = scope.get("client")
    return client is not None and client[0] == _LOOPBACK and any(name == _SYNTHETIC for name, _ in scope["headers"])


def check(headers: Headers, body_limit: int, timeout: float) -> tuple[bytes, float, int | None]:
    """How the body is packed, empty for not at all; how many seconds the request may wait; how much of the body is JSON, None for all.

    Raises Rejected.
    """
    encoding, kind, json_length = b"", JSON, None
    for name, value in headers:
        if name == b"content-type":
            kind = value.split(b";", 1)[0].strip().lower()
        elif name == b"content-encoding":
            encoding = _encoding(value)
        elif name == b"content-length" and int(value) > body_limit:
            raise reply.too_large(body_limit)
        elif name == TIMEOUT:
            timeout = _seconds(value)
        elif name == _JSON_LENGTH:
            json_length = _length(value, json_length)
    # Only with the length of its JSON is a body of bytes one of ours.
    if kind not in _CONTENT_TYPES and (kind != OCTETS or json_length is None):
        raise Rejected(415, f"content-type: found {kind.decode('latin-1')}, expected application/json")
    return encoding, timeout, json_length


def _encoding(value: bytes) -> bytes:
    encoding = value.strip().lower()
    if encoding == b"identity":
        return b""
    if encoding not in ENCODINGS:
        raise Rejected(415, f"content-encoding: found {show(value.decode('latin-1'))}, expected gzip, deflate or none")
    return encoding


def _length(value: bytes, before: int | None) -> int:
    if not value.isdigit() or len(value) > _DIGITS:
        raise Rejected(400, f"{protocol.JSON_LENGTH}: found {show(value.decode('latin-1'))}, expected a whole number of bytes")
    if before is not None and before != int(value):
        raise Rejected(400, f"{protocol.JSON_LENGTH}: found {before} and {int(value)}, expected one number")
    return int(value)


def _seconds(value: bytes) -> float:
    try:
        return durations.seconds(value.decode("latin-1"))
    except ValueError as error:
        raise Rejected(400, f"{TIMEOUT.decode()}: {error}") from None
