"""Every metric of the operator: one closed list, from which the meters are made and `docs/operator-metrics.md` is generated."""

from volary.common.families import Family, Type

_OBJECT = ("namespace", "name")
_ROLE = (*_OBJECT, "role")

RECONCILES = Family("volary_operator_reconciles", Type.COUNTER, "Turns of ModelDeployments: ok, gone or failed.", ("result",))
RECONCILE_DURATION = Family("volary_operator_reconcile_duration_seconds", Type.HISTOGRAM, "Length of a turn, by result.", ("result",))
DECISIONS = Family("volary_operator_decisions", Type.COUNTER, "Decisions by Reason.", ("reason",))
PREFLIGHTS = Family(
    "volary_operator_preflights",
    Type.COUNTER,
    "Preflights that ended, by result (passed, refused or again) and Reason.",
    ("result", "reason"),
)
REQUESTS = Family(
    "volary_operator_api_requests",
    Type.COUNTER,
    "Requests to the API server; the code is 0 without an answer.",
    ("verb", "resource", "code"),
)
EVENTS = Family("volary_operator_watch_events", Type.COUNTER, "Events of the watches.", ("kind",))
DEAF = Family("volary_operator_watch_deaf", Type.COUNTER, "How often a watch was found deaf and started anew.", ("kind",))
SESSIONS = Family("volary_operator_watch_sessions", Type.GAUGE, "How often the watches were started.")
SILENCE = Family(
    "volary_operator_watch_silence_seconds", Type.GAUGE, "Since the last event of the watch; a quiet cluster is silent.", ("kind",)
)
UNPROVEN = Family(
    "volary_operator_watch_unproven_seconds", Type.GAUGE, "Since an event, or a list that agreed, last proved the watch alive.", ("kind",)
)
DEPTH = Family("volary_operator_queue_depth", Type.GAUGE, "ModelDeployments that wait for a turn.")
AGE = Family("volary_operator_queue_age_seconds", Type.GAUGE, "How long the first of them waits.")
LEADER = Family("volary_operator_leader", Type.GAUGE, "1 while this process may write, 0 while it stands by.")

PHASE = Family("volary_modeldeployment_phase", Type.GAUGE, "1 for the phase it is in.", (*_OBJECT, "phase"))
REASON = Family("volary_modeldeployment_reason", Type.GAUGE, "1 for the Reason of its condition Ready.", (*_OBJECT, "reason"))
REVISION = Family(
    "volary_modeldeployment_revision_info",
    Type.GAUGE,
    "1 for each revision in use; role is stable or canary.",
    (*_ROLE, "version", "revision"),
)
WEIGHT = Family("volary_modeldeployment_weight_ratio", Type.GAUGE, "Share of the requests that is wanted, from 0 to 1.", _ROLE)
REACHED = Family("volary_modeldeployment_weight_reached_ratio", Type.GAUGE, "Share of the requests that is reached, from 0 to 1.", _ROLE)
WANTED = Family("volary_modeldeployment_replicas_wanted", Type.GAUGE, "Pods that are wanted.", _ROLE)
READY = Family(
    "volary_modeldeployment_replicas_ready", Type.GAUGE, "Pods that loaded the exact version and passed their golden samples.", _ROLE
)
STEP = Family(
    "volary_modeldeployment_step_started_timestamp_seconds",
    Type.GAUGE,
    "When the step under way began, in seconds since 1970; only while a rollout is under way.",
    _OBJECT,
)

OF_THE_OPERATOR = (
    RECONCILES,
    RECONCILE_DURATION,
    DECISIONS,
    PREFLIGHTS,
    REQUESTS,
    EVENTS,
    DEAF,
    SESSIONS,
    SILENCE,
    UNPROVEN,
    DEPTH,
    AGE,
    LEADER,
)
OF_MODELS = (PHASE, REASON, REVISION, WEIGHT, REACHED, WANTED, READY, STEP)
