"""The picture that `volary status` draws."""

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from volary.adapters.cluster import MODEL_DEPLOYMENTS
from volary.adapters.cluster_fake import FakeCluster
from volary.cli import kube, picture, status
from volary.cli import list as listing
from volary.cli.exits import Missing
from volary.cli.view import view
from volary.common.errors import Refused
from volary.common.names import COMPONENT_LABEL, MODEL_LABEL, REVISION_LABEL

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
    body["spec"]["rollout"]["analysis"] = {"drift": {"dryRun": True}, "restarts": {}}
    body["status"]["rollout"]["drift"] = {"bins": []}
    body["status"]["rollout"]["verdicts"] = METRICS | {"restarts": {"verdict": "Pass", "message": "0 restarts, 0 may be"}}
    body["status"]["watch"] = WATCH
    text = drawn(body)
    assert "drift  Fail  (reports only)  label:3 in 9 of 10 answers" in text
    assert "restarts  Pass  0 restarts, 0 may be" in text
    assert "watched beside the record of version 0.9.0: 2 of 500 requests failed since its promotion" in text


def pod(name: str, revision: str, *, restarts: int = 0, waiting: str | None = None) -> dict[str, Any]:
    labels = {MODEL_LABEL: "fraud", REVISION_LABEL: revision, COMPONENT_LABEL: "server"}
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": labels,
            "creationTimestamp": (NOW - timedelta(minutes=5)).isoformat(),
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False" if waiting else "True"}],
            "containerStatuses": [{"name": "server", "restartCount": restarts, "state": state}],
        },
    }


PODS = [pod("fraud-aaaaaaaaaa-x", "aaaaaaaaaa"), pod("fraud-bbbbbbbbbb-y", "bbbbbbbbbb", restarts=2, waiting="CrashLoopBackOff")]


def drawn(body: dict[str, Any], width: int = 120) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(picture.render(view(kube.parse(body), PODS, NOW), NOW, width))
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
    rows = [" ".join(line.strip("├└─│ ").split()) for line in drawn(body).splitlines()]
    assert "query p99 Pass 0.12" in rows
    assert "query slow Inconclusive (dry run) the query gives no data" in rows
    assert "job smoke of step 2 Fail expected 3, found 8" in rows
    assert "golden samples Pass 0 of 350 failed, 1 of 700 of stable" in rows
    assert "query" not in drawn(document())


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


GOLDEN = """\
shop/fraud  Canary  ready 3/3
comparing
├── stable  1.0.0  aaaaaaaaaa  3/3 ready  ███████████████░░░░░ 75%
│   └── fraud-aaaaaaaaaa-x  ready  0 restarts  5m
├── canary  1.1.0  bbbbbbbbbb  1/1 ready  ██▒▒▒░░░░░░░░░░░░░░░ 10% of 25% wanted
│   └── fraud-bbbbbbbbbb-y  CrashLoopBackOff  2 restarts  5m
├── step 2 of 3  1m10s of 3m, 1m50s left  5% > [25%] > 50% > 100%
├── errors  Inconclusive  canary 2 of 400 (0.5 %), stable 6 of 1200 (0.5 %)
│   ├── against ░░░░░░░░░░░░░░░░░░░░    0%  nothing speaks against it
│   └── for     ░░░░░░░░░░░░░░░░░░░░    0%  about 120 more requests without an error would prove it
"""


def test_a_canary_under_way() -> None:
    body = document()
    body["status"]["canary"] = CANARY | {"weightReached": 10}
    text = drawn(body)
    assert [line.rstrip() for line in text.splitlines()][: len(GOLDEN.splitlines())] == GOLDEN.splitlines()
    assert "Ready False CollectingEvidence" in text
    assert "last request promote:x@1: Refused: no canary" in text


def test_nothing_is_wider_than_a_narrow_terminal() -> None:
    lines = drawn(document(), width=50).splitlines()
    assert max(map(len, lines)) <= 50
    assert any("██████░░ 75%" in line for line in lines)


def test_the_line_of_a_log_changes_with_the_rollout_and_not_with_the_clock() -> None:
    found = kube.parse(document())
    now, later = (picture.line(view(found, PODS, moment)) for moment in (NOW, NOW + timedelta(seconds=30)))
    assert now == later
    assert "shop/fraud  Canary  ready 3/3" in now
    assert "step 2 of 3  errors Inconclusive" in now


def test_one_that_nobody_has_looked_at_yet() -> None:
    text = drawn(document(status={}))
    assert "Pending" in text
    assert "the operator has not seen the latest change yet" in text
    assert "stable" not in text


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


def test_all_of_a_namespace_by_name_for_other_commands(place: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    place.put(document())
    place.put(document(metadata={"name": "spam", "namespace": "bank"}))
    assert call(status, "-o", "name") == 0
    assert capsys.readouterr().out == "modeldeployment.serving.volary.dev/fraud\n"
    assert call(status, "-A", "-o", "json") == 0
    assert [item["metadata"]["name"] for item in json.loads(capsys.readouterr().out)["items"]] == ["spam", "fraud"]


def test_the_picture_as_a_file(place: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for body in (document(), *PODS):
        place.put(body)
    assert call(status, "fraud", "--svg", str(tmp_path / "fraud.svg")) == 0
    assert "CrashLoopBackOff" in capsys.readouterr().out
    assert "CrashLoopBackOff" in (tmp_path / "fraud.svg").read_text("utf-8")


def test_there_is_none(place: FakeCluster) -> None:
    assert place.writes == ()
    with pytest.raises(Missing, match="there is no ModelDeployment fraud in the namespace shop"):
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
