"""The nouns of traffic by a gateway: what an HTTPRoute says, and what became of it."""

from dataclasses import dataclass

from volary.common.reasons import Reason


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the requests; the parts of a route that Volary wrote sum up to 100."""

    revision: str
    weight: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """A revision that gets copies of requests; nobody sees its answers."""

    revision: str
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """Where the requests that come through the gateway go."""

    shares: tuple[Share, ...]
    named: str | None = None  # the revision that the header reaches at any weight
    shadow: Shadow | None = None
    session: str | None = None  # the header that keeps a client with a revision

    @property
    def text(self) -> str:
        """`1a2b=90 3c4d=10 named:3c4d`: short enough to be remembered."""
        parts = [f"{share.revision}={share.weight}" for share in self.shares]
        parts += [f"named:{self.named}"] if self.named else []
        parts += [f"shadow:{self.shadow.revision}={self.shadow.percent}"] if self.shadow else []
        parts += [f"session:{self.session}"] if self.session else []
        return " ".join(parts)

    @property
    def revisions(self) -> frozenset[str]:
        """All that requests may reach, or copies of them."""
        found = {share.revision for share in self.shares if share.weight > 0}
        found |= {self.named} if self.named else set()
        found |= {self.shadow.revision} if self.shadow else set()
        return frozenset(found)

    def percent(self, revision: str) -> int:
        """Share of a revision in whole percent, whatever the weights sum up to."""
        total = sum(share.weight for share in self.shares)
        own = sum(share.weight for share in self.shares if share.revision == revision)
        return (200 * own + total) // (2 * total) if total else 0


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The spec wants no gateway: nobody looked for a route."""


@dataclass(frozen=True, slots=True)
class NoRoute:
    """The HTTPRoute of Volary's own does not exist (yet)."""


@dataclass(frozen=True, slots=True)
class Unroutable:
    """There is no HTTPRoute that Volary can write, and why."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """An HTTPRoute as it is."""

    to: Weighted
    intact: bool = True  # all else that Volary has to say in it is as it should be
    current: bool = True  # the gateway has seen it as it is now
    problem: str | None = None  # why no weight may move to a canary; back to stable it always may
    reason: Reason = Reason.GATEWAY_NOT_READY  # of the problem


HttpRoute = NotAsked | NoRoute | Unroutable | Routed


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftRoute:
    """An HTTPRoute that Volary wrote and that the spec names no more."""

    name: str
    own: bool
