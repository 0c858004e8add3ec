"""Golden samples as traffic: what was asked before does not count, a wrong answer does at once, silence never passes."""

from hypothesis import given
from hypothesis import strategies as st

from volary.api.v1alpha1 import Analysis, GoldenState, Synthetic
from volary.planning import synthetic
from volary.planning.evidence import Verdict
from volary.planning.outside import Reply

ON = Analysis(synthetic=Synthetic(enabled=True))
CANARY, STABLE = "8fb5556369", "1a2b3c4d5e"
LIVE = ("c", "s")


def reply(uid: str, asked: int, wrong: int = 0, silent: int = 0) -> Reply:
    message = "golden sample 3: output 'y'[0] is 0.91, packed was 0.34" if wrong else ""
    return Reply(uid=uid, revision=CANARY if uid == "c" else STABLE, asked=asked, wrong=wrong, silent=silent, message=message)


def after(*looks: tuple[Reply, ...], analysis: Analysis = ON) -> GoldenState:
    state = None
    for look in looks:
        state = synthetic.fold(state, look, CANARY, LIVE, analysis)
    assert state is not None
    return state


def test_the_first_look_is_the_zero() -> None:
    state = after((reply("c", 100), reply("s", 5000)))
    assert (state.canary_asked, state.stable_asked, state.verdict) == (0, 0, Verdict.INCONCLUSIVE)


def test_enough_right_answers_pass() -> None:
    looks = [(reply("c", 25 * number), reply("s", 25 * number)) for number in range(41)]
    state = after(*looks)
    assert (state.canary_asked, state.canary_failed, state.stable_asked, state.verdict) == (1000, 0, 1000, Verdict.PASS)


def test_silence_after_a_pass_passes_no_more() -> None:
    state = after((reply("c", 0),), (reply("c", 1000),), (reply("c", 1000),))
    assert state.verdict == Verdict.INCONCLUSIVE
    state = after((reply("c", 0),), (reply("c", 1000),), (reply("s", 1),))
    assert (state.verdict, state.message[:27]) == (Verdict.INCONCLUSIVE, "no agent of the canary answ")


def test_a_wrong_answer_of_the_canary_fails_at_once() -> None:
    state = after((reply("c", 1, wrong=1), reply("s", 1)))
    assert state.verdict == Verdict.FAIL
    assert "packed was" in state.message


def test_a_wrong_answer_of_stable_is_only_counted() -> None:
    state = after((reply("c", 0), reply("s", 0)), (reply("c", 1000), reply("s", 1000, wrong=3)))
    assert (state.verdict, state.stable_failed) == (Verdict.PASS, 3)


def test_no_answers_never_fail_and_never_pass() -> None:
    state = after((reply("c", 0),), (reply("c", 1000, silent=1000),))
    assert (state.verdict, state.canary_failed) == (Verdict.INCONCLUSIVE, 1000)


def test_an_agent_that_started_again_counts_from_zero() -> None:
    state = after((reply("c", 0),), (reply("c", 500),), (reply("c", 20),))
    assert (state.canary_asked, state.canary_failed) == (520, 0)


def test_a_look_that_asked_nobody_changes_nothing() -> None:
    state = after((reply("c", 0),), (reply("c", 500),))
    assert synthetic.fold(state, None, CANARY, LIVE, ON) == state


def test_a_new_step_must_pass_by_itself() -> None:
    state = synthetic.next_step(after((reply("c", 0),), (reply("c", 1000),)))
    assert state is not None
    assert (state.verdict, state.proof, state.step_asked, state.canary_asked) == (Verdict.INCONCLUSIVE, (), 0, 1000)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_failures_are_never_more_than_requests(looks: list[tuple[int, int]]) -> None:
    """Counters that fall, jump and disagree, as after restarts."""
    state = None
    for asked, silent in looks:
        state = synthetic.fold(state, (reply("c", asked, silent=min(asked, silent)),), CANARY, LIVE, ON)
        assert 0 <= state.canary_failed <= state.canary_asked
        assert len(state.pods) == 1
