"""The betting test: arithmetic, guarantees by exact enumeration, and odds by simulation with fixed seeds."""

import math
import random
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.api.v1alpha1 import Analysis, ErrorAnalysis, Evidence, PodCount, RolloutStatus
from volary.planning import evidence
from volary.planning.evidence import Increment, Verdict
from volary.planning.model import Count, Sample

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MEMORY = RolloutStatus(revision="new", generation=1, started_at=NOW, step=0, step_started_at=NOW)


def sample(seconds: float, **pods: tuple[str, int, int]) -> Sample:
    counts = tuple(Count(uid=uid, revision=revision, requests=n, errors=k) for uid, (revision, n, k) in pods.items())
    return Sample(at=NOW + timedelta(seconds=seconds), counts=counts)


# ---- increments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "seen", "expected"),
    [
        pytest.param({}, {"c": ("new", 50, 5)}, Increment(), id="the first look at a pod is its zero"),
        pytest.param({"c": (50, 5)}, {"c": ("new", 60, 7)}, Increment(canary_requests=10, canary_errors=2), id="growth"),
        pytest.param({"s": (50, 5)}, {"s": ("old", 60, 7)}, Increment(stable_requests=10, stable_errors=2), id="of the other side"),
        pytest.param({"c": (50, 5)}, {"c": ("new", 8, 1)}, Increment(canary_requests=8, canary_errors=1), id="a reset counts from zero"),
        pytest.param({"c": (50, 5)}, {"c": ("new", 60, 2)}, Increment(canary_requests=60, canary_errors=2), id="a reset of one counter"),
        pytest.param(
            {"c": (50, 0)}, {"c": ("new", 52, 9)}, Increment(canary_requests=2, canary_errors=2), id="no more errors than requests"
        ),
        pytest.param({"c": (50, 5)}, {}, Increment(), id="a pod that did not answer"),
        pytest.param(
            {"a": (1, 0), "b": (1, 0)},
            {"a": ("new", 2, 0), "b": ("new", 4, 1)},
            Increment(canary_requests=4, canary_errors=1),
            id="pods add up",
        ),
    ],
)
def test_increment(known: dict[str, tuple[int, int]], seen: dict[str, tuple[str, int, int]], expected: Increment) -> None:
    counts = tuple(PodCount(uid=uid, requests=n, errors=k) for uid, (n, k) in known.items())
    memory = MEMORY.model_copy(update={"counts": counts})
    assert evidence.increment(memory, sample(1, **seen)) == expected


def test_a_sample_is_folded_once() -> None:
    first = evidence.fold(MEMORY, sample(1, c=("new", 10, 0), s=("old", 30, 0)), ["c", "s"], Analysis())
    second = evidence.fold(first, sample(2, c=("new", 20, 1), s=("old", 60, 0)), ["c", "s"], Analysis())
    assert second.evidence.canary_requests == 10
    assert evidence.fold(second, sample(2, c=("new", 99, 9)), ["c", "s"], Analysis()) is second
    assert evidence.fold(second, None, ["c"], Analysis()) is second


def test_counters_of_a_silent_pod_are_kept_and_of_a_gone_one_are_not() -> None:
    first = evidence.fold(MEMORY, sample(1, a=("new", 10, 0), b=("new", 10, 0), s=("old", 9, 0)), ["a", "b", "s"], Analysis())
    second = evidence.fold(first, sample(2, a=("new", 20, 0)), ["a", "s"], Analysis())
    assert [count.uid for count in second.counts] == ["a", "s"]


def test_no_answer_at_all_is_no_evidence() -> None:
    after = evidence.fold(MEMORY, Sample(at=NOW + timedelta(seconds=5), counts=()), [], Analysis())
    assert after.evidence.verdict == Verdict.INCONCLUSIVE
    assert after.last_sample_at == NOW + timedelta(seconds=5)


# ---- the guarantees ---------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_the_bet_is_fair_at_the_edge(share: float) -> None:
    """Given one error, it is the canary's with probability pi0: the expected wealth of each bet is 1, by enumeration."""
    nc, ns = round(1000 * share), round(1000 * (1 - share))
    pi0 = share * evidence.WORSE_RATIO / (share * evidence.WORSE_RATIO + 1 - share)
    canary = evidence.vote((), Increment(nc, 1, ns, 0), evidence.WORSE_RATIO, worse=True)
    stable = evidence.vote((), Increment(nc, 0, ns, 1), evidence.WORSE_RATIO, worse=True)
    for won, lost in zip(canary, stable, strict=True):
        assert pi0 * math.exp(won) + (1 - pi0) * math.exp(lost) == pytest.approx(1)


def test_the_rate_bet_is_fair_at_its_bound() -> None:
    bound, n, factors = 0.3, 6, evidence.LOWER
    for index in range(len(factors)):
        total = 0.0
        for outcome in product((0, 1), repeat=n):
            k = sum(outcome)
            total += bound**k * (1 - bound) ** (n - k) * math.exp(evidence.rate((), n, k, bound, factors)[index])
        assert total == pytest.approx(1)


def _bursts(n: int, size: int, rate: float) -> dict[int, float]:
    """Chance of each number of errors in n requests that fail `size` together."""
    groups = n // size
    return {size * hits: math.comb(groups, hits) * rate**hits * (1 - rate) ** (groups - hits) for hits in range(groups + 1)}


@pytest.mark.parametrize("size", [1, 2, 3, 6])
@pytest.mark.parametrize("rates", [(0.3,), (0.6, 0.0), (0.1,), (0.5, 0.1, 0.0)])
def test_the_bet_on_a_higher_rate_is_fair_whatever_the_bursts_and_bad_moments(size: int, rates: tuple[float, ...]) -> None:
    """Two samples of six requests, each at a moment with one of the rates, all as likely: wealth 1 on average at the bound, less below."""
    bound, mean = 0.3, sum(rates) / len(rates)
    chances = {k: sum(_bursts(6, size, rate)[k] for rate in rates) / len(rates) for k in range(0, 7, size)}
    total = [0.0] * len(evidence.BETS)
    for (first, likely), (second, then) in product(chances.items(), repeat=2):
        wealth = evidence.higher(evidence.higher((), 6, first, bound), 6, second, bound)
        total = [so_far + likely * then * math.exp(log) for so_far, log in zip(total, wealth, strict=True)]
    assert total == pytest.approx([(1 + bet * (mean / bound - 1)) ** 2 for bet in evidence.BETS])
    assert max(total) <= 1 + 1e-9


def test_a_higher_rate_is_proved_in_as_many_samples_as_documented() -> None:
    def samples(errors: int) -> int:
        wealth: tuple[float, ...] = ()
        for number in range(1, 20):
            wealth = evidence.higher(wealth, 20, errors, 0.1)
            if evidence.mean(wealth) >= math.log(200):
                return number
        return 20

    assert (samples(2), samples(10), samples(20)) == (20, 5, 3)


@pytest.mark.parametrize(("n", "bound"), [(0, 0.1), (-1, 0.1), (10, 0.0), (10, 1.0)])
def test_where_a_rate_says_nothing_the_wealth_stays(n: int, bound: float) -> None:
    assert evidence.higher((1.0, 2.0, 3.0, 4.0), n, 0, bound) == (1.0, 2.0, 3.0, 4.0)
    assert evidence.higher((), n, 0, bound) == (0.0,) * 4


@pytest.mark.parametrize("requests", [0, 20])
def test_the_case_for_a_higher_rate_of_an_older_operator_starts_anew(requests: int) -> None:
    grown, analysis = Increment(requests, 0, 60, 0), ErrorAnalysis(max_rate="5%")
    old = Evidence(fail_rate=(9.0, 9.0, 9.0, 9.0, 9.0, 9.0))
    assert evidence.weigh(old, grown, analysis) == evidence.weigh(Evidence(), grown, analysis)


@given(
    grown=st.tuples(*[st.integers(0, 10**6)] * 4).map(lambda t: Increment(t[0], min(t[0], t[1]), t[2], min(t[2], t[3]))),
    before=st.lists(st.floats(-50, 50), min_size=4, max_size=4).map(tuple),
    worse=st.booleans(),
)
def test_a_vote_never_breaks(grown: Increment, before: tuple[float, ...], worse: bool) -> None:
    after = evidence.vote(before, grown, 1.25, worse=worse)
    assert all(math.isfinite(value) for value in after)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30), st.integers(0, 29))
def test_one_more_canary_error_never_turns_fail_into_pass(errors: list[tuple[int, int]], where: int) -> None:
    def run(extra: int) -> Verdict:
        seen = Evidence()
        for index, (canary, stable) in enumerate(errors):
            grown = Increment(100, min(100, canary + (extra if index == where else 0)), 300, stable)
            seen = evidence.weigh(seen, grown, ErrorAnalysis())
            if seen.verdict == Verdict.FAIL:
                return Verdict.FAIL
        return Verdict(seen.verdict)

    if run(0) == Verdict.FAIL:
        assert run(25) != Verdict.PASS


# ---- verdicts ---------------------------------------------------------------------------------


def test_a_rate_without_errors_passes_after_a_few_hundred_requests() -> None:
    seen, requests = Evidence(), 0
    while seen.verdict != Verdict.PASS:
        seen = evidence.weigh(seen, Increment(10, 0, 30, 0), ErrorAnalysis())
        requests += 10
    assert 300 <= requests <= 450
    assert seen.requests_needed == 0


def test_the_requests_still_needed_are_about_right() -> None:
    seen = evidence.weigh(Evidence(), Increment(100, 0, 300, 0), ErrorAnalysis())
    assert seen.requests_needed is not None
    after = evidence.weigh(seen, Increment(seen.requests_needed, 0, 300, 0), ErrorAnalysis())
    assert after.verdict == Verdict.PASS


def test_a_floor_fails_without_stable_traffic() -> None:
    analysis = ErrorAnalysis(max_rate="5%")
    seen = Evidence()
    for _ in range(3):
        seen = evidence.weigh(seen, Increment(20, 10, 0, 0), analysis)
    assert seen.verdict == Verdict.FAIL


def test_a_new_step_keeps_the_case_against_and_forgets_the_case_for() -> None:
    seen = evidence.weigh(Evidence(), Increment(500, 2, 1500, 3), ErrorAnalysis())
    after = evidence.next_step(seen)
    assert after.fail == seen.fail
    assert after.pass_rate == ()
    assert after.verdict == Verdict.INCONCLUSIVE


# ---- odds, by simulation ----------------------------------------------------------------------


def _binomial(rng: random.Random, n: int, p: float) -> int:
    return sum(rng.random() < p for _ in range(n)) if n < 60 else max(0, min(n, round(rng.gauss(n * p, math.sqrt(n * p * (1 - p))))))


def _first_fail(rng: random.Random, *, canary: float, stable: float, looks: int = 120, burst: int = 1) -> int | None:
    """Looks until Fail: 100 requests a look, one in ten to the canary; a burst repeats each error."""
    seen = Evidence()
    for look in range(looks):
        kc = min(10, burst * _binomial(rng, 10, canary / burst))
        ks = min(90, burst * _binomial(rng, 90, stable / burst))
        seen = evidence.weigh(seen, Increment(10, kc, 90, ks), ErrorAnalysis())
        if seen.verdict == Verdict.FAIL:
            return look + 1
    return None


@pytest.mark.parametrize("base", [0.0, 0.005, 0.05])
@pytest.mark.parametrize("burst", [1, 5])
def test_an_equal_canary_is_hardly_ever_failed(base: float, burst: int) -> None:
    """10 minutes at 20 requests a second, looked at every 5 seconds. 300 runs: 8 failures would disprove 1 % (p < 0.02)."""
    rng = random.Random(7)
    failed = sum(_first_fail(rng, canary=base, stable=base, burst=burst) is not None for _ in range(300))
    assert failed <= 7


@pytest.mark.parametrize(("rate", "looks"), [(0.5, 5), (0.2, 12)])
def test_a_bad_canary_is_found_soon(rate: float, looks: int) -> None:
    rng = random.Random(11)
    found = sorted(_first_fail(rng, canary=rate, stable=0.005) or 999 for _ in range(200))
    assert found[100] <= looks
    assert found[197] < 999
