"""Show what is being done and for how long: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN_INTERVAL = 10.0  # seconds between two notes where each note is a line of its own
LIVE_INTERVAL = 0.1


class Progress(Protocol):
    """What the steps of the cluster report to."""

    def start(self, step: str) -> None:
        """Begin a step."""

    def note(self, text: str) -> None:
        """Tell how far the step is; cheap enough to be called in a loop."""

    def end(self, outcome: str = "") -> None:
        """Close the step; `outcome` is empty when it went well."""


class Silent:
    """Say nothing: the default for tests."""

    def start(self, step: str) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""

    def end(self, outcome: str = "") -> None:
        """Ignore."""


class Console:
    """Write to a stream; rewrite the line while a step runs when the stream is a terminal."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        """Live when `stream` is a terminal."""
        self._stream = stream
        self._live = stream.isatty()
        self._begin = time.monotonic()
        self._step = ""
        self._step_begin = self._begin
        self._noted = 0.0

    def start(self, step: str) -> None:
        """Show the step at once on a terminal."""
        self._step, self._step_begin, self._noted = step, time.monotonic(), time.monotonic()
        self._rewrite("")

    def note(self, text: str) -> None:
        """Show `text` behind the step, not more often than a reader can follow."""
        now = time.monotonic()
        if now - self._noted < (LIVE_INTERVAL if self._live else PLAIN_INTERVAL):
            return
        self._noted = now
        if self._live:
            self._rewrite(text)
        else:
            self._line(f"  {self._step}: {text}")

    def end(self, outcome: str = "") -> None:
        """Leave one line with the time the step took."""
        took = time.monotonic() - self._step_begin
        if self._live:
            self._stream.write("\r\033[K")
        self._line(f"{outcome}{self._step} ({took:.1f} s)")

    def _line(self, text: str) -> None:
        self._stream.write(f"[{time.monotonic() - self._begin:6.1f} s] {text}\n")
        self._stream.flush()

    def _rewrite(self, text: str) -> None:
        if not self._live:
            return
        now = time.monotonic()
        shown = f"{self._step} {now - self._step_begin:.0f} s {text}"
        self._stream.write(f"\r\033[K[{now - self._begin:6.1f} s] {shown[:100]}")
        self._stream.flush()


@contextmanager
def step(progress: Progress, name: str) -> Iterator[None]:
    """Report `name` as begun, and as ended or failed."""
    progress.start(name)
    try:
        yield
    except KeyboardInterrupt:
        progress.end("stopped: ")
        raise
    except BaseException:
        progress.end("FAILED: ")
        raise
    progress.end()
