"""Every status that the golden stories ever show, as the API server would give the object to a GitOps tool."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from tests.stories import telling
from tests.stories.test_stories import STORIES
from volary.api.v1alpha1 import ModelDeploymentStatus, Phase
from volary.common import names
from volary.planning.model import Desired, Observed
from volary.simulation.world import Turn, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """After one turn: the object, and what a planner that is asked something then would look at."""

    story: str
    phase: Phase
    body: Mapping[str, Any]
    desired: Desired
    observed: Observed
    request_id: str
    now: datetime


@cache
def stories() -> tuple[Seen, ...]:
    """Each different status once a story."""
    return tuple(seen for many, _ in _all().values() for seen in many)


def worlds() -> dict[str, World]:
    """Each story's world as it is at the end; whoever goes on with one has it for himself."""
    return {name: world for name, (_, world) in _all().items()}


@cache
def _all() -> dict[str, tuple[list[Seen], World]]:
    return {name: _played(name) for name in STORIES}


def _played(name: str) -> tuple[list[Seen], World]:
    found: list[Seen] = []
    last: list[ModelDeploymentStatus] = []

    def look(world: World, turn: Turn) -> None:
        if last and _without_times(last[-1]) == _without_times(turn.status):
            return
        last[:] = [turn.status]
        found.append(_seen(name, world, turn))

    with _listening(look):
        world = STORIES[name][0]().world
    world.listeners.clear()
    return found, world


class _listening:  # noqa: N801 -- reads as what it does
    """Every story that begins meanwhile tells of its turns."""

    def __init__(self, look: Any) -> None:
        self._look = look
        self._plain = telling.Story.__dict__["of"]

    def __enter__(self) -> None:
        plain, look = self._plain, self._look

        def of(cls: type[telling.Story], title: str, **fields: Any) -> telling.Story:
            story: telling.Story = plain.__func__(cls, title, **fields)
            story.world.listeners.append(lambda turn: look(story.world, turn))
            return story

        telling.Story.of = classmethod(of)  # type: ignore[method-assign,assignment]

    def __exit__(self, *_: object) -> None:
        telling.Story.of = self._plain  # type: ignore[method-assign]


def _seen(name: str, world: World, turn: Turn) -> Seen:
    status = turn.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Seen(
        story=name,
        phase=turn.status.phase,
        body=body(world.spec.model_dump(mode="json", by_alias=True, exclude_none=True), status, world.generation),
        desired=replace(turn.desired, status=turn.status, request=None),
        observed=replace(turn.observed, revisions=tuple(world.cluster.revisions.values())),
        request_id=world.request_id(),
        now=turn.now,
    )


def body(spec: Mapping[str, Any], status: Mapping[str, Any] | None, generation: int) -> dict[str, Any]:
    """The whole object."""
    metadata = {"name": "fraud", "namespace": "shop", "uid": "u-1", "generation": generation, "resourceVersion": "4711"}
    whole = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": dict(spec)}
    return whole if status is None else whole | {"status": dict(status)}


def _without_times(status: ModelDeploymentStatus) -> Any:
    """Samples change all the time and no verdict depends on them."""
    rollout = status.rollout
    kept = None if rollout is None else (rollout.revision, rollout.step, rollout.paused, rollout.awaits_approval)
    return (
        status.observed_generation,
        status.phase,
        tuple((c.type, c.status, c.reason) for c in status.conditions),
        status.last_rollout and status.last_rollout.ended_at,
        status.canary and status.canary.revision,
        status.stable and status.stable.revision,
        tuple((h.revision, h.promoted, h.failed) for h in status.history),
        kept,
    )
