"""kopf's watch streams, reduced to one thing: something happened to this object.

kopf runs in a thread and a loop of its own. It takes over the loop it runs in (signal handlers,
and it cancels every task it finds there when it ends), and it does end: on a watch error other than
410, on a broken line. Here its end is an ordinary event: `Watches.run` starts it anew, which lists
everything again. Handlers put what they see into the main loop and decide nothing.
"""

import asyncio
import logging
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import kopf
from kopf._cogs.structs.credentials import Vault  # kopf takes one and does not export it

from volary.adapters.cluster import CONFIG_MAPS, CONTROLLER_REVISIONS, DEPLOYMENTS, JOBS, MODEL_DEPLOYMENTS, PODS, SERVICES, Kind
from volary.adapters.kubeconfig import Connection
from volary.common.logs import fields
from volary.common.names import MODEL_LABEL
from volary.controller import light
from volary.controller.queue import Key

WATCHED = (MODEL_DEPLOYMENTS, DEPLOYMENTS, PODS, JOBS, SERVICES, CONTROLLER_REVISIONS, CONFIG_MAPS)
SERVER_TIMEOUT = 300  # seconds after which the API server ends a watch, to be opened again
CONNECT_TIMEOUT = 10
REQUEST_TIMEOUT = 30
LAST_BACKOFF = 30.0
GOODBYE = 0.25  # seconds in which TLS connections of a loop that ends are closed: aiohttp's own advice
STOP_TIMEOUT = 2.0  # seconds a session has to end
LINGER = 0.1  # seconds kopf's worker of one object waits for its next event: 5 s by default, and 500 models have 3,500 workers
_LOG = logging.getLogger("volary.watches")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One event: which object, and whose it is."""

    kind: Kind
    namespace: str
    name: str
    version: str
    deleted: bool
    key: Key | None  # of the ModelDeployment; None: a label was removed


class Backoffs:
    """1, 2, 4 ... 30 s with jitter, without end: kopf's own list ends after 54 s, and with it the watch."""

    def __iter__(self) -> Iterator[float]:
        """A fresh series."""
        delay = 1.0
        while True:
            yield delay * (0.75 + random.random() / 2)  # noqa: S311 -- jitter
            delay = min(LAST_BACKOFF, delay * 2)


def sight(kind: Kind, body: Any, deleted: bool) -> Sight:  # noqa: FBT001 -- what an event is
    """What an event's object tells."""
    metadata = body["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    owner = name if kind is MODEL_DEPLOYMENTS else (metadata.get("labels") or {}).get(MODEL_LABEL)
    version = str(metadata.get("resourceVersion", ""))
    return Sight(kind=kind, namespace=namespace, name=name, version=version, deleted=deleted, key=(namespace, owner) if owner else None)


def settings() -> kopf.OperatorSettings:
    """Kopf as a plain source of events: writes nothing, needs no peer, asks only for what carries our label."""
    made = kopf.OperatorSettings()
    made.peering.standalone = True
    made.posting.enabled = False
    made.scanning.disabled = True
    made.networking.error_backoffs = Backoffs()
    made.networking.connect_timeout = CONNECT_TIMEOUT
    made.networking.request_timeout = REQUEST_TIMEOUT
    made.watching.server_timeout = SERVER_TIMEOUT
    made.watching.connect_timeout = CONNECT_TIMEOUT
    made.process.ultimate_exiting_timeout = None
    made.queueing.exit_timeout = STOP_TIMEOUT / 2
    made.queueing.idle_timeout = LINGER
    for kind in WATCHED:
        if kind is not MODEL_DEPLOYMENTS:
            made.watching.label_selectors[kind.group, kind.version, kind.plural] = MODEL_LABEL
    return made


def registry(connection: Connection, deliver: Callable[[Sight], None]) -> kopf.OperatorRegistry:
    """The handlers: one for each kind, and the login."""
    made = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.AiohttpSession:
        return light.session(await _credentials(connection))

    kopf.on.login(registry=made)(login)
    for kind in WATCHED:
        _subscribe(made, kind, deliver)
    return made


def _subscribe(made: kopf.OperatorRegistry, kind: Kind, deliver: Callable[[Sight], None]) -> None:
    async def see(event: Any, **_: Any) -> None:
        deliver(sight(kind, event["object"], event["type"] == "DELETED"))

    kopf.on.event(kind.group, kind.version, kind.plural, registry=made)(see)


async def _credentials(connection: Connection) -> kopf.ConnectionInfo:
    """Asked for at the start and after each 401, so a rotated token is read again."""
    configuration = connection.configuration
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        token=await connection.token(),
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )


class Watches:
    """Keeps one kopf session running."""

    def __init__(
        self, connection: Connection, namespaces: tuple[str, ...], deliver: Callable[[Sight], None], begin: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._namespaces = namespaces
        self._deliver = deliver
        self._begin = begin  # called when a session starts: what was heard before is void
        self._restart = asyncio.Event()
        self.sessions = 0

    def restart(self) -> None:
        """Give the present session up."""
        self._restart.set()

    async def run(self) -> None:
        """Sessions, one after the other, for ever."""
        backoffs = iter(Backoffs())
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._restart.clear()
            await self._session()
            if loop.time() - began > SERVER_TIMEOUT:
                backoffs = iter(Backoffs())
            await asyncio.sleep(next(backoffs))

    async def _session(self) -> None:
        """Until kopf ends by itself, a restart is asked for, or this task is cancelled."""
        self.sessions += 1
        self._begin()
        async with _running(self._operator()) as ended:
            asked = asyncio.create_task(self._restart.wait())
            try:
                await asyncio.wait([asked, ended], return_when=asyncio.FIRST_COMPLETED)
            finally:
                asked.cancel()
            why = ended.result() if ended.done() else "restart asked for"
            _LOG.warning("watches end and start again", extra=fields(session=self.sessions, error=why))

    def _operator(self) -> "_Operator":
        loop, session = asyncio.get_running_loop(), self.sessions

        def deliver(seen: Sight) -> None:
            if session == self.sessions:  # a session that was given up has nothing more to say
                self._deliver(seen)

        def across(seen: Sight) -> None:
            loop.call_soon_threadsafe(deliver, seen)

        return _Operator(registry(self._connection, across), self._namespaces)


class _Operator:
    """kopf in a thread."""

    def __init__(self, made: kopf.OperatorRegistry, namespaces: tuple[str, ...]) -> None:
        self._registry = made
        self._namespaces = namespaces
        self._stop = threading.Event()

    def run(self) -> None:
        """Blocks until the first of kopf's tasks ends; the end of the loop ends the others, at once.

        `kopf.operator` would first wait for those that hang: five seconds without watches.
        """
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # signals are ours: not worth a warning
        asyncio.run(self._tasks())

    async def _tasks(self) -> None:
        vault = Vault()
        try:
            tasks = await kopf.spawn_tasks(
                registry=self._registry,
                settings=settings(),
                vault=vault,
                stop_flag=self._stop,
                namespaces=self._namespaces,
                clusterwide=not self._namespaces,
            )
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.stop()  # kopf waits for the flag in a thread, and the loop waits for its threads
            await _end_others()
            await vault.close()  # the connections: kopf's last task closes them, unless it was cancelled on its way
            await asyncio.sleep(GOODBYE)

    def stop(self) -> None:
        """Asks it to end."""
        self._stop.set()


async def _end_others() -> None:
    """Cancels all other tasks of this loop until they have ended: kopf's streams may swallow one cancellation and go on.

    Not at once again: the last of kopf's tasks closes the connections once the others have ended.
    """
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=STOP_TIMEOUT / 2)


@asynccontextmanager
async def _running(operator: _Operator) -> AsyncIterator["asyncio.Future[Any]"]:
    """Runs it in a thread; the future gets the error it ended with. A thread that does not end is left behind."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()

    def finish(error: str) -> None:
        if not ended.done():
            ended.set_result(error)

    def work() -> None:
        error = "kopf ended without an error"
        try:
            operator.run()
        except BaseException as failure:  # noqa: BLE001 -- whatever ends it is reported
            error = repr(failure)
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=work, name="kopf", daemon=True).start()
    try:
        yield ended
    finally:
        operator.stop()
        await asyncio.wait({ended}, timeout=STOP_TIMEOUT)
