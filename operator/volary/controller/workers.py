"""Takes keys from the queue and turns them over to the reconciler; what comes of it goes back to the queue."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from volary.adapters.cluster import Throttled
from volary.common.errors import VolaryError
from volary.common.logs import fields
from volary.controller.census import Census
from volary.controller.meters import Meters
from volary.controller.queue import Key, Queue
from volary.controller.reconcile import Turn
from volary.planning.model import Level

_LOG = logging.getLogger("volary")
_LEVELS = {Level.NORMAL: logging.INFO, Level.WARNING: logging.WARNING}


class Turns(Protocol):
    """The reconciler."""

    async def turn(self, key: Key) -> Turn:
        """One turn; raises Transient."""

    async def fault(self, key: Key, error: Exception) -> Turn:
        """Tells in the status that a turn broke on a fault of ours. Never raises."""


class Elected(Protocol):
    """Waits until this process may write."""

    async def elected(self) -> None:
        """Returns once it may."""


class Worker:
    """One of several."""

    def __init__(
        self, queue: Queue, turns: Turns, meters: Meters, census: Census, clock: Callable[[], datetime], leader: Elected | None
    ) -> None:
        self._queue = queue
        self._turns = turns
        self._meters = meters
        self._census = census
        self._clock = clock
        self._leader = leader

    async def run(self) -> None:
        """Until the queue is closed. A key that breaks is one key's trouble: the worker goes on."""
        while True:
            key = await self._queue.take()
            if key is None:
                return
            if self._leader is not None:
                await self._leader.elected()
            await self.work(key)

    async def work(self, key: Key) -> None:
        """One turn of one key."""
        began = time.monotonic()
        try:
            turn = await self._turns.turn(key)
        except VolaryError as error:
            turn = Turn(failure=error)
        except Exception as error:  # noqa: BLE001 -- a fault of ours with one object must not stop the others
            _LOG.error("fault", exc_info=error, extra=fields(namespace=key[0], name=key[1]))
            turn = await self._turns.fault(key, error)
        result = self._settle(key, turn)
        self._meters.turn(result, time.monotonic() - began)

    def _settle(self, key: Key, turn: Turn) -> str:
        for fact in turn.facts:
            self._meters.decision(fact.reason)
            extra = fields(namespace=key[0], name=key[1], reason=fact.reason.value, generation=turn.generation)
            _LOG.log(_LEVELS[fact.level], fact.message, extra=extra)
        if turn.preflight is not None:
            self._meters.preflight(turn.preflight)
        if turn.status is not None:
            self._census.record(key, turn.status)
        if turn.gone:
            self._census.forget(key)
            self._queue.gone(key)
            return "gone"
        if turn.failure is not None:
            delay = self._queue.failed(key, turn.failure.after if isinstance(turn.failure, Throttled) else 0.0)
            extra = fields(namespace=key[0], name=key[1], reason=turn.failure.reason.value, retry_in=round(delay, 1))
            _LOG.warning("turn failed: %s", turn.failure.message, extra=extra)
            return "failed"
        wake_in = None if turn.wake_at is None else (turn.wake_at - self._clock()).total_seconds()
        self._queue.done(key, wake_in)
        return "ok"
