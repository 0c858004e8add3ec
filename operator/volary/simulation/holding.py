"""What one pod holds where several revisions share it: its mounted file, its agent, its server."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from volary.bundle.split import Split
from volary.common.reasons import Reason
from volary.planning.holdings import Held, Holding, State
from volary.planning.model import Problem
from volary.simulation.bundles import Bundle

KUBELET = timedelta(seconds=60)  # until a changed ConfigMap is mounted anew, without a nudge
NUDGED = timedelta(seconds=0.1)
MOUNT = timedelta(seconds=1)  # from the start of a pod until its agent reads the file


@dataclass(slots=True)
class Loaded:
    """One revision in the server."""

    due: datetime  # when it is ready, or meets its fate
    state: State = State.LOADING
    problem: Problem | None = None
    requests: int = 0
    errors: int = 0
    slow: float = 0.0
    odd: float = 0.0

    def again(self, due: datetime) -> None:
        """Told anew: nothing of it is known, its counters begin at 0."""
        self.due, self.state, self.problem = due, State.LOADING, None
        self.requests, self.errors, self.slow, self.odd = 0, 0, 0.0, 0.0


@dataclass(slots=True)
class Hold:
    """All of one pod."""

    reads: datetime | None  # when its agent sees the file next
    seen: int = 0
    generation: int = 0  # in effect
    weights: dict[str, int] = field(default_factory=dict)  # in effect
    loaded: dict[str, Loaded] = field(default_factory=dict)
    answers: bool = True
    nudged: str = ""
    _file: Split | None = None

    def hears(self, at: datetime) -> None:
        """The mount will be anew by then."""
        self.reads = at if self.reads is None else min(self.reads, at)

    def times(self) -> Iterator[datetime]:
        """When something happens by itself."""
        if self.reads is not None:
            yield self.reads
        yield from (one.due for one in self.loaded.values() if one.state is State.LOADING)

    def happen(self, now: datetime, file: Split | None, bundle: Callable[[str], Bundle]) -> None:
        """All that is due."""
        if self.reads is not None and self.reads <= now:
            self.reads = None
            if file is None:
                self.reads = now + KUBELET if not self.loaded else None  # the pod waits for its volume
            else:
                self._read(file, now, bundle)
        for name, one in self.loaded.items():
            if one.state is State.LOADING and one.due <= now:
                one.problem = bundle(name).fate
                one.state = State.READY if one.problem is None else State.FAILED
        self._take_over()

    def restart(self, now: datetime, bundle: Callable[[str], Bundle]) -> None:
        """The server is told everything again."""
        for name, one in self.loaded.items():
            one.again(now + bundle(name).start)

    def mend(self, now: datetime, bundle: Callable[[str], Bundle]) -> None:
        """What is not ready is tried again; what serves goes on."""
        for name, one in self.loaded.items():
            if one.state is not State.READY:
                one.again(now + bundle(name).start)

    @property
    def ready(self) -> bool:
        """Every revision with a weight in effect is there."""
        return bool(self.weights) and all(self.loaded[name].state is State.READY for name, weight in self.weights.items() if weight > 0)

    def says(self, uid: str) -> Holding | None:
        """What its agent answers; None: nothing."""
        if not self.answers or not self.seen:
            return None
        held = tuple(
            Held(
                revision=name,
                state=one.state,
                weight=self.weights.get(name, 0),
                reason=one.problem.reason if one.problem else None,
                message=one.problem.message if one.problem else "",
            )
            for name, one in sorted(self.loaded.items())
        )
        return Holding(uid=uid, generation=self.generation, seen=self.seen, held=held)

    def serve(self, requests: int, bundle: Callable[[str], Bundle], errors: Callable[[str, int], int]) -> None:
        """Exactly by weight."""
        rest, last = requests, max(self.weights, key=lambda name: (self.weights[name], name))
        for name, weight in sorted(self.weights.items(), key=lambda item: item[0] == last):
            share = rest if name == last else min(rest, round(requests * weight / 100))
            rest -= share
            one = self.loaded[name]
            one.requests += share
            one.slow += share * bundle(name).slow
            one.odd += share * bundle(name).odd
            one.errors += errors(name, share)

    def _read(self, file: Split, now: datetime, bundle: Callable[[str], Bundle]) -> None:
        self.seen, self._file = file.generation, file
        wanted = {share.revision for share in file.shares}
        for name in wanted - self.loaded.keys():
            self.loaded[name] = Loaded(due=now + bundle(name).start)
        self.loaded = {name: one for name, one in self.loaded.items() if name in wanted or self.weights.get(name, 0) > 0}
        self.weights = {name: weight for name, weight in self.weights.items() if name in self.loaded}

    def _take_over(self) -> None:
        """Once all of the file is loaded and proved; until then what was goes on."""
        file = self._file
        if file is None:
            return
        if any(self.loaded[share.revision].state is not State.READY for share in file.shares):
            self._start_without(file)
            return
        self.weights = {share.revision: share.weight for share in file.shares}
        self.loaded = {name: one for name, one in self.loaded.items() if name in self.weights}
        self.generation = file.generation

    def _start_without(self, file: Split) -> None:
        """A pod that starts beside a bad canary gives all to the one that was to have most: no capacity is lost."""
        most = max(file.shares, key=lambda share: share.weight)
        failed = any(self.loaded[share.revision].state is State.FAILED for share in file.shares)
        if not self.weights and failed and most.weight >= 50 and self.loaded[most.revision].state is State.READY:
            self.weights = {most.revision: 100}


FULL = Problem(
    reason=Reason.MEMORY_TOO_SMALL,
    message="needs 410 MiB beside the 380 MiB in use, the limit is 512 MiB: set spec.runtime.resources.limits.memory to 790Mi or more",
)
