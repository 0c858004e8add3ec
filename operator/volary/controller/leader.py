"""Who of several operators writes: the holder of the Lease, as long as it surely holds it.

Time is counted on a clock that goes on while the process or the machine stands still, and from
*before* a renewal is sent, so the holder gives up before anybody else can take over. `Fenced` asks
before each write: a process that was frozen in the middle of a plan writes nothing when it wakes up.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from volary.adapters.cluster import Body, Cluster, Conflict, Kind
from volary.adapters.lease import Leases, Record, taken
from volary.common.errors import Transient, VolaryError
from volary.common.logs import fields
from volary.common.names import FIELD_MANAGER, PERSON
from volary.common.reasons import Reason

DURATION = 12  # seconds a Lease is held without being renewed
RENEW = 4.0  # seconds between two renewals
LOOK = 1.0  # seconds between two looks of those who wait: the next one takes over within DURATION + 2 LOOK of a death, 14 s
RETRY = 1.0  # seconds after one that failed
_LOG = logging.getLogger("volary.leader")


class NotLeader(Transient):
    """The Lease is not (or no longer) held: nothing may be written."""

    def __init__(self) -> None:
        super().__init__(Reason.API_UNAVAILABLE, "this operator does not hold the lease")


class Leader:
    """One candidate for one Lease."""

    def __init__(self, leases: Leases, identity: str, clock: Callable[[], float], wall: Callable[[], datetime]) -> None:
        self._leases = leases
        self._identity = identity
        self._clock = clock
        self._wall = wall
        self._until = float("-inf")
        self._known = Record()
        self._known_since = float("-inf")
        self._elected = asyncio.Event()
        self._leading = False  # as far as the log was told

    @property
    def remaining(self) -> float:
        """Seconds for which this process surely is the only one that writes; 0 if it is not."""
        return max(0.0, self._until - self._clock())

    @property
    def holds(self) -> bool:
        """Whether this process may write."""
        return self.remaining > 0

    async def elected(self) -> None:
        """Waits until this process may write."""
        while not self.holds:
            self._elected.clear()
            await self._elected.wait()

    async def run(self, on_elected: Callable[[], None]) -> None:
        """Reaches for the Lease and keeps it, for ever. `on_elected` is called at the start of each term."""
        while True:
            try:
                if await self.step():
                    on_elected()
                pause = RENEW if self.holds else LOOK
            except VolaryError as error:
                _LOG.warning("lease not renewed", extra=fields(error=str(error), remaining=round(self.remaining, 1)))
                pause = RETRY
            await asyncio.sleep(pause)

    async def step(self) -> bool:
        """One renewal, or one look at whether the Lease is free. Whether a new term began."""
        held = self.holds
        if not held:
            self._lose()
            await self._look()
            if not self._free():
                return False
        sent = self._clock()
        try:
            written = await self._leases.write(taken(self._known, self._identity, DURATION), self._wall())
        except Conflict:
            self._known = Record()
            self._until = float("-inf")
            self._lose()
            return False
        self._known, self._known_since = written, sent
        self._until = sent + DURATION
        self._elected.set()
        self._leading = True
        if not held:
            _LOG.info("lease acquired", extra=fields(identity=self._identity, term=written.transitions))
        return not held

    async def release(self) -> None:
        """Lets go, so that the next one need not wait. Never raises."""
        if not self.holds:
            return
        self._until, self._leading = float("-inf"), False
        try:
            await self._leases.write(replace(self._known, holder="", duration=1), self._wall())
        except VolaryError as error:
            _LOG.warning("lease not released", extra=fields(error=str(error)))

    def _lose(self) -> None:
        if self._leading:
            _LOG.warning("lease lost", extra=fields(identity=self._identity))
        self._leading = False

    async def _look(self) -> None:
        record = await self._leases.read()
        if record != self._known:
            self._known, self._known_since = record, self._clock()

    def _free(self) -> bool:
        """Nobody's, or not renewed for its whole duration as seen on our own clock: other machines' clocks are not trusted."""
        record = self._known
        if not record.holder or record.holder == self._identity:
            return True
        return self._clock() - self._known_since >= max(record.duration, 1)


class Fenced:
    """A `Cluster` that writes only while the Lease is held. Reading is free."""

    def __init__(self, cluster: Cluster, leader: Leader) -> None:
        self._cluster = cluster
        self._leader = leader

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """As the cluster's."""
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str | None] | None = None, *, metadata_only: bool = False
    ) -> list[Body]:
        """As the cluster's."""
        return await self._cluster.list(kind, namespace, labels, metadata_only=metadata_only)

    async def schema(self, kind: Kind) -> Body | None:
        """As the cluster's."""
        return await self._cluster.schema(kind)

    async def apply(self, body: Body, *, manager: str = FIELD_MANAGER) -> Body:
        """Fenced."""
        async with self._term():
            return await self._cluster.apply(body, manager=manager)

    async def apply_status(self, body: Body) -> Body:
        """Fenced."""
        async with self._term():
            return await self._cluster.apply_status(body)

    async def create(self, body: Body) -> Body:
        """Fenced."""
        async with self._term():
            return await self._cluster.create(body)

    async def replace(self, body: Body) -> Body:
        """Fenced."""
        async with self._term():
            return await self._cluster.replace(body)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = PERSON) -> Body:
        """Fenced."""
        async with self._term():
            return await self._cluster.patch(kind, namespace, name, patch, manager=manager)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Fenced."""
        async with self._term():
            await self._cluster.delete(kind, namespace, name, uid)

    @asynccontextmanager
    async def _term(self) -> AsyncIterator[None]:
        """Raises NotLeader if the Lease is not held, or runs out before the answer comes."""
        if not self._leader.holds:
            raise NotLeader
        limit = asyncio.timeout(self._leader.remaining)
        try:
            async with limit:
                yield
        except TimeoutError as late:
            if limit.expired():
                raise NotLeader from late
            raise
