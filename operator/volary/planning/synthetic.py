"""Golden samples as traffic: what the agents counted, and what it proves.

The agents count apart from clients, so a mixture of both never hides a fault of either: golden
samples are the questions that the model was packed with, and clients ask others. They decide two
things only. A wrong answer fails the canary at once: it is known to be wrong, no comparison is
needed. And enough right ones prove that the canary answers, where no client asks.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from volary.api.v1alpha1 import Analysis, GoldenCount, GoldenState, percent
from volary.planning import evidence
from volary.planning.evidence import Verdict
from volary.planning.outside import Reply


@dataclass(frozen=True, slots=True)
class _Grown:
    """Since the last look."""

    canary_asked: int = 0
    canary_failed: int = 0
    stable_asked: int = 0
    stable_failed: int = 0


def fold(before: GoldenState | None, replies: Sequence[Reply] | None, canary: str, live: Iterable[str], analysis: Analysis) -> GoldenState:
    """The state after a look. The first look at a pod is its zero, but for wrong answers of the canary: those are known to be wrong."""
    state = (before or GoldenState()).model_copy(update={"dry_run": analysis.synthetic.dry_run})
    if replies is None:
        return state
    grown = _increment(state, replies, canary)
    wrong = next((reply for reply in replies if reply.revision == canary and reply.wrong > 0), None)
    proof = evidence.rate(state.proof, grown.canary_asked, grown.canary_failed, percent(analysis.errors.tolerance), evidence.LOWER)
    after = state.model_copy(
        update={
            "canary_asked": state.canary_asked + grown.canary_asked,
            "canary_failed": state.canary_failed + grown.canary_failed,
            "stable_asked": state.stable_asked + grown.stable_asked,
            "stable_failed": state.stable_failed + grown.stable_failed,
            "step_asked": state.step_asked + grown.canary_asked,
            "proof": proof,
            "pods": _pods(state, replies, frozenset(live)),
        }
    )
    return after.model_copy(update={"verdict": _verdict(wrong, grown, proof), "message": _message(wrong, replies, canary)})


def _increment(state: GoldenState, replies: Iterable[Reply], canary: str) -> _Grown:
    known = {count.uid: count for count in state.pods}
    total = _Grown()
    for reply in replies:
        before = known.get(reply.uid)
        if before is None:
            continue
        failed = reply.wrong + reply.silent
        reset = reply.asked < before.asked or failed < before.failed
        asked = reply.asked - (0 if reset else before.asked)
        failed = min(asked, failed - (0 if reset else before.failed))
        if reply.revision == canary:
            total = replace(total, canary_asked=total.canary_asked + asked, canary_failed=total.canary_failed + failed)
        else:
            total = replace(total, stable_asked=total.stable_asked + asked, stable_failed=total.stable_failed + failed)
    return total


def _pods(state: GoldenState, replies: Iterable[Reply], live: frozenset[str]) -> tuple[GoldenCount, ...]:
    counts = {count.uid: count for count in state.pods}
    counts |= {reply.uid: GoldenCount(uid=reply.uid, asked=reply.asked, failed=reply.wrong + reply.silent) for reply in replies}
    return tuple(counts[uid] for uid in sorted(counts) if uid in live)


def _verdict(wrong: Reply | None, grown: _Grown, proof: tuple[float, ...]) -> Verdict:
    """A look that brought nothing new passes nothing: the agents may be gone."""
    if wrong is not None:
        return Verdict.FAIL
    passed = grown.canary_asked > 0 and evidence.mean(proof) >= math.log(1 / evidence.BETA)
    return Verdict.PASS if passed else Verdict.INCONCLUSIVE


def _message(wrong: Reply | None, replies: Iterable[Reply], canary: str) -> str:
    if wrong is not None:
        return wrong.message
    if not any(reply.revision == canary for reply in replies):
        return "no agent of the canary answers, or its bundle has no golden samples"
    return ""


def next_step(state: GoldenState | None) -> GoldenState | None:
    """A new step must pass by itself."""
    return state and state.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "proof": (), "step_asked": 0})


def show(state: GoldenState) -> str:
    """`0 of 350 golden samples of the canary failed, 0 of 700 of stable`."""
    canary = f"{state.canary_failed} of {state.canary_asked} golden samples of the canary failed"
    return f"{canary}, {state.stable_failed} of {state.stable_asked} of stable"
