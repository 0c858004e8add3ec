"""A tiny HTTP server for the kubelet's probes and the operator. Only known paths, no bodies, bounded in size and time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qsl

_REQUEST_BYTES = 8192
_REQUEST_SECONDS = 5.0

# Path -> (is it so, what to say). Called for every probe.
Checks = Mapping[str, Callable[[], tuple[bool, dict[str, object]]]]
# Path -> what POST does with its query. Raises ValueError with what is wrong with that.
Requests = Mapping[str, Callable[[Mapping[str, str]], None]]


@asynccontextmanager
async def serving(host: str, port: int, checks: Checks, requests: Requests) -> AsyncIterator[int]:
    """Answer probes while the block runs, and requests by what GET of the same path says then.

    Gives the port, which is of use when 0 was asked for.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, checks, requests))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, host, port, limit=_REQUEST_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _response(head: bytes, checks: Checks, requests: Requests) -> bytes:
    method, _, rest = head.partition(b" ")
    path, _, query = rest.partition(b" ")[0].decode("ascii", "replace").partition("?")
    check, request = checks.get(path), requests.get(path)
    if method == b"POST" and request is not None:
        try:
            request(dict(parse_qsl(query)))
        except ValueError as error:
            return _message("400 Bad Request", {"error": str(error)})
    elif method != b"GET":
        check = None
    if check is None:
        return _message("404 Not Found", {"error": f"there are {', '.join(checks)}"})
    well, said = check()
    return _message("200 OK" if well else "503 Service Unavailable", said)


def _message(status: str, said: dict[str, object]) -> bytes:
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
