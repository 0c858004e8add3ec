"""A ModelDeployment under load, and what tests do with it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.demo.stage import merged
from tests.demo.watching import Watch
from tests.support import wait
from tests.support.kubectl import Body, condition
from tests.support.load import Load
from volary.common.names import COMPONENT_LABEL, MODEL_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage

QUICK = {"steps": [{"weight": 50, "duration": "3s"}]}
FINAL = frozenset({"Refused", "RolledBack", "Failed"})  # phases that stay until the spec changes


@dataclass(frozen=True)
class Model:
    """A ModelDeployment that is watched."""

    stage: Stage
    watch: Watch

    @classmethod
    @contextmanager
    def watched(cls, stage: Stage, namespace: str, name: str) -> Iterator[Model]:
        """Starts to look; applies nothing yet."""
        with Watch(stage.kubectl, namespace, name) as watch:
            yield cls(stage, watch)

    def apply(self, version: str, **changes: Any) -> Body:
        """The spec as a user writes it; what was sent."""
        body = self.stage.model(self.watch.namespace, self.watch.name, version, **changes)
        self.stage.kubectl.apply(body)
        self.watch.look()  # from now on, what is seen is the new spec's
        return body

    def until_serving(self, version: str, within: float = 90) -> None:
        """This version is stable, wanted, and takes everything with all its pods."""

        def serves() -> bool:
            stable = self.watch.status.get("stable") or {}
            return self.watch.phase == "Serving" and stable.get("version") == version and stable.get("ready") == stable.get("replicas")

        self.watch.until(f"{version} serves", serves, within)

    def until_canary(self, version: str, within: float = 60) -> None:
        """This version takes traffic beside stable."""

        def shares() -> bool:
            canary = self.watch.status.get("canary") or {}
            return self.watch.phase in {"Canary", "Paused"} and canary.get("version") == version and canary.get("weightReached", 0) > 0

        self.watch.until(f"{version} is a canary with traffic", shares, within)

    def until_said(self, reason: str, phase: str, within: float = 60) -> str:
        """The Ready condition has this reason, in this phase; its message."""

        def said() -> bool:
            if self.watch.phase != phase:
                return False
            found = condition(self.watch.body, "Ready")
            if found.get("reason") != reason and phase in FINAL:
                raise wait.Hopeless(f"{phase} because of {found.get('reason')}, not {reason}: {found.get('message')}")
            return bool(found.get("reason") == reason)

        self.watch.until(f"{phase} because of {reason}", said, within)
        return str(condition(self.watch.body, "Ready")["message"])

    @property
    def stable(self) -> str:
        """Version of the stable revision."""
        return str((self.watch.status.get("stable") or {}).get("version", ""))

    def pods(self) -> list[Body]:
        """Model pods that are not on their way out."""
        selector = f"{MODEL_LABEL}={self.watch.name},{COMPONENT_LABEL}=server"
        found = self.stage.kubectl.list("Pod", self.watch.namespace, selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def until_replaced(self, gone: set[str], count: int, within: float = 60) -> None:
        """`count` ready pods, none of them of `gone` (uids)."""

        def replaced() -> bool:
            pods = self.pods()
            uids = {pod["metadata"]["uid"] for pod in pods}
            ready = [pod for pod in pods if condition(pod, "Ready").get("status") == "True"]
            return len(ready) == len(pods) == count and not uids & gone

        wait.until(f"{count} ready pods in place of the deleted ones", replaced, within, seen=lambda: names(self.pods()))


@dataclass(frozen=True)
class Serving(Model):
    """A model that serves, and the load on it."""

    load: Load

    @classmethod
    @contextmanager
    def begin(cls, stage: Stage, namespace: str, name: str, *, rate: float = 100.0, **changes: Any) -> Iterator[Serving]:
        """1.0.0, ready, and the load running."""
        with Model.watched(stage, namespace, name) as model:
            model.apply("1.0.0", **changes)
            model.until_serving("1.0.0")
            address = stage.url(namespace, name)
            assert address is not None
            with Load(address, rate) as load:
                load.running()
                yield cls(stage, model.watch, load)

    def change(self, version: str = "1.0.0", **changes: Any) -> Body:
        """The spec of this model with another version, or with whatever else a test changes."""
        return self.apply(version, **merged({"replicas": 2, "rollout": QUICK}, changes))

    def back_to_first(self) -> None:
        """1.0.0 serves alone with two pods, as at the beginning."""
        self.change()
        self.until_serving("1.0.0")
        wait.until("only the pods of 1.0.0 are left", lambda: len(self.pods()) == 2, 60, seen=lambda: names(self.pods()))


def another_revision(purpose: str) -> dict[str, Any]:
    """A change of the pods that makes a version new to a ModelDeployment that has promoted it before."""
    return {"runtime": {"resources": {"requests": {"cpu": f"{10 + sum(purpose.encode()) % 40}m"}}}}


def names(bodies: list[Body]) -> list[str]:
    """For messages."""
    return [body["metadata"]["name"] for body in bodies]


def owned(stage: Stage, namespace: str, name: str) -> list[str]:
    """All objects of a ModelDeployment, as kind/name, those on their way out too."""
    selector = f"{MODEL_LABEL}={name}"
    kinds = ("Deployment", "ReplicaSet", "Pod", "Service", "ControllerRevision", "Job", "EndpointSlice")
    return [f"{kind}/{body['metadata']['name']}" for kind in kinds for body in stage.kubectl.list(kind, namespace, selector)]


def uids(bodies: list[Body]) -> set[str]:
    """Identities, for before and after."""
    return {body["metadata"]["uid"] for body in bodies}


def pretty(body: Body | None) -> str:
    """For messages of assertions."""
    return json.dumps(body, indent=1)[:4000]
