"""Answers over ASGI, and the body of a request: what the model's port and the control port have in common."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from volary.serving import protocol
from volary.serving.protocol import Rejected
from volary.serving.refusal import Overloaded
from volary.serving.tensors import show

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
OCTETS = b"application/octet-stream"
_JSON_LENGTH = protocol.JSON_LENGTH.encode()


class ClientGone(Exception):
    """The client closed the connection before it had its answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole."""

    status: int
    body: bytes
    content_type: bytes = JSON
    allow: bytes = b""  # methods, with a 405
    retry_after: int = 0  # seconds, with a 503
    json_length: int = 0  # bytes of JSON, where tensors follow it

    async def send(self, send: Send, *, closing: bool = False) -> None:
        """`closing`: the client is told not to use the connection again."""
        headers = [(b"content-type", self.content_type), (b"content-length", b"%d" % len(self.body))]
        if self.allow:
            headers.append((b"allow", self.allow))
        if self.retry_after:
            headers.append((b"retry-after", b"%d" % self.retry_after))
        if self.json_length:
            headers.append((_JSON_LENGTH, b"%d" % self.json_length))
        if closing:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


async def body(receive: Receive, limit: int) -> bytes:
    """Raises Rejected (413) or ClientGone. uvicorn throws away what is left unread of a body."""
    message = await receive()
    if message["type"] == "http.request" and not message["more_body"] and len(message["body"]) <= limit:
        whole: bytes = message["body"]
        return whole
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message["body"]
        if len(parts) > limit:
            raise too_large(limit)
        if not message["more_body"]:
            return bytes(parts)
        message = await receive()
    raise ClientGone


async def gone(receive: Receive) -> None:
    """Raises ClientGone once that is so; asked after the whole body was received."""
    while (await receive())["type"] != "http.disconnect":
        pass
    raise ClientGone


def too_large(limit: int) -> Rejected:
    """For a body above the limit, in bytes."""
    return Rejected(413, f"the body is larger than {limit} bytes, the most this server takes")


def no_model(asked: str, served: str) -> Rejected:
    """For a model that is not here."""
    return Rejected(404, f"there is no model {show(asked)}; this server serves {show(served)}")


def no_path(path: str) -> Reply:
    """404."""
    return error(404, f"there is nothing at {show(path)}")


def not_allowed(allow: bytes) -> Reply:
    """405."""
    return Reply(405, protocol.error(f"method not allowed; this path takes {allow.decode()}"), allow=allow)


def error(status: int, message: str) -> Reply:
    """An error as the protocol writes it."""
    return Reply(status, protocol.error(message))


def rejected(fault: Rejected) -> Reply:
    """What the client is told of it."""
    return Reply(fault.status, protocol.error(fault.message), retry_after=fault.retry_after if isinstance(fault, Overloaded) else 0)
