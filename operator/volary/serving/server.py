"""The process: open the port, load beside it, serve, and go without losing a request."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import uvicorn
import uvloop
from typing_extensions import override

from volary.common.errors import Refused
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.serving import cores
from volary.serving.app import App
from volary.serving.control import Control
from volary.serving.grpc_port import Port
from volary.serving.shelf import Shelf
from volary.serving.source import Several, Single
from volary.serving.tuning import TUNING, Tuning
from volary.serving.wire import Wire

LOAD_FAILED = 3  # exit code: the fault is the bundle's

_KEEP_ALIVE = 620  # seconds: longer than balancers keep idle connections (60 to 600), so that they close first
_IN_FLIGHT_LIMIT = 15  # seconds for the last answers
_QUIET = 0.5  # seconds without a request: clients have moved
_LOOK = 0.02  # seconds
_LINGER = 0.5  # seconds for requests on connections accepted just before the port was closed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve one bundle, or, with `control` instead of `bundle`, those that are asked for there. Times in seconds, sizes in bytes."""

    model: str
    bundle: Path | None
    control: tuple[str, int] | None  # host and port; never to be reached from outside the pod
    revision: str
    host: str
    port: int  # 0: any free one
    grpc: tuple[str, int] | None  # host and port; None: HTTP alone
    grpc_wanted: bool  # else a port that is taken is no fault
    drain_delay: float
    body_limit: int
    threads: int | None  # of one inference; None: as many as the CPU limit allows
    termination_log: Path
    # Told the ports of HTTP and gRPC once requests are answered.
    announce: Callable[[tuple[str, int], tuple[str, int] | None], None] | None = None
    tuning: Tuning = TUNING


def serve(settings: Settings) -> int:
    """Serve until SIGTERM. The exit code: 0, or LOAD_FAILED with an Outcome in the termination log. Raises Refused (OptionInvalid)."""
    app = App(settings.model, settings.body_limit)
    app.timeout = settings.tuning.timeout
    workers = ThreadPoolExecutor(max(2, cores.available()), thread_name_prefix="inference")
    threads = settings.threads or cores.available()
    try:
        source = (
            Several(Shelf(app, settings.model, workers, threads, settings.tuning))
            if settings.bundle is None
            else Single(app, settings.model, settings.bundle, settings.revision, workers, threads, settings.tuning)
        )
    except Refused as error:
        return _give_up(settings, error)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listen("--listen", settings.host, settings.port))
        grpc = _listen_for_grpc(settings, stack)
        others = [] if settings.control is None else [stack.enter_context(_listen("--control", *settings.control))]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            error_or_none = runner.run(_Server(settings, app, source).serve_until_asked(listener, others, grpc))
    code = 0 if error_or_none is None else _give_up(settings, error_or_none)
    if source.loading:
        # Python's own end would take the interpreter from under the thread that loads, and abort.
        logging.shutdown()
        os._exit(code)
    return code


def _listen(option: str, host: str, port: int) -> socket.socket:
    """Raises Refused (OptionInvalid)."""
    try:
        return socket.create_server((host, port), family=_family(host), backlog=2048)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "another process has that port" if taken else error.strerror or str(error)
        raise Refused(
            Reason.OPTION_INVALID, f"{option}: cannot listen on {host}:{port}: {why}; choose another with {option} HOST:PORT"
        ) from error


def _listen_for_grpc(settings: Settings, stack: contextlib.ExitStack) -> socket.socket | None:
    if settings.grpc is None:
        return None
    try:
        return stack.enter_context(_listen("--grpc-listen", *settings.grpc))
    except Refused as error:
        if settings.grpc_wanted:
            raise
        _log.warning("no gRPC: %s", error.message)
        return None


class _Quiet(uvicorn.Server):
    """uvicorn without signal handlers of its own: after a stop it would end the process by the signal instead of with 0."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Ours are enough."""
        yield


class _Server(_Quiet):
    """uvicorn that loads beside the open port and drains before it stops."""

    def __init__(self, settings: Settings, app: App, source: Single | Several) -> None:
        super().__init__(_config(app))
        self._settings = settings
        self._source = source
        self._app = app
        self._grpc = Port(app, settings.body_limit)
        self._load_error: Refused | None = None
        self._drain: asyncio.Task[None] | None = None
        self._others: list[asyncio.Task[None]] = []  # a task that nobody holds may be collected

    async def serve_until_asked(
        self, listener: socket.socket, others: Sequence[socket.socket], grpc: socket.socket | None
    ) -> Refused | None:
        """The reason the model could not be loaded, or None after a stop that was asked for."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._begin_drain, self._settings.drain_delay)
        loop.add_signal_handler(signal.SIGINT, self._begin_drain, 0.0)
        self._source.start(self._load_failed)
        if isinstance(self._source, Several):
            control = _Quiet(_config(Control(self._source.shelf)))
            self._others = [loop.create_task(control.serve(sockets=[each])) for each in others]
            _log.info("taking orders on %s", ", ".join(f"{host}:{port}" for host, port, *_ in (each.getsockname() for each in others)))
        if grpc is not None:
            await self._grpc.open(grpc)
        _log.info("listening on %s:%d", *listener.getsockname()[:2])
        if self._settings.announce is not None:
            self._others.append(loop.create_task(self._announce(self._settings.announce, listener, grpc)))
        await self.serve(sockets=[listener])
        await self._grpc.finish(_IN_FLIGHT_LIMIT)
        return self._load_error

    async def _announce(
        self,
        announce: Callable[[tuple[str, int], tuple[str, int] | None], None],
        listener: socket.socket,
        grpc: socket.socket | None,
    ) -> None:
        while not self._app.ready:  # noqa: ASYNC110 -- once, on a person's machine
            await asyncio.sleep(_LOOK)
        announce(listener.getsockname()[:2], None if grpc is None else grpc.getsockname()[:2])

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
            self._grpc.leave()
            await asyncio.sleep(delay)
            await self._wait_until_quiet(longest=delay)
        for server in self.servers:
            server.close()
        self._grpc.close()
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


def _config(app: App | Control) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        http=Wire,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_IN_FLIGHT_LIMIT,
    )


def _give_up(settings: Settings, error: Refused) -> int:
    _log.error("%s: %s", error.reason, error.message)
    # The kubelet makes the file. Elsewhere, such as on a person's machine, there is none and none is wanted.
    if settings.termination_log.exists():
        settings.termination_log.write_text(Outcome(reason=error.reason, message=error.message).dump())
    return LOAD_FAILED


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
