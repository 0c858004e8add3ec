"""Golden samples as traffic, for as long as somebody asks for it.

One request at a time, at most `MOST` a second, and never longer than `LONGEST` after it was asked
for last: an agent that is forgotten falls silent by itself. Whoever reaches this port reaches the
server's too and could ask it more than that, so asking needs no key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from volary.adapters.exchange import TooSlow, Unreachable
from volary.common.errors import Refused

MOST = 50  # requests a second
LONGEST = 600.0  # seconds


@dataclass(slots=True)
class Replay:
    """Counts since the agent started. `clock` gives seconds that only grow; `ask` puts one sample, by its number."""

    samples: int
    ask: Callable[[int], Awaitable[None]]
    ready: Callable[[], bool]  # clients are sent here: a server that is starting owes nobody an answer
    clock: Callable[[], float]
    asked: int = 0
    wrong: int = 0
    silent: int = 0
    message: str = ""
    _rate: float = 0.0
    _until: float = 0.0
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    def request(self, query: Mapping[str, str]) -> None:
        """Go on at `rate` requests a second for so many `seconds`. Raises ValueError for what is no number."""
        rate, seconds = float(query.get("rate", "0")), float(query.get("seconds", "0"))
        if not (0 < rate <= MOST and 0 < seconds <= LONGEST):
            raise ValueError(f"rate must be above 0 and at most {MOST}, seconds above 0 and at most {LONGEST:g}")
        self._rate, self._until = rate, self.clock() + seconds
        self._wanted.set()

    def said(self) -> dict[str, object]:
        """The counters."""
        return {"asked": self.asked, "wrong": self.wrong, "silent": self.silent, "message": self.message}

    async def run(self) -> None:
        """Until it is cancelled. A slow server is asked less often, not twice at once."""
        while self.samples:
            await self._wanted.wait()
            if self.clock() >= self._until:
                self._wanted.clear()
                continue
            started = self.clock()
            if self.ready():
                await self._one()
            await asyncio.sleep(max(0.0, started + 1 / self._rate - self.clock()))

    async def _one(self) -> None:
        try:
            await self.ask(self.asked % self.samples)
        except (Unreachable, TooSlow):
            self.silent += 1
        except Refused as error:
            self.wrong += 1
            self.message = self.message or error.message
        self.asked += 1
