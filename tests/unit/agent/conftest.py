import pytest

from volary.agent.retry import Patience


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now


class Stop:
    """Like threading.Event, on that clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float) -> bool:
        self._clock.waits.append(timeout)
        self._clock.now += timeout
        return self._set


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience(clock: Clock) -> Patience:
    """Patient without taking time."""
    return Patience(clock=clock, chance=lambda: 1.0, stop=Stop(clock))  # type: ignore[arg-type] # enough of an Event
