"""All models at a glance."""

from monitoring.grafana import Dashboard, Kind, Panel, Query, Row

_BAD = ((None, "green"), (1, "red"))
_PHASE = "max by (namespace, name, phase) (volary_modeldeployment_phase)"
_REASON = "max by (namespace, name, reason) (volary_modeldeployment_reason)"


def _count(title: str, phases: str, text: str, thresholds: tuple[tuple[float | None, str], ...] = ((None, "green"),)) -> Panel:
    """How many are in one of these phases; 0 where none is."""
    found = f'count(max by (namespace, name) (volary_modeldeployment_phase{{phase=~"{phases}"}})) or vector(0)'
    return Panel(title, (Query(found),), text=text, kind=Kind.STAT, width=4, thresholds=thresholds)


FLEET = Dashboard(
    uid="volary-fleet",
    title="Volary / Fleet",
    text="All ModelDeployments: which serve, which are in a rollout, which failed, and what clients see.",
    rows=(
        Row(
            "Now",
            (
                _count("Models", ".+", "All ModelDeployments."),
                _count("Serving", "Serving", "The revision that the spec asks for takes all requests."),
                _count("In a rollout", "Pending|Checking|Starting|Canary|Promoting|Paused", "On their way.", ((None, "blue"),)),
                _count("Failed", "RolledBack|RollingBack|Refused|Failed", "The revision that the spec asks for is not served.", _BAD),
                Panel(
                    "Pods missing",
                    (
                        Query(
                            "sum(max by (namespace, name, role) (volary_modeldeployment_replicas_wanted)"
                            " - max by (namespace, name, role) (volary_modeldeployment_replicas_ready)) or vector(0)"
                        ),
                    ),
                    text="Wanted less ready.",
                    kind=Kind.STAT,
                    width=4,
                    thresholds=_BAD,
                ),
                Panel(
                    "Alerts",
                    (Query('count(ALERTS{alertname=~"Volary.+", alertstate="firing"}) or vector(0)'),),
                    text="Alerts of Volary that fire.",
                    kind=Kind.STAT,
                    width=4,
                    thresholds=_BAD,
                ),
            ),
            height=4,
        ),
        Row(
            "Models",
            (
                Panel(
                    "Phase and Reason",
                    (Query(f"{_REASON} * on (namespace, name) group_left (phase) {_PHASE}"),),
                    text="Of each ModelDeployment.",
                    kind=Kind.TABLE,
                    width=12,
                ),
                Panel(
                    "Phases", (Query(f"count by (phase) ({_PHASE})", "{{phase}}"),), text="How many are in which.", width=12, stacked=True
                ),
            ),
        ),
        Row(
            "What clients see",
            (
                Panel(
                    "Requests",
                    (Query("sum by (namespace, model) (namespace_model_revision:volary_requests:rate5m)", "{{namespace}}/{{model}}"),),
                    text="Answered in a second.",
                    unit="reqps",
                ),
                Panel(
                    "Errors",
                    (Query("namespace_model:volary_request_errors:ratio_rate5m", "{{namespace}}/{{model}}"),),
                    text="Share of the requests that ended in a 5xx.",
                    unit="percentunit",
                ),
                Panel(
                    "Latency, 99th percentile",
                    (
                        Query(
                            "max by (namespace, model) (namespace_model_revision:volary_request_duration_seconds:p99_rate5m)",
                            "{{namespace}}/{{model}}",
                        ),
                    ),
                    text="Of the slowest revision in use.",
                    unit="s",
                ),
            ),
        ),
        Row(
            "What Volary decides",
            (
                Panel(
                    "Decisions",
                    (Query("sum by (reason) (increase(volary_operator_decisions_total[$__rate_interval])) > 0", "{{reason}}"),),
                    text="By Reason; docs/reasons.md says what each means.",
                    width=12,
                    stacked=True,
                ),
                Panel(
                    "Preflights",
                    (
                        Query(
                            "sum by (result, reason) (increase(volary_operator_preflights_total[$__rate_interval])) > 0",
                            "{{result}} {{reason}}",
                        ),
                    ),
                    text="That ended: passed, refused, or to be tried again.",
                    width=12,
                    stacked=True,
                ),
            ),
        ),
    ),
)
