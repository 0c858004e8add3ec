"""Names that follow from content, so that the same spec gives the same names on every replay."""

import hashlib
import json
from typing import Any

from volary.api.v1alpha1 import Model, Runtime, Update

_ASKED = {"digest", "verify", "schema_change"}  # of a bundle; nothing a pod is made of
_LENGTH = 10  # hex digits: 40 bits, a clash among 50 kept revisions has odds of about 1 in 10^9


def _short(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _dump(part: Model | Runtime, *, without: set[str] | None = None) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=without)


def shape_id(model: Model, model_name: str, runtime: Runtime, images: tuple[str, ...]) -> str:
    """Names what pods look like that take one version after the other: all that shapes them but the version.

    Another `uri` is another shape: a version's name stands for one bundle only below one uri.
    """
    part = _dump(model, without=_ASKED | {"version"})
    return _short({"shape": part, "name": model_name, "runtime": _dump(runtime), "images": images})


def _way(update: Update) -> dict[str, Any]:
    """Nothing for the default, so that it renames no revision that was made before there was a choice."""
    return {} if update is Update.REPLACE else {"update": update}


def request_id(model: Model, model_name: str, runtime: Runtime, update: Update = Update.REPLACE) -> str:
    """Names what the preflight is asked: the spec as written, before its version is resolved."""
    return _short({"model": _dump(model), "name": model_name, "runtime": _dump(runtime)} | _way(update))


def revision_id(digest: str, model: Model, model_name: str, runtime: Runtime, update: Update = Update.REPLACE) -> str:
    """Names what runs: the resolved bundle and all of the spec that shapes a pod.

    What is asked of a bundle (`digest`, `verify`, `schemaChange`) changes nothing about the pods, so it is left
    out. Defaults are left out too: a later operator that adds a field with a default does not
    rename old revisions.
    """
    served = _dump(model, without=_ASKED)
    return _short({"digest": digest, "model": served, "name": model_name, "runtime": _dump(runtime)} | _way(update))
