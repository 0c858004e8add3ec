"""The agent's life in a pod: fetch, wait for the server, prove it, watch it.

    FETCHING -> WAITING -> PROVING -> READY
                   ^________|__________|      when the server goes away: it may come back as another process

Ready means: the server serves exactly this version and answered the golden samples as recorded.
Trouble that stays ends the process with an Outcome in its termination message; the kubelet starts
it again after a back-off, and what is on the disk by then is not fetched again.
"""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from volary.adapters.exchange import Unreachable
from volary.adapters.oip import Readiness, Server
from volary.adapters.storage import Storage
from volary.agent import fetcher, golden, probes, termination
from volary.agent.fetcher import Fetched
from volary.agent.probes import Checks, Requests
from volary.agent.replay import Replay
from volary.agent.retry import Patience, Stopped
from volary.agent.source import Wanted
from volary.bundle import formats
from volary.bundle import golden as samples_of
from volary.bundle.golden import Sample
from volary.common import logs
from volary.common.names import GOLDEN_PATH

_log = logging.getLogger(__name__)
T = TypeVar("T")
_SILENCES = 3  # polls without an answer that are put up with: a busy server is not a dead one


class State(StrEnum):
    """Where the agent is."""

    FETCHING = "fetching"
    WAITING = "waiting for the server"
    PROVING = "replaying golden samples"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator tells the agent."""

    wanted: Wanted
    directory: Path
    model: str
    host: str
    port: int
    golden_timeout: float = 30.0  # seconds for one sample
    poll: float = 0.2  # seconds between two looks at a server that is starting
    watch: float = 1.0  # ... that is ready
    termination_log: Path = termination.PATH


class Sidecar:
    """One agent. `connect` is called in a thread, as it may be slow."""

    def __init__(
        self,
        settings: Settings,
        connect: Callable[[], Storage],
        server: Server,
        patience: Patience,
        *,
        prepare: Callable[[Fetched], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.state = State.FETCHING
        self.port = 0  # of the probes, once they are served
        self._connect = connect
        self._server = server
        self._patience = patience
        self._prepare = prepare  # what the server needs beside the bundle; done before it may start
        self._replay: Replay | None = None  # once there are samples

    async def run(self) -> int:
        """Live until SIGTERM (0) or trouble that stays (3 refused, 4 a neighbour failed)."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with probes.serving(self.settings.host, self.settings.port, self._checks(), self._requests()) as self.port:
            life = asyncio.ensure_future(self._live())
            ending = asyncio.ensure_future(stop.wait())
            await asyncio.wait((life, ending), return_when=asyncio.FIRST_COMPLETED)
            self._patience.stop.set()
            ending.cancel()
            if not life.done():
                life.cancel()
                with suppress(asyncio.CancelledError, Stopped):
                    await life
                _log.info("stopped", extra=logs.fields(state=self.state))
                return 0
        return termination.report(life.exception(), self.settings.termination_log)

    async def _live(self) -> None:
        fetched = await in_thread(self._fetch)
        samples = samples_in(fetched)
        self._enter(State.WAITING, path=str(fetched.path), digest=fetched.found.digest, downloaded=fetched.downloaded)
        self._replay = self._replays(fetched, samples)
        replaying = asyncio.ensure_future(self._replay.run())
        try:
            await self._serve(fetched, samples)
        finally:
            replaying.cancel()

    async def _serve(self, fetched: Fetched, samples: tuple[Sample, ...]) -> None:
        """Wait, prove, watch, again and again."""
        while True:
            await self._until_ready(fetched)
            self._enter(State.PROVING, samples=len(samples))
            try:
                await in_thread(lambda: self._prove(fetched, samples))
            except Unreachable:
                self._enter(State.WAITING)
                continue
            self._enter(State.READY)
            await self._while_ready(fetched)
            self._enter(State.WAITING)

    def _fetch(self) -> Fetched:
        settings = self.settings
        storage = self._connect()
        _log.info("fetching", extra=logs.fields(place=storage.place, version=settings.wanted.version, digest=settings.wanted.digest))
        fetched = fetcher.fetch(storage, settings.wanted, settings.directory, settings.model, patience=self._patience)
        self._prepare(fetched)
        return fetched

    def _prove(self, fetched: Fetched, samples: tuple[Sample, ...]) -> None:
        tolerance = fetched.manifest.golden
        if tolerance is None:
            return
        timeout = self.settings.golden_timeout
        golden.replay(
            self._server, self.settings.model, self._version(fetched), samples, tolerance, timeout=timeout, patience=self._patience
        )

    def _replays(self, fetched: Fetched, samples: tuple[Sample, ...]) -> Replay:
        """The samples as traffic, once somebody asks for it."""
        tolerance, settings = fetched.manifest.golden, self.settings

        async def ask(number: int) -> None:
            if tolerance is None:
                return
            sample, version, timeout = samples[number], self._version(fetched), settings.golden_timeout
            await in_thread(lambda: golden.ask(self._server, settings.model, version, number, sample, tolerance, timeout=timeout))

        return Replay(len(samples) if tolerance else 0, ask, lambda: self.state is State.READY, time.monotonic)

    async def _until_ready(self, fetched: Fetched) -> None:
        while await self._readiness(fetched) is not Readiness.READY:  # noqa: ASYNC110 -- only asking tells
            await asyncio.sleep(self.settings.poll)

    async def _while_ready(self, fetched: Fetched) -> None:
        silences = 0
        while silences < _SILENCES:
            await asyncio.sleep(self.settings.watch)
            match await self._readiness(fetched):
                case Readiness.READY:
                    silences = 0
                case Readiness.SILENT:
                    silences += 1
                case Readiness.NOT_READY | Readiness.GONE:
                    return

    async def _readiness(self, fetched: Fetched) -> Readiness:
        return await in_thread(lambda: self._server.readiness(self.settings.model, self._version(fetched)))

    def _version(self, fetched: Fetched) -> str:
        return formats.folder(fetched.manifest.format, fetched.manifest.version)

    def _enter(self, state: State, **fields: object) -> None:
        self.state = state
        _log.info(state.value, extra=logs.fields(**fields))

    def _checks(self) -> Checks:
        def said() -> dict[str, object]:
            return {"state": self.state, "version": self.settings.wanted.version}

        return {
            "/startup": lambda: (self.state is not State.FETCHING, said()),
            "/ready": lambda: (self.state is State.READY, said()),
            "/live": lambda: (True, said()),
            GOLDEN_PATH: lambda: (self._replay is not None, self._replay.said() if self._replay else said()),
        }

    def _requests(self) -> Requests:
        def replay(query: Mapping[str, str]) -> None:
            if self._replay is not None:
                self._replay.request(query)

        return {GOLDEN_PATH: replay}


def samples_in(fetched: Fetched) -> tuple[Sample, ...]:
    """The golden samples, from the verified file."""
    file = fetched.manifest.golden_file
    return () if file is None else samples_of.parse((fetched.path / file.path).read_bytes(), fetched.manifest)


async def in_thread(work: Callable[[], T]) -> T:
    """Do blocking work in a thread that does not keep the process alive (the loop's own executor does)."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type] # T may be None itself
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:  # noqa: BLE001 -- raised again where the future is awaited
            error = caught
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await future
