"""Where to cut bytes that nobody can read: content-defined chunking with a gear hash.

A cut depends on the 32 bytes before it and nothing else, so bytes put in or taken out move the cuts
near them only (Xia et al., FastCDC, USENIX ATC 2016; here without its second mask).

A gear hash is a sum over the window, h = sum of gear[b[i - k]] << k, so the hashes of 2n bytes come from
those of n bytes by one shift and one sum: five passes of numpy give all hashes of a block, 500 MiB/s on
a core. The package `fastcdc` 1.7 makes 1,500 MiB/s where it has a wheel and about 5 where it has not; its
last release is of 2024. What is cut here is not most of any model, and cuts that move with another
release of a package would make every bundle new: so they are ours.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Read = Callable[[int, int], bytes]  # (start, size) -> bytes

_WINDOW = 32  # bytes; the hash has as many bits
_BLOCK = 128 * 1024  # bytes at once: its hashes stay in the processor's cache
_GEAR = np.frombuffer(b"".join(hashlib.sha256(bytes([byte])).digest()[:4] for byte in range(256)), "<u4")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a chunk: at least, on average, at most. The average is a power of two."""

    least: int
    average: int
    most: int


def sizes(average: int) -> Sizes:
    """What goes with an average: a quarter of it and twice as much."""
    return Sizes(average // 4, average, average * 2)


def cut(read: Read, start: int, stop: int, wanted: Sizes) -> Iterator[int]:
    """The ends of the chunks of a range, the last one at `stop`. Same bytes, same cuts."""
    begin = start
    for candidate in _candidates(read, start, stop, wanted.average):
        while candidate - begin > wanted.most:
            begin += wanted.most
            yield begin
        if candidate - begin >= wanted.least:
            begin = candidate
            yield begin
    while stop - begin > wanted.most:
        begin += wanted.most
        yield begin
    if begin < stop:
        yield stop


def _candidates(read: Read, start: int, stop: int, average: int) -> Iterator[int]:
    """Where the hash says so: once in `average` bytes, if the bytes are random."""
    hashing = _Hashing()
    limit = 2**_WINDOW // average
    for first in range(start, stop, _BLOCK):
        before = min(_WINDOW - 1, first - start)
        found = hashing.of(read(first - before, min(_BLOCK, stop - first) + before))
        yield from (first + int(hit) + 1 for hit in np.flatnonzero(found[before:] < limit))


class _Hashing:
    """Two arrays that are used again for each block: making new ones would cost more than the sums."""

    def __init__(self) -> None:
        self._found = np.empty(_BLOCK + _WINDOW, np.uint32)
        self._shifted = np.empty(_BLOCK + _WINDOW, np.uint32)

    def of(self, data: bytes) -> NDArray[np.uint32]:
        """The gear hash at each byte, over the window that ends there; valid until the next call."""
        found, shifted = self._found[: len(data)], self._shifted[: len(data)]
        np.take(_GEAR, np.frombuffer(data, np.uint8), out=found, mode="clip")
        width = 1
        while width < min(_WINDOW, len(data)):
            np.left_shift(found[:-width], width, out=shifted[:-width])
            np.add(found[width:], shifted[:-width], out=found[width:])
            width *= 2
        return found
