"""Decisions of the real operator arrive at receivers that a mounted Secret names."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.demo.stage import OPERATOR, OPERATOR_NAMESPACE, OPERATOR_PODS, install_operator, secret
from tests.e2e.serving import QUICK, Model
from tests.support import receiver, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage
    from tests.support.receiver import Received

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests" / "notify"
TOKEN = "T0KEN-of-a-receiver"
UNSOUND = "3.0.0"  # a flipped byte


@pytest.fixture
def received(stage: Stage, tmp_path: Path) -> Iterator[Received]:
    """An operator with two receivers; afterwards it is as it was."""
    audit = {"name": "audit", "url": f"{receiver.URL}/twice/{TOKEN}", "headers": {"Authorization": f"Bearer {TOKEN}"}}
    chat = {"name": "chat", "format": "slack", "url": f"{receiver.URL}/chat", "decisions": ["Promoted", "Refused"]}
    plan = yaml.safe_dump({"cluster": "test", "endpoints": [audit, chat]})
    stage.kubectl.apply(secret(OPERATOR_NAMESPACE, "volary-notify", {"notify.yaml": plan}))
    try:
        with receiver.receiving(tmp_path) as found:
            patch = ("patch", "deployment", OPERATOR, f"--namespace={OPERATOR_NAMESPACE}", f"--patch-file={MANIFESTS / 'deployment.yaml'}")
            stage.kubectl.run(*patch)
            stage.kubectl.run("rollout", "status", f"deployment/{OPERATOR}", f"--namespace={OPERATOR_NAMESPACE}", "--timeout=120s")
            wait.until("one operator pod is left", lambda: len(stage.operator_pods()) == 1, 60)
            yield found
    finally:
        stage.kubectl.run("delete", "deployment", OPERATOR, f"--namespace={OPERATOR_NAMESPACE}")
        wait.until("no operator is left", lambda: not stage.kubectl.list("Pod", OPERATOR_NAMESPACE, OPERATOR_PODS), 60)
        install_operator(stage.kubectl, stage.images)
        stage.kubectl.delete("secret", OPERATOR_NAMESPACE, "volary-notify")


def test_decisions_arrive_once_each_also_where_the_first_attempt_fails(stage: Stage, namespace: str, received: Received) -> None:
    def decisions() -> list[str]:
        events = [line["body"] for line in received.at(f"/twice/{TOKEN}")]
        return [event["data"]["decision"] for event in events if event["data"]["namespace"] == namespace]

    with Model.watched(stage, namespace, "told") as model:
        model.apply("1.0.0", replicas=1, rollout=QUICK)
        model.until_serving("1.0.0")
        model.apply(UNSOUND, replicas=1, rollout=QUICK)
        wait.until("the refusal is told", lambda: decisions() == ["NewRevision", "Promoted", "Refused"], 90, seen=decisions)
    lines = received.lines
    events = [line["body"] for line in received.at(f"/twice/{TOKEN}") if line["body"]["data"]["namespace"] == namespace]
    assert next(line["status"] for line in lines if line["path"].startswith("/twice")) == 503
    assert len({event["id"] for event in events}) == len(events)
    assert events[-1]["source"] == f"/clusters/test/namespaces/{namespace}/modeldeployments/told"
    assert events[-1]["data"]["reason"] == "DigestMismatch"
    assert all(line["headers"]["Authorization"] == f"Bearer {TOKEN}" for line in received.at(f"/twice/{TOKEN}"))
    texts = [line["body"]["text"] for line in received.at("/chat") if f"/{namespace}/" in line["body"]["text"]]
    assert [text.split("*")[2].split(":")[0].strip() for text in texts] == ["Promoted", "Refused"]
    log = stage.kubectl.run("logs", f"--namespace={OPERATOR_NAMESPACE}", f"deployment/{OPERATOR}")
    assert "not told yet: status 503" in log
    assert TOKEN not in log
    assert asdict(stage.images)["operator"] in str(stage.operator_pods()[0]["spec"])
