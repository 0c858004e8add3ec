"""What a pod has of each revision, and which shares follow from that. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from volary.agent.fetcher import Fetched
from volary.bundle.golden import Sample
from volary.bundle.split import WHOLE, Share, Split
from volary.common.errors import VolaryError

Weights = Mapping[str, int]  # revision -> percent, only those above 0


class State(StrEnum):
    """How far a revision has come."""

    FETCHING = "fetching"
    LOADING = "loading"
    PROVING = "proving"
    READY = "ready"
    FAILED = "failed"


@dataclass(slots=True)
class Holding:
    """One revision in this pod."""

    share: Share
    state: State = State.FETCHING
    error: VolaryError | None = None  # why it failed, or what it waits for
    bundle: Fetched | None = None  # on the disk
    samples: Sequence[Sample] = field(default=())

    def is_of(self, share: Share) -> bool:
        """Whether it is the same bundle from the same place; the weight may differ."""
        mine = self.share
        return (mine.revision, mine.version, mine.digest, mine.uri) == (share.revision, share.version, share.digest, share.uri)


def weights(split: Split) -> Weights:
    """The shares of the requests."""
    return {share.revision: share.weight for share in split.shares if share.weight}


def in_effect(wanted: Weights, before: Weights, holdings: Mapping[str, Holding]) -> Weights:
    """The shares that may be put into effect now; empty: none.

    What is wanted, once all of it is proved. Until then what was in effect before. A pod that starts
    has no before: where a revision failed, the one that was to have most of the requests takes all,
    so that a bad canary costs no capacity. 90 good and 10 failed: 100 to the first; 90 failed: none.
    """
    ready = {revision for revision, holding in holdings.items() if holding.state is State.READY}
    if wanted.keys() <= ready:
        return wanted
    if before and before.keys() <= ready:
        return before
    largest = max(wanted, key=lambda revision: wanted[revision])
    failed = any(revision in holdings and holdings[revision].state is State.FAILED for revision in wanted)
    return {largest: WHOLE} if failed and largest in ready and wanted[largest] * 2 >= WHOLE else {}
