"""Cut the files of a bundle into chunks, so that a new version moves only what changed.

A file with tensors is cut where they begin and end: the weights of a backbone are the same chunks in
every version, whatever happens to the graph before them or the head after them. Inside a tensor cuts
are at fixed distances from its start, since weights are replaced or appended to, not shifted. All
else is cut where its content says so. Same bytes, same chunks: nothing here depends on time, chance or path.
"""

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from volary.bundle import limits
from volary.bundle.manifest import Chunk, File
from volary.common import digests
from volary.packaging import cdc
from volary.packaging.cdc import Sizes
from volary.packaging.tensors import Tensors, tensors_of

WHOLE = limits.MIB  # bytes; a smaller file is one blob: a request costs as much as its transfer
AVERAGE = 8 * limits.MIB  # with 4 MiB a pull takes a tenth more of both sides' processors, with 16 MiB a tenth less
_TENSOR = 32  # a tensor of a 32nd of the average, 256 KiB, is worth a chunk of its own
_CHUNKS_AIMED_AT = limits.CHUNKS // 2  # the average is an average


def cut(directory: Path, files: Sequence[File]) -> tuple[File, ...]:
    """The same files with their chunks. Together they have at most `limits.CHUNKS`."""
    tensors = tensors_of({file.path: directory / file.path for file in files})
    average = AVERAGE
    while average * _CHUNKS_AIMED_AT < sum(file.size for file in files):
        average *= 2  # 32 GiB still has 8 MiB, 256 GiB has 64 MiB
    while True:
        found = tuple(_cut(directory / file.path, file, tensors, cdc.sizes(average)) for file in files)
        if sum(len(file.chunks) for file in found) <= limits.CHUNKS:
            return found
        average *= 2


def _cut(path: Path, file: File, tensors: Mapping[str, Tensors], sizes: Sizes) -> File:
    if file.size < WHOLE:
        return file
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts = [0, *borders(data, tensors.get(file.path, ()), sizes)]
        chunks = tuple(
            Chunk(sha256=digests.of_part(stream.fileno(), start, stop - start), size=stop - start) for start, stop in pairwise(starts)
        )
    return file.model_copy(update={"chunks": chunks if len(chunks) > 1 else ()})


@dataclass(frozen=True, slots=True)
class _Range:
    """Bytes `start` to before `stop`; `fixed` if a tensor is in them."""

    start: int
    stop: int
    fixed: bool


def borders(data: mmap.mmap | bytes, tensors: Tensors, sizes: Sizes) -> Iterator[int]:
    """The ends of the chunks of a file, in order; the last is the end of the file."""
    for each in _ranges(len(data), tensors, sizes.average // _TENSOR):
        if each.fixed:
            yield from _evenly(each.start, each.stop, sizes)
        else:
            yield from cdc.cut(lambda start, size: data[start : start + size], each.start, each.stop, sizes)


def _ranges(size: int, tensors: Tensors, least: int) -> Iterator[_Range]:
    """Tensors of some size, each alone, and what is between them.

    Little between two tensors goes with the one that follows: a bias of 4 KiB is not worth a request.
    What is before the first tensor, however small, and after the last large one stays apart, as that
    is the graph, which changes most.
    """
    # What is no place in the file is not for us to judge: a cut is never wrong.
    known = [each for each in sorted(tensors) if 0 <= each[0] <= each[1] <= size]
    end = known[0][0] if known else 0
    if end:
        yield _Range(0, end, fixed=False)
    for start, stop in known:
        if stop - start < least or start < end:
            continue  # small, or overlapping
        apart = start - end >= least
        if apart:
            yield _Range(end, start, fixed=False)
        yield _Range(start if apart else end, stop, fixed=True)
        end = stop
    if end < size:
        yield _Range(end, size, fixed=False)


def _evenly(start: int, stop: int, sizes: Sizes) -> Iterator[int]:
    """Steps of the average; what is left over goes with the last one."""
    while stop - start > sizes.most:
        start += sizes.average
        yield start
    yield stop
