"""What a metric is: operator and model server describe theirs in it, and their pages are generated from that."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """As Prometheus calls it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. A counter's series end in `_total`, its family does not."""

    name: str
    type: Type
    text: str
    labels: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The name by which queries ask for it."""
        return f"{self.name}_total" if self.type is Type.COUNTER else self.name


def table(families: Iterable[Family]) -> str:
    """In Markdown."""
    rows = (f"| `{one.shown}` | {one.type} | {', '.join(f'`{label}`' for label in one.labels)} | {one.text} |" for one in families)
    return "\n".join(("| metric | type | labels | meaning |", "|---|---|---|---|", *rows))
