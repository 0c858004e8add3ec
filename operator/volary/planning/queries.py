"""Prometheus queries: which are due, and what their values say.

A value outside of its range is bad; `consecutive` bad ones in a row fail the canary. No value (no
data, several series, an answer that is none, no Prometheus) neither counts nor passes: the last
answer decides, and one that says nothing is inconclusive.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from volary.api.v1alpha1 import Query, QueryState, duration
from volary.planning.evidence import Verdict
from volary.planning.outside import Measurement, Question

_PLACE = re.compile(r"\{\{([a-z]+)\}\}")
_SAFE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")  # names of Kubernetes and revisions: nothing that PromQL gives a meaning
NO_PROMETHEUS = "this operator has no Prometheus: VOLARY_PROMETHEUS_URL is not set"


def fill(template: str, values: Mapping[str, str]) -> str:
    """The PromQL of a template. Raises ValueError for a place that is not known or a value that is not plain."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1], "")
        if _SAFE.fullmatch(found) is None:
            raise ValueError(f"{match[0]} is {found!r}; expected lower-case letters, digits and '-'")
        return found

    return _PLACE.sub(value, template)


def due(states: Iterable[QueryState], queries: Iterable[Query], values: Mapping[str, str], now: datetime) -> tuple[Question, ...]:
    """Queries whose interval is over. `values` are those of the places of a template."""
    known = {state.name: state for state in states}
    return tuple(
        Question(name=query.name, text=fill(query.query, values)) for query in queries if _next(known.get(query.name), query, now) <= now
    )


def wake_at(states: Iterable[QueryState], queries: Iterable[Query], now: datetime) -> datetime | None:
    """When the next one is due."""
    known = {state.name: state for state in states}
    return min((max(now, _next(known.get(query.name), query, now)) for query in queries), default=None)


def _next(state: QueryState | None, query: Query, now: datetime) -> datetime:
    return now if state is None or state.at is None else state.at + duration(query.interval)


def fold(
    states: Iterable[QueryState], measurements: Iterable[Measurement], queries: Iterable[Query], *, available: bool
) -> tuple[QueryState, ...]:
    """States after a look, in the order of the spec. What was folded before changes nothing."""
    known = {state.name: state for state in states}
    fresh = {one.name: one for one in measurements}
    return tuple(_state(known.get(query.name), fresh.get(query.name), query, available=available) for query in queries)


def _state(before: QueryState | None, seen: Measurement | None, query: Query, *, available: bool) -> QueryState:
    state = (before or QueryState(name=query.name)).model_copy(update={"dry_run": query.dry_run})
    if not available:
        return state.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "value": None, "message": NO_PROMETHEUS})
    if seen is None or (state.at is not None and seen.at <= state.at):
        return state
    if seen.value is None or not math.isfinite(seen.value):
        return state.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "value": None, "at": seen.at, "message": seen.why})
    fault = _fault(seen.value, query)
    bad = state.bad + 1 if fault else 0
    verdict = Verdict.FAIL if bad >= query.consecutive else Verdict.INCONCLUSIVE if bad else Verdict.PASS
    message = f"{fault}, {bad} of {query.consecutive} in a row" if fault else ""
    return state.model_copy(update={"verdict": verdict, "value": seen.value, "at": seen.at, "bad": bad, "message": message})


def _fault(value: float, query: Query) -> str:
    if query.max is not None and value > query.max:
        return f"{value:.6g} is above {query.max:g}"
    if query.min is not None and value < query.min:
        return f"{value:.6g} is below {query.min:g}"
    return ""


def next_step(states: Iterable[QueryState]) -> tuple[QueryState, ...]:
    """A new step wants an answer of its own; bad values in a row go on counting."""
    return tuple(state.model_copy(update={"verdict": Verdict.INCONCLUSIVE}) for state in states)
