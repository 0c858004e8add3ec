"""Every reason Volary gives for anything: one closed list.

Conditions, Events, log lines, failed marks, termination messages and the CLI all use these words,
and `docs/reasons.md` is generated from them. A new reason needs a line in `REASONS` (tested).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """What is to be done about it, and by whom."""

    PROGRESS = "Progress"  # nothing to do: it tells what happened
    WAITING = "Waiting"  # expected, has an end by itself or a deadline
    TRANSIENT = "Transient"  # retried with back-off
    USER = "User"  # stays until a person changes something
    VERDICT = "Verdict"  # the revision is bad: rolled back, not tried again until asked


class Reason(StrEnum):
    """CamelCase, as Kubernetes wants the `reason` of a condition."""

    # Life of a revision
    PREFLIGHT_RUNNING = "PreflightRunning"
    PREFLIGHT_PASSED = "PreflightPassed"
    PREFLIGHT_INTERRUPTED = "PreflightInterrupted"
    PODS_STARTING = "PodsStarting"
    SERVING = "Serving"
    CANARY_STARTED = "CanaryStarted"
    STEP_STARTED = "StepStarted"
    COLLECTING_EVIDENCE = "CollectingEvidence"
    PROMOTING = "Promoting"
    PROMOTED = "Promoted"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    PAUSED = "Paused"
    APPROVAL_NEEDED = "ApprovalNeeded"
    MAKING_ROOM = "MakingRoom"
    SUPERSEDED = "Superseded"
    # Requests of people
    PROMOTE_REQUESTED = "PromoteRequested"
    ABORT_REQUESTED = "AbortRequested"
    RETRY_REQUESTED = "RetryRequested"
    ROLLBACK_REQUESTED = "RollbackRequested"
    PAUSE_REQUESTED = "PauseRequested"
    RESUME_REQUESTED = "ResumeRequested"
    SKIP_REQUESTED = "SkipRequested"
    APPROVE_REQUESTED = "ApproveRequested"
    REQUEST_REFUSED = "RequestRefused"
    # The specification
    SPEC_INVALID = "SpecInvalid"
    RUNTIME_UNSUPPORTED = "RuntimeUnsupported"
    # Storage and bundle
    SECRET_NOT_FOUND = "SecretNotFound"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    BUCKET_NOT_FOUND = "BucketNotFound"
    VERSION_NOT_FOUND = "VersionNotFound"
    FILE_NOT_FOUND = "FileNotFound"
    STORAGE_UNREACHABLE = "StorageUnreachable"
    STORAGE_THROTTLED = "StorageThrottled"
    MANIFEST_INVALID = "ManifestInvalid"
    MANIFEST_DIGEST_MISMATCH = "ManifestDigestMismatch"
    NAME_INVALID = "NameInvalid"
    NAME_CONFLICT = "NameConflict"
    LIMIT_EXCEEDED = "LimitExceeded"
    SIZE_MISMATCH = "SizeMismatch"
    DIGEST_MISMATCH = "DigestMismatch"
    SCHEMA_CHANGED = "SchemaChanged"
    FORMAT_UNSUPPORTED = "FormatUnsupported"
    MODEL_INVALID = "ModelInvalid"
    OPERATOR_NOT_ALLOWED = "OperatorNotAllowed"
    EXTERNAL_DATA_INVALID = "ExternalDataInvalid"
    GOLDEN_INVALID = "GoldenInvalid"
    EVALUATION_FAILED = "EvaluationFailed"
    METRIC_TOO_LOW = "MetricTooLow"
    PACKAGE_MISSING = "PackageMissing"
    CONVERSION_FAILED = "ConversionFailed"
    DISK_FULL = "DiskFull"
    SIGNATURE_MISSING = "SignatureMissing"
    SIGNATURE_UNTRUSTED = "SignatureUntrusted"
    SIGNATURE_MISMATCH = "SignatureMismatch"
    EXTRA_FILE = "ExtraFile"
    ARCHIVE_INVALID = "ArchiveInvalid"
    ALIAS_INVALID = "AliasInvalid"
    # Optimising a model
    OPTION_INVALID = "OptionInvalid"
    ACCURACY_TOO_LOW = "AccuracyTooLow"
    DEVIATION_TOO_HIGH = "DeviationTooHigh"
    # Pods
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    POD_REFUSED = "PodRefused"
    OUT_OF_MEMORY = "OutOfMemory"
    MEMORY_TOO_SMALL = "MemoryTooSmall"
    CRASHED = "Crashed"
    LOAD_FAILED = "LoadFailed"
    GOLDEN_MISMATCH = "GoldenMismatch"
    GOLDEN_TIMEOUT = "GoldenTimeout"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    # Evidence
    ERROR_RATE_TOO_HIGH = "ErrorRateTooHigh"
    LATENCY_TOO_HIGH = "LatencyTooHigh"
    OUTPUT_DRIFT = "OutputDrift"
    TOO_MANY_RESTARTS = "TooManyRestarts"
    SATURATED = "Saturated"
    WATCH_STARTED = "WatchStarted"
    WATCH_ENDED = "WatchEnded"
    EVIDENCE_INCONCLUSIVE = "EvidenceInconclusive"
    QUERY_FAILED = "QueryFailed"
    JOB_FAILED = "JobFailed"
    QUERIES_UNAVAILABLE = "QueriesUnavailable"
    # A gateway
    GATEWAY_ABSENT = "GatewayAbsent"
    GATEWAY_NOT_READY = "GatewayNotReady"
    GATEWAY_UNSUPPORTED = "GatewayUnsupported"
    ROUTE_UNUSABLE = "RouteUnusable"
    # The operator itself
    API_UNAVAILABLE = "ApiUnavailable"
    INTERNAL_ERROR = "InternalError"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason says and what a person can do about it."""

    kind: Kind
    text: str
    remedy: str = ""


_AGAIN = "change the spec or run `volary retry NAME`."
_FIX_AND_RETRY = f"Correct it, then {_AGAIN}"

REASONS: Mapping[Reason, Meaning] = MappingProxyType(
    {
        Reason.PREFLIGHT_RUNNING: Meaning(Kind.WAITING, "The preflight Job is checking the bundle."),
        Reason.PREFLIGHT_PASSED: Meaning(Kind.PROGRESS, "The bundle's manifest, limits and format are in order."),
        Reason.PREFLIGHT_INTERRUPTED: Meaning(Kind.TRANSIENT, "The preflight ended before it could answer; it is started again."),
        Reason.PODS_STARTING: Meaning(Kind.WAITING, "Pods fetch, load and prove the model."),
        Reason.SERVING: Meaning(Kind.PROGRESS, "The revision the spec asks for serves all traffic."),
        Reason.CANARY_STARTED: Meaning(Kind.PROGRESS, "The first pods of a new revision are starting."),
        Reason.STEP_STARTED: Meaning(Kind.PROGRESS, "The canary receives the traffic of its next step."),
        Reason.COLLECTING_EVIDENCE: Meaning(Kind.WAITING, "The canary is compared with stable."),
        Reason.PROMOTING: Meaning(Kind.WAITING, "The canary passed; it grows to full capacity before it takes over."),
        Reason.PROMOTED: Meaning(Kind.PROGRESS, "The canary is stable now."),
        Reason.ROLLING_BACK: Meaning(Kind.WAITING, "Traffic returns to an earlier revision."),
        Reason.ROLLED_BACK: Meaning(
            Kind.VERDICT,
            "The wanted revision failed; the last good one serves.",
            "Push a corrected version and change the spec, or run `volary retry NAME`.",
        ),
        Reason.PAUSED: Meaning(
            Kind.WAITING, "The rollout waits for a person.", "`volary resume NAME`, `volary promote NAME` or `volary abort NAME`."
        ),
        Reason.APPROVAL_NEEDED: Meaning(
            Kind.WAITING, "Time and evidence are over; a person decides.", "`volary approve NAME` or `volary abort NAME`."
        ),
        Reason.MAKING_ROOM: Meaning(
            Kind.WAITING, "A surge is set: pods of one revision go before those of another come.", "Raise spec.rollout.surge or remove it."
        ),
        Reason.SUPERSEDED: Meaning(Kind.PROGRESS, "A newer spec replaced this canary before it was done."),
        Reason.PROMOTE_REQUESTED: Meaning(Kind.PROGRESS, "A person promoted the canary."),
        Reason.ABORT_REQUESTED: Meaning(Kind.VERDICT, "A person aborted the canary.", "`volary retry NAME` tries it again."),
        Reason.RETRY_REQUESTED: Meaning(Kind.PROGRESS, "A person asked to try a failed revision again."),
        Reason.ROLLBACK_REQUESTED: Meaning(
            Kind.VERDICT, "A person returned to an earlier revision.", "Change the spec, or run `volary retry NAME`."
        ),
        Reason.PAUSE_REQUESTED: Meaning(Kind.PROGRESS, "A person paused the rollout.", "`volary resume NAME`."),
        Reason.RESUME_REQUESTED: Meaning(Kind.PROGRESS, "A person let a paused rollout go on."),
        Reason.SKIP_REQUESTED: Meaning(Kind.PROGRESS, "A person ended a step."),
        Reason.APPROVE_REQUESTED: Meaning(Kind.PROGRESS, "A person approved what waited for it."),
        Reason.REQUEST_REFUSED: Meaning(Kind.USER, "A request could not be carried out.", "The message says why."),
        Reason.SPEC_INVALID: Meaning(Kind.USER, "The spec cannot be understood.", "The message names the field."),
        Reason.RUNTIME_UNSUPPORTED: Meaning(Kind.USER, "No such runtime.", "Use one of those the message lists."),
        Reason.SECRET_NOT_FOUND: Meaning(
            Kind.WAITING,
            "The Secret or one of its keys does not exist in the namespace.",
            "Create it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; pods start by themselves then.",
        ),
        Reason.CREDENTIALS_REFUSED: Meaning(Kind.USER, "The storage refused the credentials.", _FIX_AND_RETRY),
        Reason.BUCKET_NOT_FOUND: Meaning(Kind.USER, "The bucket does not exist.", _FIX_AND_RETRY),
        Reason.VERSION_NOT_FOUND: Meaning(Kind.USER, "No such version was pushed.", "`volary push` it, or correct spec.model.version."),
        Reason.FILE_NOT_FOUND: Meaning(Kind.USER, "A file of the bundle is not in the storage.", "Push the bundle again."),
        Reason.STORAGE_UNREACHABLE: Meaning(
            Kind.TRANSIENT, "The storage cannot be reached.", "Check spec.model.storage.endpoint and the network."
        ),
        Reason.STORAGE_THROTTLED: Meaning(Kind.TRANSIENT, "The storage asks to slow down or answers with errors."),
        Reason.MANIFEST_INVALID: Meaning(Kind.USER, "The manifest is not one.", "Pack and push the bundle again."),
        Reason.MANIFEST_DIGEST_MISMATCH: Meaning(
            Kind.USER, "The version is not the one spec.model.digest pins.", "Somebody replaced it: find out before you go on."
        ),
        Reason.NAME_INVALID: Meaning(Kind.USER, "A file name in the manifest is not allowed.", "Pack the bundle again."),
        Reason.NAME_CONFLICT: Meaning(
            Kind.USER,
            "Two things would have one name: two files of a manifest, or a version and one pushed before.",
            "The message says which.",
        ),
        Reason.LIMIT_EXCEEDED: Meaning(Kind.USER, "The bundle is larger than a limit allows.", "The message names the limit."),
        Reason.SIZE_MISMATCH: Meaning(Kind.USER, "A file has not the size of the manifest.", "Push the bundle again."),
        Reason.DIGEST_MISMATCH: Meaning(Kind.USER, "A file is not, byte for byte, what was packed.", "Push the bundle again."),
        Reason.SCHEMA_CHANGED: Meaning(
            Kind.USER,
            "Clients of the stable version would not be understood by this one, or not understand it.",
            "Pack the model with the inputs and outputs clients know, or, when they are ready, set spec.model.schemaChange: Allow.",
        ),
        Reason.FORMAT_UNSUPPORTED: Meaning(
            Kind.USER, "The runtime cannot serve this format.", "Choose another spec.runtime.name or convert the model."
        ),
        Reason.MODEL_INVALID: Meaning(
            Kind.USER, "The model's graph is broken or claims what cannot be.", "The message says where; export the model again."
        ),
        Reason.OPERATOR_NOT_ALLOWED: Meaning(
            Kind.USER,
            "The model's graph has an operator that is not on the list of those that only compute.",
            "The message names operator and node; export the model without it.",
        ),
        Reason.EXTERNAL_DATA_INVALID: Meaning(
            Kind.USER,
            "The model's graph refers to a file, or a part of one, that is not in the bundle.",
            "The message names tensor and file; save the model with its weights beside it and pack again.",
        ),
        Reason.GOLDEN_INVALID: Meaning(Kind.USER, "The golden samples cannot be used.", "Pack the bundle again."),
        Reason.EVALUATION_FAILED: Meaning(
            Kind.USER, "The function that scores the model cannot be used.", "The message is its own; `volary pack --debug` shows where."
        ),
        Reason.METRIC_TOO_LOW: Meaning(Kind.USER, "The model scores lower than it must.", "Train a better one, or lower the minimum."),
        Reason.PACKAGE_MISSING: Meaning(
            Kind.USER, "A conversion needs a Python package that is not installed.", "The message has the command that installs it."
        ),
        Reason.CONVERSION_FAILED: Meaning(
            Kind.USER, "A model cannot be converted.", "The message is the converter's; export the model with its own framework's tools."
        ),
        Reason.DISK_FULL: Meaning(Kind.VERDICT, "The pod's disk is too small for the bundle.", "Raise spec.runtime.resources."),
        Reason.SIGNATURE_MISSING: Meaning(Kind.USER, "The bundle must be signed and is not.", "`volary sign` it."),
        Reason.SIGNATURE_UNTRUSTED: Meaning(
            Kind.USER,
            "The signature is not of the key or certificate you trust, or is none at all.",
            "Find out who signed it; have the bundle signed again by whom you trust.",
        ),
        Reason.SIGNATURE_MISMATCH: Meaning(
            Kind.USER, "The signature is good, but of another manifest.", "Somebody exchanged one of the two: find out before you go on."
        ),
        Reason.EXTRA_FILE: Meaning(
            Kind.USER, "There is a file that the manifest does not name, so nobody vouches for it.", "Remove it, or pack the bundle again."
        ),
        Reason.ARCHIVE_INVALID: Meaning(
            Kind.USER, "The file is not, byte for byte, what `volary export` writes.", "Export the bundle again."
        ),
        Reason.ALIAS_INVALID: Meaning(Kind.USER, "The alias in the storage cannot be read.", "Set it again with `volary alias set`."),
        Reason.OPTION_INVALID: Meaning(
            Kind.USER, "What is asked of `volary optimise` cannot be done with this model.", "The message names the option."
        ),
        Reason.ACCURACY_TOO_LOW: Meaning(
            Kind.USER, "The optimised model is wrong more often than allowed.", "Ask for less, or allow more by --max-accuracy-drop."
        ),
        Reason.DEVIATION_TOO_HIGH: Meaning(
            Kind.USER,
            "A converted or optimised model answers too differently than what it was made of.",
            "Compare the two on your own data; allow more by --max-deviation only if the difference does not matter.",
        ),
        Reason.IMAGE_PULL_FAILED: Meaning(
            Kind.WAITING, "An image cannot be pulled; given up at the progress deadline.", "Correct spec.runtime.image."
        ),
        Reason.UNSCHEDULABLE: Meaning(Kind.WAITING, "No node has room for the pod.", "Lower the requests or add nodes."),
        Reason.POD_REFUSED: Meaning(Kind.WAITING, "The API server refuses the pod.", "The message is the API server's."),
        Reason.OUT_OF_MEMORY: Meaning(
            Kind.VERDICT, "The model needs more memory than its limit.", "Raise spec.runtime.resources.limits.memory."
        ),
        Reason.MEMORY_TOO_SMALL: Meaning(
            Kind.USER,
            "The running server has no room for a second version beside the one it serves.",
            "Raise spec.runtime.resources.limits.memory to what the message says.",
        ),
        Reason.CRASHED: Meaning(Kind.VERDICT, "The server ends again and again.", "Look at `kubectl logs` of the pod."),
        Reason.LOAD_FAILED: Meaning(Kind.VERDICT, "The server cannot load the model.", "The message is the server's."),
        Reason.GOLDEN_MISMATCH: Meaning(Kind.VERDICT, "The served model answers its golden samples differently than when it was packed."),
        Reason.GOLDEN_TIMEOUT: Meaning(Kind.VERDICT, "The served model does not answer its golden samples in time."),
        Reason.PROGRESS_DEADLINE_EXCEEDED: Meaning(
            Kind.VERDICT, "The pods were not ready in time.", "The message names what the pods waited for."
        ),
        Reason.ERROR_RATE_TOO_HIGH: Meaning(Kind.VERDICT, "The canary fails more requests than stable; chance is excluded."),
        Reason.LATENCY_TOO_HIGH: Meaning(Kind.VERDICT, "The canary has more slow requests than stable; chance is excluded."),
        Reason.OUTPUT_DRIFT: Meaning(
            Kind.VERDICT,
            "The canary answers with other classes or values than stable does; chance is excluded.",
            "Where that is meant, set spec.rollout.analysis.drift.dryRun or leave drift out, then run `volary retry NAME`.",
        ),
        Reason.TOO_MANY_RESTARTS: Meaning(
            Kind.VERDICT, "The canary's servers were restarted more often than allowed.", "Look at `kubectl logs --previous` of the pod."
        ),
        Reason.SATURATED: Meaning(
            Kind.VERDICT,
            "A canary pod had more requests at once than allowed, look after look.",
            "Raise spec.runtime.resources, spec.replicas or saturation.maxInFlight.",
        ),
        Reason.WATCH_STARTED: Meaning(Kind.PROGRESS, "The errors of the new stable are weighed against those of the one before it."),
        Reason.WATCH_ENDED: Meaning(Kind.PROGRESS, "The time after the promotion is over; the new stable stays."),
        Reason.EVIDENCE_INCONCLUSIVE: Meaning(
            Kind.WAITING, "There were too few requests to tell.", "Wait, send traffic, or `volary promote NAME`."
        ),
        Reason.QUERY_FAILED: Meaning(
            Kind.VERDICT, "A Prometheus query of spec.rollout.analysis was out of its range too often in a row.", _FIX_AND_RETRY
        ),
        Reason.JOB_FAILED: Meaning(
            Kind.VERDICT, "A Job of spec.rollout.analysis says that the canary is bad.", "The message is the Job's own; " + _AGAIN
        ),
        Reason.QUERIES_UNAVAILABLE: Meaning(
            Kind.USER,
            "The spec has Prometheus queries and this operator has no Prometheus; no canary passes.",
            "Set VOLARY_PROMETHEUS_URL of the operator, or mark the queries dryRun.",
        ),
        Reason.GATEWAY_ABSENT: Meaning(
            Kind.USER,
            "The cluster has no HTTPRoutes, or Volary may not read them; what serves goes on serving.",
            "Install Gateway API and the ClusterRole volary-gateway, or remove spec.rollout.traffic.",
        ),
        Reason.GATEWAY_NOT_READY: Meaning(
            Kind.WAITING, "The gateway has not accepted the HTTPRoute; no weight moves before it does.", "The message is the gateway's."
        ),
        Reason.GATEWAY_UNSUPPORTED: Meaning(
            Kind.USER, "The installed Gateway API lacks a field that the spec needs.", "The message names it; remove it from the spec."
        ),
        Reason.ROUTE_UNUSABLE: Meaning(
            Kind.USER,
            "The HTTPRoute is not there, is somebody else's, or has no backendRef to the model's Service.",
            "The message says which.",
        ),
        Reason.API_UNAVAILABLE: Meaning(Kind.TRANSIENT, "The Kubernetes API refuses or does not answer."),
        Reason.INTERNAL_ERROR: Meaning(Kind.TRANSIENT, "A fault in Volary.", "Please report it with the operator's log."),
    }
)
