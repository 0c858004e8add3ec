"""Where a request is worked on: in the event loop, or in a thread.

For a tiny model the hand-over to a thread and back is a fifth of all the work there is. A long
inference in the event loop would keep health probes and other clients waiting. So a request runs
in the loop only if one at least as large was quick before. The size of the body stands for the
work; what was never seen goes to a thread, and what was once slow does so for ever.
"""

import math

QUICK = 0.001  # seconds the event loop may be away
SLOW = 0.005  # seconds no first run or garbage collection explains


class Pace:
    """Learns from every request. Size is in bytes of the body."""

    def __init__(self) -> None:
        self._quick_size: float = -1  # the largest body known to be quick
        self._ceiling: float = math.inf  # below the smallest body that was slow

    def is_quick(self, size: int) -> bool:
        """Whether a request of this size may run in the event loop."""
        return size <= self._quick_size

    def learn(self, size: int, seconds: float) -> None:
        """A request of this size took so long: CPU time of its thread, for a busy node makes nothing slow."""
        if seconds > SLOW:
            self._ceiling = min(self._ceiling, size - 1)
        if seconds > QUICK:
            self._quick_size = min(self._quick_size, size - 1)
        else:
            self._quick_size = min(max(self._quick_size, size), self._ceiling)
