"""Dashboards of Grafana as data: panels in rows, laid out on its grid of 24 columns. Schema version 39 (Grafana 10.4 and later)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Json = dict[str, Any]

SCHEMA = 39
COLUMNS = 24
_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


class Kind(StrEnum):
    """Of panels, as Grafana calls them."""

    STAT = "stat"
    SERIES = "timeseries"
    TABLE = "table"
    STATES = "state-timeline"


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and how its series are called in the legend."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `colors`: text in the legend -> colour, so that stable and canary look alike everywhere."""

    title: str
    queries: Sequence[Query]
    text: str = ""
    kind: Kind = Kind.SERIES
    unit: str = "short"
    width: int = 8
    stacked: bool = False
    lowest: float | None = 0
    highest: float | None = None
    thresholds: Sequence[tuple[float | None, str]] = ((None, "green"),)  # from this value on, this colour
    colors: Mapping[str, str] | None = None
    hidden: Sequence[str] = ()  # columns of a table

    def body(self, number: int, x: int, y: int, height: int) -> Json:
        """As Grafana stores it."""
        return {
            "id": number,
            "type": self.kind.value,
            "title": self.title,
            "description": self.text,
            "gridPos": {"h": height, "w": self.width, "x": x, "y": y},
            "datasource": _SOURCE,
            "targets": [self._target(letter, query) for letter, query in zip("ABCDEFGH", self.queries, strict=False)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": self._options(),
            **self._transformations(),
        }

    def _target(self, letter: str, query: Query) -> Json:
        instant = self.kind in {Kind.TABLE, Kind.STAT}
        return {
            "refId": letter,
            "datasource": _SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "instant": instant,
            "range": not instant,
            "format": "table" if self.kind is Kind.TABLE else "time_series",
        }

    def _defaults(self) -> Json:
        steps = [{"value": value, "color": color} for value, color in self.thresholds]
        made: Json = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}, "custom": self._custom()}
        made |= {"color": {"mode": "thresholds" if self.kind is Kind.STAT else "palette-classic"}}
        if self.kind is Kind.SERIES:
            made |= {"min": self.lowest} if self.lowest is not None else {}
            made |= {"max": self.highest} if self.highest is not None else {}
        return made

    def _custom(self) -> Json:
        match self.kind:
            case Kind.SERIES:
                mode = "normal" if self.stacked else "none"
                return {
                    "drawStyle": "line",
                    "lineWidth": 1,
                    "fillOpacity": 25 if self.stacked else 5,
                    "stacking": {"mode": mode, "group": "A"},
                }
            case Kind.STATES:
                return {"fillOpacity": 70, "lineWidth": 0}
            case Kind.STAT | Kind.TABLE:
                return {}

    def _overrides(self) -> list[Json]:
        return [
            {
                "matcher": {"id": "byRegexp", "options": f"/^{pattern}/"},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
            }
            for pattern, color in (self.colors or {}).items()
        ]

    def _options(self) -> Json:
        match self.kind:
            case Kind.STAT:
                reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
                return {"reduceOptions": reduce, "colorMode": "value", "graphMode": "none", "textMode": "auto", "orientation": "auto"}
            case Kind.SERIES:
                legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
                return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
            case Kind.TABLE:
                return {"showHeader": True, "cellHeight": "sm"}
            case Kind.STATES:
                return {
                    "mergeValues": True,
                    "showValue": "never",
                    "rowHeight": 0.9,
                    "legend": {"displayMode": "list", "placement": "bottom"},
                }

    def _transformations(self) -> Json:
        if self.kind is not Kind.TABLE:
            return {}
        hidden = dict.fromkeys(("Time", "Value", *self.hidden), True)
        return {"transformations": [{"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": {}}}]}


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side under a heading."""

    title: str
    panels: Sequence[Panel]
    height: int = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable that a person chooses: the values of a label."""

    name: str
    query: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page."""

    uid: str
    title: str
    text: str
    rows: Sequence[Row]
    choices: Sequence[Choice] = ()

    @property
    def panels(self) -> Iterable[Panel]:
        """All, from top to bottom."""
        return (panel for row in self.rows for panel in row.panels)

    def render(self) -> str:
        """The file that Grafana imports."""
        body: Json = {
            "uid": self.uid,
            "title": self.title,
            "description": self.text,
            "tags": ["volary"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "",
            "annotations": {"list": []},
            "links": [
                {"type": "dashboards", "tags": ["volary"], "title": "Volary", "asDropdown": False, "includeVars": True, "keepTime": True}
            ],
            "templating": {"list": [_sources(), *(_variable(choice) for choice in self.choices)]},
            "panels": list(self._laid_out()),
        }
        return json.dumps(body, indent=2) + "\n"

    def _laid_out(self) -> Iterable[Json]:
        number, y = 0, 0
        for row in self.rows:
            number += 1
            yield {
                "id": number,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
            }
            y, x = y + 1, 0
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y = 0, y + row.height
                number += 1
                yield panel.body(number, x, y, row.height)
                x += panel.width
            y += row.height


def _sources() -> Json:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "refresh": 1,
    }


def _variable(choice: Choice) -> Json:
    return {
        "name": choice.name,
        "label": choice.name,
        "type": "query",
        "datasource": _SOURCE,
        "definition": choice.query,
        "query": {"query": choice.query, "refId": "StandardVariableQuery"},
        "refresh": 2,
        "sort": 1,
        "current": {},
        "hide": 0,
        "includeAll": False,
        "multi": False,
    }
