"""Golden samples as traffic: only while somebody asks, one at a time, and what is counted."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from volary.adapters.exchange import TooSlow, Unreachable
from volary.agent.replay import LONGEST, MOST, Replay
from volary.common.errors import Refused
from volary.common.reasons import Reason

MISMATCH = Refused(Reason.GOLDEN_MISMATCH, "golden sample 1: no")


@dataclass
class Stand:
    """A replay with a clock that a test moves, and answers that it chooses."""

    samples: int = 3
    now: float = 100.0
    ready: bool = True
    asked: list[int] = field(default_factory=list)
    errors: dict[int, Exception] = field(default_factory=dict)  # by the number of the request

    def __post_init__(self) -> None:
        self.replay = Replay(self.samples, self._ask, lambda: self.ready, lambda: self.now)

    async def _ask(self, number: int) -> None:
        self.asked.append(number)
        self.now += 1.0  # the answer takes as long as a period: nothing needs to be waited for
        await asyncio.sleep(0)
        error = self.errors.get(len(self.asked) - 1)
        if error is not None:
            raise error

    def play(self, story: Callable[[], Awaitable[None]]) -> None:
        async def both() -> None:
            running = asyncio.ensure_future(self.replay.run())
            try:
                async with asyncio.timeout(5):
                    await story()
            finally:
                running.cancel()

        asyncio.run(both())

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 -- the thing looked at knows no events
            await asyncio.sleep(0.001)

    def counts(self) -> tuple[int, int, int]:
        return self.replay.asked, self.replay.wrong, self.replay.silent


def test_nothing_is_asked_before_somebody_wants_it_and_after_the_time_is_over() -> None:
    stand = Stand()

    async def story() -> None:
        await asyncio.sleep(0.01)
        assert stand.asked == []
        stand.replay.request({"rate": "1", "seconds": "5"})
        await stand.until(lambda: stand.now >= 105)
        await asyncio.sleep(0.01)
        assert stand.asked == [0, 1, 2, 0, 1]
        stand.replay.request({"rate": "1", "seconds": "1"})
        await stand.until(lambda: len(stand.asked) == 6)
        assert stand.counts() == (6, 0, 0)

    stand.play(story)


def test_wrong_and_missing_answers_are_told_apart_and_the_first_wrong_one_is_kept() -> None:
    stand = Stand(errors={0: Unreachable(), 1: MISMATCH, 2: TooSlow(), 3: Refused(Reason.GOLDEN_MISMATCH, "another")})

    async def story() -> None:
        stand.replay.request({"rate": "1", "seconds": "5"})
        await stand.until(lambda: stand.replay.asked == 5)
        assert stand.replay.said() == {"asked": 5, "wrong": 2, "silent": 2, "message": "golden sample 1: no"}

    stand.play(story)


def test_a_server_that_is_starting_is_left_alone() -> None:
    stand = Stand(ready=False)

    async def story() -> None:
        stand.replay.request({"rate": "50", "seconds": "600"})
        await asyncio.sleep(0.05)
        assert stand.asked == []
        stand.ready = True
        await stand.until(lambda: len(stand.asked) > 2)

    stand.play(story)


def test_a_bundle_without_samples_asks_nothing() -> None:
    stand = Stand(samples=0)

    async def story() -> None:
        stand.replay.request({"rate": "50", "seconds": "600"})
        await asyncio.sleep(0.01)
        assert stand.counts() == (0, 0, 0)

    stand.play(story)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"rate": "1"},
        {"rate": "0", "seconds": "5"},
        {"rate": "-1", "seconds": "5"},
        {"rate": str(MOST + 1), "seconds": "5"},
        {"rate": "1", "seconds": str(LONGEST + 1)},
        {"rate": "nan", "seconds": "5"},
        {"rate": "1", "seconds": "inf"},
        {"rate": "fast", "seconds": "5"},
    ],
)
def test_what_is_asked_for_is_bounded(query: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"rate|convert"):
        Stand().replay.request(query)
