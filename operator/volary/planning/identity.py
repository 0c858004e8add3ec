"""Names that follow from content, so that the same spec gives the same names on every replay."""

import hashlib
import json
from typing import Any

from volary.api.v1alpha1 import Model, Runtime

_LENGTH = 10  # hex digits: 40 bits, a clash among 50 kept revisions has odds of about 1 in 10^9


def _short(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _dump(part: Model | Runtime, *, without: set[str] | None = None) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=without)


def request_id(model: Model, model_name: str, runtime: Runtime) -> str:
    """Names what the preflight is asked: the spec as written, before its version is resolved."""
    return _short({"model": _dump(model), "name": model_name, "runtime": _dump(runtime)})


def revision_id(digest: str, model: Model, model_name: str, runtime: Runtime) -> str:
    """Names what runs: the resolved bundle and all of the spec that shapes a pod.

    What is asked of a bundle (`digest`, `verify`, `schemaChange`) changes nothing about the pods, so it is left
    out. Defaults are left out too: a later operator that adds a field with a default does not
    rename old revisions.
    """
    served = _dump(model, without={"digest", "verify", "schema_change"})
    return _short({"digest": digest, "model": served, "name": model_name, "runtime": _dump(runtime)})
