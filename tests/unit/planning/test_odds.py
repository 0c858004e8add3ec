"""The guarantee by simulation: thousands of canaries at once, in an arithmetic that is held to `planning.evidence`.

The whole table is `python -m tests.bench.rollback_odds`; here are the cells that are nearest to the edge.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.bench import rollback_odds
from tests.bench.rollback_odds import LONGEST, judge
from tests.support import betting, rivals
from tests.support.canaries import Cell
from volary.api.v1alpha1 import Analysis, ErrorAnalysis, Evidence, RolloutStatus
from volary.planning import evidence
from volary.planning.evidence import Increment
from volary.simulation import odds

OURS = "Volary"


@pytest.mark.parametrize(
    "cell", [Cell(rps=2, errors=0.05, canary_errors=0.1), Cell(rps=200, errors=0.005, canary_errors=0.005, burst=5, noise=0.7)]
)
def test_arrays_weigh_as_the_operator_does(cell: Cell) -> None:
    runs, analysis = 7, ErrorAnalysis(max_rate="10%")
    seen = [Evidence() for _ in range(runs)]
    fail, better = betting.zero(runs), betting.zero(runs)
    above, below = betting.zero(runs), betting.zero(runs, len(evidence.LOWER))
    for grown in cell.ticks((0.1,) * 20 + (0.5,) * 20, runs, 3):
        fail = betting.vote(fail, grown, evidence.WORSE_RATIO, worse=True)
        better = betting.vote(better, grown, evidence.EQUAL_RATIO, worse=False)
        above = betting.higher(above, grown.canary_requests, grown.canary_errors, 0.1)
        below = betting.rate(below, grown.canary_requests, grown.canary_errors, 0.01, evidence.LOWER)
        for run, before in enumerate(seen):
            sides = (grown.canary_requests, grown.canary_errors, grown.stable_requests, grown.stable_errors)
            seen[run] = after = evidence.weigh(before, Increment(*(int(side[run]) for side in sides)), analysis)
            for wealth, same in ((fail, after.fail), (better, after.pass_ratio), (above, after.fail_rate), (below, after.pass_rate)):
                assert wealth[run] == pytest.approx(same, abs=1e-9)
                assert betting.mean(wealth)[run] == pytest.approx(evidence.mean(same), abs=1e-9)


def test_arrays_look_when_the_operator_does() -> None:
    runs, start = 20, datetime(2026, 1, 1, tzinfo=UTC)
    rule = rivals.Bets(runs)
    known = [
        RolloutStatus(revision="new", generation=1, started_at=start, step=0, step_started_at=start, last_sample_at=start)
        for _ in range(runs)
    ]
    for second, grown in enumerate(Cell(rps=2, errors=0.05, canary_errors=0.2).ticks((0.25,) * 120, runs, 3), 1):
        now = start + timedelta(seconds=second)
        rule.look(grown)
        for run, memory in enumerate(known):
            due = now >= memory.last_sample_at + evidence.pause(memory, Analysis())
            assert (rule.since[run] == 0) == due
            if due:
                seen = Evidence(fail=tuple(rule.fail[run]))
                known[run] = memory.model_copy(update={"last_sample_at": now, "evidence": seen})
    assert {memory.last_sample_at for memory in known} > {now}


@pytest.mark.parametrize(
    "cell",
    [
        Cell(rps=20, errors=0.005, canary_errors=0.005),
        Cell(rps=200, errors=0.05, canary_errors=0.05, burst=20, noise=0.7, restarts=True),
        Cell(rps=0.2, errors=0.05, canary_errors=0.05, burst=5),
    ],
)
def test_an_equal_canary_is_not_rolled_back_however_often_one_looks(cell: Cell) -> None:
    found = judge(cell, LONGEST[::5], 2000, 1)
    assert found.bound(OURS) < 0.01


@pytest.mark.parametrize("rps", [20, 200])
def test_a_limit_rolls_no_equal_canary_back_for_its_bursts(rps: float) -> None:
    found = judge(Cell(rps=rps, errors=0.05, canary_errors=0.05, burst=20, noise=0.7), LONGEST[::5], 2000, 1)
    assert found.bound("Volary, maxRate 10 %") < 0.01


def test_a_canary_at_the_edge_of_the_claim_is_not_rolled_back_either() -> None:
    found = judge(Cell(rps=200, errors=0.005, canary_errors=0.005 * evidence.WORSE_RATIO), LONGEST[::5], 2000, 1)
    assert found.bound(OURS) < 0.01


@pytest.mark.parametrize(("weight", "seconds"), [(0.1, 15), (0.25, 10), (0.5, 15)])
def test_half_of_the_requests_failing_is_found_within_seconds(weight: float, seconds: float) -> None:
    found = judge(Cell(rps=20, errors=0.005, canary_errors=0.5), (weight,) * 60, 1000, 1)
    assert found.seconds(OURS, 0.99) <= seconds


def test_rules_that_are_right_for_one_look_are_wrong_for_many() -> None:
    found = judge(Cell(rps=20, errors=0.005, canary_errors=0.005), LONGEST[::5], 500, 1)
    assert found.share("z-test at each look") > 0.05
    assert found.share(OURS) < 0.01


def test_the_table_has_a_row_for_each_cell() -> None:
    found = [judge(Cell(rps=20, errors=0.005, canary_errors=0.005), (0.1,) * 30, 50, 1)]
    lines = list(rollback_odds.equal_table(found))
    assert len(lines) == 4
    assert "<circle" in rollback_odds.picture(found)
    assert lines[2].startswith("| 20 | 0.5 % | 1 | none |")


# ---- intervals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hits", "runs"), [(0, 200), (1, 200), (37, 200), (199, 200), (200, 200), (12, 10_000)])
def test_clopper_pearson_as_scipy_has_it(hits: int, runs: int) -> None:
    from scipy.stats import beta

    low, high = odds.interval(hits, runs)
    assert low == pytest.approx(beta.ppf(0.025, hits, runs - hits + 1) if hits else 0, abs=1e-9)
    assert high == pytest.approx(beta.ppf(0.975, hits + 1, runs - hits) if hits < runs else 1, abs=1e-9)


def test_quantiles_are_values_that_were_seen() -> None:
    assert odds.quantile([], 0.5) is None
    assert odds.quantile([3, 1, 2], 0.5) == 2
    assert odds.quantile([3, 1, 2], 0.95) == 3


def test_restarts_lose_requests_and_errors_alike() -> None:
    cell = Cell(rps=200, errors=0.05, canary_errors=0.05, restarts=True)
    grown = list(cell.ticks((0.5,) * 20, 200, 1))
    rate = np.sum([each.canary_errors for each in grown]) / np.sum([each.canary_requests for each in grown])
    assert rate == pytest.approx(0.05, rel=0.02)
