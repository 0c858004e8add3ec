"""What a container of ours says when it ends: one JSON line in its termination message.

The agent and the preflight write it, the operator reads it from the pod's status. The kubelet
keeps 4,096 bytes of it.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from volary.common.reasons import Reason

LIMIT = 4096  # bytes, the kubelet's
_MESSAGE_LIMIT = 1500


class Tensor(BaseModel):
    """One input or output; -1 in the shape is a free dimension."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    datatype: str
    shape: tuple[int, ...]


class Outcome(BaseModel):
    """How a preflight or an agent ended. `digest` and what follows only where the bundle is good."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reason: Reason
    message: str = ""
    digest: str | None = None
    version: str | None = None
    format: str | None = None
    size: int = 0  # bytes of all files
    golden: int = 0  # number of samples
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()

    def dump(self) -> str:
        """One line of at most `LIMIT` bytes: the schema is left out before anything else is, then the message is cut."""
        # File names may carry lone surrogates, which JSON cannot.
        message = self.message[:_MESSAGE_LIMIT].encode(errors="replace").decode()
        short = self.model_copy(update={"message": message})
        text = short.model_dump_json(exclude_defaults=True)
        if len(text.encode()) > LIMIT:
            short = short.model_copy(update={"inputs": (), "outputs": ()})
            text = short.model_dump_json(exclude_defaults=True)
        # 1,500 characters may be 6,000 bytes of emoji, or 9,000 of escaped control characters.
        while len(text.encode()) > LIMIT and short.message:
            short = short.model_copy(update={"message": short.message[: len(short.message) // 2]})
            text = short.model_dump_json(exclude_defaults=True)
        return text


def parse(text: str) -> Outcome | None:
    """The outcome in a termination message, or None where it is not one of ours."""
    try:
        data: Any = json.loads(text)
        return Outcome.model_validate(data)
    except (ValueError, ValidationError):
        return None
