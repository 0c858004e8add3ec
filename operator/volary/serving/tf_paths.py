"""Paths of TensorFlow Serving's REST API: /v1/models/M[/versions/V|/labels/L][/metadata|:VERB]. Pure.

There V is a number; here it is a version as the bundle calls it, such as `1.4.0` or `7`, or a revision.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """What a path names; what is not named is empty."""

    model: str
    version: str = ""
    label: str = ""
    verb: str = ""
    metadata: bool = False


def model(name: str) -> str:
    """The path of a model."""
    return f"/v1/models/{name}"


def parse(parts: Sequence[str]) -> Asked | None:
    """The parts after /v1/models/."""
    metadata = len(parts) > 1 and parts[-1] == "metadata"
    named = list(parts[:-1] if metadata else parts)
    verb = ""
    if named and not metadata:
        named[-1], _, verb = named[-1].partition(":")
    match named:
        case [name] if name:
            return Asked(name, verb=verb, metadata=metadata)
        case [name, "versions", version] if name and version:
            return Asked(name, version=version, verb=verb, metadata=metadata)
        case [name, "labels", label] if name and label:
            return Asked(name, label=label, verb=verb, metadata=metadata)
        case _:
            return None
