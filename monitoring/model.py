"""One model: stable and canary side by side."""

from monitoring.grafana import Choice, Dashboard, Kind, Panel, Query, Row

_COLORS = {"stable": "blue", "canary": "orange"}
_OF = 'namespace="$namespace", name="$name"'
_SPACE = 'namespace="$namespace"'
_FAILED = ', code=~"5.."'
# The servers know their revision, the operator knows its role: this gives each series of a server the role of its revision.
_ROLE = f"on (namespace, revision) group_left (role) max by (namespace, revision, role) (volary_modeldeployment_revision_info{{{_OF}}})"


def _rate(selector: str = "") -> str:
    """Requests a second by role and version."""
    found = f"sum by (namespace, version, revision) (rate(volary_requests_total{{{_SPACE}{selector}}}[$__rate_interval]))"
    return f"sum by (role, version) ({found} * {_ROLE})"


def _quantile(share: float, name: str = "volary_request_duration_seconds") -> str:
    found = f"sum by (namespace, revision, le) (rate({name}_bucket{{{_SPACE}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, sum by (role, le) ({found} * {_ROLE}))"


def _gauge(name: str, role: str = "") -> str:
    chosen = f', role="{role}"' if role else ""
    return f"max by (role) (volary_modeldeployment_{name}{{{_OF}{chosen}}})"


def _answers(role: str) -> Panel:
    """Shares of the bins of an output: what drift is judged by."""
    counted = f"sum by (namespace, revision, output, bin) (rate(volary_outputs_total{{{_SPACE}}}[$__rate_interval]))"
    info = f'volary_modeldeployment_revision_info{{{_OF}, role="{role}"}}'
    mine = f"on (namespace, revision) group_left () max by (namespace, revision) ({info})"
    total = f"sum by (output) ({counted} * {mine})"
    return Panel(
        f"Answers of {role}",
        (Query(f"sum by (output, bin) ({counted} * {mine}) / on (output) group_left () ({total} > 0)", "{{output}} {{bin}}"),),
        text="Share of each class, or range of values, of the outputs.",
        unit="percentunit",
        width=12,
        stacked=True,
        highest=1,
    )


def _now(role: str) -> tuple[Panel, ...]:
    found = f'max by (version) (volary_modeldeployment_revision_info{{{_OF}, role="{role}"}})'
    color = ((None, _COLORS[role]),)
    short = ((None, "red"), (1, _COLORS[role]))
    ready = f"{_gauge('replicas_ready', role)} / ({_gauge('replicas_wanted', role)} > 0)"
    return (
        Panel(f"{role}: version", (Query(found, "{{version}}"),), text="In use.", kind=Kind.TABLE, width=4),
        Panel(
            f"{role}: requests",
            (Query(_gauge("weight_reached_ratio", role)),),
            text="Share that is reached.",
            kind=Kind.STAT,
            unit="percentunit",
            width=4,
            thresholds=color,
        ),
        Panel(f"{role}: pods", (Query(ready),), text="Ready of wanted.", kind=Kind.STAT, unit="percentunit", width=4, thresholds=short),
    )


MODEL = Dashboard(
    uid="volary-model",
    title="Volary / Model",
    text="One ModelDeployment: stable and canary beside each other, as the evidence sees them.",
    choices=(
        Choice("namespace", "label_values(volary_modeldeployment_phase, namespace)"),
        Choice("name", 'label_values(volary_modeldeployment_phase{namespace="$namespace"}, name)'),
    ),
    rows=(
        Row("Now", (*_now("stable"), *_now("canary")), height=4),
        Row(
            "Rollout",
            (
                Panel(
                    "Phase",
                    (Query(f"max by (phase) (volary_modeldeployment_phase{{{_OF}}})", "{{phase}}"),),
                    text="Its course.",
                    kind=Kind.STATES,
                ),
                Panel(
                    "Weight",
                    (
                        Query(_gauge("weight_ratio"), "{{role}} wanted"),
                        Query(_gauge("weight_reached_ratio"), "{{role}} reached"),
                    ),
                    text="Share of the requests.",
                    unit="percentunit",
                    highest=1,
                    colors=_COLORS,
                ),
                Panel(
                    "Pods",
                    (
                        Query(_gauge("replicas_wanted"), "{{role}} wanted"),
                        Query(_gauge("replicas_ready"), "{{role}} ready"),
                    ),
                    text="Ready: loaded the exact version and passed its golden samples.",
                    colors=_COLORS,
                ),
            ),
        ),
        Row(
            "Stable and canary",
            (
                Panel("Requests", (Query(_rate(), "{{role}} {{version}}"),), text="Answered in a second.", unit="reqps", colors=_COLORS),
                Panel(
                    "Errors",
                    (Query(f"({_rate(_FAILED)} or 0 * {_rate()}) / ({_rate()} > 0)", "{{role}} {{version}}"),),
                    text="Share of the requests that ended in a 5xx.",
                    unit="percentunit",
                    colors=_COLORS,
                ),
                Panel(
                    "Latency",
                    (Query(_quantile(0.5), "{{role}} p50"), Query(_quantile(0.99), "{{role}} p99")),
                    text="From a request's headers to its answer.",
                    unit="s",
                    colors=_COLORS,
                ),
            ),
        ),
        Row("Answers", (_answers("stable"), _answers("canary"))),
        Row(
            "Servers",
            (
                Panel(
                    "Inference, 99th percentile",
                    (Query(_quantile(0.99, "volary_inference_duration_seconds"), "{{role}}"),),
                    text="Inside the runtime.",
                    unit="s",
                    colors=_COLORS,
                ),
                Panel(
                    "Requests at once",
                    (
                        Query(
                            f"volary_in_flight_requests{{{_SPACE}}} and on (instance) (volary_model_loaded{{{_SPACE}}} * {_ROLE})",
                            "{{instance}}",
                        ),
                    ),
                    text="Of each pod: not yet answered.",
                ),
                Panel(
                    "Memory",
                    (
                        Query(
                            f"process_resident_memory_bytes{{{_SPACE}}} and on (instance) (volary_model_loaded{{{_SPACE}}} * {_ROLE})",
                            "{{instance}}",
                        ),
                    ),
                    text="Of each pod's server.",
                    unit="bytes",
                ),
            ),
        ),
    ),
)
