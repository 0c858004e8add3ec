"""Posts Kubernetes Events, so that `kubectl describe` tells the story in the words of the status.

An Event is a courtesy: one that cannot be posted is logged and forgotten. The same fact about the
same object is posted once in a while, however often it is decided.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from volary.adapters.cluster import EVENTS, MODEL_DEPLOYMENTS, Body, Cluster
from volary.common.errors import VolaryError
from volary.common.logs import fields, scrub
from volary.controller.observe import Unreadable
from volary.planning.model import Desired, Fact

AGAIN_AFTER = timedelta(minutes=10)
_REMEMBERED = 4096
_MESSAGE_LIMIT = 1000  # the API server takes 1,024
_LOG = logging.getLogger("volary.events")

_Seen = tuple[str, str, str]  # uid, reason, message


class Events:
    """Posts facts about ModelDeployments."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime], instance: str) -> None:
        self._cluster = cluster
        self._clock = clock
        self._instance = instance
        self._posted: OrderedDict[_Seen, datetime] = OrderedDict()

    async def post(self, of: Desired | Unreadable, facts: Iterable[Fact]) -> None:
        """One request for each fact that is news."""
        for fact in facts:
            if not self._news((of.uid, fact.reason, fact.message)):
                continue
            try:
                await self._cluster.create(self._body(of, fact))
            except VolaryError as error:
                _LOG.warning("event not posted", extra=fields(namespace=of.namespace, name=of.name, reason=fact.reason, error=str(error)))

    def _news(self, seen: _Seen) -> bool:
        now = self._clock()
        last = self._posted.get(seen)
        if last is not None and now - last < AGAIN_AFTER:
            return False
        self._posted[seen] = now
        self._posted.move_to_end(seen)
        if len(self._posted) > _REMEMBERED:
            self._posted.popitem(last=False)
        return True

    def _body(self, of: Desired | Unreadable, fact: Fact) -> Body:
        time = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.name,
            "metadata": {"namespace": of.namespace, "generateName": f"{of.name}-"},
            "involvedObject": {
                "apiVersion": MODEL_DEPLOYMENTS.api_version,
                "kind": MODEL_DEPLOYMENTS.name,
                "namespace": of.namespace,
                "name": of.name,
                "uid": of.uid,
            },
            "type": fact.level.value,
            "reason": fact.reason.value,
            "message": scrub(fact.message)[:_MESSAGE_LIMIT],
            "count": 1,
            "firstTimestamp": time,
            "lastTimestamp": time,
            "source": {"component": "volary"},
            "reportingComponent": "serving.volary.dev/operator",
            "reportingInstance": self._instance,
        }
