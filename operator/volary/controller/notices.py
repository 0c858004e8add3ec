"""Who is told what: decisions go from the statuses to the receivers, beside the turns and never in their way.

At least once: a notice is made of the stored status, with an id that is the same whoever makes it. An operator that
starts, or takes over, tells once more what was decided in the last minutes; receivers tell repetitions by the id.
What cannot be delivered is tried again for an hour, in order; each receiver has a queue of its own, and a full one
loses its oldest.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from volary.adapters import notify
from volary.adapters.notify import Endpoint, Message, Outcome, Plan, Post
from volary.api.v1alpha1 import ModelDeploymentStatus
from volary.common.logs import fields
from volary.controller.queue import Key
from volary.planning import notices
from volary.planning.notices import LONG_AGO, Notice

AGAIN = timedelta(minutes=10)  # what was decided since is told by an operator that starts
QUEUE = 1000  # messages that wait for one receiver
KEPT = timedelta(hours=1)  # after that a message is news no more
FIRST_BACKOFF, LAST_BACKOFF = 1.0, 60.0  # seconds
REREAD = 10.0  # seconds between two looks at the file: the kubelet replaces it
_SENT = 8192  # ids that this process remembers
_LOG = logging.getLogger("volary.notices")


class Subject(Protocol):
    """Whose status it is."""

    @property
    def namespace(self) -> str:
        """Where it is."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def uid(self) -> str:
        """Which of that name."""

    @property
    def generation(self) -> int:
        """Of its spec."""


def message(of: Subject, status: ModelDeploymentStatus, notice: Notice, now: datetime) -> Message:
    """What is sent of a notice."""
    identity = hashlib.sha256(f"{of.uid}\n{notice.decision}\n{notice.key}".encode()).hexdigest()[:32]
    at = now if notice.at is None or notice.at == LONG_AGO else notice.at
    return Message(
        id=identity,
        decision=notice.decision,
        namespace=of.namespace,
        name=of.name,
        uid=of.uid,
        generation=of.generation,
        phase=status.phase,
        version=notice.version,
        revision=notice.revision,
        reason=notice.reason,
        text=notices.said(notice),
        at=at,
    )


@dataclass(slots=True)
class Receiver:
    """One endpoint and what waits for it."""

    endpoint: Endpoint
    cluster: str
    waiting: deque[tuple[datetime, Message]] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    lost: int = 0

    def add(self, one: Message, now: datetime) -> None:
        """The oldest goes where there is no room."""
        if len(self.waiting) >= QUEUE:
            self.waiting.popleft()
            self.lost += 1
        self.waiting.append((now, one))
        self.filled.set()


class Notices:
    """Hears of every ModelDeployment, knows what was told of it, and sends the rest."""

    def __init__(self, path: Path, post: Post, clock: Callable[[], datetime], chance: Callable[[], float]) -> None:
        self._path = path
        self._post = post
        self._clock = clock
        self._chance = chance
        self._text: str | None = None
        self._receivers: dict[str, Receiver] = {}
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._known: dict[Key, tuple[str, frozenset[str]]] = {}  # uid, marks
        self._sent: OrderedDict[str, None] = OrderedDict()

    # ---- hearing --------------------------------------------------------------------------------

    def see(self, of: Subject, status: ModelDeploymentStatus) -> None:
        """The status as it is stored after a turn. Returns at once."""
        now, found, key = self._clock(), notices.told(status), (of.namespace, of.name)
        uid, known = self._known.get(key, ("", frozenset()))
        self._known[key] = (of.uid, frozenset(notice.mark for notice in found))
        for notice in found:
            if notice.recent(now, AGAIN) if uid != of.uid else notice.mark not in known:
                self._tell(message(of, status, notice, now), now)

    def forget(self, key: Key) -> None:
        """It is gone."""
        self._known.pop(key, None)

    def begin(self) -> None:
        """The lead is ours now: what another one decided meanwhile was his to tell, but for the last of it."""
        self._known.clear()

    def _tell(self, one: Message, now: datetime) -> None:
        if one.id in self._sent:
            return
        self._sent[one.id] = None
        if len(self._sent) > _SENT:
            self._sent.popitem(last=False)
        for receiver in self._receivers.values():
            if receiver.endpoint.wants(one):
                receiver.add(one, now)

    # ---- sending --------------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever."""
        try:
            while True:
                self.reread()
                await asyncio.sleep(REREAD)
        finally:
            for task in self._senders.values():
                task.cancel()
            await asyncio.gather(*self._senders.values(), return_exceptions=True)

    def reread(self) -> None:
        """The file, if it is another one; one that cannot be used changes nothing."""
        try:
            text = self._path.read_text("utf-8")[: notify.SIZE]
        except FileNotFoundError:
            text, plan, why = "", Plan(), ""  # the Secret is optional: nobody is told
        except (OSError, UnicodeDecodeError) as error:
            text, plan = type(error).__name__, None
            why = f"cannot be read ({type(error).__name__})"
        else:
            plan, why = _plan(text)
        if text == self._text:
            return
        self._text = text
        if plan is None:
            _LOG.error("the file of receivers stays as it was", extra=fields(file=str(self._path), error=why))
        else:
            self._arrange(plan)

    def _arrange(self, plan: Plan) -> None:
        """Receivers that are named still keep what waits for them."""
        wanted = {endpoint.name: endpoint for endpoint in plan.endpoints}
        for name in self._receivers.keys() - wanted.keys():
            self._senders.pop(name).cancel()
            del self._receivers[name]
        for name, endpoint in wanted.items():
            if name in self._receivers:
                self._receivers[name].endpoint, self._receivers[name].cluster = endpoint, plan.cluster
            else:
                self._receivers[name] = receiver = Receiver(endpoint, plan.cluster)
                self._senders[name] = asyncio.create_task(self._send(receiver))
        _LOG.info("receivers of notices", extra=fields(names=sorted(wanted)))

    async def _send(self, receiver: Receiver) -> None:
        """One after the other, the first until it is delivered, refused or too old."""
        failures = 0
        while True:
            await receiver.filled.wait()
            if not receiver.waiting:
                receiver.filled.clear()
                continue
            since, one = receiver.waiting[0]
            attempt = await self._post.deliver(receiver.endpoint, one, receiver.cluster)
            over = attempt.outcome is not Outcome.FAILED or self._clock() - since > KEPT
            if over and receiver.waiting and receiver.waiting[0][1] is one:
                receiver.waiting.popleft()
            failures = 0 if attempt.outcome is Outcome.DELIVERED else failures + 1
            _report(receiver, one, attempt, over=over)
            if not over:
                await asyncio.sleep(max(min(attempt.after, LAST_BACKOFF), backoff(failures, self._chance())))


def backoff(failures: int, chance: float) -> float:
    """1, 2, 4 ... 60 s, less up to a half. After ten failures: 30 to 60 s."""
    return min(LAST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 10)) * (1 - chance / 2)


def _plan(text: str) -> tuple[Plan | None, str]:
    try:
        return notify.read(text), ""
    except notify.Unusable as error:
        return None, str(error)


def _report(receiver: Receiver, one: Message, attempt: notify.Attempt, *, over: bool) -> None:
    about = fields(receiver=receiver.endpoint.name, namespace=one.namespace, name=one.name, decision=one.decision.value, id=one.id)
    if attempt.outcome is Outcome.DELIVERED:
        _LOG.debug("told", extra=about)
    elif over:
        _LOG.error("not told: %s", attempt.why, extra=about)
    else:
        _LOG.warning("not told yet: %s", attempt.why, extra=about)
    if receiver.lost:
        _LOG.error("%d notices lost: too many wait", receiver.lost, extra=fields(receiver=receiver.endpoint.name))
        receiver.lost = 0
