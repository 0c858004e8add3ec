"""What the rules and dashboards of monitoring/ ask for, and which of it there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
RULES = MONITORING / "rules.yaml"
_NAME = re.compile(r"(?<![\w:])(?:volary|process|namespace_model)(?:_\w+)?[\w:]*")
_LABELS = re.compile(r'\{[^{}]*\}|"[^"]*"')


def rules() -> list[dict[str, Any]]:
    """All rules, in order."""
    found: list[dict[str, Any]] = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    return found


def dashboards() -> dict[str, dict[str, Any]]:
    """By name of the file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((MONITORING / "dashboards").glob("*.json"))}


def queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title of the panel, and PromQL as it is stored."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def chosen(expr: str, **values: str) -> str:
    """With the variables of a dashboard filled in, as Grafana does."""
    for name, value in values.items():
        expr = expr.replace(f"${name}", value)
    return expr


def asked(expr: str) -> set[str]:
    """Names of metrics in a query."""
    return set(_NAME.findall(_LABELS.sub("", expr)))


def exposed(page: str) -> set[str]:
    """Names that queries may ask for, of a page of metrics: with the endings of counters and histograms."""
    found = set()
    for family in text_string_to_metric_families(page):
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        found |= {family.name + ending for ending in endings}
    return found
