"""Tells endpoints of decisions over HTTP: CloudEvents 1.0 (structured JSON) and the webhook that Slack began and many chats take.

Formats: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md (3.2) and
https://api.slack.com/messaging/webhooks. Where to, an administrator says in a file; its addresses and headers are
secrets: they are in no message, no log line and no error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

import aiohttp
import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from volary.common import names
from volary.planning.notices import Decision

TIMEOUT = 10.0  # seconds for one delivery
SIZE = 64 * 1024  # bytes of the file
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
_MARKS = {Decision.PROMOTED: ":white_check_mark:", Decision.ROLLED_BACK: ":rewind:", Decision.REFUSED: ":no_entry:"}
_MARKS |= {Decision.DEGRADED: ":rotating_light:", Decision.WAITING: ":raised_hand:", Decision.NEW_REVISION: ":package:"}


class Format(StrEnum):
    """What an endpoint understands."""

    CLOUD_EVENTS = "cloudevents"
    SLACK = "slack"


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, hide_input_in_errors=True
    )


class Endpoint(_Strict):
    """One receiver."""

    name: _Name
    format: Format = Format.CLOUD_EVENTS
    url: SecretStr
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    decisions: tuple[Decision, ...] = tuple(Decision)
    namespaces: tuple[str, ...] = ()  # none: all

    def wants(self, message: "Message") -> bool:
        """Whether it is for this receiver."""
        return message.decision in self.decisions and (not self.namespaces or message.namespace in self.namespaces)


class Plan(_Strict):
    """The whole file."""

    cluster: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,63}$")] = ""
    endpoints: tuple[Endpoint, ...] = ()


class Unusable(ValueError):
    """The file says something that cannot be; the message names the place and never the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One decision, as it is sent."""

    id: str
    decision: Decision
    namespace: str
    name: str
    uid: str
    generation: int
    phase: str
    version: str
    revision: str
    reason: str
    text: str
    at: datetime


def read(text: str) -> Plan:
    """Raises Unusable."""
    try:
        plan = Plan.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Unusable(f"no YAML{f' in line {mark.line + 1}' if mark else ''}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise Unusable(f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from None
    names_ = [endpoint.name for endpoint in plan.endpoints]
    if len(names_) != len(set(names_)):
        raise Unusable("endpoints: two have the same name")
    for place, endpoint in enumerate(plan.endpoints):
        if not endpoint.url.get_secret_value().startswith(("https://", "http://")):
            raise Unusable(f"endpoints.{place}.url: not http:// or https://")
        if any("\n" in value.get_secret_value() or "\r" in value.get_secret_value() for value in endpoint.headers.values()):
            raise Unusable(f"endpoints.{place}.headers: a value of two lines")
    return plan


# ---- what is sent -----------------------------------------------------------------------------


def cloud_event(message: Message, cluster: str) -> dict[str, Any]:
    """A CloudEvent; `source` and `id` tell it from all others, for ever."""
    place = f"/namespaces/{message.namespace}/{names.PLURAL}/{message.name}"
    return {
        "specversion": "1.0",
        "id": message.id,
        "source": f"/clusters/{cluster}{place}" if cluster else place,
        "type": f"{names.GROUP}.{message.decision.lower()}.v1",
        "subject": message.name,
        "time": message.at.isoformat(timespec="seconds"),
        "datacontenttype": "application/json",
        "data": {
            "decision": message.decision,
            "reason": message.reason,
            "message": message.text,
            "namespace": message.namespace,
            "name": message.name,
            "uid": message.uid,
            "generation": message.generation,
            "phase": message.phase,
            "version": message.version,
            "revision": message.revision,
        },
    }


def slack(message: Message, cluster: str) -> dict[str, Any]:
    """A line of chat. `<`, `>` and `&` are escaped: what a model's server said must not call everybody."""
    mark = _MARKS.get(message.decision, ":small_blue_diamond:")
    where = f"{cluster}/" if cluster else ""
    return {"text": f"{mark} *{where}{message.namespace}/{message.name}* {message.decision}: {_escaped(message.text)} ({message.reason})"}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _body(endpoint: Endpoint, message: Message, cluster: str) -> tuple[str, bytes]:
    """Content type and content."""
    if endpoint.format is Format.SLACK:
        return "application/json; charset=utf-8", json.dumps(slack(message, cluster)).encode()
    return "application/cloudevents+json; charset=utf-8", json.dumps(cloud_event(message, cluster)).encode()


# ---- sending ----------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What became of one attempt."""

    DELIVERED = "Delivered"
    REFUSED = "Refused"  # the same again would be refused again
    FAILED = "Failed"  # it may succeed later


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt; `why` is fit for a log."""

    outcome: Outcome
    why: str = ""
    after: float = 0.0  # seconds that the receiver asks to wait


class Post(Protocol):
    """Delivers."""

    async def deliver(self, endpoint: Endpoint, message: Message, cluster: str) -> Attempt:
        """One attempt. Never raises."""


class HttpPost:
    """`Post` over HTTP. Redirects are not followed: headers are for whom the file names."""

    def __init__(self, session: aiohttp.ClientSession, *, timeout: float = TIMEOUT) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def deliver(self, endpoint: Endpoint, message: Message, cluster: str) -> Attempt:
        """What the receiver answers is not read: the status says all."""
        kind, content = _body(endpoint, message, cluster)
        headers = {name: value.get_secret_value() for name, value in endpoint.headers.items()} | {"Content-Type": kind}
        url = endpoint.url.get_secret_value()
        try:
            async with self._session.post(url, data=content, headers=headers, allow_redirects=False, timeout=self._timeout) as response:
                return judged(response.status, response.headers)
        except TimeoutError:
            return Attempt(Outcome.FAILED, "no answer in time")
        except (aiohttp.InvalidURL, ValueError):
            return Attempt(Outcome.REFUSED, "its URL or a header is none")
        except (aiohttp.ClientError, OSError) as error:
            return Attempt(Outcome.FAILED, type(error).__name__)


def judged(status: int, headers: Mapping[str, str]) -> Attempt:
    """2xx is delivered; 408, 425, 429 and 5xx come again; the rest will not get better."""
    if 200 <= status < 300:
        return Attempt(Outcome.DELIVERED)
    after = headers.get("Retry-After", "")
    if status in {408, 425, 429} or status >= 500:
        return Attempt(Outcome.FAILED, f"status {status}", float(after) if after.isdecimal() else 0.0)
    return Attempt(Outcome.REFUSED, f"status {status}")
