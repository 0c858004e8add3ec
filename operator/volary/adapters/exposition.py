"""Prometheus' text format, as far as the counters of a model server need it.

The requests must be plainly there, or the page says nothing at all. Of what else may be on it
(durations, outputs, the gauge) a part that cannot be read is left out, and the rest stands.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from volary.planning.model import Count
from volary.runtimes.runtime import Metrics

_REVISION = "revision"  # label of Volary's own server; a series of another revision is not this one's
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*(?:,|$)\s*')
_OUTPUTS = 256  # series; a page with more is not one of ours

Series = tuple[str, Mapping[str, str], float]  # labels as written, labels, value


class Unreadable(ValueError):
    """A series that is no number of anything, or is there twice."""


@dataclass(frozen=True, slots=True)
class Page:
    """The lines of an answer, and whose series are meant."""

    lines: tuple[str, ...]
    revision: str

    def series(self, name: str) -> Iterator[Series]:
        """All of this name and revision. Raises Unreadable."""
        seen: set[str] = set()
        for line in self.lines:
            if not line.startswith(name) or line[len(name) : len(name) + 1] not in {"{", " "}:
                continue
            series, labels, value = _sample(line, name)
            if labels is None or series in seen or not (math.isfinite(value) and value >= 0):
                raise Unreadable(line)
            seen.add(series)
            if labels.get(_REVISION, self.revision) == self.revision:
                yield series, labels, value

    def declares(self, name: str) -> bool:
        """`# TYPE name counter`; OpenMetrics leaves the suffix `_total` out."""
        spellings = ([name, "counter"], [name.removesuffix("_total"), "counter"])
        return any(line.startswith("# TYPE ") and line.split()[2:] in spellings for line in self.lines)


def parse(text: str, *, uid: str, revision: str, metrics: Metrics) -> Count | None:
    """The counters on a page; None where the requests are not plainly on it.

    A counter that is declared and has no series yet counts 0: the first requests must not get lost.
    """
    page = Page(tuple(text.splitlines()), revision)
    try:
        found = list(page.series(metrics.requests))
    except Unreadable:
        return None
    if not found and not page.declares(metrics.requests):
        return None
    failed = sum(value for _, labels, value in found if metrics.failed(labels.get(metrics.label, "")))
    return Count(
        uid=uid,
        revision=revision,
        requests=int(sum(value for _, _, value in found)),
        errors=int(failed),
        durations=_durations(page, metrics.durations),
        outputs=_outputs(page, metrics.outputs),
        in_flight=_in_flight(page, metrics.in_flight),
    )


def _durations(page: Page, name: str | None) -> tuple[tuple[float, int], ...]:
    """Cumulative, by rising bound, up to infinity; empty for anything that is not a histogram."""
    within: dict[float, float] = {}
    try:
        for _, labels, value in page.series(f"{name}_bucket") if name else ():
            bound = float(labels.get("le", "nan"))
            within[bound] = within.get(bound, 0) + value
    except ValueError:
        return ()
    bounds = sorted(within)
    rising = all(within[low] <= within[high] for low, high in pairwise(bounds))
    whole = bool(bounds) and math.isinf(bounds[-1]) and not any(math.isnan(bound) for bound in bounds)
    return tuple((bound, int(within[bound])) for bound in bounds) if rising and whole else ()


def _outputs(page: Page, name: str | None) -> tuple[tuple[str, int], ...]:
    """Answers by OUTPUT:BIN."""
    bins: dict[str, float] = {}
    try:
        for _, labels, value in page.series(name) if name else ():
            key = f"{labels.get('output', '')}:{labels.get('bin', '')}"
            bins[key] = bins.get(key, 0) + value
    except Unreadable:
        return ()
    return tuple((key, int(bins[key])) for key in sorted(bins)) if len(bins) <= _OUTPUTS else ()


def _in_flight(page: Page, name: str | None) -> int | None:
    try:
        values = [value for _, _, value in page.series(name)] if name else []
    except Unreadable:
        return None
    return int(sum(values)) if values else None


def _sample(line: str, name: str) -> tuple[str, Mapping[str, str] | None, float]:
    """Series, labels (None: not readable) and value of one line."""
    rest = line[len(name) :]
    labels: dict[str, str] = {}
    series = ""
    if rest.startswith("{"):
        series, closed, rest = rest[1:].rpartition("}")
        inner = series
        while inner and closed:
            match = _LABEL.match(inner)
            if match is None:
                return series, None, math.nan
            labels[match[1]] = match[2]
            inner = inner[match.end() :]
    fields = rest.split()
    try:
        return series, labels, float(fields[0]) if fields else math.nan
    except ValueError:
        return series, labels, math.nan
