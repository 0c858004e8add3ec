"""The keyed work queue: which ModelDeployment is looked at next, and when.

A key is in the queue at most once and is worked on by at most one worker; what arrives meanwhile
makes it come once more. First come, first served, so a busy key cannot starve the others. A key
that fails comes back after 1, 2, 4 ... 300 s with jitter, and an event does not make it come
faster than once a second: its own failing writes must not drive it round.

`Schedule` is the pure part: time is an argument, chance is injected. `Queue` waits for it.
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

Key = tuple[str, str]  # namespace, name

PACE = 0.2  # seconds between two turns of a key: a burst of events is one look
FAILING_PACE = 1.0  # the same while it fails
WAKE_PACE = 0.1  # a plan cannot ask to be woken sooner than this
FIRST_BACKOFF = 1.0
LAST_BACKOFF = 300.0


@dataclass(slots=True)
class _Entry:
    """What is known of one key."""

    due: float | None = None  # in the future; None: not scheduled
    running: bool = False
    dirty: bool = False  # something happened while it ran
    failures: int = 0
    not_before: float = float("-inf")  # whatever happens


@dataclass(slots=True)
class Schedule:
    """Who is due when. `chance` gives numbers in [0, 1)."""

    chance: Callable[[], float]
    _entries: dict[Key, _Entry] = field(default_factory=dict)
    _ready: "OrderedDict[Key, float]" = field(default_factory=OrderedDict)  # key -> since when
    _later: list[tuple[float, Key]] = field(default_factory=list)  # heap; entries whose `due` moved are stale

    def add(self, key: Key, now: float) -> None:
        """Something happened to this key."""
        entry = self._entries.setdefault(key, _Entry())
        if entry.running:
            entry.dirty = True
            return
        self._plan(key, entry, max(now, entry.not_before), now)

    def take(self, now: float) -> Key | None:
        """The key that waits longest, None while nothing is due."""
        self._ripen(now)
        if not self._ready:
            return None
        key, _ = self._ready.popitem(last=False)
        self._entries[key].running = True
        return key

    def done(self, key: Key, now: float, again_at: float | None = None) -> None:
        """The turn of a key went well; it comes back at `again_at` at the latest."""
        entry, dirty = self._finish(key, now + PACE)
        entry.failures = 0
        if dirty:
            self._plan(key, entry, entry.not_before, now)
        elif again_at is not None:
            self._plan(key, entry, max(again_at, now + WAKE_PACE), now)

    def failed(self, key: Key, now: float, least: float = 0.0) -> float:
        """The turn failed; the key comes back after a back-off of at least `least` seconds, which is returned."""
        entry, dirty = self._finish(key, now + max(FAILING_PACE, least))
        backoff = min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(entry.failures, 30)) * (0.75 + self.chance() / 2)
        at = entry.not_before if dirty else max(now + backoff, entry.not_before)
        entry.failures += 1
        self._plan(key, entry, at, now)
        return at - now

    def gone(self, key: Key, now: float) -> None:
        """There is no such ModelDeployment any more. If it comes again, it starts clean."""
        _, dirty = self._finish(key, now)
        del self._entries[key]
        if dirty:
            self.add(key, now)

    def next_at(self) -> float | None:
        """When `take` has something to give; None: not before the next `add`."""
        if self._ready:
            return float("-inf")
        while self._later and not self._valid(*self._later[0]):
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def depth(self, now: float) -> int:
        """Keys that are due and not yet taken."""
        self._ripen(now)
        return len(self._ready)

    def age(self, now: float) -> float:
        """Seconds the first of them has been waiting."""
        self._ripen(now)
        return now - next(iter(self._ready.values())) if self._ready else 0.0

    def _finish(self, key: Key, not_before: float) -> tuple[_Entry, bool]:
        entry = self._entries[key]
        dirty = entry.dirty
        entry.running, entry.dirty, entry.not_before = False, False, not_before
        return entry, dirty

    def _plan(self, key: Key, entry: _Entry, at: float, now: float) -> None:
        if key in self._ready or (entry.due is not None and entry.due <= at):
            return
        if at <= now:
            entry.due = None
            self._ready[key] = now
        else:
            entry.due = at
            heapq.heappush(self._later, (at, key))

    def _ripen(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            at, key = heapq.heappop(self._later)
            if self._valid(at, key):
                self._entries[key].due = None
                self._ready.setdefault(key, at)

    def _valid(self, at: float, key: Key) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.due == at


class Queue:
    """A `Schedule` that workers can wait for."""

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._clock = clock
        self._schedule = Schedule(chance)
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, key: Key) -> None:
        """Something happened to this key."""
        self._schedule.add(key, self._clock())
        self._changed.set()

    async def take(self) -> Key | None:
        """Waits for the next key; None once the queue is closed."""
        while not self._closed:
            key = self._schedule.take(self._clock())
            if key is not None:
                self._changed.set()  # another worker may find more
                return key
            await self._wait()
        return None

    def done(self, key: Key, again_in: float | None = None) -> None:
        """A good turn; `again_in` seconds."""
        now = self._clock()
        self._schedule.done(key, now, None if again_in is None else now + again_in)
        self._changed.set()

    def failed(self, key: Key, least: float = 0.0) -> float:
        """A bad turn; gives the seconds until the next."""
        delay = self._schedule.failed(key, self._clock(), least)
        self._changed.set()
        return delay

    def gone(self, key: Key) -> None:
        """Forget it."""
        self._schedule.gone(key, self._clock())
        self._changed.set()

    def close(self) -> None:
        """No more work: `take` gives None from now on."""
        self._closed = True
        self._changed.set()

    @property
    def depth(self) -> int:
        """Keys that wait."""
        return self._schedule.depth(self._clock())

    @property
    def age(self) -> float:
        """Seconds the first of them waits."""
        return self._schedule.age(self._clock())

    async def _wait(self) -> None:
        """Until something changes or the next key is due."""
        self._changed.clear()
        at = self._schedule.next_at()
        try:
            async with asyncio.timeout(None if at is None else max(0.0, at - self._clock())):
                await self._changed.wait()
        except TimeoutError:
            return
