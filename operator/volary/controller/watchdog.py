"""Second lines behind the watches: everything is looked at again now and then, and a deaf watch is found out.

What a list shows and a watch did not report is queued at once. If the watch does not catch up, all
watches are started anew; if that does not help either, the process gives itself up.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from volary.adapters.cluster import MODEL_DEPLOYMENTS, Body, Cluster, Kind
from volary.common.errors import VolaryError
from volary.common.logs import fields
from volary.common.names import MODEL_LABEL
from volary.common.reasons import Reason
from volary.common.settings import Settings
from volary.controller.pulse import GRACE, Pulse
from volary.controller.queue import Key
from volary.controller.survey import Survey
from volary.controller.watches import WATCHED, Sight

TICK = GRACE / 2
STRIKES = 3  # restarts in a row that did not help
_LOG = logging.getLogger("volary.watchdog")


class Deaf(VolaryError):
    """Watches stay deaf though they were started anew."""


class Watchdog:
    """Hears every event, and looks for itself when it hears nothing."""

    def __init__(
        self,
        cluster: Cluster,
        survey: Survey,
        settings: Settings,
        add: Callable[[Key], None],
        restart: Callable[[Kind], None],
        clock: Callable[[], float],
        roll: Callable[[Iterable[Key]], None] = lambda _: None,
    ) -> None:
        self._cluster = cluster
        self._survey = survey
        self._settings = settings
        self._add = add
        self._restart = restart
        self._clock = clock
        self._roll = roll  # is told all ModelDeployments there are
        now = clock()
        self._pulses = {kind: Pulse(kind, heard_at=now, proved_at=now) for kind in WATCHED}
        self._checked = dict.fromkeys(WATCHED, now)
        self._relisted = float("-inf")
        self._strikes = dict.fromkeys(WATCHED, 0)
        self.ticked = now

    def hear(self, seen: Sight) -> None:
        """An event: remembered, and its key queued, unless the survey showed as much: watches begin with all there is."""
        self._pulses[seen.kind].hear(seen.namespace, seen.name, seen.version, self._clock(), deleted=seen.deleted)
        news = self._survey.news(seen.kind, seen.namespace, seen.name, "" if seen.deleted else seen.version, seen.key)
        if seen.key is not None and news:
            self._add(seen.key)

    def begin(self) -> None:
        """The watches start (anew). They are compared as soon as they can have listed everything."""
        soon = self._clock() - max(0.0, self._settings.silence - GRACE)
        for kind in WATCHED:
            self._pulses[kind].restart(soon)
            self._checked[kind] = soon

    @property
    def silence(self) -> dict[str, float]:
        """Seconds since the last event of each watch, by kind."""
        now = self._clock()
        return {kind.plural: now - pulse.heard_at for kind, pulse in self._pulses.items()}

    @property
    def unproven(self) -> dict[str, float]:
        """Seconds since each watch was last proved alive, by kind."""
        now = self._clock()
        return {kind.plural: now - pulse.proved_at for kind, pulse in self._pulses.items()}

    async def run(self) -> None:
        """For ever. Raises Deaf."""
        while True:
            try:
                await self.tick()
            except Deaf:
                raise
            except VolaryError as error:
                _LOG.warning("could not list", extra=fields(error=str(error)))
            self.ticked = self._clock()
            await asyncio.sleep(min(TICK, self._settings.relist, self._settings.silence))

    async def tick(self) -> None:
        """What is due now."""
        if self._clock() - self._relisted >= self._settings.relist:
            await self.relist()
        for kind in WATCHED:
            pulse = self._pulses[kind]
            heard = max(pulse.heard_at, self._checked[kind])
            if pulse.suspicious or self._clock() - heard >= self._settings.silence:
                await self._check(kind, pulse)

    async def relist(self) -> int:
        """Queues every ModelDeployment; gives their number."""
        found = await self._survey.take()
        self._roll(found)
        for key in found:
            self._add(key)
        self._relisted = self._clock()
        return len(found)

    def relist_soon(self) -> None:
        """The next round lists everything, unless that was just done."""
        if self._clock() - self._relisted > TICK:
            self._relisted = float("-inf")

    async def _check(self, kind: Kind, pulse: Pulse) -> None:
        listed = await self._list(kind)
        self._checked[kind] = now = self._clock()
        different = set(pulse.compare(listed, now))
        self._queue(kind, (body for body in listed if (body["metadata"]["namespace"], body["metadata"]["name"]) in different))
        deaf = pulse.deaf(now)
        if not different:
            self._strikes[kind] = 0
        if deaf:
            self._strike(kind, len(deaf))

    def _strike(self, kind: Kind, missed: int) -> None:
        """All watches start anew."""
        self._strikes[kind] += 1
        _LOG.error("watch is deaf", extra=fields(kind=kind.plural, missed=missed, strikes=self._strikes[kind]))
        if self._strikes[kind] > STRIKES:
            raise Deaf(Reason.INTERNAL_ERROR, f"the watch of {kind.plural} stays deaf")
        self.begin()
        self._restart(kind)

    async def _list(self, kind: Kind) -> list[Body]:
        labels = None if kind is MODEL_DEPLOYMENTS else {MODEL_LABEL: None}
        found: list[Body] = []
        for namespace in self._settings.namespaces or (None,):
            found += await self._cluster.list(kind, namespace, labels, metadata_only=True)
        return found

    def _queue(self, kind: Kind, bodies: Iterable[Body]) -> None:
        for body in bodies:
            metadata = body["metadata"]
            name = metadata["name"] if kind is MODEL_DEPLOYMENTS else metadata["labels"][MODEL_LABEL]
            self._add((metadata["namespace"], name))
