"""What people ask for by annotation: acted on once, then recorded."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from volary.api.v1alpha1 import Model, ModelDeploymentSpec, ModelDeploymentStatus, RequestStatus, Runtime, RuntimeName
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.planning import requests
from volary.planning.model import (
    DeletePreflight,
    Desired,
    Failure,
    Images,
    MarkRevision,
    NoPreflight,
    Observed,
    Preflight,
    PreflightEnded,
    Revision,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = Model(uri="s3://models/x", version="3")
RUNTIME = Runtime(name=RuntimeName.ONNXRUNTIME)
IMAGES = Images(agent="agent", server="server")
FAILURE = Failure(reason=Reason.CRASHED, message="crashed", at=NOW)


def revision(number: int, *, promoted: int = 0, failed: Failure | None = None) -> Revision:
    return Revision(
        id=f"r{number}",
        request=f"q{number}",
        ordinal=number,
        digest="sha256:" + "0" * 64,
        version=f"{number}.0.0",
        format="onnx",
        size=1,
        model=MODEL,
        model_name="x",
        runtime=RUNTIME,
        images=IMAGES,
        created_at=NOW,
        promoted=promoted,
        failed=failed,
    )


V1, V2, V3 = revision(1, promoted=1), revision(2, promoted=2), revision(3)
V3_FAILED = revision(3, failed=FAILURE)


def ask(value: str | None, *revisions: Revision, preflight: Preflight | None = None, seen: str | None = None) -> requests.Answer:
    record = RequestStatus(value=seen, outcome="Done", at=NOW) if seen else None
    desired = Desired(
        namespace="n",
        name="x",
        uid="u",
        generation=1,
        model_name="x",
        spec=ModelDeploymentSpec(model=MODEL, runtime=RUNTIME),
        images=IMAGES,
        request=value,
        status=ModelDeploymentStatus(request=record),
    )
    return requests.answer(desired, Observed(revisions=revisions, preflight=preflight or NoPreflight()), "q3", NOW)


def marks(answer: requests.Answer) -> dict[str, tuple[int, Reason | None]]:
    found = [action for action in answer.actions if isinstance(action, MarkRevision)]
    return {mark.revision: (mark.promoted, mark.failed.reason if mark.failed else None) for mark in found}


@pytest.mark.parametrize(
    ("value", "revisions", "expected"),
    [
        pytest.param("abort", (V1, V3), {"r3": (0, Reason.ABORT_REQUESTED)}, id="abort"),
        pytest.param("abort:r3@1", (V1, V3), {"r3": (0, Reason.ABORT_REQUESTED)}, id="abort names the revision"),
        pytest.param("retry@x", (V1, V3_FAILED), {"r3": (0, None)}, id="retry clears the mark"),
        pytest.param("rollback@1", (V1, V2, V3_FAILED), {"r1": (3, None)}, id="rollback to the one before stable"),
        pytest.param(
            "rollback:1.0.0@1", (V1, V2, V3), {"r1": (3, None), "r3": (0, Reason.ROLLBACK_REQUESTED)}, id="rollback ends the canary"
        ),
        pytest.param(
            "rollback:r2",
            (V1, V2, replace(V3, promoted=3)),
            {"r2": (4, None), "r3": (3, Reason.ROLLBACK_REQUESTED)},
            id="rollback of what the spec asks for",
        ),
        pytest.param("promote", (V1, V3), {}, id="promote marks nothing: its pods must be ready first"),
    ],
)
def test_done(value: str, revisions: tuple[Revision, ...], expected: dict[str, tuple[int, Reason | None]]) -> None:
    answer = ask(value, *revisions)
    assert answer.record is not None
    assert (answer.record.value, answer.record.outcome) == (value, "Done")
    assert marks(answer) == expected
    assert len(answer.facts) == 1


@pytest.mark.parametrize(
    ("value", "revisions", "words"),
    [
        pytest.param("launch", (V1, V3), "write promote | pause | resume | skip | approve | abort | retry | rollback", id="unknown verb"),
        pytest.param("promote r3", (V1, V3), "not understood", id="grammar"),
        pytest.param("promote", (V1,), "no canary", id="nothing to promote"),
        pytest.param("promote:r2", (V1, V3), "the canary is r3 (version 3.0.0), not r2", id="another canary"),
        pytest.param("abort:2.0.0@1", (V1, V3), "not 2.0.0", id="abort of another"),
        pytest.param("retry", (V1, V3), "nothing has failed", id="nothing to retry"),
        pytest.param("rollback", (V1, V3), "no earlier revision", id="nowhere to go"),
        pytest.param("rollback:r1", (V1, V3), "stable revision already", id="there already"),
        pytest.param("rollback:r9", (V1, V2, V3), "kept: r1 (version 1.0.0)", id="unknown revision"),
        pytest.param("rollback:r3", (V1, V2, V3), "not a kept revision that was promoted", id="never promoted"),
    ],
)
def test_refused(value: str, revisions: tuple[Revision, ...], words: str) -> None:
    answer = ask(value, *revisions)
    assert answer.record is not None
    assert answer.record.outcome == "Refused"
    assert words in answer.record.message
    assert answer.actions == ()
    assert [fact.reason for fact in answer.facts] == [Reason.REQUEST_REFUSED]


def test_acted_on_once() -> None:
    answer = ask("abort@1", V1, V3, seen="abort@1")
    assert answer.actions == ()
    assert answer.facts == ()
    assert answer.record is not None


def test_no_request_keeps_the_record() -> None:
    answer = ask(None, V1, V3, seen="abort@1")
    assert answer.record is not None
    assert answer.record.value == "abort@1"


def test_retry_of_a_refused_bundle_runs_its_preflight_again() -> None:
    ended = PreflightEnded(outcome=Outcome(reason=Reason.CREDENTIALS_REFUSED, message="no"), at=NOW)
    answer = ask("retry@1", V1, preflight=ended)
    assert answer.actions == (DeletePreflight(request="q3"),)
    assert answer.retried
