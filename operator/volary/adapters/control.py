"""The control port of the server next door: which versions it is to hold, with which shares.

One object may be used by several threads.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Protocol

from volary.adapters.exchange import Address
from volary.bundle import limits
from volary.common.errors import Transient
from volary.common.reasons import Reason

_PATH = "/v2/volary/split"
_ANSWER_BYTES = 64 * limits.KIB
_SHOWN = 300  # characters of an answer in a message


@dataclass(frozen=True, slots=True)
class Order:
    """One version to hold. The weights of all are percents that add up to 100, or all 0: shares stay as they are."""

    revision: str
    version: str
    directory: str  # absolute, as the server sees it
    weight: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the server has of one version."""

    revision: str
    version: str
    state: str  # loading, ready or failed
    weight: int  # in effect
    reason: str
    message: str


class Control(Protocol):
    """What the agent needs of it. Both raise Unreachable, TooSlow, or Transient for an answer that makes no sense."""

    def put(self, orders: Sequence[Order]) -> list[Standing]:
        """Hold these and no others."""

    def get(self) -> list[Standing]:
        """What it holds."""


class Http:
    """At a URL such as http://127.0.0.1:8082. `timeout` in seconds."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._address = Address.parse(url, "a control port", "http://127.0.0.1:8082")
        self._timeout = timeout

    def put(self, orders: Sequence[Order]) -> list[Standing]:
        """See Control."""
        return self._ask("PUT", json.dumps({"revisions": [asdict(order) for order in orders]}).encode())

    def get(self) -> list[Standing]:
        """See Control."""
        return self._ask("GET", None)

    def _ask(self, method: str, body: bytes | None) -> list[Standing]:
        status, data = self._address.ask(method, _PATH, body, timeout=self._timeout, limit=_ANSWER_BYTES)
        if status != HTTPStatus.OK:
            raise _senseless(f"{status}: {data[:_SHOWN].decode('ascii', 'replace')}")
        return _standings(data)


def _standings(data: bytes) -> list[Standing]:
    try:
        found: Any = json.loads(data)
        return [Standing(**each) for each in found["revisions"]]
    except (ValueError, TypeError, LookupError) as error:
        raise _senseless(f"{type(error).__name__} in its answer") from None


def _senseless(what: str) -> Transient:
    return Transient(Reason.INTERNAL_ERROR, f"the server's control port says {what}")
