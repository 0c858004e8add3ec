"""How requests reach a canary through a gateway: `spec.rollout.traffic`."""

from typing import Annotated

from pydantic import Field

from volary.api import fields, rules
from volary.api.fields import Duration, Integer
from volary.api.v1alpha1.base import Spec

SectionName = Annotated[
    str,
    Field(max_length=253),
    rules.text(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "write the name of a listener of the Gateway, such as web"),
]
Hostname = Annotated[
    str,
    Field(max_length=253, description="A host name in lower case, or *. and the end of one."),
    rules.text(
        r"^([*][.])?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        "write a host name in lower case, such as fraud.example.com or *.example.com; no port and no path",
    ),
]
PathPrefix = Annotated[
    str,
    Field(max_length=512),
    rules.text(r"^(/|(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?)$", "write a path that begins with '/', such as /v2/models/fraud"),
]
HeaderName = Annotated[
    str,
    Field(max_length=64),
    rules.text(r"^[A-Za-z0-9-]+$", "write the name of a header: letters, digits and '-', such as x-volary-revision"),
]


class ParentRef(Spec):
    """A Gateway in the namespace of the ModelDeployment."""

    name: fields.LocalName
    """Name of the Gateway."""
    section_name: SectionName | None = None
    """One of its listeners. Absent: all that take the route."""


class GatewayTraffic(Spec):
    """An HTTPRoute of Volary's own, named like the ModelDeployment."""

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=8)]
    """The Gateways that clients come through."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16)] = ()
    """Host names of the requests. Empty: those of the listeners."""
    path: PathPrefix = "/"
    """What the paths of the requests begin with."""


class RouteTraffic(Spec):
    """An HTTPRoute of the user's, in which only the weights of the model's backendRefs are Volary's."""

    name: fields.LocalName
    """An HTTPRoute in the same namespace with a backendRef to the Service named like the ModelDeployment."""
    rule: fields.LocalName | None = None
    """Name of the rule with that backendRef. Absent: the one rule that has it."""


class HeaderMatch(Spec):
    """Requests that reach the canary whatever its weight is."""

    name: HeaderName = "x-volary-revision"
    """Name of the header; its value is canary, the revision or the version."""


class Sticky(Spec):
    """Clients that stay with the revision that answered them first."""

    header: HeaderName = "x-volary-session"
    """The header that the gateway gives to a client and finds it by."""


class Mirror(Spec):
    """A shadow stage before the first step: the canary gets copies of requests and answers none."""

    percent: Annotated[Integer, rules.between(1, 100, "spec.rollout.traffic.mirror.percent must be between 1 and 100")] = 100
    """Share of the requests that are copied."""
    duration: Duration = "1m"
    """How long at least; the stage is judged as a step is."""


class Traffic(Spec):
    """Weights by Gateway API: exact, whatever the number of pods."""

    gateway: GatewayTraffic | None = None
    """Volary makes the HTTPRoute."""
    http_route: RouteTraffic | None = None
    """Volary sets weights in an HTTPRoute that is there."""
    header: HeaderMatch | None = None
    """A header that reaches the canary."""
    sticky: Sticky | None = None
    """Needs the field sessionPersistence, which only the experimental channel of Gateway API has."""
    mirror: Mirror | None = None
    """A shadow before the first step."""


ONE_ROUTE = rules.Rule(
    expression="has(self.gateway) != has(self.httpRoute)",
    message="write one of spec.rollout.traffic.gateway (Volary makes the HTTPRoute) and .httpRoute (weights in a route of yours); "
    "without a gateway leave spec.rollout.traffic out",
    holds=lambda traffic: (traffic.gateway is None) != (traffic.http_route is None),
)
OWN_ROUTE_ONLY = rules.Rule(
    expression="!has(self.httpRoute) || !(has(self.header) || has(self.sticky) || has(self.mirror))",
    message="header, sticky and mirror of spec.rollout.traffic need .gateway: in a route of yours Volary changes nothing but weights",
    holds=lambda traffic: traffic.http_route is None or (traffic.header, traffic.sticky, traffic.mirror) == (None, None, None),
)
