"""All metrics together: one budget, three outcomes, a memory that is small and survives."""

import json
import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.api.v1alpha1 import (
    Analysis,
    DriftAnalysis,
    ErrorAnalysis,
    Evidence,
    LatencyAnalysis,
    MetricState,
    PodCount,
    RestartAnalysis,
    RolloutStatus,
    SaturationAnalysis,
)
from volary.common.reasons import Reason
from volary.planning import evidence
from volary.planning.evidence import Increment, Verdict
from volary.planning.evidence.case import share
from volary.planning.evidence.counting import Growth, Scale, growths
from volary.planning.evidence.latency import chosen
from volary.planning.model import Count, Sample

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MEMORY = RolloutStatus(revision="new", generation=1, started_at=NOW, step=0, step_started_at=NOW)
ALL = Analysis(
    latency=LatencyAnalysis(), drift=DriftAnalysis(), restarts=RestartAnalysis(), saturation=SaturationAnalysis(max_in_flight=20)
)
LIMIT = 8 * 1024  # bytes of the memory with all metrics on


class Side:
    """Pods of one revision, and what they counted so far."""

    def __init__(
        self, revision: str, pods: int, classes: tuple[float, ...] = (0.9, 0.1), *, slow: float = 0.02, errors: float = 0.0
    ) -> None:
        self.revision, self.classes, self.slow, self.errors = revision, classes, slow, errors
        self.counts = [Count(uid=f"{revision}-{index}", revision=revision, requests=0, errors=0) for index in range(pods)]
        self.in_flight: int | None = 1
        self.restarts = 0

    def serve(self, rng: random.Random, requests: int) -> None:
        """Each pod answers so many more."""
        self.counts = [self._served(rng, count, requests) for count in self.counts]

    def _served(self, rng: random.Random, count: Count, requests: int) -> Count:
        slow = sum(rng.random() < self.slow for _ in range(requests))
        failed = sum(rng.random() < self.errors for _ in range(requests))
        outputs = dict(count.outputs)
        for index in rng.choices(range(len(self.classes)), self.classes, k=requests):
            outputs[f"label:{index}"] = outputs.get(f"label:{index}", 0) + 1
        total = count.requests + requests
        slower = (total - count.durations[0][1] if count.durations else requests) if count.durations else slow
        before = count.requests - count.durations[0][1] if count.durations else 0
        slower = before + slow
        return Count(
            uid=count.uid,
            revision=count.revision,
            requests=total,
            errors=count.errors + failed,
            durations=((0.05, total - slower), (1.0, total), (math.inf, total)),
            outputs=tuple(sorted(outputs.items())),
            in_flight=self.in_flight,
            restarts=self.restarts,
        )


def judged(canary: Side, stable: Side, analysis: Analysis, *, looks: int = 60, seed: int = 1, requests: int = 20) -> RolloutStatus:
    """The memory after so many looks five seconds apart, or the first that fails."""
    rng, memory = random.Random(seed), MEMORY
    for look in range(looks):
        canary.serve(rng, requests)
        stable.serve(rng, requests)
        memory = folded(memory, [canary, stable], look, analysis)
        if evidence.against(memory):
            break
    return memory


def folded(memory: RolloutStatus, sides: list[Side], look: int, analysis: Analysis) -> RolloutStatus:
    counts = tuple(count for side in sides for count in side.counts)
    sample = Sample(at=NOW + timedelta(seconds=5 * look), counts=counts)
    return evidence.fold(memory, sample, [count.uid for count in counts], analysis)


# ---- three outcomes ---------------------------------------------------------------------------------


def test_an_equal_canary_passes_every_metric() -> None:
    memory = judged(Side("new", 2), Side("old", 2), ALL)
    assert evidence.against(memory) is None
    assert evidence.proved(memory, ALL), evidence.tell(memory, ALL)
    assert {name: state.verdict for name, state in memory.verdicts.items()} == dict.fromkeys(
        ("drift", "errors", "latency", "restarts", "saturation"), "Pass"
    )


@pytest.mark.parametrize(
    ("canary", "reason", "words"),
    [
        (Side("new", 2, errors=0.2), Reason.ERROR_RATE_TOO_HIGH, "requests of the canary failed"),
        (Side("new", 2, slow=0.4), Reason.LATENCY_TOO_HIGH, "of the canary took longer than 0.05 s"),
        (Side("new", 2, (0.4, 0.6)), Reason.OUTPUT_DRIFT, "label:1 in"),
        (Side("new", 2, (0.8, 0.1, 0.1)), Reason.OUTPUT_DRIFT, "label:2 in"),
    ],
    ids=["errors", "latency", "drift", "a class that stable never answers"],
)
def test_a_canary_that_is_worse_in_one_way_fails_for_that(canary: Side, reason: Reason, words: str) -> None:
    problem = evidence.against(judged(canary, Side("old", 2, errors=0.001), ALL))
    assert problem is not None
    assert problem.reason is reason
    assert words in problem.message


def test_restarts_above_the_limit_fail() -> None:
    canary = Side("new", 1)
    memory = judged(canary, Side("old", 1), ALL, looks=3)
    assert memory.verdicts["restarts"].verdict == Verdict.PASS
    canary.restarts = 1
    canary.serve(random.Random(1), 1)
    problem = evidence.against(folded(memory, [canary], 9, ALL))
    assert problem is not None
    assert problem.reason is Reason.TOO_MANY_RESTARTS


def test_only_three_saturated_looks_in_a_row_fail() -> None:
    canary, memory = Side("new", 1), MEMORY
    seen = []
    for look, busy in enumerate((90, 90, 3, 90, None, 90, 90)):
        canary.in_flight = busy
        canary.serve(random.Random(1), 1)
        memory = folded(memory, [canary], look, ALL)
        seen.append(memory.verdicts["saturation"].verdict)
    assert seen == ["Inconclusive", "Inconclusive", "Pass", "Inconclusive", "Inconclusive", "Inconclusive", "Fail"]


def test_what_only_reports_neither_fails_nor_keeps_waiting() -> None:
    dry = Analysis(drift=DriftAnalysis(dry_run=True))
    memory = judged(Side("new", 2, (0.2, 0.8)), Side("old", 2), dry)
    assert memory.verdicts["drift"].verdict == Verdict.FAIL
    assert memory.verdicts["drift"].dry_run
    assert evidence.against(memory) is None
    assert evidence.proved(memory, dry)


def test_errors_that_only_report_do_not_gate() -> None:
    dry = Analysis(errors=ErrorAnalysis(dry_run=True))
    memory = judged(Side("new", 2, errors=0.5), Side("old", 2), dry)
    assert memory.evidence.verdict == Verdict.FAIL
    assert evidence.against(memory) is None
    assert evidence.proved(memory, dry)


@pytest.mark.parametrize("name", ["latency", "drift", "restarts", "saturation"])
def test_a_metric_without_data_is_never_a_pass(name: str) -> None:
    """A server that counts only requests: errors pass, and nothing else does."""
    analysis = Analysis.model_validate({name: {"maxInFlight": 9} if name == "saturation" else {}})
    memory = MEMORY
    for look in range(40):
        counts = (Count(uid="s", revision="old", requests=100 * look, errors=0),)
        counts += (Count(uid="c", revision="new", requests=100 * look, errors=0),) if name != "restarts" or look < 30 else ()
        memory = evidence.fold(memory, Sample(at=NOW + timedelta(seconds=look), counts=counts), ["c", "s"], analysis)
    assert memory.evidence.verdict == Verdict.PASS
    assert memory.verdicts[name].verdict == Verdict.INCONCLUSIVE
    assert not evidence.proved(memory, analysis)
    assert evidence.unproved(memory, analysis) == [name]


def test_a_metric_that_was_just_turned_on_has_to_pass_first() -> None:
    memory = judged(Side("new", 2), Side("old", 2), Analysis())
    assert evidence.proved(memory, Analysis())
    assert not evidence.proved(memory, ALL)


def test_the_case_for_starts_anew_with_a_step_and_the_case_against_goes_on() -> None:
    memory = judged(Side("new", 2, slow=0.03), Side("old", 2), ALL)
    update = {"step": 1, "step_requests": 0, "evidence": evidence.next_step(memory.evidence)}
    entered = memory.model_copy(update=update)
    assert set(evidence.unproved(entered, ALL)) == {"errors", "latency", "drift", "restarts", "saturation"}
    again = evidence.fold(entered, Sample(at=NOW + timedelta(hours=1), counts=()), [], ALL)
    assert again.latency is not None
    assert memory.latency is not None
    assert again.latency.fail == memory.latency.fail
    assert again.latency.pass_rate == ()
    assert not evidence.proved(again, ALL)


def test_min_requests_hold_back_a_proof() -> None:
    memory = judged(Side("new", 2), Side("old", 2), ALL)
    assert not evidence.proved(memory, ALL.model_copy(update={"min_requests": 10**6}))
    assert evidence.needed(memory, ALL.model_copy(update={"min_requests": 10**6})) > 900_000


# ---- verdicts of others -----------------------------------------------------------------------------


def test_what_others_say_gates_and_survives_a_sample() -> None:
    said = {"queries/p99": MetricState(verdict="Inconclusive")}
    memory = judged(Side("new", 2), Side("old", 2), Analysis()).model_copy(update={"verdicts": said})
    later = evidence.fold(memory, Sample(at=NOW + timedelta(hours=1), counts=()), [], Analysis())
    assert evidence.unproved(later, Analysis()) == ["queries/p99"]
    passed = later.model_copy(update={"verdicts": later.verdicts | {"queries/p99": MetricState(verdict="Pass")}})
    assert evidence.proved(passed, Analysis())


@pytest.mark.parametrize(("reason", "found"), [("LatencyTooHigh", Reason.LATENCY_TOO_HIGH), ("FromTheFuture", Reason.ERROR_RATE_TOO_HIGH)])
def test_a_fail_of_others_ends_the_canary(reason: str, found: Reason) -> None:
    said = {"queries/p99": MetricState(verdict="Fail", reason=reason, message="0.8 s, allowed are 0.5 s")}
    problem = evidence.against(MEMORY.model_copy(update={"verdicts": said}))
    assert problem is not None
    assert (problem.reason, problem.message) == (found, "0.8 s, allowed are 0.5 s")


# ---- memory -----------------------------------------------------------------------------------------


def test_the_memory_with_all_metrics_on_is_small() -> None:
    """Two outputs of sixteen bins, four pods."""
    rng, memory = random.Random(5), MEMORY
    names = [f"{output}:{index}" for output in ("probabilities", "label") for index in range(16)]
    totals = {uid: dict.fromkeys(names, 0) for uid in range(4)}
    for look in range(200):
        counts = []
        for uid, bins in totals.items():
            for name in names:
                bins[name] += rng.randrange(400)
            n = sum(bins.values())
            side = "a1b2c3d4e5" if uid < 2 else "f6a7b8c9d0"
            durations = ((0.05, n - n // 50), (math.inf, n))
            key = f"0b51be6a-3cf9-4f23-9a5d-4e1c6f0f2d9{uid}"
            bins_now = tuple(sorted(bins.items()))
            counts.append(Count(uid=key, revision=side, requests=n, errors=n // 900, durations=durations, outputs=bins_now, in_flight=3))
        canary = memory.model_copy(update={"revision": "a1b2c3d4e5"})
        memory = evidence.fold(canary, Sample(at=NOW + timedelta(seconds=look), counts=tuple(counts)), [c.uid for c in counts], ALL)
    assert memory.drift is not None
    assert len(memory.drift.bins) == 32
    size = len(json.dumps(memory.model_dump(mode="json", by_alias=True, exclude_none=True), separators=(",", ":")))
    assert size < LIMIT, size


def test_the_memory_survives_being_stored_after_every_sample() -> None:
    """Amnesia between samples changes nothing."""
    rng, whole, stored = random.Random(3), MEMORY, MEMORY
    canary, stable = Side("new", 1, slow=0.05), Side("old", 2)
    for look in range(30):
        canary.serve(rng, 15)
        stable.serve(rng, 15)
        whole = folded(whole, [canary, stable], look, ALL)
        stored = RolloutStatus.model_validate_json(folded(stored, [canary, stable], look, ALL).model_dump_json(by_alias=True))
    assert stored == whole


def test_memory_of_an_older_operator_keeps_its_verdict_and_its_counters() -> None:
    """It knew errors only, and pods by their uid alone."""
    failed = Evidence(verdict="Fail", canary_requests=100, canary_errors=50, fail=(9.0,) * 4)
    old = {
        "revision": "new",
        "generation": 1,
        "startedAt": NOW,
        "step": 0,
        "evidence": failed,
        "counts": [{"uid": "c", "requests": 10, "errors": 1}],
    }
    memory = RolloutStatus.model_validate(old)
    problem = evidence.against(memory)
    assert problem is not None
    assert problem.reason is Reason.ERROR_RATE_TOO_HIGH
    sample = Sample(at=NOW, counts=(Count(uid="c", revision="new", requests=15, errors=1),))
    after = evidence.fold(memory, sample, ["c"], ALL)
    assert after.evidence.canary_requests == 105
    assert [(count.uid, count.revision) for count in after.counts] == [("c", "new")]


def test_memory_of_a_newer_operator_is_read_without_what_is_not_known() -> None:
    stored = {**json.loads(MEMORY.model_dump_json(by_alias=True)), "somethingNew": {"a": 1}}
    assert RolloutStatus.model_validate(stored) == MEMORY


# ---- counters ---------------------------------------------------------------------------------------


def test_a_pod_that_serves_two_revisions_counts_for_both_sides() -> None:
    known = (PodCount(uid="p", revision="new", requests=10, errors=0), PodCount(uid="p", revision="old", requests=90, errors=2))
    now = (Count(uid="p", revision="new", requests=15, errors=1), Count(uid="p", revision="old", requests=95, errors=2))
    memory = MEMORY.model_copy(update={"counts": known})
    grown = evidence.increment(memory, Sample(at=NOW, counts=now))
    assert grown == Increment(canary_requests=5, canary_errors=1, stable_requests=5, stable_errors=0)


@given(
    before=st.tuples(st.integers(0, 100), st.integers(0, 100), st.lists(st.integers(0, 50), min_size=2, max_size=2)),
    after=st.tuples(st.integers(0, 100), st.integers(0, 100), st.lists(st.integers(0, 50), min_size=2, max_size=2)),
)
def test_nothing_ever_grows_by_less_than_nothing(before: tuple[int, int, list[int]], after: tuple[int, int, list[int]]) -> None:
    """Whatever two looks at a pod say: resets, half pages, a counter that went back."""
    known = (PodCount(uid="p", revision="r", requests=before[0], errors=before[1], timed=before[0], slow=before[1], bins=tuple(before[2])),)
    durations = ((0.1, max(0, after[0] - after[1])), (math.inf, after[0]))
    outputs = tuple((f"y:{index}", number) for index, number in enumerate(after[2]))
    count = Count(uid="p", revision="r", requests=after[0], errors=after[1], durations=durations, outputs=outputs)
    (grown,) = growths(known, Sample(at=NOW, counts=(count,)), Scale(bound=0.1, bins=("y:0", "y:1")))
    assert isinstance(grown, Growth)
    assert min(grown.requests, grown.errors, grown.timed, grown.slow, *grown.bins) >= 0
    assert grown.errors <= grown.requests
    assert grown.slow <= grown.timed


@given(st.permutations(range(4)))
def test_the_order_of_the_pods_in_a_sample_is_of_no_account(order: list[int]) -> None:
    rng = random.Random(2)
    canary, stable = Side("new", 2, errors=0.1), Side("old", 2)
    memory = folded(MEMORY, [canary, stable], 0, ALL)
    for side in (canary, stable):
        side.serve(rng, 30)
    counts = [*canary.counts, *stable.counts]
    straight = Sample(at=NOW + timedelta(seconds=5), counts=tuple(counts))
    mixed = Sample(at=straight.at, counts=tuple(counts[index] for index in order))
    live = [count.uid for count in counts]
    assert evidence.fold(memory, mixed, live, ALL) == evidence.fold(memory, straight, live, ALL)


@pytest.mark.parametrize(
    ("pods", "bound"),
    [
        ([], None),
        ([((0.05, 94), (0.1, 96), (math.inf, 99))], None),
        ([((0.05, 94), (0.1, 96), (math.inf, 100))], 0.1),
        ([((0.05, 95), (0.1, 96), (math.inf, 100))], 0.05),
        ([((0.05, 50), (0.1, 50), (math.inf, 50)), ((0.05, 10), (0.1, 49), (math.inf, 50))], 0.1),
        ([((0.05, 0), (0.1, 10), (math.inf, 1000))], None),
    ],
    ids=["no pod", "too few", "94 % are not enough", "95 % are", "pods add up", "all slower than the last bound"],
)
def test_the_bound_of_slow_is_chosen_from_stable(pods: list[tuple[tuple[float, int], ...]], bound: float | None) -> None:
    assert chosen(pods) == bound


def test_an_absolute_bound_is_the_next_one_of_the_histogram() -> None:
    analysis = Analysis(latency=LatencyAnalysis(max_duration="250ms"))
    memory = judged(Side("new", 1), Side("old", 1), analysis, looks=2)
    assert memory.latency is not None
    assert memory.latency.bound == 1.0


# ---- one budget ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("analysis", "part"),
    [
        (Analysis(), 0.01),
        (Analysis(latency=LatencyAnalysis()), 0.005),
        (ALL, 0.01 / 3),
        (Analysis(latency=LatencyAnalysis(dry_run=True), drift=DriftAnalysis()), 0.005),
        (Analysis(errors=ErrorAnalysis(dry_run=True)), 0.01),
    ],
)
def test_the_budget_is_split_over_what_gates(analysis: Analysis, part: float) -> None:
    assert share(analysis) == pytest.approx(part)


def test_a_canary_that_is_equal_in_everything_is_hardly_ever_failed() -> None:
    """All metrics, 5 minutes of looks every 5 seconds. 60 runs: 4 failures would disprove 1 % (p < 0.01)."""
    classes = (0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02)
    failed = 0
    for seed in range(60):
        canary, stable = Side("new", 1, classes, slow=0.04, errors=0.02), Side("old", 3, classes, slow=0.04, errors=0.02)
        failed += evidence.against(judged(canary, stable, ALL, seed=seed, requests=10)) is not None
    assert failed <= 3
