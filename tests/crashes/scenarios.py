"""What people ask for in a life of a ModelDeployment, as data: played in memory and on a real API server alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from volary.adapters.cluster import Body
from volary.common.names import API_VERSION, KIND

NAME = "fraud"
REPLICAS = 3
GOOD, NEXT, BAD, CRASHING, UNSOUND = "1.0.0", "2.0.0", "2.0.0-bad", "2.0.0-crashing", "2.0.0-unsound"
ERRORS = {BAD: 0.5}  # share of requests that fail
STEPS = ({"weight": 34, "duration": "1s"}, {"weight": 67, "duration": "1s"})


@dataclass(frozen=True, slots=True)
class Deploy:
    """The spec asks for a version; `phase` is what is waited for before the next deed."""

    version: str
    phase: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """The request annotation."""

    value: str
    phase: str


@dataclass(frozen=True, slots=True)
class Delete:
    """The ModelDeployment goes."""

    phase: str = "Gone"


Deed = Deploy | Ask | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`deeds` are disturbed, `before` is not."""

    before: tuple[Deed, ...] = ()
    deeds: tuple[Deed, ...]


_HELD = {"rollout": {"paused": True}}
_LET_GO = {"rollout": {"paused": False}}
_SERVED = (Deploy(GOOD, "Serving"),)
_TWO = (*_SERVED, Deploy(NEXT, "Serving"))

SCENARIOS: Mapping[str, Scenario] = {
    "create": Scenario(deeds=_SERVED),
    "create, refused": Scenario(deeds=(Deploy(UNSOUND, "Refused"),)),
    "canary": Scenario(before=_SERVED, deeds=(Deploy(NEXT, "Serving"),)),
    "direct": Scenario(before=_SERVED, deeds=(Deploy(NEXT, "Serving", {"rollout": {"steps": []}}),)),
    "rollback by errors": Scenario(before=_SERVED, deeds=(Deploy(BAD, "RolledBack"),)),
    "rollback by crash": Scenario(before=_SERVED, deeds=(Deploy(CRASHING, "RolledBack"),)),
    "refused beside stable": Scenario(before=_SERVED, deeds=(Deploy(UNSOUND, "Refused"),)),
    "retry": Scenario(before=(*_SERVED, Deploy(BAD, "RolledBack")), deeds=(Ask("retry@1", "RolledBack"),)),
    "retry, refused": Scenario(before=(*_SERVED, Deploy(UNSOUND, "Refused")), deeds=(Ask("retry@1", "Refused"),)),
    "rollback request, one of three": Scenario(before=(*_TWO, Deploy("3.0.0", "Serving")), deeds=(Ask("rollback@1", "RolledBack"),)),
    "rollback request, one of two": Scenario(before=_TWO, deeds=(Ask("rollback@1", "RolledBack"),)),
    "abort": Scenario(before=(*_SERVED, Deploy(NEXT, "Paused", _HELD)), deeds=(Ask("abort@1", "RolledBack"),)),
    "promote": Scenario(before=(*_SERVED, Deploy(NEXT, "Paused", _HELD)), deeds=(Ask("promote@1", "Serving"),)),
    "superseded": Scenario(before=(*_SERVED, Deploy(NEXT, "Paused", _HELD)), deeds=(Deploy("3.0.0", "Serving", _LET_GO),)),
    "scale": Scenario(before=_SERVED, deeds=(Deploy(GOOD, "Serving", {"replicas": 5}), Deploy(GOOD, "Serving", {"replicas": 2}))),
    "history": Scenario(
        before=(*_TWO, Deploy("3.0.0", "Serving")), deeds=(Deploy("4.0.0", "Serving", {"history": 1, "rollout": {"steps": []}}),)
    ),
    "delete": Scenario(before=_SERVED, deeds=(Deploy(NEXT, "Paused", _HELD), Delete())),
    "made anew": Scenario(before=_SERVED, deeds=(Delete(), Deploy(NEXT, "Serving"))),
}


def body(namespace: str, deed: Deploy) -> Body:
    """The ModelDeployment as its user applies it."""
    rollout = {
        "steps": list(STEPS),
        "progressDeadline": "300s",
        "analysis": {"interval": "1s", "errors": {"tolerance": "5%"}},
        **deed.changes.get("rollout", {}),
    }
    spec = {
        "model": {"uri": "s3://models/fraud", "version": deed.version, "name": NAME},
        "runtime": {"name": "onnxruntime"},
        "replicas": REPLICAS,
        **deed.changes,
        "rollout": rollout,
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": NAME, "namespace": namespace}, "spec": spec}
