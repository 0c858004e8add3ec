"""The operator itself."""

from monitoring.grafana import Dashboard, Kind, Panel, Query, Row

_OURS = "and on (instance, job) volary_operator_leader"


def _rate(name: str, by: str) -> str:
    return f"sum by ({by}) (rate({name}[$__rate_interval]))"


def _quantile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate(volary_operator_reconcile_duration_seconds_bucket[$__rate_interval])))"


OPERATOR = Dashboard(
    uid="volary-operator",
    title="Volary / Operator",
    text="The operator's own health: who leads, how long work waits, what fails, whether the watches live.",
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Leaders",
                    (Query("sum(volary_operator_leader) or vector(0)"),),
                    text="One, of as many replicas as there are.",
                    kind=Kind.STAT,
                    width=6,
                    thresholds=((None, "red"), (1, "green"), (2, "red")),
                ),
                Panel(
                    "Replicas", (Query("count(volary_operator_leader) or vector(0)"),), text="That are scraped.", kind=Kind.STAT, width=6
                ),
                Panel(
                    "Waiting",
                    (Query("max(volary_operator_queue_age_seconds and on (instance, job) volary_operator_leader == 1) or vector(0)"),),
                    text="How long the leader's first ModelDeployment has waited for its turn.",
                    kind=Kind.STAT,
                    unit="s",
                    width=6,
                    thresholds=((None, "green"), (30, "orange"), (120, "red")),
                ),
                Panel(
                    "Watches",
                    (Query("max(volary_operator_watch_unproven_seconds) or vector(0)"),),
                    text="Since the least heard of them was last proved alive.",
                    kind=Kind.STAT,
                    unit="s",
                    width=6,
                    thresholds=((None, "green"), (300, "orange"), (600, "red")),
                ),
            ),
            height=4,
        ),
        Row(
            "Turns",
            (
                Panel(
                    "Turns",
                    (Query(_rate("volary_operator_reconciles_total", "result"), "{{result}}"),),
                    text="In a second.",
                    unit="ops",
                    stacked=True,
                ),
                Panel("Length", (Query(_quantile(0.5), "p50"), Query(_quantile(0.99), "p99")), text="Of a turn.", unit="s"),
                Panel(
                    "Queue",
                    (
                        Query("volary_operator_queue_depth", "waiting {{instance}}"),
                        Query("volary_operator_queue_age_seconds", "seconds {{instance}}"),
                    ),
                    text="ModelDeployments that wait, and how long the first does. One that stands by keeps its queue.",
                ),
            ),
        ),
        Row(
            "API server",
            (
                Panel(
                    "Requests",
                    (Query(_rate("volary_operator_api_requests_total", "verb"), "{{verb}}"),),
                    text="By verb.",
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Writes",
                    (
                        Query(
                            _rate('volary_operator_api_requests_total{verb!~"get|list", resource!="leases"}', "verb, resource"),
                            "{{verb}} {{resource}}",
                        ),
                    ),
                    text="But for the Lease. None while nothing changes.",
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Refused or failed",
                    (
                        Query(
                            _rate('volary_operator_api_requests_total{code!~"2..|404|409"}', "verb, resource, code"),
                            "{{code}} {{verb}} {{resource}}",
                        ),
                    ),
                    text="401 and 403 want a person; 429 and 5xx are tried again.",
                    unit="reqps",
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Watches",
            (
                Panel(
                    "Last proof of life",
                    (Query("max by (kind) (volary_operator_watch_unproven_seconds)", "{{kind}}"),),
                    text="Since an event, or a list that agreed.",
                    unit="s",
                ),
                Panel(
                    "Silence",
                    (Query("max by (kind) (volary_operator_watch_silence_seconds)", "{{kind}}"),),
                    text="Since an event.",
                    unit="s",
                ),
                Panel(
                    "Events and faults",
                    (
                        Query(_rate("volary_operator_watch_events_total", "kind"), "{{kind}}"),
                        Query("sum by (kind) (increase(volary_operator_watch_deaf_total[$__rate_interval])) > 0", "deaf: {{kind}}"),
                    ),
                    text="Events in a second; watches that were found deaf.",
                ),
            ),
        ),
        Row(
            "Decisions and process",
            (
                Panel(
                    "Decisions", (Query(_rate("volary_operator_decisions_total", "reason"), "{{reason}}"),), text="By Reason.", stacked=True
                ),
                Panel(
                    "CPU",
                    (Query(f"rate(process_cpu_seconds_total[$__rate_interval]) {_OURS}", "{{instance}}"),),
                    text="Cores.",
                ),
                Panel("Memory", (Query(f"process_resident_memory_bytes {_OURS}", "{{instance}}"),), text="Resident.", unit="bytes"),
            ),
        ),
    ),
)
