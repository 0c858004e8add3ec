"""The control port, on loopback only: the agent of the pod says which versions to hold, with which shares.

    PUT /v2/volary/split   {"revisions": [{"revision", "version", "directory", "weight"}]}: the whole truth, each time
    GET /v2/volary/split   {"revisions": [{"revision", "version", "state", "weight", "reason", "message"}]}

A PUT answers as a GET would at once after it; loading goes on beside. The weights are percents and add
up to 100, or are all 0: then what serves goes on as it does.
"""

from pathlib import Path
from typing import Annotated, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from volary.bundle import limits, split
from volary.bundle.manifest import NAME_PATTERN, VERSION_PATTERN
from volary.serving import reply, shelf
from volary.serving.protocol import Rejected
from volary.serving.reply import ClientGone, Message, Receive, Reply, Send
from volary.serving.shelf import Shelf, Wanted

PATH = "/v2/volary/split"
_HELD = 2 * split.SHARES  # what is to come, beside what is to go
_ALLOWED = b"GET, PUT"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _Wanted(_Strict):
    revision: Annotated[str, Field(max_length=63, pattern=NAME_PATTERN)]
    version: Annotated[str, Field(max_length=64, pattern=VERSION_PATTERN)]
    directory: Annotated[str, Field(max_length=4096, pattern=r"^/[^\x00]*$")]
    weight: Annotated[int, Field(ge=0, le=split.WHOLE)]


class _Body(_Strict):
    revisions: Annotated[tuple[_Wanted, ...], Field(max_length=_HELD)]

    @model_validator(mode="after")
    def _is_a_split(self) -> Self:
        if (total := sum(each.weight for each in self.revisions)) not in (0, split.WHOLE):
            raise ValueError(f"the weights add up to {total}, expected {split.WHOLE}, or 0 to change no share")
        if len({each.revision for each in self.revisions}) < len(self.revisions):
            raise ValueError("a revision is there twice")
        return self


class Control:
    """An ASGI application."""

    def __init__(self, held: Shelf) -> None:
        self._shelf = held

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        try:
            answer = await self._answer(scope, receive)
        except Rejected as fault:
            answer = reply.error(fault.status, fault.message)
        except ClientGone:
            return
        await answer.send(send)

    async def _answer(self, scope: Message, receive: Receive) -> Reply:
        if scope["path"] != PATH:
            return reply.no_path(scope["path"])
        match scope["method"]:
            case "GET":
                pass
            case "PUT":
                self._shelf.put(_parse(await reply.body(receive, limits.REVISIONS_BYTES)))
            case _:
                return reply.not_allowed(_ALLOWED)
        return Reply(200, orjson.dumps({"revisions": shelf.show(self._shelf.slots())}))


def _parse(data: bytes) -> list[Wanted]:
    """Raises Rejected (400)."""
    try:
        found = _Body.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Rejected(400, f"{place}: {first['msg']}") from None
    return [Wanted(each.revision, each.version, Path(each.directory), each.weight) for each in found.revisions]
