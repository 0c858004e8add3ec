"""The picture that `volary status` draws."""

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import yaml
from rich.console import Console

from volary.adapters.cluster import MODEL_DEPLOYMENTS
from volary.adapters.cluster_fake import FakeCluster
from volary.cli import kube, status
from volary.cli import list as listing
from volary.common.errors import Refused

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STABLE = {"revision": "aaaaaaaaaa", "version": "1.0.0", "digest": "sha256:a", "replicas": 3, "ready": 3, "weight": 75, "weightReached": 75}
CANARY = {"revision": "bbbbbbbbbb", "version": "1.1.0", "digest": "sha256:b", "replicas": 1, "ready": 1, "weight": 25, "weightReached": 25}
EVIDENCE = {"canaryRequests": 400, "canaryErrors": 2, "stableRequests": 1200, "stableErrors": 6, "requestsNeeded": 120}


def document(**more: Any) -> dict[str, Any]:
    return {
        "apiVersion": MODEL_DEPLOYMENTS.api_version,
        "kind": "ModelDeployment",
        "metadata": {"name": "fraud", "namespace": "shop", "generation": 2, "managedFields": [{}]},
        "spec": {
            "model": {"uri": "s3://models/fraud", "version": "1.1.0"},
            "runtime": {"name": "onnxruntime"},
            "replicas": 3,
            "rollout": {"steps": [{"weight": 5}, {"weight": 25, "duration": "3m"}, {"weight": 50}]},
        },
        "status": {
            "observedGeneration": 2,
            "phase": "Canary",
            "message": "comparing",
            "ready": "3/3",
            "stable": STABLE,
            "canary": CANARY,
            "rollout": {
                "revision": "bbbbbbbbbb",
                "generation": 2,
                "startedAt": NOW.isoformat(),
                "step": 1,
                "stepStartedAt": (NOW - timedelta(seconds=70)).isoformat(),
                "evidence": EVIDENCE,
            },
            "conditions": [{"type": "Ready", "status": "False", "reason": "CollectingEvidence", "lastTransitionTime": NOW.isoformat()}],
            "request": {"value": "promote:x@1", "outcome": "Refused", "message": "no canary", "at": NOW.isoformat()},
        },
        **more,
    }


METRICS = {
    "drift": {"verdict": "Fail", "message": "label:3 in 9 of 10 answers", "dryRun": True},
    "errors": {"verdict": "Pass", "message": "0 of 400 failed"},
}
WATCH = {
    "revision": "aaaaaaaaaa",
    "versionBefore": "0.9.0",
    "startedAt": NOW.isoformat(),
    "baselineRequests": 900,
    "baselineErrors": 1,
    "requests": 500,
    "errors": 2,
}


def test_every_metric_has_a_line_and_the_watch_has_one() -> None:
    body = document()
    body["status"]["rollout"]["verdicts"] = METRICS
    body["status"]["watch"] = WATCH
    text = drawn(body)
    assert "Fail, only reports" in text
    assert "label:3 in 9 of 10 answers" in text
    assert "watched beside the record of version 0.9.0: 2 of 500 requests failed since its promotion" in text


def drawn(body: dict[str, Any]) -> str:
    console = Console(width=120, record=True, file=StringIO())
    console.print(status.render(kube.parse(body), NOW))
    return console.export_text()


def test_what_others_say_of_the_canary() -> None:
    body = document()
    body["status"]["rollout"]["checks"] = {
        "queries": [
            {"name": "p99", "verdict": "Pass", "value": 0.12},
            {"name": "slow", "verdict": "Inconclusive", "message": "the query gives no data", "dryRun": True},
        ],
        "jobs": [{"name": "smoke", "step": 2, "verdict": "Fail", "message": "expected 3, found 8"}],
        "golden": {"verdict": "Pass", "canaryAsked": 350, "stableAsked": 700, "stableFailed": 1},
    }
    rows = [" ".join(line.split()) for line in drawn(body).splitlines()]
    assert "query p99 Pass 0.12" in rows
    assert "query slow Inconclusive (dry run) the query gives no data" in rows
    assert "job smoke of step 2 Fail expected 3, found 8" in rows
    assert "golden samples Pass 0 of 350 failed, 1 of 700 of stable" in rows
    assert "CHECK" not in drawn(document())


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """The verbs talk to a fake."""
    cluster = FakeCluster()

    def run(args: argparse.Namespace, work: Any) -> int:
        return asyncio.run(work(kube.Place(cluster, args.namespace or "shop")))

    monkeypatch.setattr(kube, "run", run)
    return cluster


def call(verb: Any, *words: str) -> int:
    parser = argparse.ArgumentParser(prog="volary x")
    verb.configure(parser)
    code: int = verb.run(parser.parse_args(words))
    return code


def test_a_canary_under_way() -> None:
    text = drawn(document())
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "shop/fraud Canary ready 3/3"
    assert "steps 5% > [25% 1m10s of 3m] > 50% > 100%" in lines
    assert "stable 1.0.0 aaaaaaaaaa 3/3 75% 75% 1200 6 (0.5%)" in lines
    assert "canary 1.1.0 bbbbbbbbbb 1/1 25% 25% 400 2 (0.5%) Inconclusive, about 120 more requests" in lines
    assert any(line.startswith("Ready False CollectingEvidence") for line in lines)
    assert "last request promote:x@1: Refused: no canary" in lines


def test_one_that_nobody_has_looked_at_yet() -> None:
    text = drawn(document(status={}))
    assert "Pending" in text
    assert "the operator has not seen the latest change yet" in text
    assert "VERSION" not in text


def test_the_object_itself(place: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    place.put(document())
    assert call(status, "fraud", "-o", "json") == 0
    as_json = json.loads(capsys.readouterr().out)
    assert call(status, "fraud", "-n", "shop", "-o", "yaml") == 0
    assert yaml.safe_load(capsys.readouterr().out) == as_json
    assert "managedFields" not in as_json["metadata"]


def test_at_a_glance(place: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    place.put(document())
    assert call(status, "fraud") == 0
    assert "shop/fraud" in capsys.readouterr().out


def test_there_is_none(place: FakeCluster) -> None:
    assert place.writes == ()
    with pytest.raises(Refused, match="there is no ModelDeployment fraud in the namespace shop"):
        call(status, "fraud")


def test_one_that_cannot_be_read(place: FakeCluster) -> None:
    place.put(document(spec={}))
    with pytest.raises(Refused, match=r"fraud: spec\.model: Field required"):
        call(status, "fraud")


def test_the_list(place: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    place.put(document())
    place.put(document(metadata={"name": "broken", "namespace": "shop"}, spec={}))
    place.put(document(metadata={"name": "spam", "namespace": "bank"}))
    assert call(listing) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [["shop", "broken", "unreadable"], ["shop", "fraud", "Canary", "1.0.0", "1.1.0", "25%", "3/3"]]
    assert call(listing, "-A") == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
