"""A tiny HTTP server for the kubelet's probes. Only GET, only known paths, bounded in size and time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

_REQUEST_BYTES = 8192
_REQUEST_SECONDS = 5.0

# Path -> (is it so, what to say). Called for every probe.
Checks = Mapping[str, Callable[[], tuple[bool, dict[str, object]]]]


@asynccontextmanager
async def serving(host: str, port: int, checks: Checks) -> AsyncIterator[int]:
    """Answer probes while the block runs; gives the port, which is of use when 0 was asked for."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, checks))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, host, port, limit=_REQUEST_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _response(head: bytes, checks: Checks) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0].decode("ascii", "replace")
    check = checks.get(path)
    if method != b"GET" or check is None:
        return _message("404 Not Found", {"error": f"there are {', '.join(checks)}"})
    well, said = check()
    return _message("200 OK" if well else "503 Service Unavailable", said)


def _message(status: str, said: dict[str, object]) -> bytes:
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
