"""The model server next door, over the Open Inference Protocol's REST.

Only the standard library: the agent's image carries no HTTP client. One object belongs to one thread
at a time.
"""

import http.client
import json
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote

from volary.adapters.exchange import Address
from volary.bundle import limits
from volary.common.names import SYNTHETIC_HEADER

_ANSWER_BYTES = 64 * limits.MIB


class Readiness(Enum):
    """What the server says of one version of one model."""

    READY = auto()
    NOT_READY = auto()
    SILENT = auto()  # connected, but no answer in time: perhaps all its cores are busy
    GONE = auto()  # not there, or not the same process any more


@dataclass(frozen=True, slots=True)
class Answer:
    """To an inference request."""

    status: int
    outputs: list[dict[str, Any]]
    version: str | None
    error: str  # what the server wrote when it refused or failed; plain ASCII, short


class Server(Protocol):
    """What the agent needs of a model server."""

    def readiness(self, model: str, version: str) -> Readiness:
        """Whether it serves exactly this version."""

    def infer(self, model: str, version: str, inputs: list[dict[str, Any]], timeout: float) -> Answer:
        """Ask it. Raises Unreachable or TooSlow."""


class Http:
    """A server at a URL such as http://127.0.0.1:8080."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._address = Address.parse(url, "a server", "http://127.0.0.1:8080")
        self._timeout = timeout
        self._kept: http.client.HTTPConnection | None = None

    def readiness(self, model: str, version: str) -> Readiness:
        """Asked over one connection that is kept: when it breaks, the process behind it may be another one."""
        if self._kept is None:
            self._kept = self._address.connection(self._timeout)
        try:
            self._kept.request("GET", f"{_path(model, version)}/ready")
            response = self._kept.getresponse()
            response.read(limits.KIB)
        except TimeoutError:
            self.close()
            return Readiness.SILENT
        except (OSError, http.client.HTTPException):
            self.close()
            return Readiness.GONE
        if not response.isclosed():  # more than we want to read: not worth keeping
            self.close()
        return Readiness.READY if response.status == HTTPStatus.OK else Readiness.NOT_READY

    def infer(self, model: str, version: str, inputs: list[dict[str, Any]], timeout: float) -> Answer:
        """See Server. The server counts it apart from its clients' requests."""
        body = json.dumps({"inputs": inputs}, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", SYNTHETIC_HEADER: "golden"}
        path = f"{_path(model, version)}/infer"
        return _answer(*self._address.ask("POST", path, body, timeout=timeout, limit=_ANSWER_BYTES + 1, headers=headers))

    def close(self) -> None:
        """Forget the kept connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def _path(model: str, version: str) -> str:
    return f"/v2/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"


def _answer(status: int, body: bytes) -> Answer:
    if len(body) > _ANSWER_BYTES:
        return Answer(status, [], None, f"an answer of more than {limits.show(_ANSWER_BYTES)}")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return Answer(status, [], None, _short(body[:200].decode("ascii", "replace")))
    if not isinstance(found, dict):
        return Answer(status, [], None, "not a JSON object")
    outputs = found.get("outputs")
    version = found.get("model_version")
    return Answer(
        status,
        [each for each in outputs if isinstance(each, dict)] if isinstance(outputs, list) else [],
        version if isinstance(version, str) else None,
        _short(str(found.get("error", ""))),
    )


def _short(text: str) -> str:
    return ascii(text[:300])[1:-1]
