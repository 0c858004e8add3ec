import threading

import pytest

from volary.common import pool


def test_every_item_is_done_once() -> None:
    done: list[int] = []
    pool.each(range(50), done.append, workers=4)
    assert sorted(done) == list(range(50))
    pool.each([], done.append, workers=4)


def test_no_more_than_so_many_at_a_time() -> None:
    together = threading.Barrier(3, timeout=10)
    most: list[int] = []
    running: set[int] = set()

    def work(_: int) -> None:
        running.add(threading.get_ident())
        most.append(len(running))
        together.wait()

    pool.each(range(6), work, workers=3)
    assert max(most) == 3


def test_the_first_error_is_raised_and_nothing_new_is_begun() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        done.append(item)
        raise ValueError(str(item))

    with pytest.raises(ValueError, match="0"):
        pool.each(range(50), work, workers=1)
    assert done == [0]


def test_the_watch_ends_the_wait_for_stalled_work() -> None:
    release = threading.Event()

    def stall(seconds: float) -> None:
        release.wait(seconds)

    def watch() -> None:
        raise TimeoutError("stalled")

    try:
        with pytest.raises(TimeoutError, match="stalled"):
            pool.each([30.0], stall, workers=1, watch=watch)
    finally:
        release.set()
