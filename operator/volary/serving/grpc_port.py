"""The port of gRPC: open, left by its clients, closed."""

import asyncio
import logging
import socket

from volary.serving.app import App
from volary.serving.grpc_calls import Service
from volary.serving.http2 import Connection

_LOOK = 0.02  # seconds

_log = logging.getLogger(__name__)


class Port:
    """Belongs to the event loop's thread."""

    def __init__(self, app: App, body_limit: int) -> None:
        self._service = Service(app, body_limit)
        self._server: asyncio.Server | None = None

    async def open(self, listener: socket.socket) -> None:
        """Take connections."""
        self._server = await asyncio.get_running_loop().create_server(lambda: Connection(self._service), sock=listener)
        _log.info("gRPC on %s:%d", *listener.getsockname()[:2])

    def leave(self) -> None:
        """Clients are told to find another server. Whoever still comes is served."""
        for connection in list(self._service.connections):
            connection.leave()

    def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def finish(self, longest: float) -> None:
        """Return once all requests are answered, at most so many seconds later."""
        clock = asyncio.get_running_loop().time
        end = clock() + longest
        while any(connection.busy for connection in self._service.connections) and clock() < end:  # noqa: ASYNC110 -- once, at the end
            await asyncio.sleep(_LOOK)
