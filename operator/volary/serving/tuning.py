"""How a process serves, beside what: chosen once, for all its models."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from volary.serving import cores
from volary.serving.joining import OFF, Batching


@dataclass(frozen=True, slots=True)
class Room:
    """What waits for one version."""

    slots: int = 2  # pieces of work at once
    waiting: int = 1024  # requests


@dataclass(frozen=True, slots=True)
class Tuning:
    """Defaults: as small models on CPUs are best served."""

    batching: Batching = OFF
    waiting: int = Room().waiting  # requests of one version that may wait for their turn
    timeout: float = math.inf  # seconds a request may wait for its turn, where it does not say
    providers: tuple[str, ...] = ()  # of ONNX Runtime, before the CPU's own
    session: Mapping[str, str] = field(default_factory=dict)  # options of its sessions, by our names


TUNING = Tuning()


def room(tuning: Tuning) -> Room:
    """What the lane of each version may hold."""
    return Room(slots=max(2, cores.available()), waiting=tuning.waiting)
