"""Rules and dashboards hold together: promtool takes them, each alert has a test and a runbook, every metric exists."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring import __main__ as made
from tests.cluster.settings import Paths
from tests.support import prometheus, promql
from tests.unit.controller.test_meters import meters
from volary.cli.main import VERBS
from volary.serving.metrics import Registry

ROOT = promql.MONITORING.parent
RUNBOOKS = ROOT / "docs" / "runbooks"
TESTS = promql.MONITORING / "tests" / "alerts.yaml"
ALERTS = [rule for rule in promql.rules() if "alert" in rule]
RECORDED = {rule["record"] for rule in promql.rules() if "record" in rule}
NAMES = [alert["alert"] for alert in ALERTS]
BY_NAME = {alert["alert"]: alert for alert in ALERTS}
VARIABLES = {"__rate_interval": "5m", "namespace": "shop", "name": "fraud"}
FEWEST = 12  # so that a test of "each" cannot pass on none


def promtool(*arguments: object) -> str:
    program = prometheus.program(Paths.from_environment().cache).with_name("promtool")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def there() -> set[str]:
    """Names of what operator, server and rules give."""
    pages = (meters().render().decode(), Registry(lambda: 0).render().decode())
    return RECORDED.union(*map(promql.exposed, pages))


@pytest.mark.timeout(300)  # the first time, Prometheus is fetched
def test_promtool_takes_the_rules_and_each_alert_fires_when_it_should() -> None:
    assert f"{len(promql.rules())} rules found" in promtool("check", "rules", promql.RULES)
    assert "SUCCESS" in promtool("test", "rules", TESTS)


@pytest.mark.timeout(300)
def test_the_scrape_configuration_is_one(tmp_path: Path) -> None:
    body = yaml.safe_load((promql.MONITORING / "scrape.yaml").read_text())
    for job in body["scrape_configs"]:  # Debian's promtool is built without Kubernetes
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(body | {"rule_files": [str(promql.RULES)]}))
    assert "SUCCESS" in promtool("check", "config", tmp_path / "prometheus.yml")
    assert next(job for job in body["scrape_configs"] if job["job_name"] == "volary-operator")["honor_labels"]


@pytest.mark.timeout(300)
def test_every_query_of_a_dashboard_is_promql(tmp_path: Path) -> None:
    exprs = [promql.chosen(expr, **VARIABLES) for one in promql.dashboards().values() for _, expr in promql.queries(one)]
    assert len(exprs) > FEWEST
    assert not [expr for expr in exprs if "$" in expr]
    group = {"name": "queries", "rules": [{"record": f"q{number}", "expr": expr} for number, expr in enumerate(exprs)]}
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    promtool("check", "rules", tmp_path / "queries.yaml")


def test_every_metric_that_is_asked_for_exists() -> None:
    exprs = [rule["expr"] for rule in promql.rules()]
    exprs += [expr for one in promql.dashboards().values() for _, expr in promql.queries(one)]
    asked = set().union(*map(promql.asked, exprs))
    assert len(asked) > FEWEST
    assert asked - there() == set()


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_says_what_is_wrong_and_where_to_read_on(name: str) -> None:
    alert = BY_NAME[name]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    page = (ROOT / alert["annotations"]["runbook_url"]).read_text()
    assert page.startswith(f"# {name}\n")
    assert "## Look\n\n```sh\n" in page
    assert "## Mend\n" in page


def test_names_are_given_once_and_runbooks_only_of_alerts_there_are() -> None:
    assert [name for name, count in Counter(NAMES).items() if count > 1] == []
    assert {path.stem for path in RUNBOOKS.glob("Volary*.md")} == set(NAMES)


def test_commands_and_links_of_runbooks_exist() -> None:
    for path in RUNBOOKS.glob("*.md"):
        text = path.read_text()
        assert set(re.findall(r"\bvolary ([a-z]+) [A-Zs]", text)) <= set(VERBS), path.name
        for link in re.findall(r"\]\(([^)]+)\)", text):
            assert (path.parent / link).is_file(), f"{path.name}: {link}"


def test_each_alert_is_tested_both_ways() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for case in test.get("alert_rule_test", ()):
            (fires if case.get("exp_alerts") else silent).add(case["alertname"])
        for case in test.get("promql_expr_test", ()):
            fires |= set(re.findall(r'alertname="(\w+)"', case["expr"])) if case["exp_samples"] else set()
    assert fires == silent == set(NAMES)


@pytest.mark.parametrize("name", made.DASHBOARDS)
def test_a_dashboard_is_one_that_grafana_takes(name: str) -> None:
    body = promql.dashboards()[name]
    assert body["uid"] == f"volary-{name}"
    assert body["schemaVersion"] >= 36
    panels: list[dict[str, Any]] = body["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH")[: len(panel["targets"])]
        assert all(target["expr"] for target in panel["targets"]), panel["title"]


def test_what_is_generated_is_up_to_date() -> None:
    assert made.stale() == []


def test_a_stale_file_is_found(tmp_path: Path) -> None:
    assert set(made.stale(tmp_path)) == set(made.generated())
