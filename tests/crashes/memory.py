"""A cluster in memory with an operator that dies at a given write: thousands of deaths in seconds."""

import copy
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from tests.crashes import ends, nodes
from tests.crashes.scenarios import ERRORS, NAME, Ask, Deed, Delete, Deploy, body
from volary.adapters.agents import FakeAgents
from volary.adapters.cluster import DEPLOYMENTS, EVENTS, JOBS, MODEL_DEPLOYMENTS, PODS, SERVICES, Body, Kind
from volary.adapters.cluster_fake import FakeCluster
from volary.adapters.scrape import FakeScraper
from volary.common.names import FIELD_MANAGER, MODEL_LABEL, REQUEST_ANNOTATION
from volary.common.settings import Settings
from volary.controller.events import Events
from volary.controller.observe import Observer
from volary.controller.reconcile import Reconciler, Turn

SETTINGS = Settings(agent_image="agent:1", server_images=MappingProxyType({"onnxruntime": "server:1"}))
SPACE = "shop"
RATE = 200.0  # requests a second
SOON = timedelta(seconds=0.2)  # until the operator hears of a change
START = timedelta(seconds=0.5)  # of a pod


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


@dataclass(slots=True)
class Fuse:
    """Counts the moments around writes (2k: before write k, 2k + 1: after it) and ends the operator at some of them."""

    deaths: tuple[int, ...] = ()
    passed: int = 0

    def burn(self) -> None:
        """One moment goes by. Raises Killed."""
        moment, self.passed = self.passed, self.passed + 1
        if moment in self.deaths:
            raise Killed


class Mortal:
    """`Cluster` whose user may not live to see the answer."""

    def __init__(self, cluster: FakeCluster, fuse: Fuse, written: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._fuse = fuse
        self._written = written

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str | None] | None = None, *, metadata_only: bool = False
    ) -> list[Body]:
        return await self._cluster.list(kind, namespace, labels, metadata_only=metadata_only)

    async def apply(self, body: Body, *, manager: str = FIELD_MANAGER) -> Body:
        return await self._write(f"apply {body['kind']} {body['metadata']['name']}", self._cluster.apply(body, manager=manager))

    async def apply_status(self, body: Body) -> Body:
        return await self._write(f"status {body['status'].get('phase')}", self._cluster.apply_status(body))

    async def create(self, body: Body) -> Body:
        if body["kind"] == EVENTS.name:  # comes last, and nothing follows from it: a death before it is one after the status
            return await self._cluster.create(body)
        return await self._write(f"create {body['kind']}", self._cluster.create(body))

    async def replace(self, body: Body) -> Body:
        return await self._write(f"replace {body['kind']}", self._cluster.replace(body))

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body) -> Body:
        return await self._write(f"patch {kind.name} {name}", self._cluster.patch(kind, namespace, name, patch))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        await self._write(f"delete {kind.name} {name}", self._cluster.delete(kind, namespace, name, uid))

    async def _write(self, what: str, request: Coroutine[Any, Any, Any]) -> Any:
        try:
            self._fuse.burn()
        except Killed:
            request.close()  # it is never sent
            raise
        answer = await request
        self._written(what)
        self._fuse.burn()
        return answer


class World:
    """One ModelDeployment, its nodes and its clients; time is simulated."""

    def __init__(self, deaths: tuple[int, ...] = (), downtime: float = 0.0) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.cluster = FakeCluster()
        self.guard = ends.Guard()
        self.fuse = Fuse(deaths)
        self.downtime = timedelta(seconds=downtime)
        self._scraper = FakeScraper()
        self._counts: dict[str, tuple[float, float]] = {}
        self._born: dict[str, datetime] = {}
        self._count = 0
        self._start()

    def fork(self, deaths: tuple[int, ...], downtime: float) -> "World":
        """The same world up to now, with another fate; moments count from here."""
        other = World(deaths, downtime)
        other.now, other._count = self.now, self._count
        other.cluster, other.guard = copy.deepcopy(self.cluster), copy.deepcopy(self.guard)
        other._counts, other._born = dict(self._counts), dict(self._born)
        other._scraper.counters = dict(self._scraper.counters)
        other._start()
        return other

    def _start(self) -> None:
        """A new process that knows nothing."""
        mortal = Mortal(self.cluster, self.fuse, self._written)
        observer = Observer(mortal, self._scraper, SETTINGS, FakeAgents())
        self._operator = Reconciler(mortal, observer, Events(mortal, lambda: self.now, "test"), lambda: self.now)

    def _written(self, what: str) -> None:
        self.guard.writes.append(what)
        self._look()

    def _look(self) -> None:
        self.cluster.requests.clear()
        self.guard.look(self.model(), self.all, self.all(PODS))

    # ---- what is there --------------------------------------------------------------------------

    def all(self, kind: Kind) -> list[Body]:
        return [body for (k, _, _), body in sorted(self.cluster._objects.items(), key=lambda item: item[0][2]) if k == kind]

    def model(self) -> Body | None:
        return next(iter(self.all(MODEL_DEPLOYMENTS)), None)

    def end(self) -> ends.End:
        """With the number of pods of each Deployment."""
        found = ends.end(self.model(), [one for kind in ends.CHILDREN for one in self.all(kind)])
        return found | {"pods": len(self.all(PODS))}

    # ---- people ---------------------------------------------------------------------------------

    async def play(self, deeds: tuple[Deed, ...]) -> None:
        """One after the other, each to its end."""
        for deed in deeds:
            match deed:
                case Deploy():
                    wanted, present = body(SPACE, deed), self.model()
                    if present is not None:
                        wanted = copy.deepcopy(present) | {"spec": wanted["spec"]}
                    self.cluster.put(wanted)
                case Ask(value=value):
                    annotations = {"metadata": {"annotations": {REQUEST_ANNOTATION: value}}}
                    await self.cluster.patch(MODEL_DEPLOYMENTS, SPACE, NAME, annotations)
                case Delete():
                    present = self.model()
                    assert present is not None
                    await self.cluster.delete(MODEL_DEPLOYMENTS, SPACE, NAME, present["metadata"]["uid"])
            await self.settle(deed.phase)
            assert ends.settled(self.model(), deed.phase), (
                f"{deed} ends in {ends.phase(self.model())}: {(self.model() or {}).get('status')}"
            )

    # ---- time -----------------------------------------------------------------------------------

    async def settle(self, phase: str, turns: int = 400) -> None:
        """Turn after turn until nothing will ever happen again, or only samples follow because it is meant to pause."""
        paused = 0
        for _ in range(turns):
            before = self._versions()
            turn = await self._turn()
            wake = None if turn is None or turn.gone else turn.wake_at
            self._pass(SOON if turn is not None else SOON + self.downtime)
            if turn is not None and self._versions() == before and not self._waiting():
                if wake is None or paused > 3:
                    return
                if wake > self.now:
                    self._pass(wake - self.now)
            paused = paused + 1 if phase == ends.phase(self.model()) == "Paused" else 0
        raise AssertionError(f"no end after {turns} turns: {(self.model() or {}).get('status')}; {self.guard.writes[-20:]}")

    async def _turn(self) -> Turn | None:
        """None: the process died, and another one starts."""
        try:
            return await self._operator.turn((SPACE, NAME))
        except Killed:
            self._start()
            return None
        finally:
            self.cluster.requests.clear()

    def _versions(self) -> list[tuple[str, str]]:
        return [(key[2], one["metadata"]["resourceVersion"]) for key, one in self.cluster._objects.items() if key[0].name != "Event"]

    def _waiting(self) -> bool:
        """A pod that is about to do something."""
        return any("status" not in pod for pod in self.all(PODS))

    def _pass(self, span: timedelta) -> None:
        """Clients send requests, pods start and end."""
        self._serve(span.total_seconds())
        self.now += span
        self._preflights()
        self._deployments()
        for pod in self.all(PODS):
            if "status" not in pod and self.now - self._born[pod["metadata"]["name"]] >= START:
                self.cluster.put({**copy.deepcopy(pod), "status": self._status(pod)})
        self._look()

    def _serve(self, seconds: float) -> None:
        service = next((one for one in self.all(SERVICES) if one["metadata"]["name"] == NAME), None)
        endpoints = [pod for pod in self.all(PODS) if service is not None and ends.selects(service, pod) and ends.ready(pod)]
        for pod in endpoints:
            uid, share = pod["metadata"]["uid"], RATE * seconds / len(endpoints)
            requests, errors = self._counts.get(uid, (0.0, 0.0))
            self._counts[uid] = (requests + share, errors + share * ERRORS.get(nodes.version_of(pod), 0.0))
        self._scraper.counters = {pod["metadata"]["uid"]: (0, 0) for pod in self.all(PODS)}
        self._scraper.counters |= {uid: (int(requests), int(errors)) for uid, (requests, errors) in self._counts.items()}

    def _preflights(self) -> None:
        """A Job's pod comes, and a moment later it has ended."""
        for job in self.all(JOBS):
            if not self._pods_of(job):
                self._pod(job)

    def _deployments(self) -> None:
        for deployment in self.all(DEPLOYMENTS):
            own = sorted(self._pods_of(deployment), key=lambda pod: not ends.ready(pod))
            for _ in range(deployment["spec"]["replicas"] - len(own)):
                self._pod(deployment)
            for pod in own[deployment["spec"]["replicas"] :]:
                self.cluster._remove((PODS, SPACE, pod["metadata"]["name"]))

    def _pods_of(self, owner: Body) -> list[Body]:
        uid = owner["metadata"]["uid"]
        return [pod for pod in self.all(PODS) if pod["metadata"]["ownerReferences"][0]["uid"] == uid]

    def _pod(self, owner: Body) -> None:
        self._count += 1
        name, template = f"{owner['metadata']['name']}-{self._count}", owner["spec"]["template"]
        reference = {"uid": owner["metadata"]["uid"], "controller": True, "name": owner["metadata"]["name"], "kind": owner["kind"]}
        metadata = {
            "name": name,
            "namespace": SPACE,
            "labels": {MODEL_LABEL: NAME, **template["metadata"]["labels"]},
            "ownerReferences": [reference],
            "creationTimestamp": self.now.isoformat(),
        }
        self._born[name] = self.now
        self.cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})

    def _status(self, pod: Body) -> Body:
        version = nodes.version_of(pod)
        if pod["metadata"]["ownerReferences"][0]["kind"] == JOBS.name:
            return nodes.answered(version, self.now)
        return nodes.running(version, f"10.0.0.{self._count}")
