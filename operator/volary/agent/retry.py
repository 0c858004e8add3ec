"""Back-off with a budget. Time, waiting and chance are given, so tests need none of them."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from volary.common.errors import Transient

T = TypeVar("T")


class Stopped(Exception):
    """The process is asked to end; whatever was under way is given up."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on trying: waits of `first` doubling to at most `longest`, `budget` seconds in all.

    Each wait is a random part of its length, so that a hundred pods do not come back at once.
    """

    budget: float = 60.0
    first: float = 0.2
    longest: float = 5.0
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random  # 0 <= chance < 1
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise Stopped once the process is asked to end."""
        if self.stop.is_set():
            raise Stopped

    def retry(self, attempt: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
        """Call `attempt` until it no longer raises Transient, or re-raise that when the budget is used up.

        Whenever `progress` has grown between two attempts, budget and waits start afresh: a large
        file over a bad line must not fail for having taken long.
        """
        since, tries, seen = self.clock(), 0, progress()
        while True:
            self.check()
            try:
                return attempt()
            except Transient:
                if progress() > seen:
                    since, tries, seen = self.clock(), 0, progress()
                left = since + self.budget - self.clock()
                if left <= 0:
                    raise
                wait = min(self.longest, self.first * 2.0 ** min(tries, 30)) * (0.5 + self.chance() / 2)
                self.stop.wait(min(wait, left))
                tries += 1
