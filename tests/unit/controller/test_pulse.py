"""A deaf watch is told from a quiet one."""

from typing import Any

from volary.adapters.cluster import PODS
from volary.controller.pulse import GRACE, Pulse


def listed(*versions: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"metadata": {"namespace": "shop", "name": name, "resourceVersion": version}} for name, version in versions]


def heard(*versions: tuple[str, str]) -> Pulse:
    pulse = Pulse(PODS)
    for name, version in versions:
        pulse.hear("shop", name, version, 0, deleted=False)
    return pulse


def test_quiet_because_nothing_happens() -> None:
    pulse = heard(("a", "1"), ("b", "2"))
    assert pulse.compare(listed(("a", "1"), ("b", "2")), 500) == []
    assert not pulse.suspicious
    assert pulse.deaf(10_000) == []


def test_deaf_to_a_change_a_new_object_and_a_deletion() -> None:
    pulse = heard(("changed", "1"), ("deleted", "2"), ("same", "3"))
    different = [("shop", "changed"), ("shop", "deleted"), ("shop", "new")]
    world = listed(("changed", "9"), ("new", "8"), ("same", "3"))
    assert pulse.compare(world, 500) == different
    assert pulse.deaf(500 + GRACE - 1) == []
    pulse.compare(world, 500 + GRACE)
    assert pulse.deaf(500 + GRACE) == different


def test_late_is_not_deaf() -> None:
    pulse = heard(("a", "1"))
    pulse.compare(listed(("a", "2")), 500)
    pulse.hear("shop", "a", "2", 501, deleted=False)
    assert pulse.compare(listed(("a", "2")), 530) == []
    assert pulse.deaf(1000) == []


def test_a_busy_object_differs_at_every_look_and_proves_nothing() -> None:
    pulse = heard(("a", "1"))
    for turn in range(1, 20):
        now = turn * GRACE
        pulse.compare(listed(("a", f"{turn}-later")), now)
        assert pulse.deaf(now) == []
        pulse.hear("shop", "a", str(turn), now + 1, deleted=False)


def test_a_deletion_that_was_reported() -> None:
    pulse = heard(("a", "1"))
    pulse.hear("shop", "a", "2", 1, deleted=True)
    assert pulse.compare([], 500) == []


def test_a_new_watch_begins_clean() -> None:
    pulse = heard(("a", "1"))
    pulse.compare(listed(("a", "2")), 500)
    pulse.restart(510)
    assert (pulse.deaf(1000), pulse.versions, pulse.heard_at) == ([], {}, 510)


def test_alive_since_an_event_or_a_list_that_agreed() -> None:
    pulse = heard(("a", "1"))
    pulse.compare(listed(("a", "1")), 50)
    assert pulse.proved_at == 50
    pulse.compare(listed(("a", "2")), 100)
    assert pulse.proved_at == 50
    pulse.restart(200)
    assert pulse.proved_at == 50, "a new watch has proved nothing yet"
    pulse.hear("shop", "a", "2", 210, deleted=False)
    assert pulse.proved_at == 210
