"""Rules, alerts and dashboards on a real Prometheus that scrapes the operator and a model whose canary is bad."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.e2e.serving import Serving
from tests.support import promql, wait
from tests.support.prometheus import URL, Monitored, query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

ROLLOUT = {"steps": [{"weight": 50, "duration": "5s"}]}
EMPTY = {"Refused or failed"}  # of requests to the API server: a healthy operator has none
KEPT = os.environ.get("VOLARY_MONITORING_DATA")  # a folder where a person wants the data of all panels, to look at


@pytest.fixture(scope="module")
def watched(stage: Stage, session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A model under load and a Prometheus that sees it."""
    name = stage.namespace(f"e2e-monitoring-{session}")
    with (
        Monitored(stage.kubectl, name, tmp_path_factory.mktemp("prometheus")).running(),
        Serving.begin(stage, name, "watched", replicas=1, rollout=ROLLOUT, rate=50) as serving,
    ):
        yield serving
    stage.leave(name)


def variables(serving: Serving) -> dict[str, str]:
    return {"__rate_interval": "10s", "namespace": serving.watch.namespace, "name": serving.watch.name}


def unanswered(serving: Serving) -> list[str]:
    """Panels that would show nothing. What they leave out while nothing happens (`> 0`) must be there too, as 0."""
    return [
        f"{name}: {title}: {expr}"
        for name, dashboard in promql.dashboards().items()
        for title, expr in promql.queries(dashboard)
        if title not in EMPTY and not query(promql.chosen(expr.removesuffix(" > 0"), **variables(serving)))
    ]


def firing(name: str, namespace: str) -> list[dict[str, Any]]:
    """Of this namespace: other tests' models are told of too."""
    with urlopen(f"{URL}/api/v1/alerts", timeout=10) as response:
        found = json.load(response)["data"]["alerts"]
    wanted = {"alertname": name, "namespace": namespace}
    return [alert for alert in found if alert["labels"].items() >= wanted.items() and alert["state"] == "firing"]


def test_everything_that_is_asked_has_an_answer_and_a_bad_canary_is_told(watched: Serving) -> None:
    space = watched.watch.namespace
    assert firing("VolaryRolledBack", space) == []
    watched.apply("2.0.0", replicas=1, rollout={"steps": [{"weight": 50, "duration": "600s"}]})
    watched.until_canary("2.0.0")
    wait.until("every panel has data", lambda: not unanswered(watched), 90, seen=lambda: unanswered(watched))
    both = f'volary_modeldeployment_revision_info{{namespace="{space}",name="watched"}}'
    assert {(one["metric"]["role"], one["metric"]["version"]) for one in query(both)} == {("stable", "1.0.0"), ("canary", "2.0.0")}
    keep(watched)
    watched.apply("4.0.0", replicas=1, rollout=ROLLOUT)
    watched.watch.until("the bad canary is taken back", lambda: watched.watch.phase == "RolledBack", 120)
    (alert,) = wait.until("the alert fires", lambda: firing("VolaryRolledBack", space), 60)
    assert alert["labels"] | {"reason": ""} == alert["labels"] | {"name": "watched", "severity": "warning", "reason": ""}
    assert f"A new version of {space}/watched failed" in alert["annotations"]["summary"]
    recorded = [rule["record"] for rule in promql.rules() if "record" in rule]
    wait.until("each recording rule gives a value", lambda: all(query(name) for name in recorded), 30)
    watched.apply("1.0.0", replicas=1, rollout=ROLLOUT)
    watched.until_serving("1.0.0")
    wait.until("the alert is over", lambda: not firing("VolaryRolledBack", space), 60)


def keep(serving: Serving) -> None:
    """What every panel would show, for a look at it: see tests/support/panels.py."""
    if KEPT is None:
        return
    for name, dashboard in promql.dashboards().items():
        answers = {}
        for _, expr in promql.queries(dashboard):
            with urlopen(f"{URL}/api/v1/query?{urlencode({'query': 'time()'})}", timeout=10) as response:
                now = float(json.load(response)["data"]["result"][0])
            window = {"query": promql.chosen(expr, **variables(serving)), "start": now - 90, "end": now, "step": 1}
            with urlopen(f"{URL}/api/v1/query_range?{urlencode(window)}", timeout=10) as response:
                answers[expr] = json.load(response)["data"]["result"]
        Path(KEPT, f"{name}.json").write_text(json.dumps({"dashboard": dashboard, "answers": answers}))
