"""The queue in virtual time: nothing here sleeps but the last test."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.controller.queue import FAILING_PACE, FIRST_BACKOFF, LAST_BACKOFF, PACE, Key, Queue, Schedule

A, B, C = ("shop", "a"), ("shop", "b"), ("shop", "c")


def schedule(chance: float = 0.5) -> Schedule:
    return Schedule(lambda: chance)


def taken(one: Schedule, now: float) -> list[Key]:
    """All that is due."""
    return list(iter(lambda: one.take(now), None))


def test_first_come_first_served_and_once() -> None:
    one = schedule()
    for key in (B, A, B, C, A):
        one.add(key, 0)
    assert one.depth(0) == 3
    assert taken(one, 0) == [B, A, C]
    assert one.take(100) is None


def test_a_key_is_never_with_two_workers_and_comes_once_more() -> None:
    one = schedule()
    one.add(A, 0)
    assert one.take(0) == A
    one.add(A, 1)
    one.add(A, 2)
    assert one.take(2) is None
    one.done(A, 3)
    assert taken(one, 3 + PACE) == [A]
    one.done(A, 4)
    assert one.next_at() is None


def test_a_burst_of_events_is_one_more_look() -> None:
    one = schedule()
    one.add(A, 0)
    one.take(0)
    one.done(A, 1)
    one.add(A, 1.01)
    assert one.take(1.01) is None
    assert one.next_at() == 1 + PACE
    assert one.take(1 + PACE) == A


def test_a_busy_key_does_not_starve_the_others() -> None:
    one = schedule()
    one.add(A, 0)
    one.take(0)
    one.add(A, 0)
    one.add(B, 0)
    one.done(A, 0)
    assert taken(one, 10) == [B, A]


def test_woken_at_the_time_a_plan_asks_for_or_earlier_by_an_event() -> None:
    one = schedule()
    one.add(A, 0)
    one.take(0)
    one.done(A, 0, again_at=60)
    assert (one.take(59), one.next_at()) == (None, 60)
    one.add(A, 30)
    assert one.take(30) == A
    one.done(A, 30, again_at=31)
    assert one.take(31) == A
    one.done(A, 31)
    assert one.next_at() is None  # the call for 60 was void


def test_a_plan_cannot_ask_for_the_past() -> None:
    one = schedule()
    one.add(A, 0)
    one.take(0)
    one.done(A, 5, again_at=-100)
    assert one.take(5) is None
    assert one.take(5.1) == A


def test_back_off_doubles_to_its_cap_and_a_success_forgets_it() -> None:
    one, now, delays = schedule(), 0.0, []
    for _ in range(12):
        one.add(A, now)
        assert one.take(now) == A
        delays.append(one.failed(A, now))
        now += delays[-1]
    assert delays == [min(LAST_BACKOFF, FIRST_BACKOFF * 2**n) for n in range(12)]
    one.take(now)
    one.done(A, now)
    one.add(A, now + 1)
    one.take(now + 1)
    assert one.failed(A, now + 1) == FIRST_BACKOFF


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 1.0), (0.999, 1.2495)])
def test_jitter(chance: float, delay: float) -> None:
    one = schedule(chance)
    one.add(A, 0)
    one.take(0)
    assert one.failed(A, 0) == pytest.approx(delay)


def test_a_failing_key_is_not_driven_round_by_its_own_events() -> None:
    one = schedule()
    for turn in range(5):
        one.add(A, turn * FAILING_PACE)
        assert one.take(turn * FAILING_PACE) == A
        one.add(A, turn * FAILING_PACE)  # its own write
        assert one.failed(A, turn * FAILING_PACE) == FAILING_PACE
        assert one.take(turn * FAILING_PACE + 0.9) is None


def test_patience_that_the_server_asked_for_holds_against_events() -> None:
    one = schedule()
    one.add(A, 0)
    one.take(0)
    assert one.failed(A, 0, least=30) == 30
    one.add(A, 1)
    assert one.take(29.9) is None
    assert one.take(30) == A


def test_a_gone_key_starts_clean() -> None:
    one = schedule()
    one.add(A, 0)
    one.take(0)
    one.failed(A, 0)
    one.take(5)
    one.add(A, 5)  # made anew meanwhile
    one.gone(A, 5)
    assert one.take(5) == A
    one.gone(A, 5)
    assert (one.next_at(), one.depth(5), one.age(5)) == (None, 0, 0.0)


def test_age_is_the_wait_of_the_first() -> None:
    one = schedule()
    one.add(A, 10)
    one.add(B, 12)
    assert one.age(15) == 5
    one.take(15)
    assert one.age(15) == 3


KEYS = st.sampled_from([A, B, C])
STEPS = st.lists(st.tuples(st.sampled_from(["add", "take", "done", "later", "failed", "gone"]), KEYS, st.floats(0, 50)), max_size=60)


@given(STEPS)
def test_nothing_is_lost_and_nothing_is_worked_on_twice(steps: list[tuple[str, Key, float]]) -> None:
    one, now, running, owed = schedule(), 0.0, set[Key](), set[Key]()
    for what, key, passed in steps:
        now += passed
        if what == "add":
            one.add(key, now)
            owed.add(key)
        elif what == "take" and (got := one.take(now)) is not None:
            assert got not in running
            running.add(got)
            owed.discard(got)
        elif key in running and what != "take":
            running.discard(key)
            if what == "failed":
                one.failed(key, now)
                owed.add(key)
            elif what == "gone":
                one.gone(key, now)
            else:
                one.done(key, now, now + passed if what == "later" else None)
    for key in running:
        one.done(key, now)
    assert owed <= set(taken(one, now + 2 * LAST_BACKOFF))


def test_workers_wait_for_work_for_time_and_for_the_end() -> None:
    async def story() -> list[Key]:
        queue, got = Queue(time.monotonic, lambda: 0.5), list[Key]()

        async def work() -> None:
            while (key := await queue.take()) is not None:
                got.append(key)
                queue.done(key, again_in=0.12 if len(got) == 2 else None)
                if len(got) == 3:
                    queue.close()

        workers = [asyncio.create_task(work()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.add(A)
        queue.add(B)
        async with asyncio.timeout(5):
            await asyncio.gather(*workers)
        return got

    assert asyncio.run(story()) in ([A, B, B], [A, B, A])
