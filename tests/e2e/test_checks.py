"""Verdicts from outside on a real cluster: a real Prometheus, real Jobs, agents that replay golden samples."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import aiohttp
import pytest

from tests.demo.stage import OPERATOR_NAMESPACE
from tests.e2e.serving import Model, Serving, another_revision, names
from tests.support import wait
from tests.support.contract import CONTRACT
from tests.support.names import resolved
from tests.support.prometheus import URL, Prometheus
from volary.adapters.prometheus import HttpPrometheus
from volary.common.names import COMPONENT_LABEL, SERVER_PORT
from volary.planning.outside import Measurement, Question

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

OF_THE_CANARY = 'sum(rate(volary_requests_total{revision="{{revision}}"}[10s]))'
JUDGE = """
import json, os, sys, urllib.request
url = os.environ["VOLARY_CANARY_URL"] + "/v2/models/" + os.environ["VOLARY_MODEL"]
found = json.load(urllib.request.urlopen(url, timeout=10))["versions"]
wanted = sys.argv[1] if len(sys.argv) > 1 else os.environ["VOLARY_VERSION"]
sys.exit(None if found == [wanted] else f"expected version {wanted}, found {found}")
"""


def rollout(duration: str = "4s", **analysis: Any) -> dict[str, Any]:
    return {"steps": [{"weight": 50, "duration": duration}], "analysis": {"queries": None, "jobs": None, "synthetic": None} | analysis}


def query(text: str, **fields: Any) -> dict[str, Any]:
    return {"name": "rate", "query": text, "interval": "1s", **fields}


@pytest.fixture(scope="module")
def checked(stage: Stage, session: str) -> Iterator[Serving]:
    """A model under load whose canaries are judged by others."""
    name = stage.namespace(f"e2e-checks-{session}")
    with Serving.begin(stage, name, "checked", replicas=1, rollout=rollout(), rate=50) as serving:
        yield serving
        totals = serving.load.totals
        assert totals.failed == 0, totals.failures
    stage.leave(name)


@pytest.fixture(scope="module")
def prometheus(checked: Serving, tmp_path_factory: pytest.TempPathFactory) -> Prometheus:
    return Prometheus(checked.stage.kubectl, checked.watch.namespace, tmp_path_factory.mktemp("prometheus"))


def deploy(serving: Serving, version: str, purpose: str, **analysis: Any) -> None:
    """As a revision of its own: neither failed nor promoted before."""
    serving.apply(version, replicas=1, rollout=rollout(**analysis), **another_revision(purpose))


def back(serving: Serving) -> None:
    """1.0.0 serves; it has proved itself, so no check holds it up."""
    serving.apply("1.0.0", replicas=1, rollout=rollout())
    serving.until_serving("1.0.0")


def jobs(serving: Serving) -> list[str]:
    return names(serving.stage.kubectl.list("Job", serving.watch.namespace))


def test_a_query_out_of_range_rolls_back_and_one_in_range_does_not(checked: Serving, prometheus: Prometheus) -> None:
    with prometheus.running():
        deploy(checked, "2.0.0", "slow", queries=[query(OF_THE_CANARY, max=0.5)])
        message = checked.until_said("QueryFailed", "RolledBack", 90)
        assert "is above 0.5, 3 of 3 in a row" in message
        deploy(checked, "6.0.0", "fast", queries=[query(OF_THE_CANARY, min=0.5)])
        checked.until_serving("6.0.0")
    back(checked)


def test_the_real_one_keeps_the_contract(prometheus: Prometheus) -> None:
    async def asked() -> tuple[Measurement, ...]:
        async with aiohttp.ClientSession() as session:
            questions = [Question(name=f"q{number}", text=text) for number, (text, _, _) in enumerate(CONTRACT)]
            return await HttpPrometheus(session, URL).ask(questions, datetime.now(UTC))

    with prometheus.running():
        found = asyncio.run(asked())
    for (text, value, why), one in zip(CONTRACT, found, strict=True):
        assert (one.value, one.why[: len(why)]) == (value, why), text


def test_without_an_answer_the_canary_waits_and_goes_on_when_there_is_one(checked: Serving, prometheus: Prometheus) -> None:
    deploy(checked, "6.0.0", "away", queries=[query(OF_THE_CANARY, min=0)], onInconclusive="Pause")
    message = checked.until_said("EvidenceInconclusive", "Paused", 60)
    assert "waits for query rate (Prometheus" in message
    with prometheus.running():
        checked.until_serving("6.0.0")
    back(checked)


def test_a_job_says_yes_or_no(checked: Serving, stage: Stage) -> None:
    template = {"image": stage.images.server, "command": ["python3", "-c", JUDGE], "resources": {"requests": {"cpu": "10m"}}}
    with resolved(stage.kubectl.kubeconfig, checked.watch.namespace):
        deploy(checked, "2.0.0", "no", jobs=[{"name": "judge", "template": template | {"args": ["9.9.9"]}}])
        message = checked.until_said("JobFailed", "RolledBack", 90)
        assert "job judge of step 1: expected version 9.9.9, found ['2.0.0']" in message
        wait.until("the Job is gone with the rollout", lambda: not jobs(checked), 30, seen=lambda: jobs(checked))
        deploy(checked, "2.0.0", "yes", jobs=[{"name": "judge", "template": template}])
        wait.until("a Job judges", lambda: jobs(checked), 60)
        delete_operator(stage)  # what the Job says is read off it by whoever comes after
        checked.until_serving("2.0.0", 120)
    back(checked)


def delete_operator(stage: Stage) -> None:
    for pod in stage.operator_pods():
        stage.kubectl.delete("Pod", OPERATOR_NAMESPACE, pod["metadata"]["name"], "--wait=false")


def test_golden_samples_stand_in_for_clients_that_send_nothing(stage: Stage, namespace: str) -> None:
    golden = {"synthetic": {"enabled": True, "rate": 50}}
    with Model.watched(stage, namespace, "quiet") as quiet:
        quiet.apply("1.0.0", replicas=1, rollout=rollout("2s", **golden))
        quiet.until_serving("1.0.0")
        before = quiet.pods()
        quiet.apply("2.0.0", replicas=1, rollout=rollout("2s", **golden))
        quiet.until_canary("2.0.0")
        pages = wait.until("both answer synthetic requests", lambda: _pages(quiet), 60)
        assert all(not counted(page, "volary_requests_total") for page in pages)
        assert before[0]["metadata"]["uid"] in {pod["metadata"]["uid"] for pod in quiet.pods()}, "stable was restarted"
        quiet.until_serving("2.0.0")


def _pages(model: Model) -> list[str]:
    """Metrics of stable and canary, once both have counted synthetic requests."""
    pods = model.stage.kubectl.list("Pod", model.watch.namespace, f"{COMPONENT_LABEL}=server")
    found = [page(pod["status"]["podIP"]) for pod in pods if pod["status"].get("podIP")]
    asked = [text for text in found if counted(text, "volary_synthetic_requests_total") > 20]
    return asked if len(asked) == 2 else []


def page(address: str) -> str:
    try:
        with urlopen(f"http://{address}:{SERVER_PORT}/metrics", timeout=5) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def counted(text: str, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"{name}{{"))
