"""The operator dies before or after each of its writes, once or twice: the end is that of the undisturbed run."""

import asyncio
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.crashes.ends import End
from tests.crashes.memory import World
from tests.crashes.scenarios import SCENARIOS
from volary.adapters.cluster import MODEL_DEPLOYMENTS

pytestmark = pytest.mark.timeout(300)  # seconds on a quiet machine; it is all computing


@cache
def prepared(name: str) -> World:
    """The world before the deeds; not to be played in."""

    world = World()
    asyncio.run(world.play(SCENARIOS[name].before))
    return world


def played(name: str, deaths: tuple[int, ...] = (), downtime: float = 0.0) -> World:
    """The deeds with these deaths; its guard looked after every write."""

    world = prepared(name).fork(deaths, downtime)
    asyncio.run(world.play(SCENARIOS[name].deeds))
    return world


@cache
def undisturbed(name: str) -> tuple[End, int]:
    """The end, and how many moments there are to die at."""
    world = played(name)
    return world.end(), world.fuse.passed


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_death_at_any_moment_changes_nothing(name: str) -> None:
    expected, moments = undisturbed(name)
    assert moments > 0
    for moment in range(moments):
        assert played(name, (moment,)).end() == expected, f"died at {moment}"


@given(st.data())
@settings(deadline=None)
def test_deaths_in_a_row_and_time_that_goes_by_meanwhile(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(SCENARIOS)))
    expected, moments = undisturbed(name)
    first = data.draw(st.integers(0, moments - 1))
    later = data.draw(st.lists(st.integers(0, moments), max_size=2))
    downtime = data.draw(st.sampled_from([0.0, 0.3, 3.0, 30.0]))
    found = played(name, (first, *(first + 1 + more for more in later)), downtime).end()
    assert _told_alike(found, expected) == expected


def test_a_rollout_of_which_no_status_was_ever_written_is_not_told_afterwards() -> None:
    """Deaths before each of them: the version serves all the same, and nothing is decided by what is told."""
    expected, _ = undisturbed("create")
    found = played("create", (9, 10, 12), 0.3).end()
    assert "lastRollout" not in found[MODEL_DEPLOYMENTS.plural]["status"]
    assert _told_alike(found, expected) == expected


def _told_alike(found: End, expected: End) -> End:
    """With `status.lastRollout` as expected, if there is none."""
    plural = MODEL_DEPLOYMENTS.plural
    told = expected.get(plural, {}).get("status", {}).get("lastRollout")
    if told is None or plural not in found or "lastRollout" in found[plural]["status"]:
        return found
    return {**found, plural: {**found[plural], "status": {**found[plural]["status"], "lastRollout": told}}}
