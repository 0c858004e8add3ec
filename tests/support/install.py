"""What `kubectl apply -k manifests/install` would apply, with images of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALL = REPOSITORY / "manifests" / "install"
_VARIABLES = {"VOLARY_AGENT_IMAGE": "agent", "VOLARY_SERVER_IMAGE": "server"}


def documents(images: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """All objects in the order of the kustomization; `images` has any of the keys operator, agent, server.

    `variables` are set besides those that are there.

    Raises KeyError for another key.
    """
    found = list(_resources(INSTALL))
    wanted = dict(images or {})
    for container in (container for document in found for container in _containers(document)):
        if "operator" in wanted:
            container["image"] = wanted["operator"]
        container.setdefault("env", []).extend({"name": name, "value": value} for name, value in (variables or {}).items())
        for variable in container.get("env", ()):
            if (image := wanted.get(_VARIABLES.get(variable["name"], ""))) is not None:
                variable["value"] = image
    if unknown := wanted.keys() - {"operator", *_VARIABLES.values()}:
        raise KeyError(*sorted(unknown))
    return found


def _resources(folder: Path) -> Iterator[dict[str, Any]]:
    """Follow a kustomization, into other folders too."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    for name in kustomization["resources"]:
        path = folder / name
        if path.is_dir():
            yield from _resources(path)
        else:
            yield from yaml.safe_load_all(path.read_text("utf-8"))


def _containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    if document["kind"] != "Deployment":
        return []
    containers: list[dict[str, Any]] = document["spec"]["template"]["spec"]["containers"]
    return containers
