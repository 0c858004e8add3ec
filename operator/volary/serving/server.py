"""The process: open the port, load beside it, serve, and go without losing a request."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import uvicorn
import uvloop
from typing_extensions import override

from volary.bundle.manifest import Manifest
from volary.common.errors import Refused
from volary.common.outcome import Outcome
from volary.serving import cores, model, protocol
from volary.serving.app import App
from volary.serving.model import Model

LOAD_FAILED = 3  # exit code: the fault is the bundle's

_KEEP_ALIVE = 620  # seconds: longer than balancers keep idle connections (60 to 600), so that they close first
_IN_FLIGHT_LIMIT = 15  # seconds for the last answers
_QUIET = 0.5  # seconds without a request: clients have moved
_LINGER = 0.5  # seconds for requests on connections accepted just before the port was closed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve one bundle. Times in seconds, sizes in bytes."""

    bundle: Path
    model: str
    revision: str
    host: str
    port: int  # 0: any free one
    drain_delay: float
    body_limit: int
    threads: int | None  # of one inference; None: as many as the CPU limit allows
    termination_log: Path


def serve(settings: Settings) -> int:
    """Serve until SIGTERM. The exit code: 0, or LOAD_FAILED with an Outcome in the termination log."""
    try:
        manifest = model.read_manifest(settings.bundle)
    except Refused as error:
        return _give_up(settings, error)
    with socket.create_server((settings.host, settings.port), family=_family(settings.host), backlog=2048) as listener:
        workers = ThreadPoolExecutor(max(2, cores.available()), thread_name_prefix="inference")
        app = App(protocol.schema(settings.model, manifest), settings.revision, workers, settings.body_limit)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            error_or_none = runner.run(_Server(settings, manifest, app).serve_until_asked(listener))
    return 0 if error_or_none is None else _give_up(settings, error_or_none)


class _Server(uvicorn.Server):
    """uvicorn that loads the model beside the open port and drains before it stops."""

    def __init__(self, settings: Settings, manifest: Manifest, app: App) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=_IN_FLIGHT_LIMIT,
            )
        )
        self._settings = settings
        self._manifest = manifest
        self._app = app
        self._load_error: Refused | None = None
        self._drain: asyncio.Task[None] | None = None

    async def serve_until_asked(self, listener: socket.socket) -> Refused | None:
        """The reason the model could not be loaded, or None after a stop that was asked for."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._begin_drain, self._settings.drain_delay)
        loop.add_signal_handler(signal.SIGINT, self._begin_drain, 0.0)
        # A daemon: a stop must not wait for a model that nobody will use.
        threading.Thread(target=self._load, args=(loop,), name="load", daemon=True).start()
        _log.info("listening on %s:%d", *listener.getsockname()[:2])
        await self.serve(sockets=[listener])
        return self._load_error

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Ours, not uvicorn's: after a stop it would end the process by the signal instead of with 0."""
        yield

    def _load(self, loop: asyncio.AbstractEventLoop) -> None:
        settings = self._settings
        with contextlib.suppress(RuntimeError):  # the loop is closed: a stop was asked for meanwhile
            try:
                loaded = model.load(settings.bundle, self._manifest, settings.threads or cores.available())
            except Refused as error:
                loop.call_soon_threadsafe(self._load_failed, error)
            else:
                loop.call_soon_threadsafe(self._loaded, loaded)

    def _loaded(self, loaded: Model) -> None:
        self._app.became_ready(loaded)
        _log.info("serving %s %s as %s", self._manifest.name, self._manifest.version, self._settings.model)

    def _load_failed(self, error: Refused) -> None:
        self._load_error = error
        self.should_exit = True

    def _begin_drain(self, delay: float) -> None:
        if self._drain is None:
            _log.info("draining for %g s", delay)
            self._drain = asyncio.get_running_loop().create_task(self._leave(delay))

    async def _leave(self, delay: float) -> None:
        """Until the Service forgets the pod its requests are served; connections are closed as they are answered."""
        if self._app.ready:
            self._app.draining = True
            await asyncio.sleep(delay)
            await self._wait_until_quiet(longest=delay)
        for server in self.servers:
            server.close()
        await asyncio.sleep(_LINGER)
        self.should_exit = True

    async def _wait_until_quiet(self, longest: float) -> None:
        """Endpoints may be slow to go: while requests still come, stay, up to `longest` seconds more."""
        clock = asyncio.get_running_loop().time
        end = clock() + longest
        while clock() < end:
            before = self._app.arrived
            await asyncio.sleep(min(_QUIET, end - clock()))
            if self._app.arrived == before:
                return


def _give_up(settings: Settings, error: Refused) -> int:
    _log.error("%s: %s", error.reason, error.message)
    # The kubelet makes the file. Elsewhere, such as on a person's machine, there is none and none is wanted.
    if settings.termination_log.exists():
        settings.termination_log.write_text(Outcome(reason=error.reason, message=error.message).dump())
    return LOAD_FAILED


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
