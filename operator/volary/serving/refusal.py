"""Why a request has no outputs, beside what is wrong with the request itself. Each reason has a status and a word for the metrics."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from volary.serving.protocol import Rejected

_BY_STATUS: Mapping[int, str] = MappingProxyType({400: "invalid", 404: "not_found", 413: "too_large", 415: "encoding", 503: "unavailable"})


class Overloaded(Rejected):
    """Too many wait already, or longer than this request would. `retry_after` in whole seconds, 1 or more."""

    reason = "overloaded"

    def __init__(self, message: str, wait: float) -> None:
        self.retry_after = max(1, math.ceil(wait))
        super().__init__(503, f"{message}; try again in {self.retry_after} s")


class TooLate(Rejected):
    """Its deadline passed before its turn came: nothing was begun."""

    reason = "deadline"

    def __init__(self) -> None:
        super().__init__(504, "the deadline of this request passed before its turn came; nothing was begun")


class ModelFailed(Rejected):
    """ONNX Runtime could not run the model on these inputs."""

    reason = "model"

    def __init__(self, message: str) -> None:
        super().__init__(500, f"the model failed on this request: {message}")


class Internal(Rejected):
    """A fault of Volary's own. The client must not see a stack trace; the log has it."""

    reason = "internal"

    def __init__(self) -> None:
        super().__init__(500, "internal error; the server's log has the details")


def reason(fault: Rejected) -> str:
    """One word for the metrics."""
    known: str | None = getattr(fault, "reason", None)
    return known or _BY_STATUS.get(fault.status, "other")
