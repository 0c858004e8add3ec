"""Looks at the HTTPRoute of a ModelDeployment that asks for one, and at the one it asked for before.

Most clusters have no HTTPRoutes. They are neither listed nor watched here: one is read by its name,
and only if a spec, or what is remembered of an earlier one, names it.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from volary.adapters.cluster import GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES, Body, Cluster, Forbidden, NotFound
from volary.common.errors import Refused
from volary.common.names import MODEL_LABEL
from volary.common.reasons import Reason
from volary.planning import httproutes
from volary.planning.model import Desired, Observed, Only
from volary.planning.weighted import HttpRoute, LeftRoute, NoRoute, NotAsked, Unroutable

_FRESH = timedelta(minutes=1)  # a schema changes when somebody installs another Gateway API
_MIRROR = ("filters", "requestMirror", "percent")
_ALL = 100  # percent
_STICKY = ("sessionPersistence", "sessionName")


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at routes; `uid` of Volary's own."""

    route: HttpRoute = field(default_factory=NotAsked)
    left: LeftRoute | None = None
    uid: str | None = None


class Routes:
    """Reads HTTPRoutes by their names."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._schema: tuple[datetime, Body] | None = None

    async def look(self, desired: Desired, observed: Observed, now: datetime) -> Seen:
        """Raises Transient where the API server does not answer."""
        left = await self._left(desired)
        asked = desired.spec.rollout.traffic
        if asked is None:
            return Seen(left=left, uid=await self._uid(desired) if left and left.own else None)
        try:
            if asked.http_route is not None:
                return Seen(route=await self._users(desired, asked.http_route.name, observed), left=left)
            return await self._own(desired, observed, left, await self._lacking(desired, now))
        except Forbidden:
            text = "Volary may not read HTTPRoutes here: apply manifests/gateway, or remove spec.rollout.traffic"
            return Seen(route=Unroutable(Reason.GATEWAY_ABSENT, text))
        except Refused as refused:
            return Seen(route=Unroutable(refused.reason, refused.message), left=left)

    async def _own(self, desired: Desired, observed: Observed, left: LeftRoute | None, lacking: Unroutable | None) -> Seen:
        body = await self._get(desired, desired.name)
        if body is None:
            await self._served(desired)
            return Seen(route=lacking or NoRoute(), left=left)
        if not _controlled(body, desired.uid):
            text = f"HTTPRoute {desired.name} exists and is not Volary's: rename it, or name it in spec.rollout.traffic.httpRoute"
            raise Refused(Reason.ROUTE_UNUSABLE, text)
        found = httproutes.own_from(desired, body, observed.revisions)
        if lacking is not None:
            found = replace(found, problem=lacking.message, reason=lacking.reason)
        return Seen(route=found, left=left, uid=body["metadata"]["uid"])

    async def _users(self, desired: Desired, name: str, observed: Observed) -> HttpRoute:
        body = await self._get(desired, name)
        if body is None:
            await self._served(desired)
            raise Refused(Reason.ROUTE_UNUSABLE, f"there is no HTTPRoute {name}: create it, or correct spec.rollout.traffic.httpRoute.name")
        return httproutes.users_from(desired, body, observed.traffic.revision if isinstance(observed.traffic, Only) else "")

    async def _left(self, desired: Desired) -> LeftRoute | None:
        """What was written before the spec named another route, as far as something of Volary's is there still."""
        before, asked = desired.status.route, desired.spec.rollout.traffic
        users = asked.http_route.name if asked and asked.http_route else None
        own = asked is not None and users is None
        try:
            if not own and (before is None or before.own) and (before or desired.status.observed_generation <= 0):
                body = await self._get(desired, desired.name)
                return LeftRoute(name=desired.name, own=True) if body is not None and _controlled(body, desired.uid) else None
            if before is not None and not before.own and before.name != users:
                body = await self._get(desired, before.name)
                found = body is not None and httproutes.released(desired, body) != body["spec"].get("rules")
                return LeftRoute(name=before.name, own=False) if found else None
        except Forbidden:
            return None
        return None

    async def _uid(self, desired: Desired) -> str | None:
        body = await self._get(desired, desired.name)
        return None if body is None else str(body["metadata"]["uid"])

    async def _get(self, desired: Desired, name: str) -> Body | None:
        return await self._cluster.get(HTTP_ROUTES, desired.namespace, name)

    async def _served(self, desired: Desired) -> None:
        """A missing object and a missing kind are both 404, but a missing kind cannot be listed. Raises Refused."""
        try:
            await self._cluster.list(HTTP_ROUTES, desired.namespace, {MODEL_LABEL: desired.name}, metadata_only=True)
        except NotFound:
            text = "the cluster has no HTTPRoutes (gateway.networking.k8s.io/v1): install Gateway API, or remove spec.rollout.traffic"
            raise Refused(Reason.GATEWAY_ABSENT, text) from None

    async def _lacking(self, desired: Desired, now: datetime) -> Unroutable | None:
        """A field of HTTPRoute that the spec needs and that the cluster's Gateway API has not."""
        asked = desired.spec.rollout.traffic
        needed = [
            *([("mirror", _MIRROR, "1.3")] if asked and asked.mirror else []),
            *([("sticky", _STICKY, "the experimental channel of 1.1")] if asked and asked.sticky else []),
        ]
        for option, path, since in needed:
            if not _has(await self._rule(now), path):
                text = f"HTTPRoute here has no field {'.'.join(path)}: install Gateway API {since} or later"
                return Unroutable(Reason.GATEWAY_UNSUPPORTED, f"{text}, or remove spec.rollout.traffic.{option}")
        return await self._unable(desired) if asked and asked.mirror else None

    async def _unable(self, desired: Desired) -> Unroutable | None:
        """A gateway that does not say it can mirror: some accept such a route and then fail every request of it."""
        asked = desired.spec.rollout.traffic
        refs = asked.gateway.parent_refs if asked and asked.gateway else ()
        partly = asked is not None and asked.mirror is not None and asked.mirror.percent < _ALL
        needed = {"HTTPRouteRequestMirror", *(["HTTPRouteRequestPercentageMirror"] if partly else [])}
        for ref in refs:
            if lacking := sorted(needed - await self._features(desired, ref.name)):
                text = (
                    f"Gateway {ref.name} cannot mirror: its GatewayClass does not list {' and '.join(lacking)} in status.supportedFeatures"
                )
                return Unroutable(Reason.GATEWAY_UNSUPPORTED, f"{text}; remove spec.rollout.traffic.mirror")
        return None

    async def _features(self, desired: Desired, gateway: str) -> set[str]:
        """What the class of a Gateway claims to support; a Gateway that is not there claims nothing."""
        body = await self._cluster.get(GATEWAYS, desired.namespace, gateway)
        name = (body or {}).get("spec", {}).get("gatewayClassName")
        found = await self._cluster.get(GATEWAY_CLASSES, "", name) if name else None
        return {feature["name"] for feature in (found or {}).get("status", {}).get("supportedFeatures") or () if "name" in feature}

    async def _rule(self, now: datetime) -> Body:
        """Schema of a rule of an HTTPRoute. Raises Refused where there are none."""
        if self._schema is None or now - self._schema[0] > _FRESH:
            found = await self._cluster.schema(HTTP_ROUTES)
            if found is None:
                raise Refused(Reason.GATEWAY_ABSENT, "the cluster has no HTTPRoutes: install Gateway API, or remove spec.rollout.traffic")
            self._schema = now, found["properties"]["spec"]["properties"]["rules"]["items"]
        return self._schema[1]


def _controlled(body: Body, uid: str) -> bool:
    return any(owner.get("uid") == uid and owner.get("controller") for owner in body["metadata"].get("ownerReferences") or ())


def _has(schema: Body, path: tuple[str, ...]) -> bool:
    for name in path:
        schema = schema.get("items", schema).get("properties", {}).get(name, {})
    return bool(schema)
