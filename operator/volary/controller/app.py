"""The operator: the one place that knows all parts, starts them in order and ends them in order.

Start: wait for the API and the CRD, list everything, then watch. End (SIGTERM, SIGINT): no new
work, let the running turns finish, let go of the Lease, in less than five seconds.
"""

import asyncio
import logging
import random
import secrets
import signal
import socket
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from volary.adapters import agents, golden
from volary.adapters.cluster import Cluster, Kind
from volary.adapters.kubeconfig import Connection, connect
from volary.adapters.lease import ClusterLease
from volary.adapters.notify import HttpPost
from volary.adapters.prometheus import HttpPrometheus
from volary.adapters.scrape import HttpScraper
from volary.common.errors import VolaryError
from volary.common.logs import fields
from volary.common.settings import Settings
from volary.controller import health
from volary.controller.census import Census
from volary.controller.events import Events
from volary.controller.leader import Fenced, Leader
from volary.controller.meters import Meters, Readings
from volary.controller.notices import Notices
from volary.controller.observe import SURVEYED, Observer, Outsiders
from volary.controller.queue import Queue
from volary.controller.reconcile import Reconciler
from volary.controller.survey import Survey
from volary.controller.watchdog import Watchdog
from volary.controller.watches import Backoffs, Sight, Watches
from volary.controller.workers import Worker

DRAIN = 3.0  # seconds the running turns have at the end
START_BACKOFF = 5.0  # seconds between two looks for the API server and the CRD, at most
STUCK = 120.0  # seconds without a tick of the watchdog after which the process is not alive
_LOG = logging.getLogger("volary")


def boot_clock() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_clock() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


async def main(settings: Settings) -> int:
    """Runs the operator until it is told to stop. Exit code 0, or 1 after a failure that a restart may mend."""
    connection = await connect()
    async with AsyncExitStack() as stack:
        app = await App.assemble(settings, connection, stack)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, app.stop)
        return await app.run()


class App:
    """All parts, put together."""

    def __init__(self, settings: Settings, connection: Connection, session: aiohttp.ClientSession, meters: Meters) -> None:
        self.settings = settings
        self.meters = meters
        self.identity = settings.identity or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._stopping = asyncio.Event()
        self._started = False
        self.cluster = connection.cluster(meters.request)
        self.queue = Queue(time.monotonic, random.random)
        self.leader = self._elect(connection) if settings.leader_election else None
        writer: Cluster = Fenced(self.cluster, self.leader) if self.leader else self.cluster
        survey = Survey(self.cluster, SURVEYED, settings.namespaces, time.monotonic)
        self.census = Census(self._leads)
        self.watchdog = Watchdog(self.cluster, survey, settings, self.queue.add, self._watch_anew, time.monotonic, self.census.retain)
        self.watches = Watches(connection, settings.namespaces, self._see, self.watchdog.begin)
        outsiders = Outsiders(HttpPrometheus(session, settings.prometheus), golden.HttpAgents(session))
        observer = Observer(writer, HttpScraper(session), settings, agents.HttpAgents(session), outsiders, survey)
        self.notices = Notices(Path(settings.notify), HttpPost(session), wall_clock, random.random) if settings.notify else None
        reconciler = Reconciler(writer, observer, Events(writer, wall_clock, self.identity), wall_clock, self.notices)
        self.workers = [Worker(self.queue, reconciler, meters, self.census, wall_clock, self.leader) for _ in range(settings.workers)]

    @classmethod
    async def assemble(cls, settings: Settings, connection: Connection, stack: AsyncExitStack) -> "App":
        """Opens what must be closed again on `stack`."""
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        app = cls(settings, connection, session, Meters())
        stack.push_async_callback(app.cluster.close)
        app._measure()
        await stack.enter_async_context(health.serving(settings.address, app.meters, alive=app.alive, ready=app.ready))
        return app

    def stop(self) -> None:
        """Ends `run`."""
        self._stopping.set()

    def alive(self) -> bool:
        """Whether the loop turns and the watchdog does its rounds."""
        return time.monotonic() - self.watchdog.ticked < STUCK + self.settings.silence

    def ready(self) -> bool:
        """Whether everything was listed once. One that waits for the Lease is ready to take over."""
        return self._started

    async def run(self) -> int:
        """Until `stop`, or until a part fails that must not."""
        _LOG.info("operator starts", extra=fields(identity=self.identity, namespaces=list(self.settings.namespaces) or None))
        stopping = asyncio.create_task(self._stopped())
        parts = [asyncio.create_task(part) for part in self._parts()]
        workers = [asyncio.create_task(worker.run()) for worker in self.workers]
        try:
            done, _ = await asyncio.wait({stopping, *parts, *workers}, return_when=asyncio.FIRST_COMPLETED)
            return self._verdict(done - {stopping})
        finally:
            await self._end(workers)
            await _cancel([stopping, *parts, *workers])
            _LOG.info("operator ends", extra=fields(identity=self.identity))

    async def _stopped(self) -> None:
        await self._stopping.wait()

    def _parts(self) -> list[Coroutine[None, None, None]]:
        told = [self.notices.run()] if self.notices else []
        return [self._watch(), *told, *([self.leader.run(self._term)] if self.leader else [])]

    async def _watch(self) -> None:
        """Lists before it watches: kopf looks only once for the kinds there are."""
        delays = iter(Backoffs())
        while not self._started:
            try:
                number = await self.watchdog.relist()
            except VolaryError as error:
                _LOG.warning("waiting for the API server and the CRD", extra=fields(error=str(error)))
                await asyncio.sleep(min(START_BACKOFF, next(delays)))
            else:
                _LOG.info("watching", extra=fields(objects=number))
                self._started = True
            self.watchdog.ticked = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watches.run())
            group.create_task(self.watchdog.run())

    def _see(self, seen: Sight) -> None:
        self.meters.event(seen.kind.plural)
        self.watchdog.hear(seen)

    def _watch_anew(self, deaf: Kind) -> None:
        self.meters.deaf(deaf.plural)
        self.watches.restart()

    def _term(self) -> None:
        """A new term: much may have happened since this process last wrote."""
        self.watchdog.relist_soon()
        if self.notices is not None:
            self.notices.begin()

    def _verdict(self, failed: set[asyncio.Task[None]]) -> int:
        for task in failed:
            _LOG.error("operator gives up", exc_info=task.exception() if not task.cancelled() else None)
        return 1 if failed else 0

    async def _end(self, workers: list[asyncio.Task[None]]) -> None:
        self.queue.close()
        if self.leader is None or self.leader.holds:
            await asyncio.wait(workers, timeout=DRAIN)
        if self.leader is not None:
            await self.leader.release()

    def _elect(self, connection: Connection) -> Leader:
        namespace = self.settings.lease_namespace or connection.namespace
        return Leader(ClusterLease(self.cluster, namespace, self.settings.lease_name), self.identity, boot_clock, wall_clock)

    def _leads(self) -> bool:
        return self.leader is None or self.leader.holds

    def _measure(self) -> None:
        self.meters.read(
            Readings(
                depth=lambda: self.queue.depth,
                age=lambda: self.queue.age,
                sessions=lambda: self.watches.sessions,
                silence=lambda: self.watchdog.silence,
                unproven=lambda: self.watchdog.unproven,
                leads=self._leads,
            )
        )
        self.meters.add(self.census)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
