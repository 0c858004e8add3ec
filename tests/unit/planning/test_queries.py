"""Queries: templates are filled with nothing that PromQL gives a meaning, and no value is never a pass."""

import math
import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.unit.planning.builders import NOW
from volary.api.v1alpha1 import Query, QueryState
from volary.api.v1alpha1.checks import Queries
from volary.planning import queries
from volary.planning.evidence import Verdict
from volary.planning.outside import Measurement

VALUES = {"revision": "8fb5556369", "stable": "1a2b3c4d5e", "namespace": "shop", "name": "fraud-2"}
SAID = st.floats(allow_nan=True, allow_infinity=True) | st.none()


def query(**fields: object) -> Query:
    return Query.model_validate({"name": "p99", "query": "x", "max": 0.25} | fields)


def said(value: float | None, at: datetime = NOW, why: str = "") -> Measurement:
    return Measurement(name="p99", at=at, value=value, why=why)


def after(*values: float | None, of: Query | None = None) -> QueryState:
    """The state after these values, one a second."""
    states: tuple[QueryState, ...] = ()
    asked = (of or query(),)
    for number, value in enumerate(values):
        measurement = said(value, NOW + timedelta(seconds=number), "nothing")
        states = queries.fold(states, (measurement,), asked, available=True)
    return states[0]


@pytest.mark.parametrize(
    ("values", "verdict", "bad"),
    [
        ((0.1,), Verdict.PASS, 0),
        ((0.25,), Verdict.PASS, 0),
        ((0.3,), Verdict.INCONCLUSIVE, 1),
        ((0.3, 0.3), Verdict.INCONCLUSIVE, 2),
        ((0.3, 0.3, 0.3), Verdict.FAIL, 3),
        ((0.3, 0.3, 0.1, 0.3), Verdict.INCONCLUSIVE, 1),
        ((0.3, None, 0.3, None, 0.3), Verdict.FAIL, 3),
        ((0.1, None), Verdict.INCONCLUSIVE, 0),
        ((None,), Verdict.INCONCLUSIVE, 0),
        ((0.3, 0.3, math.nan), Verdict.INCONCLUSIVE, 2),
        ((math.inf, math.inf, math.inf), Verdict.INCONCLUSIVE, 0),
    ],
)
def test_what_a_row_of_values_says(values: tuple[float | None, ...], verdict: Verdict, bad: int) -> None:
    state = after(*values)
    assert (state.verdict, state.bad) == (verdict, bad)


def test_a_value_below_the_least_is_bad_too() -> None:
    state = after(0.5, of=query(max=None, min=1, consecutive=1))
    assert (state.verdict, state.message) == (Verdict.FAIL, "0.5 is below 1, 1 of 1 in a row")


@given(st.lists(SAID, max_size=30), st.integers(1, 5))
def test_the_last_answer_decides_and_only_bad_ones_in_a_row_fail(values: list[float | None], consecutive: int) -> None:
    if not values:
        return
    state = after(*values, of=query(consecutive=consecutive))
    known = [value for value in values if value is not None and math.isfinite(value)]
    last = values[-1]
    silent = last is None or not math.isfinite(last)
    row = 0
    for value in known:
        row = row + 1 if value > 0.25 else 0
    assert state.bad == row
    assert (state.verdict == Verdict.PASS) == (not silent and row == 0)
    assert (state.verdict == Verdict.FAIL) == (not silent and row >= consecutive)


def test_what_was_folded_before_changes_nothing() -> None:
    once = queries.fold((), (said(0.3),), (query(),), available=True)
    assert queries.fold(once, (said(0.3),), (query(),), available=True) == once
    assert queries.fold(once, (said(0.1, NOW - timedelta(seconds=1)),), (query(),), available=True) == once


def test_without_a_prometheus_there_is_no_verdict_and_the_reason_is_told() -> None:
    (state,) = queries.fold((after(0.1),), (), (query(),), available=False)
    assert (state.verdict, state.message) == (Verdict.INCONCLUSIVE, queries.NO_PROMETHEUS)


def test_a_query_that_left_the_spec_is_forgotten() -> None:
    assert queries.fold((after(0.3),), (), (query(name="other"),), available=True) == (QueryState(name="other"),)


def test_a_new_step_wants_a_new_answer_and_remembers_the_bad_ones() -> None:
    (state,) = queries.next_step((after(0.3, 0.3),))
    assert (state.verdict, state.bad) == (Verdict.INCONCLUSIVE, 2)
    (state,) = queries.next_step((after(0.1),))
    assert state.verdict == Verdict.INCONCLUSIVE


def test_it_is_asked_at_once_and_then_every_interval() -> None:
    asked = query(interval="20s", query='x{r="{{revision}}"}')
    (question,) = queries.due((), (asked,), VALUES, NOW)
    assert question.text == 'x{r="8fb5556369"}'
    state = after(0.1)
    assert queries.due((state,), (asked,), VALUES, NOW + timedelta(seconds=19)) == ()
    assert queries.wake_at((state,), (asked,), NOW) == NOW + timedelta(seconds=20)
    assert len(queries.due((state,), (asked,), VALUES, NOW + timedelta(seconds=20))) == 1
    assert queries.wake_at((), (), NOW) is None


def test_every_place_is_filled() -> None:
    text = 'a{r="{{revision}}",s="{{stable}}"} / b{n="{{namespace}}/{{name}}"}'
    assert queries.fill(text, VALUES) == 'a{r="8fb5556369",s="1a2b3c4d5e"} / b{n="shop/fraud-2"}'


@given(st.text(max_size=20))
def test_only_plain_values_are_filled_in(value: str) -> None:
    plain = re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", value) is not None
    try:
        text = queries.fill("x{{revision}}", {"revision": value})
    except ValueError:
        assert not plain
    else:
        assert plain
        assert text == f"x{value}"


@given(st.text('{}revisontablm"=x \n', max_size=40))
def test_a_template_that_the_schema_takes_can_be_filled(text: str) -> None:
    try:
        (found,) = TypeAdapter(Queries).validate_python([{"name": "q", "query": text, "max": 1}])
    except ValidationError:
        return
    assert "{{" not in queries.fill(found.query, VALUES)
