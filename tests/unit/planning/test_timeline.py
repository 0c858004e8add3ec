"""The course of a rollout in the status: what is worth a line, how it stays small, and what stays at the end."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.planning import builders
from volary.api.v1alpha1 import Analysis, ErrorAnalysis, Evidence, ModelDeploymentStatus, RolloutStatus
from volary.planning import evidence, findings, timeline
from volary.planning.evidence import Increment
from volary.planning.timeline import POINTS, SIZE, Point

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MEMORY = RolloutStatus(revision="new", generation=1, started_at=NOW, step=0, step_started_at=NOW)
ANALYSIS = Analysis()
COUNTS = st.integers(0, 10**7)
PERCENT = st.integers(-100, 100)


@st.composite
def courses(draw: st.DrawFn) -> tuple[str, ...]:
    seconds = sorted(draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=90)))
    return tuple(str(point(second, draw(st.integers(0, 4)), draw(PERCENT), draw(COUNTS))) for second in seconds)


def point(seconds: int, step: int = 1, against: int = 0, requests: int = 100) -> Point:
    return Point(
        seconds=seconds,
        step=step,
        weight=25,
        reached=33,
        canary_errors=3,
        canary_requests=requests,
        stable_errors=1,
        stable_requests=4 * requests,
        against=against,
        in_favour=-4,
        verdict="Inconclusive",
    )


def seen(*samples: tuple[int, int, int, int]) -> Evidence:
    found = Evidence()
    for sample in samples:
        found = evidence.weigh(found, Increment(*sample), ErrorAnalysis())
    return found


# ---- lines ----------------------------------------------------------------------------------------


def test_a_line_is_read_as_it_was_written() -> None:
    assert str(point(65, against=12, requests=120)) == "65s 1 25/33 3/120 1/480 12 -4 Inconclusive"
    assert timeline.parse(str(point(65, against=-12))) == point(65, against=-12)


@pytest.mark.parametrize(
    "line", ["", "65s", "65s 1 25/33 3/120 1 12 -4 Pass", "65s 1 25/33 3/120 1/4 12 -4 Pass more", "x 1 2/3 4/5 6/7 8 9 Pass"]
)
def test_a_line_of_another_version_is_left_out(line: str) -> None:
    assert timeline.parse(line) is None
    assert timeline.points([line, str(point(1))]) == (point(1),)


# ---- when there is something to tell --------------------------------------------------------------


def test_the_same_again_adds_nothing() -> None:
    once = timeline.record(MEMORY, ANALYSIS, 25, 33, NOW)
    assert len(once.timeline) == 1
    assert timeline.record(once, ANALYSIS, 25, 33, NOW + timedelta(hours=1)) is once


@pytest.mark.parametrize(("weight", "reached", "step"), [(50, 33, 0), (25, 20, 0), (25, 33, 1)])
def test_a_decision_adds_a_line(weight: int, reached: int, step: int) -> None:
    once = timeline.record(MEMORY, ANALYSIS, 25, 33, NOW)
    after = timeline.record(once.model_copy(update={"step": step}), ANALYSIS, weight, reached, NOW + timedelta(seconds=5))
    assert len(after.timeline) == 2


def test_evidence_that_hardly_moves_adds_nothing_and_evidence_that_moves_does() -> None:
    once = timeline.record(MEMORY, ANALYSIS, 25, 33, NOW)
    little = once.model_copy(update={"evidence": seen((20, 0, 60, 0))})
    assert timeline.record(little, ANALYSIS, 25, 33, NOW + timedelta(seconds=5)) is little
    much = once.model_copy(update={"evidence": seen((20, 10, 60, 0))})
    assert timeline.record(much, ANALYSIS, 25, 33, NOW + timedelta(seconds=5)).timeline[1] == "5s 1 25/33 10/20 0/60 16 -22 Inconclusive"


# ---- it stays small -------------------------------------------------------------------------------


@given(courses())
def test_it_stays_small_and_keeps_its_ends(lines: tuple[str, ...]) -> None:
    memory = MEMORY
    for number, line in enumerate(lines):
        shown = timeline.parse(line)
        assert shown is not None
        step = shown.step if number + 1 < len(lines) else 9
        memory = memory.model_copy(update={"timeline": memory.timeline, "step": step})
        memory = timeline.record(memory, ANALYSIS, shown.weight, number, NOW + timedelta(seconds=shown.seconds))
    assert len(memory.timeline) <= POINTS
    assert len(json.dumps(memory.timeline, separators=(",", ":"))) <= SIZE
    course = timeline.points(memory.timeline)
    assert course == tuple(sorted(course, key=lambda each: each.seconds))
    first, last = timeline.parse(lines[0]), timeline.parse(lines[-1])
    assert first is not None
    assert last is not None
    assert (course[0].seconds, course[-1].seconds) == (first.seconds, last.seconds)


def test_decisions_outlive_what_lies_between_them() -> None:
    memory = MEMORY
    for second in range(0, 3600, 5):
        step = second // 600
        moved = Evidence(fail=(0.5 * (second // 5 % 2),) * 4)
        memory = timeline.record(
            memory.model_copy(update={"step": step, "evidence": moved}), ANALYSIS, 10 * step, 10 * step, NOW + timedelta(seconds=second)
        )
    course = timeline.points(memory.timeline)
    assert {each.step for each in course} == {1, 2, 3, 4, 5, 6}
    late = [each for each in course if each.seconds > 3000]
    assert len(late) > len(course) / 3, "what was lately is told in more detail"


def test_lines_of_another_version_give_way() -> None:
    memory = MEMORY.model_copy(update={"timeline": ("what is this " * 20,) * 59})
    after = timeline.record(memory, ANALYSIS, 25, 33, NOW)
    assert after.timeline == ("0s 1 25/33 0/0 0/0 0 0 Inconclusive",)


# ---- findings -------------------------------------------------------------------------------------


def test_a_proof_is_a_hundred_percent() -> None:
    failed = MEMORY.model_copy(update={"evidence": seen(*[(20, 10, 60, 0)] * 6)})
    (errors,) = findings.findings(failed, ANALYSIS)
    assert (errors.verdict, errors.against, errors.canary_bad, errors.stable_requests) == ("Fail", 100, 60, 360)
    passed = MEMORY.model_copy(update={"evidence": seen(*[(200, 0, 600, 0)] * 3)})
    (errors,) = findings.findings(passed, ANALYSIS)
    assert (errors.verdict, errors.in_favour, errors.requests_needed) == ("Pass", 100, 0)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50), st.integers(1, 200), st.integers(0, 50)), max_size=20))
def test_a_hundred_percent_is_the_verdict_and_nothing_less_is(samples: list[tuple[int, int, int, int]]) -> None:
    found = seen(*[(n, min(n, k), m, min(m, j)) for n, k, m, j in samples])
    (errors,) = findings.findings(MEMORY.model_copy(update={"evidence": found}), ANALYSIS)
    assert (errors.against == 100) == (errors.verdict == "Fail")
    if errors.verdict != "Fail":
        assert (errors.in_favour == 100) == (errors.verdict == "Pass")


def test_what_only_reports_decides_nothing() -> None:
    (errors,) = findings.findings(MEMORY, ANALYSIS)
    fails = errors.model_copy(update={"metric": "drift", "verdict": "Fail", "against": 100, "in_favour": -50})
    passes = errors.model_copy(update={"verdict": "Pass", "in_favour": 100})
    assert (findings.verdict([passes, fails]), findings.against([passes, fails]), findings.in_favour([passes, fails])) == ("Fail", 100, -50)
    dry = fails.model_copy(update={"dry_run": True})
    assert (findings.verdict([passes, dry]), findings.against([passes, dry]), findings.in_favour([passes, dry])) == ("Pass", 0, 100)
    assert findings.verdict([errors, passes]) == findings.verdict([]) == "Inconclusive"


# ---- the end --------------------------------------------------------------------------------------


def test_what_stays_of_a_rollout() -> None:
    memory = timeline.record(MEMORY.model_copy(update={"evidence": seen((20, 10, 60, 0))}), ANALYSIS, 25, 33, NOW)
    revision = builders.revision(id="new", version="2.0.0")
    later = NOW + timedelta(minutes=1)
    good = timeline.conclude(memory, ANALYSIS, revision, "new", later)
    assert (good.outcome, good.reason, good.version, good.timeline[-1].split()[2]) == ("Promoted", "Promoted", "2.0.0", "100/100")
    left = timeline.conclude(memory, ANALYSIS, revision, "old", later)
    assert (left.outcome, left.reason, left.timeline[-1].split()[2]) == ("Superseded", "Superseded", "0/0")
    failed = builders.failed(revision)
    back = timeline.conclude(memory, ANALYSIS, failed, "old", later)
    assert failed.failed is not None
    assert (back.outcome, back.reason, back.message) == ("RolledBack", failed.failed.reason, failed.failed.message)
    assert timeline.conclude(memory, ANALYSIS, failed, None, later).outcome == "Failed"
    assert ModelDeploymentStatus(last_rollout=back).last_rollout == back
