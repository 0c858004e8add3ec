"""ModelDeployment, `serving.volary.dev/v1alpha1`.

Docstrings under the fields become the descriptions of the CRD and of the reference page; a
`rules.Rule` in an annotation is checked by these models and, as CEL, by the API server (printer
columns live in `crdgen`). Defaults live here and in the schema generated from here, nowhere else.
The spec models refuse unknown fields, the status models ignore them (an older operator reads a
newer status). A document is accepted here if and only if the API server accepts it (tests/api).
"""

from volary.api.v1alpha1.analysis import (
    Analysis,
    DriftAnalysis,
    ErrorAnalysis,
    LatencyAnalysis,
    OnInconclusive,
    RestartAnalysis,
    SaturationAnalysis,
    StepAnalysis,
    StepErrors,
    overridden,
)
from volary.api.v1alpha1.base import Spec, Status, cel, duration, percent, rule, seconds
from volary.api.v1alpha1.checks import JobTemplate, Query, Synthetic, VerdictJob
from volary.api.v1alpha1.memory import (
    BinEvidence,
    DriftEvidence,
    Evidence,
    LatencyEvidence,
    MetricState,
    PodCount,
    RolloutStatus,
    RouteStatus,
    WatchStatus,
)
from volary.api.v1alpha1.model import Addressing, Model, SchemaChange, Storage, Verify
from volary.api.v1alpha1.resource import Metadata, ModelDeployment
from volary.api.v1alpha1.rollout import DEFAULT_STEPS, Rollout, Step, StrategyName, analysis_of
from volary.api.v1alpha1.runtime import PodTemplate, Resources, Runtime, RuntimeName, Toleration, TopologySpread
from volary.api.v1alpha1.scaling import Autoscaling, DisruptionBudget
from volary.api.v1alpha1.spec import ModelDeploymentSpec
from volary.api.v1alpha1.status import Condition, HistoryEntry, ModelDeploymentStatus, Phase, RequestStatus, RetiringStatus, RevisionStatus
from volary.api.v1alpha1.timeline import Finding, LastRollout
from volary.api.v1alpha1.traffic import GatewayTraffic, Mirror, RouteTraffic, Sticky, Traffic
from volary.api.v1alpha1.update import Update
from volary.api.v1alpha1.verdicts import Checks, GoldenCount, GoldenState, JobState, QueryState

__all__ = [
    "DEFAULT_STEPS",
    "Addressing",
    "Analysis",
    "Autoscaling",
    "BinEvidence",
    "Checks",
    "Condition",
    "DisruptionBudget",
    "DriftAnalysis",
    "DriftEvidence",
    "ErrorAnalysis",
    "Evidence",
    "Finding",
    "GatewayTraffic",
    "GoldenCount",
    "GoldenState",
    "HistoryEntry",
    "JobState",
    "JobTemplate",
    "LastRollout",
    "LatencyAnalysis",
    "LatencyEvidence",
    "Metadata",
    "MetricState",
    "Mirror",
    "Model",
    "ModelDeployment",
    "ModelDeploymentSpec",
    "ModelDeploymentStatus",
    "OnInconclusive",
    "Phase",
    "PodCount",
    "PodTemplate",
    "Query",
    "QueryState",
    "RequestStatus",
    "Resources",
    "RestartAnalysis",
    "RetiringStatus",
    "RevisionStatus",
    "Rollout",
    "RolloutStatus",
    "RouteStatus",
    "RouteTraffic",
    "Runtime",
    "RuntimeName",
    "SaturationAnalysis",
    "SchemaChange",
    "Spec",
    "Status",
    "Step",
    "StepAnalysis",
    "StepErrors",
    "Sticky",
    "Storage",
    "StrategyName",
    "Synthetic",
    "Toleration",
    "TopologySpread",
    "Traffic",
    "Update",
    "VerdictJob",
    "Verify",
    "WatchStatus",
    "analysis_of",
    "cel",
    "duration",
    "overridden",
    "percent",
    "rule",
    "seconds",
]
