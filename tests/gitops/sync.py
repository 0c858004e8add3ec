"""How Argo CD tells InSync from OutOfSync, for a custom resource.

Three-way (the default): the JSON merge patch of what was applied last, what Git says and what is there of what was
applied last, also inside of lists; in sync if it changes nothing (gitops-engine/pkg/diff, `ThreeWayDiff` and
`RemoveMapFields`). Without a last-applied annotation what Git says stands in for it.
Server-side: a dry run of applying what Git says changes nothing.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

Body = dict[str, Any]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ABSENT = object()


def three_way(desired: Body, live: Body) -> Body:
    """What applying Git's document would change; empty: in sync."""
    original = live["metadata"].get("annotations", {}).get(LAST_APPLIED)
    before = json.loads(original) if original else desired
    patch = _merged(_changes(_known(before, live), desired), _deletions(before, desired))
    patched = apply(live, patch)
    return {} if patched == live else patch


def server_side(predicted: Body, live: Body) -> Body:
    """What a dry run would change; what every write changes is no difference."""
    return {} if _plain(predicted) == _plain(live) else {"predicted": _plain(predicted), "live": _plain(live)}


def apply(target: Any, patch: Any) -> Any:
    """A JSON merge patch, RFC 7386."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = apply(found.get(key), value)
    return found


def _known(before: Any, live: Any) -> Any:
    """What is there without fields that were not applied; elements of lists go by their place."""
    if isinstance(before, Mapping) and isinstance(live, Mapping):
        return {key: _known(value, live[key]) for key, value in before.items() if key in live}
    if isinstance(before, list) and isinstance(live, list):
        return [_known(before[place], each) if place < len(before) else each for place, each in enumerate(live)]
    return live


def _changes(live: Mapping[str, Any], desired: Mapping[str, Any]) -> Body:
    """Additions and changes only: what is there and not in Git is somebody else's."""
    found: Body = {}
    for key, value in desired.items():
        there = live.get(key, _ABSENT)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            if inner := _changes(there, value):
                found[key] = inner
        elif value != there:
            found[key] = value
    return found


def _deletions(before: Mapping[str, Any], desired: Mapping[str, Any]) -> Body:
    """What was applied last and is in Git no more."""
    found: Body = {}
    for key, value in before.items():
        if key not in desired:
            if value != {}:
                found[key] = None
        elif isinstance(value, Mapping) and isinstance(desired[key], Mapping) and (inner := _deletions(value, desired[key])):
            found[key] = inner
    return found


def _merged(left: Body, right: Body) -> Body:
    found = dict(left)
    for key, value in right.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = _merged(found[key], value) if both else value
    return found


def _plain(body: Body) -> Body:
    found = copy.deepcopy(body)
    for key in ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"):
        found["metadata"].pop(key, None)
    return found
