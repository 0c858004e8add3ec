"""Wait for a condition with a deadline: never for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

POLL = 0.1


class Late(AssertionError):
    """The condition did not come true in time; the message says what was seen last."""


class Hopeless(AssertionError):
    """The condition cannot come true any more: raised by a probe that knows it."""


def until(what: str, probe: Callable[[], T | None], within: float, *, poll: float = POLL, seen: Callable[[], object] | None = None) -> T:
    """The first truthy value of `probe`.

    After `within` seconds Late is raised, with what `seen` tells of the world then.
    """
    end = time.monotonic() + within
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            tail = f"; seen last: {seen()}" if seen else ""
            raise Late(f"not within {within:g} s: {what}{tail}")
        time.sleep(poll)


def stays(what: str, probe: Callable[[], bool], during: float, *, poll: float = POLL) -> None:
    """The condition holds at every look for `during` seconds."""
    end = time.monotonic() + during
    while time.monotonic() < end:
        if not probe():
            raise AssertionError(f"did not stay so for {during:g} s: {what}")
        time.sleep(poll)
