"""Few samples that see much: of those made up, the ones that make a model answer differently."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from volary.bundle import golden as golden_file
from volary.bundle import limits
from volary.bundle.golden import Sample, Values
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import golden
from volary.packaging.generate import Candidate
from volary.packaging.samples import Inputs
from volary.packaging.session import RunFailed, Session
from volary.packaging.traits import Traits

BYTES = limits.MIB  # of all chosen samples, unless a single one has more
_ELEMENTS = 64  # labels, or rows, of an output that are looked at

Feature = tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    inputs: Inputs
    features: set[Feature]
    size: int  # bytes as JSON


def choose(session: Session, candidates: Iterable[Candidate], traits: Traits) -> list[Inputs]:
    """The fewest, found greedily, that show every kind of input and every answer that all of them show.

    Candidates that the model cannot answer with numbers are left out. Raises Refused (GoldenInvalid) when none is left.
    """
    found: list[_Answered] = []
    trouble = ""
    for candidate in candidates:
        try:
            sample = golden.answered(session, candidate.inputs, traits)
        except RunFailed as error:
            trouble = str(error)
            continue
        found.append(_Answered(candidate.inputs, {(candidate.kind,), *_features(sample)}, len(golden_file.dump([sample]))))
    if not found:
        _invalid(f"the model answers none that were made up from its inputs; give some with --golden FILE: {trouble}")
    return list(_greedy(found))


def _greedy(found: list[_Answered]) -> Iterator[Inputs]:
    unseen = set[Feature]().union(*(each.features for each in found))
    left, size = list(found), 0
    while unseen and left:
        best = max(left, key=lambda each: len(each.features & unseen))  # the first of equals
        if size and size + best.size > BYTES:
            return
        yield best.inputs
        unseen -= best.features
        size += best.size
        left.remove(best)


def _features(sample: Sample) -> Iterator[Feature]:
    """What an answer shows: each label, and which element of each row is the largest."""
    for output in sample.outputs:
        if not output.datatype.is_float:
            yield from ((output.name, value) for value in output.data[:_ELEMENTS])
        elif output.shape and output.shape[-1] > 1:
            yield from _winners(output)


def _winners(output: Values) -> Iterator[Feature]:
    width = output.shape[-1]
    for start in range(0, min(len(output.data), _ELEMENTS * width), width):
        row = output.data[start : start + width]
        yield (output.name, row.index(max(row, key=float)))


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.GOLDEN_INVALID, f"the golden samples cannot be used: {message}")
