"""A few threads for work that waits on the network or the disk. They end with the process, whatever they wait for."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


_LOOK = 0.25  # seconds between two calls of `watch`


def each(items: Iterable[T], work: Callable[[T], None], *, workers: int, watch: Callable[[], None] = lambda: None) -> None:
    """Do `work` on every item, on at most `workers` threads; after the first error no new item is begun.

    Raises that first error, once the others have ended. `watch` is called now and then meanwhile;
    what it raises ends the wait at once. Not a ThreadPoolExecutor: the interpreter waits for its
    threads at exit, and a stalled download must not hold up a SIGTERM.
    """
    queue = deque(items)
    errors: list[BaseException] = []

    def run() -> None:
        while not errors:
            try:
                item = queue.popleft()
            except IndexError:
                return
            try:
                work(item)
            except BaseException as error:  # noqa: BLE001 -- raised again below, in the caller's thread
                errors.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(workers, len(queue)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(_LOOK)
            if thread.is_alive():
                watch()
    if errors:
        raise errors[0]
