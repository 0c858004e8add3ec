"""A Kubernetes API in memory, for tests: resource versions, server-side apply, preconditions, garbage collection.

Simplified: the last manager to apply a field owns it, lists are replaced as a whole, nothing is validated.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from volary.adapters.cluster import Body, Conflict, Kind, NotFound, kind_of
from volary.common.errors import VolaryError
from volary.common.names import FIELD_MANAGER, PERSON
from volary.common.reasons import Reason

_Key = tuple[Kind, str, str]


class FakeCluster:
    """`Cluster` without a cluster. `requests` tells what was asked; `fail` makes the next matching request fail."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []  # verb, kind, name
        self.schemas: dict[Kind, Body] = {}
        self._objects: dict[_Key, Body] = {}
        self._applied: dict[tuple[_Key, str], dict[str, Body]] = {}  # manager -> what it applied last
        self._failures: list[tuple[str, str, VolaryError]] = []
        self._numbers: Iterator[int] = itertools.count(1)

    # ---- the port ----

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """One object, None where there is none."""
        self._ask("get", kind, name)
        found: Body | None = _copied(self._objects.get((kind, namespace, name)))
        return found

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str | None] | None = None, *, metadata_only: bool = False
    ) -> list[Body]:
        """All that match, in the order of their names."""
        self._ask("list", kind, "")
        found = [
            _copied(body)
            for (k, ns, _), body in sorted(self._objects.items(), key=lambda item: item[0][1:])
            if k == kind and namespace in {None, ns} and _matches(body, labels or {})
        ]
        return [{part: body[part] for part in ("apiVersion", "kind", "metadata")} for body in found] if metadata_only else found

    async def schema(self, kind: Kind) -> Body | None:
        """What a test put there."""
        self._ask("get", kind, "")
        return self.schemas.get(kind)

    async def apply(self, body: Body, *, manager: str = FIELD_MANAGER) -> Body:
        """Create or merge; a changed spec is a new generation."""
        self._ask("apply", kind_of(body), body["metadata"]["name"])
        return self._apply(body, "", manager)

    async def apply_status(self, body: Body) -> Body:
        """Merge the status of an object that exists."""
        self._ask("apply", kind_of(body), body["metadata"]["name"])
        if self._key(body) not in self._objects:
            raise NotFound(Reason.API_UNAVAILABLE, f"{body['metadata']['name']} not found")
        return self._apply(body, "status")

    async def create(self, body: Body) -> Body:
        """A new object; Conflict where there is one."""
        body = _copied(body)
        metadata = body["metadata"]
        metadata.setdefault("name", f"{metadata.get('generateName', '')}{next(self._numbers)}")
        self._ask("post", kind_of(body), metadata["name"])
        if self._key(body) in self._objects:
            raise Conflict(Reason.API_UNAVAILABLE, f"{metadata['name']} exists already")
        return self._store(body)

    async def replace(self, body: Body) -> Body:
        """Replace by resourceVersion."""
        self._ask("put", kind_of(body), body["metadata"]["name"])
        present = self._objects.get(self._key(body))
        if present is None:
            raise NotFound(Reason.API_UNAVAILABLE, f"{body['metadata']['name']} not found")
        if body["metadata"].get("resourceVersion") not in {None, present["metadata"]["resourceVersion"]}:
            raise Conflict(Reason.API_UNAVAILABLE, f"{body['metadata']['name']} was changed")
        return self._store(_copied(body))

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = PERSON) -> Body:
        """JSON merge patch."""
        del manager
        self._ask("patch", kind, name)
        present = self._objects.get((kind, namespace, name))
        if present is None:
            raise NotFound(Reason.API_UNAVAILABLE, f"{name} not found")
        if patch.get("metadata", {}).get("resourceVersion") not in {None, present["metadata"]["resourceVersion"]}:
            raise Conflict(Reason.API_UNAVAILABLE, f"{name} was changed")
        return self._store(_patched(present, patch))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete with its dependents, at once."""
        self._ask("delete", kind, name)
        present = self._objects.get((kind, namespace, name))
        if present is not None and present["metadata"]["uid"] != uid:
            raise Conflict(Reason.API_UNAVAILABLE, f"{name} is another object by now")
        if present is not None:
            self._remove((kind, namespace, name))

    # ---- for tests ----

    def fail(self, verb: str, kind: Kind | None, error: VolaryError, times: int = 1) -> None:
        """The next requests of this verb (and kind) fail."""
        self._failures += [(verb, kind.plural if kind else "", error)] * times

    def put(self, body: Body) -> Body:
        """Put an object there as another client would, status included."""
        return self._store(_copied(body))

    @property
    def writes(self) -> tuple[tuple[str, str, str], ...]:
        """Requests that change something."""
        return tuple(request for request in self.requests if request[0] not in {"get", "list"})

    def _ask(self, verb: str, kind: Kind, name: str) -> None:
        self.requests.append((verb, kind.plural, name))
        for failure in self._failures:
            if failure[0] == verb and failure[1] in {"", kind.plural}:
                self._failures.remove(failure)
                raise failure[2]

    def _key(self, body: Body) -> _Key:
        return kind_of(body), body["metadata"]["namespace"], body["metadata"]["name"]

    def _apply(self, body: Body, part: str, manager: str = FIELD_MANAGER) -> Body:
        key = self._key(body)
        present = self._objects.get(key)
        uid = body["metadata"].get("uid")
        if uid is not None and (present is None or present["metadata"]["uid"] != uid):
            raise Conflict(Reason.API_UNAVAILABLE, f"{key[2]} is another object by now")
        wanted = {"status": body.get("status", {})} if part else {k: v for k, v in body.items() if k != "status"}
        applied = self._applied.setdefault((key, part), {})
        held = wanted
        for other in applied.keys() - {manager}:
            held = _patched(applied[other], held)
        dropped = _removals(applied.get(manager, {}), held)
        applied[manager] = _copied(wanted)
        return self._store(_patched(_patched(present or {}, dropped), wanted))

    def _store(self, body: Body) -> Body:
        key = self._key(body)
        before = self._objects.get(key)
        metadata = body["metadata"]
        if before is None:
            metadata |= {"uid": f"uid-{next(self._numbers)}", "generation": 1}
        else:
            grown = before.get("spec") != body.get("spec")
            metadata |= {"uid": before["metadata"]["uid"], "generation": before["metadata"]["generation"] + grown}
            metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
        if body != before:
            metadata["resourceVersion"] = str(next(self._numbers))
        self._objects[key] = body
        stored: Body = _copied(body)
        return stored

    def _remove(self, key: _Key) -> None:
        gone = self._objects.pop(key)
        for part in ("", "status"):
            self._applied.pop((key, part), None)
        orphans = [k for k, body in self._objects.items() if _owned_by(body, gone["metadata"]["uid"])]
        for orphan in orphans:
            if orphan in self._objects:
                self._remove(orphan)


def _copied(value: Any) -> Any:
    """A tree of JSON; `copy.deepcopy` takes five times as long."""
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list | tuple) else value


def _owned_by(body: Body, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in body["metadata"].get("ownerReferences", ()))


def _matches(body: Body, labels: Mapping[str, str | None]) -> bool:
    own = body["metadata"].get("labels", {})
    return all(key in own and value in {None, own[key]} for key, value in labels.items())


def _patched(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return _copied(patch)
    result = dict(_copied(target)) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _patched(result.get(key), value)
    return result


def _removals(before: Body, now: Body) -> Body:
    """The merge patch that takes away what was applied before and is not any more."""
    patch: Body = {}
    for key, value in before.items():
        if key not in now:
            patch[key] = None
        elif isinstance(value, dict) and isinstance(now[key], dict) and (inner := _removals(value, now[key])):
            patch[key] = inner
    return patch
