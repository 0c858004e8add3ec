"""What the tests of optimising work on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Given:
    """A model with samples and, where it was trained, their labels."""

    path: Path
    samples: Any
    labels: Any = None
