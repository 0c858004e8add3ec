"""Documents, good and bad: each bad one with words its refusal must hold, which say what to do."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from volary.common import names

ABSENT: Final = object()
SHA = "sha256:" + "0123456789abcdef" * 4
STEPS = "spec.rollout.steps"
ANALYSIS = "spec.rollout.analysis"
TRAFFIC = "spec.rollout.traffic"
GATEWAY = {"parentRefs": [{"name": "edge"}]}
STRATEGY = "spec.rollout.strategy"
SURGE = "spec.rollout.surge"
DELAY = "spec.rollout.scaleDownDelay"
STORAGE = "spec.model.storage"
TEMPLATE = "spec.runtime.podTemplate"
AUTOSCALED = {"spec.autoscaling": {"minReplicas": 2, "maxReplicas": 8, "requestsPerSecond": 50}}
LIMITS = "spec.runtime.resources.limits"


@dataclass(frozen=True)
class Case:
    """The smallest good document with these fields set; `says` is empty where it is still good."""

    id: str
    fields: dict[str, Any]
    says: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """The document."""
        return document(self.fields)


def document(fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """The smallest good document with fields set by their dotted path, or removed (ABSENT)."""
    body: dict[str, Any] = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "fraud", "namespace": "default"},
        "spec": {"model": {"uri": "s3://models/fraud", "version": "1.4.0"}, "runtime": {"name": "onnxruntime"}},
    }
    for path, value in (fields or {}).items():
        *parents, last = path.split(".")
        place = body
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ABSENT:
            place.pop(last, None)
        else:
            place[last] = deepcopy(value)
    return body


QUERY: Final = {"name": "p99", "query": "histogram_quantile(0.99, x)", "max": 0.25}
JOB: Final = {"name": "smoke", "template": {"image": "team/smoke:1"}}
JOB_TEMPLATE: Final = {
    "image": "team/smoke:1",
    "command": ["python3"],
    "args": ["-m", "smoke"],
    "env": [{"name": "MODE", "value": "quick"}, {"name": "_EMPTY"}],
    "resources": {"limits": {"memory": "64Mi", "cpu": "1"}},
    "serviceAccountName": "smoke",
}


def weights(*values: object) -> list[dict[str, object]]:
    """Steps of these weights."""
    return [{"weight": value} for value in values]


GOOD = (
    Case("minimal", {}),
    Case("gateway", {f"{TRAFFIC}.gateway": GATEWAY}),
    Case(
        "gateway-in-full",
        {
            f"{TRAFFIC}.gateway": {
                "parentRefs": [{"name": "edge", "sectionName": "web"}],
                "hostnames": ["*.example.com", "fraud.example.com"],
                "path": "/v2/models/fraud/",
            },
            f"{TRAFFIC}.header": {},
            f"{TRAFFIC}.sticky": {"header": "X-Session"},
            f"{TRAFFIC}.mirror": {"percent": 5, "duration": "10m"},
        },
    ),
    Case("users-route", {f"{TRAFFIC}.httpRoute": {"name": "shop", "rule": "model"}}),
    Case("no-traffic", {TRAFFIC: None}),
    Case("signed", {"spec.model.verify": {"publicKeySecretName": "signer"}}),
    Case("tensorflow", {"spec.runtime.name": "tensorflow-serving"}),
    Case("uri-bucket-only", {"spec.model.uri": "s3://models"}),
    Case("uri-deep-with-slash", {"spec.model.uri": "s3://my.models-1/a/B_c/d-e.f/"}),
    Case("version-one-letter", {"spec.model.version": "7"}),
    Case("version-words", {"spec.model.version": "2026.11.03-rc_1"}),
    Case("digest", {"spec.model.digest": SHA}),
    Case("model-name", {"spec.model.name": "1-fraud"}),
    Case("storage-empty", {STORAGE: {}}),
    Case("storage-secret", {f"{STORAGE}.secretName": "models.s3", f"{STORAGE}.region": "eu-central-1"}),
    Case("storage-private", {STORAGE: {"authorityConfigMapName": "storage-ca", "addressing": "VirtualHost"}}),
    Case("storage-identity", {f"{STORAGE}.serviceAccountName": "reader"}),
    Case("endpoint-http-port", {f"{STORAGE}.endpoint": "http://minio.storage:9000"}),
    Case("endpoint-https-slash", {f"{STORAGE}.endpoint": "https://s3.example/"}),
    Case("image-digest", {"spec.runtime.image": f"registry.example:5000/team/server@{SHA}"}),
    Case("resources", {LIMITS: {"memory": "1Gi", "cpu": "1.5", "nvidia.com/gpu": "1"}, "spec.runtime.resources.requests": {"cpu": "250m"}}),
    Case("quantity-number", {LIMITS: {"cpu": 2, "nvidia.com/gpu": 1}}),
    Case("resources-empty", {"spec.runtime.resources": {"limits": {}, "requests": {}}}),
    Case("autoscaling", AUTOSCALED),
    Case("autoscaling-by-cpu", {"spec.autoscaling": {"maxReplicas": 8, "cpu": 80}, "spec.runtime.resources": {"requests": {"cpu": "1"}}}),
    Case("quantity-of-budget", {"spec.disruptionBudget": {"maxUnavailable": 1}}),
    Case("budget-share", {"spec.disruptionBudget": {"minAvailable": "50%"}}),
    Case("ready-seconds", {"spec.rollout.minReadySeconds": 30}),
    Case(
        "pod-template",
        {
            TEMPLATE: {
                "labels": {"team": "risk"},
                "annotations": {"example.com/cost": "a sentence"},
                "nodeSelector": {"accelerator": "l4"},
                "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "topologySpread": [{"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1}],
                "priorityClassName": "high",
                "runtimeClassName": "nvidia",
                "imagePullSecrets": ["registry"],
            }
        },
    ),
    Case("update-in-place", {"spec.update": "InPlace"}),
    Case("update-replace", {"spec.update": "Replace", "spec.runtime.name": "tensorflow-serving"}),
    Case("replicas-most", {"spec.replicas": 1000}),
    Case("no-steps", {STEPS: []}),
    Case("every-metric", {f"{ANALYSIS}.{name}": {} for name in ("latency", "drift", "restarts")}),
    Case("latency-absolute", {f"{ANALYSIS}.latency": {"maxDuration": "250ms", "tolerance": "1%", "dryRun": True}}),
    Case("latency-seconds", {f"{ANALYSIS}.latency": {"maxDuration": "2s"}}),
    Case("saturation", {f"{ANALYSIS}.saturation": {"maxInFlight": 20}}),
    Case("restarts", {f"{ANALYSIS}.restarts": {"max": 3}, "spec.runtime.name": "tensorflow-serving"}),
    Case("errors-dry-run", {f"{ANALYSIS}.errors": {"dryRun": True}}),
    Case("watch", {"spec.rollout.watchAfterPromotion": "15m"}),
    Case("one-step-of-all", {STEPS: weights(100)}),
    Case("twenty-steps", {STEPS: weights(*range(5, 101, 5))}),
    Case("step-at-once", {STEPS: [{"weight": 1, "duration": "0s"}]}),
    Case("step-long", {STEPS: [{"weight": 1, "duration": "1h30m15s"}]}),
    Case("interval-least", {f"{ANALYSIS}.interval": "1s"}),
    Case("deadline-least", {"spec.rollout.progressDeadline": "5s"}),
    Case("deadline-hours", {"spec.rollout.progressDeadline": "2h"}),
    Case("tolerance-zero", {f"{ANALYSIS}.errors.tolerance": "0%"}),
    Case("tolerance-fraction", {f"{ANALYSIS}.errors.tolerance": "0.0625%"}),
    Case("rates-in-order", {f"{ANALYSIS}.errors": {"tolerance": "9.5%", "maxRate": "10%"}}),
    Case("rates-equal", {f"{ANALYSIS}.errors": {"tolerance": "2%", "maxRate": "2.0%"}}),
    *(Case(f"inconclusive-{word}", {f"{ANALYSIS}.onInconclusive": word}) for word in ("Extend", "Pause", "Promote", "Rollback")),
    Case("step-approval", {STEPS: [{"weight": 5, "approval": True}]}),
    Case("step-analysis-empty", {STEPS: [{"weight": 5, "analysis": {}}]}),
    Case("step-analysis", {STEPS: [{"weight": 5, "analysis": {"minRequests": 9, "interval": "2s", "onInconclusive": "Pause"}}]}),
    Case(
        "step-limits",
        {
            f"{ANALYSIS}.latency": {},
            f"{ANALYSIS}.drift": {},
            f"{ANALYSIS}.restarts": {},
            f"{ANALYSIS}.saturation": {"maxInFlight": 20},
            STEPS: [
                {
                    "weight": 5,
                    "analysis": {
                        "latency": {"maxDuration": "1s", "tolerance": "20%"},
                        "drift": {"tolerance": "10%"},
                        "restarts": {"max": 2},
                        "saturation": {"maxInFlight": 5},
                    },
                }
            ],
        },
    ),
    Case("step-errors", {STEPS: [{"weight": 5, "analysis": {"errors": {"tolerance": "2%", "maxRate": "3%"}}}]}),
    Case(
        "step-limit-below-the-common-one",
        {f"{ANALYSIS}.errors": {"maxRate": "9%"}, STEPS: [{"weight": 5, "analysis": {"errors": {"maxRate": "3%"}}}]},
    ),
    Case("blue-green", {STRATEGY: "BlueGreen"}),
    Case("blue-green-no-steps", {STRATEGY: "BlueGreen", STEPS: [], "spec.rollout.approval": True}),
    Case(
        "blue-green-written-defaults", {STRATEGY: "BlueGreen", STEPS: [{"weight": 10, "duration": "2m"}, {"weight": 50, "duration": "3m"}]}
    ),
    Case("canary", {STRATEGY: "Canary", "spec.rollout.approval": True}),
    Case("no-surge", {SURGE: 0, "spec.replicas": 2}),
    Case("surge-most", {SURGE: 1000, "spec.replicas": 2}),
    Case("scale-down-delay", {DELAY: "0s"}),
    Case("null-surge", {SURGE: None, DELAY: None, STEPS: [{"weight": 5, "analysis": None}]}),
    Case("query-smallest", {f"{ANALYSIS}.queries": [{"name": "q", "query": "up", "max": 1}]}),
    Case("query-of-all", {f"{ANALYSIS}.queries": [QUERY | {"min": -0.5, "interval": "1s", "consecutive": 100, "dryRun": True}]}),
    Case(
        "query-places", {f"{ANALYSIS}.queries": [QUERY | {"query": 'a{r="{{revision}}",s="{{stable}}"} / b{n="{{name}}-{{namespace}}"}'}]}
    ),
    Case("query-bounds-equal", {f"{ANALYSIS}.queries": [QUERY | {"min": 0.25}]}),
    Case("queries-two", {f"{ANALYSIS}.queries": [QUERY, QUERY | {"name": "other"}]}),
    Case("job-smallest", {f"{ANALYSIS}.jobs": [JOB]}),
    Case("job-of-all", {f"{ANALYSIS}.jobs": [JOB | {"atStep": 2, "timeout": "1h", "dryRun": True, "template": JOB_TEMPLATE}]}),
    Case("synthetic", {f"{ANALYSIS}.synthetic": {"enabled": True, "rate": 50, "dryRun": True}}),
    Case("synthetic-empty", {f"{ANALYSIS}.synthetic": {}}),
    Case("min-requests", {f"{ANALYSIS}.minRequests": 1_000_000_000}),
    Case("paused", {"spec.rollout.paused": True}),
    Case("history-most", {"spec.history": 50}),
    Case("null-is-absent", {"spec.replicas": None, f"{STORAGE}.endpoint": None, "spec.rollout": None, "spec.model.digest": None}),
    Case("null-quantity", {LIMITS: {"cpu": None, "memory": "1Gi"}}),
    Case("name-longest", {"metadata.name": "n" * 40}),
    Case("labels-and-annotations", {"metadata.labels": {"a": "b"}, "metadata.annotations": {"serving.volary.dev/request": "promote"}}),
)

BAD = (
    Case(
        "update-in-place-elsewhere",
        {"spec.update": "InPlace", "spec.runtime.name": "tensorflow-serving"},
        "spec.update: InPlace needs spec.runtime.name: onnxruntime",
    ),
    Case("update-unknown", {"spec.update": "Restart"}, 'supported values: "Replace", "InPlace"'),
    Case("no-model", {"spec.model": ABSENT}, "spec.model: Required value"),
    Case("no-uri", {"spec.model.uri": ABSENT}, "spec.model.uri: Required value"),
    Case("no-version", {"spec.model.version": ABSENT}, "spec.model.version: Required value"),
    Case("version-null", {"spec.model.version": None}, "spec.model.version: Required value"),
    Case("no-runtime", {"spec.runtime": ABSENT}, "spec.runtime: Required value"),
    Case("no-runtime-name", {"spec.runtime": {}}, "spec.runtime.name: Required value"),
    Case("unknown-field", {"spec.replica": 3}, 'unknown field "spec.replica"'),
    Case("unknown-field-deep", {f"{ANALYSIS}.error": {}}, 'unknown field "spec.rollout.analysis.error"'),
    Case("addressing-unknown", {f"{STORAGE}.addressing": "virtual"}, 'supported values: "Path", "VirtualHost"'),
    Case("namespace-in-storage", {f"{STORAGE}.namespace": "other"}, 'unknown field "spec.model.storage.namespace"'),
    Case("unknown-field-in-step", {STEPS: [{"weight": 5, "pause": {}}]}, 'unknown field "spec.rollout.steps[0].pause"'),
    Case("unknown-top", {"specs": {}}, 'unknown field "specs"'),
    Case("uri-https", {"spec.model.uri": "https://models/fraud"}, "write s3://BUCKET/PREFIX"),
    Case("uri-empty", {"spec.model.uri": ""}, "write s3://BUCKET/PREFIX"),
    Case("uri-upper-case-bucket", {"spec.model.uri": "s3://Models/fraud"}, "write s3://BUCKET/PREFIX"),
    Case("uri-double-slash", {"spec.model.uri": "s3://models//fraud"}, "write s3://BUCKET/PREFIX"),
    Case("uri-space", {"spec.model.uri": "s3://models/fr aud"}, "write s3://BUCKET/PREFIX"),
    Case("uri-newline", {"spec.model.uri": "s3://models/fraud\n"}, "write s3://BUCKET/PREFIX"),
    Case("uri-number", {"spec.model.uri": 3}, "must be of type string"),
    Case("uri-long", {"spec.model.uri": "s3://models/" + "a" * 1100}, "may not be more than 1024"),
    Case("version-number", {"spec.model.version": 1.4}, "spec.model.version in body must be of type string"),
    Case("version-slash", {"spec.model.version": "a/b"}, "write a version as pushed"),
    Case("version-dots", {"spec.model.version": ".."}, "write a version as pushed"),
    Case("version-empty", {"spec.model.version": ""}, "write a version as pushed"),
    Case("version-long", {"spec.model.version": "1" * 65}, "may not be more than 64"),
    Case("digest-bare", {"spec.model.digest": SHA[7:]}, "write the digest that `volary push` printed"),
    Case("digest-upper-case", {"spec.model.digest": SHA.upper()}, "write the digest that `volary push` printed"),
    Case("model-name-upper-case", {"spec.model.name": "Fraud"}, "lower-case letters"),
    Case("secret-of-another-namespace", {f"{STORAGE}.secretName": "other/keys"}, "object in the same namespace"),
    Case("identity-of-another-namespace", {f"{STORAGE}.serviceAccountName": "other:reader"}, "object in the same namespace"),
    Case("endpoint-without-scheme", {f"{STORAGE}.endpoint": "minio:9000"}, "write http:// or https://"),
    Case("endpoint-with-password", {f"{STORAGE}.endpoint": "http://user:pass@minio:9000"}, "no user and no password"),
    Case("endpoint-with-path", {f"{STORAGE}.endpoint": "http://minio:9000/bucket"}, "no path"),
    Case("endpoint-newline", {f"{STORAGE}.endpoint": "http://minio:9000\n"}, "write http:// or https://"),
    Case("region-upper-case", {f"{STORAGE}.region": "EU"}, "write a region in lower case"),
    Case("unknown-runtime", {"spec.runtime.name": "triton"}, 'supported values: "onnxruntime", "tensorflow-serving"'),
    Case("runtime-upper-case", {"spec.runtime.name": "ONNXRuntime"}, 'supported values: "onnxruntime", "tensorflow-serving"'),
    Case("image-space", {"spec.runtime.image": "team/server 1.2"}, "write an image reference"),
    Case("quantity-word", {LIMITS: {"memory": "much"}}, "write a quantity like"),
    Case("quantity-unit", {LIMITS: {"memory": "1GB"}}, "write a quantity like"),
    Case("quantity-negative", {LIMITS: {"cpu": -1}}, "write a quantity like"),
    Case("quantity-float", {LIMITS: {"cpu": 1.5}}, "must be of type integer,string"),
    Case("quantity-boolean", {LIMITS: {"cpu": True}}, "must be of type integer,string"),
    Case("autoscaling-and-replicas", {"spec.replicas": 3, **AUTOSCALED}, "spec.replicas and spec.autoscaling exclude each other"),
    Case("autoscaling-by-nothing", {"spec.autoscaling": {"maxReplicas": 8}}, "spec.autoscaling needs something to scale by: set cpu"),
    Case("autoscaling-upside-down", {**AUTOSCALED, "spec.autoscaling.minReplicas": 9}, "minReplicas must not be above maxReplicas"),
    Case("autoscaling-without-limit", {"spec.autoscaling": {"cpu": 80}}, "spec.autoscaling.maxReplicas: Required value"),
    Case("autoscaling-by-cpu-of-nothing", {"spec.autoscaling": {"maxReplicas": 8, "cpu": 80}}, "set spec.runtime.resources.requests.cpu"),
    Case("budget-of-both", {"spec.disruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}, "either minAvailable or maxUnavailable"),
    Case("budget-of-nothing", {"spec.disruptionBudget": {}}, "either minAvailable or maxUnavailable"),
    Case("budget-of-words", {"spec.disruptionBudget": {"minAvailable": "most"}}, "write a number of pods or a share of them"),
    Case("pod-label-of-ours", {f"{TEMPLATE}.labels": {"serving.volary.dev/model": "x"}}, "are Volary's own"),
    Case("pod-label-malformed", {f"{TEMPLATE}.nodeSelector": {"a b": "x"}}, "write a label key such as"),
    Case("pod-label-value", {f"{TEMPLATE}.nodeSelector": {"a": "x y"}}, "write a label value of at most 63"),
    Case("pod-container", {f"{TEMPLATE}.containers": []}, "unknown field"),
    Case("ready-too-long", {"spec.rollout.minReadySeconds": 3601}, "minReadySeconds must be between 0 and 3600"),
    Case("replicas-none", {"spec.replicas": 0}, "spec.replicas must be between 1 and 1000; to stop serving, delete"),
    Case("replicas-negative", {"spec.replicas": -1}, "spec.replicas must be between 1 and 1000"),
    Case("replicas-too-many", {"spec.replicas": 1001}, "spec.replicas must be between 1 and 1000"),
    Case("replicas-text", {"spec.replicas": "3"}, "must be of type integer"),
    Case("replicas-boolean", {"spec.replicas": True}, "must be of type integer"),
    Case("replicas-with-point", {"spec.replicas": 3.0}, "spec.replicas must be between 1 and 1000"),
    Case("replicas-half", {"spec.replicas": 1.5}, "must be of type integer"),
    Case("weight-zero", {STEPS: weights(0)}, "spec.rollout.steps[].weight must be between 1 and 100 percent"),
    Case("weight-101", {STEPS: weights(101)}, "spec.rollout.steps[].weight must be between 1 and 100 percent"),
    Case("weight-text", {STEPS: weights("5%")}, "must be of type integer"),
    Case("weight-missing", {STEPS: [{"duration": "1m"}]}, "spec.rollout.steps[0].weight: Required value"),
    Case("weights-fall", {STEPS: weights(50, 10)}, "the weights of spec.rollout.steps must increase from step to step"),
    Case("weights-repeat", {STEPS: weights(10, 10)}, "reorder or remove steps"),
    Case("steps-too-many", {STEPS: weights(*range(1, 22))}, "must have at most 20 items"),
    Case("step-null", {STEPS: [None]}, "must be of type object"),
    Case("steps-not-a-list", {STEPS: "5, 25"}, "must be of type array"),
    Case("duration-without-unit", {STEPS: [{"weight": 5, "duration": "30"}]}, "write a duration like 30s, 2m or 1h30m"),
    Case("duration-empty", {STEPS: [{"weight": 5, "duration": ""}]}, "write a duration like 30s, 2m or 1h30m"),
    Case("interval-empty", {f"{ANALYSIS}.interval": ""}, "write a duration like 30s, 2m or 1h30m"),
    Case("model-name-empty", {"spec.model.name": ""}, "write a name of lower-case letters"),
    Case("quantity-empty", {LIMITS: {"cpu": ""}}, "write a quantity like"),
    Case("duration-word", {STEPS: [{"weight": 5, "duration": "soon"}]}, "write a duration like 30s, 2m or 1h30m"),
    Case("duration-milliseconds", {STEPS: [{"weight": 5, "duration": "500ms"}]}, "write a duration like 30s, 2m or 1h30m"),
    Case("duration-negative", {STEPS: [{"weight": 5, "duration": "-5m"}]}, "write a duration like 30s, 2m or 1h30m"),
    Case("duration-number", {STEPS: [{"weight": 5, "duration": 30}]}, "must be of type string"),
    Case("duration-wrong-order", {STEPS: [{"weight": 5, "duration": "5s1m"}]}, "write a duration like 30s, 2m or 1h30m"),
    Case("step-approval-text", {STEPS: [{"weight": 5, "approval": "yes"}]}, "must be of type boolean"),
    Case(
        "step-analysis-unknown", {STEPS: [{"weight": 5, "analysis": {"error": {}}}]}, 'unknown field "spec.rollout.steps[0].analysis.error"'
    ),
    Case("step-interval", {STEPS: [{"weight": 5, "analysis": {"interval": "0s"}}]}, "interval must be 1s or longer"),
    Case("step-min-requests", {STEPS: [{"weight": 5, "analysis": {"minRequests": -1}}]}, "minRequests must be between 0"),
    Case(
        "step-rates-crossed",
        {STEPS: [{"weight": 5, "analysis": {"errors": {"tolerance": "5%", "maxRate": "2%"}}}]},
        "set both in its analysis",
    ),
    Case("step-puts-latency-on", {STEPS: [{"weight": 5, "analysis": {"latency": {"tolerance": "5%"}}}]}, "it puts none of them on"),
    Case(
        "step-puts-saturation-on",
        {f"{ANALYSIS}.latency": {}, STEPS: [{"weight": 5, "analysis": {"saturation": {"maxInFlight": 5}}}]},
        "it puts none of them on",
    ),
    Case("step-restarts-too-many", {f"{ANALYSIS}.restarts": {}, STEPS: [{"weight": 5, "analysis": {"restarts": {"max": 1001}}}]}, "1000"),
    Case("step-limit-below-the-common-tolerance", {STEPS: [{"weight": 5, "analysis": {"errors": {"maxRate": "0.5%"}}}]}, "set both"),
    Case(
        "step-tolerance-above-the-common-limit",
        {f"{ANALYSIS}.errors": {"maxRate": "2%"}, STEPS: [{"weight": 5, "analysis": {"errors": {"tolerance": "3%"}}}]},
        "set both in its analysis",
    ),
    Case("blue-green-with-steps", {STRATEGY: "BlueGreen", STEPS: weights(5)}, "strategy BlueGreen takes all traffic at once: remove"),
    Case(
        "blue-green-with-approved-defaults",
        {STRATEGY: "BlueGreen", STEPS: [{"weight": 10, "duration": "2m", "approval": True}, {"weight": 50, "duration": "3m"}]},
        "remove spec.rollout.steps",
    ),
    Case("blue-green-without-surge", {STRATEGY: "BlueGreen", SURGE: 0}, "remove spec.rollout.surge"),
    Case("strategy-unknown", {STRATEGY: "Recreate"}, 'supported values: "Canary", "BlueGreen"'),
    Case("surge-of-no-number", {SURGE: 0}, "surge counts from spec.replicas: set spec.replicas"),
    Case("surge-negative", {SURGE: -1}, "spec.rollout.surge must be between 0 and 1000 pods"),
    Case("surge-percent", {SURGE: "25%"}, "must be of type integer"),
    Case("delay-without-room", {SURGE: 0, DELAY: "30s"}, "remove scaleDownDelay or surge"),
    Case("delay-word", {DELAY: "soon"}, "write a duration like 30s, 2m or 1h30m"),
    Case("interval-zero", {f"{ANALYSIS}.interval": "0s"}, "interval must be 1s or longer"),
    Case("interval-zero-minutes", {f"{ANALYSIS}.interval": "0h0m"}, "interval must be 1s or longer"),
    Case("interval-malformed", {f"{ANALYSIS}.interval": "often"}, "write a duration like 30s, 2m or 1h30m"),
    Case("deadline-short", {"spec.rollout.progressDeadline": "4s"}, "progressDeadline must be 5s or longer"),
    Case("tolerance-number", {f"{ANALYSIS}.errors.tolerance": 1}, "must be of type string"),
    Case("tolerance-without-sign", {f"{ANALYSIS}.errors.tolerance": "0.01"}, "write a percentage between 0% and 100%"),
    Case("tolerance-above-all", {f"{ANALYSIS}.errors.tolerance": "101%"}, "write a percentage between 0% and 100%"),
    Case("rates-crossed", {f"{ANALYSIS}.errors": {"tolerance": "5%", "maxRate": "2%"}}, "raise maxRate or lower tolerance"),
    Case("rate-below-default", {f"{ANALYSIS}.errors.maxRate": "0.5%"}, "raise maxRate or lower tolerance"),
    Case("latency-malformed", {f"{ANALYSIS}.latency": {"maxDuration": "250"}}, "such as 250ms or 2s"),
    Case("latency-zero", {f"{ANALYSIS}.latency": {"maxDuration": "0ms"}}, "such as 250ms or 2s"),
    Case("restarts-negative", {f"{ANALYSIS}.restarts": {"max": -1}}, "restarts.max must be between 0"),
    Case("saturation-without-limit", {f"{ANALYSIS}.saturation": {}}, "maxInFlight: Required value"),
    Case("saturation-zero", {f"{ANALYSIS}.saturation": {"maxInFlight": 0}}, "saturation.maxInFlight must be between 1"),
    Case("latency-not-counted", {"spec.runtime.name": "tensorflow-serving", f"{ANALYSIS}.latency": {}}, "by runtime onnxruntime only"),
    Case("drift-not-counted", {"spec.runtime.name": "tensorflow-serving", f"{ANALYSIS}.drift": {}}, "by runtime onnxruntime only"),
    Case("watch-short", {"spec.rollout.watchAfterPromotion": "30s"}, "watchAfterPromotion must be 1m or longer"),
    Case("watch-nothing", {"spec.rollout.watchAfterPromotion": "15m", f"{ANALYSIS}.errors": {"dryRun": True}}, "drop one"),
    Case("inconclusive-lower-case", {f"{ANALYSIS}.onInconclusive": "extend"}, 'supported values: "Extend", "Pause", "Promote", "Rollback"'),
    Case("query-without-bounds", {f"{ANALYSIS}.queries": [{"name": "q", "query": "up"}]}, "write max, min or both"),
    Case("query-bounds-crossed", {f"{ANALYSIS}.queries": [QUERY | {"min": 0.5}]}, "min must not be above max"),
    Case("query-bound-text", {f"{ANALYSIS}.queries": [QUERY | {"max": "0.25"}]}, "must be of type number"),
    Case("query-empty", {f"{ANALYSIS}.queries": [QUERY | {"query": ""}]}, "of {{...}} write only"),
    Case("query-unknown-place", {f"{ANALYSIS}.queries": [QUERY | {"query": 'x{a="{{image}}"}'}]}, "of {{...}} write only {{revision}}"),
    Case("query-place-with-spaces", {f"{ANALYSIS}.queries": [QUERY | {"query": "x{{ revision }}"}]}, "of {{...}} write only"),
    Case("query-address", {f"{ANALYSIS}.queries": [QUERY | {"url": "http://x"}]}, 'unknown field "spec.rollout.analysis.queries[0].url"'),
    Case("query-interval-zero", {f"{ANALYSIS}.queries": [QUERY | {"interval": "0s"}]}, "queries[].interval must be 1s or longer"),
    Case(
        "query-consecutive-none", {f"{ANALYSIS}.queries": [QUERY | {"consecutive": 0}]}, "queries[].consecutive must be between 1 and 100"
    ),
    Case("query-name-dots", {f"{ANALYSIS}.queries": [QUERY | {"name": "p.99"}]}, "write a name of lower-case letters"),
    Case("queries-of-one-name", {f"{ANALYSIS}.queries": [QUERY, QUERY]}, "two of spec.rollout.analysis.queries have one name"),
    Case("queries-too-many", {f"{ANALYSIS}.queries": [QUERY | {"name": f"q{n}"} for n in range(11)]}, "must have at most 10 items"),
    Case("job-without-image", {f"{ANALYSIS}.jobs": [{"name": "smoke", "template": {}}]}, "template.image: Required value"),
    Case("queries-without-steps", {f"{ANALYSIS}.queries": [QUERY], STEPS: []}, "are asked in the steps of a canary"),
    Case("jobs-blue-green", {f"{ANALYSIS}.jobs": [JOB], "spec.rollout.strategy": "BlueGreen"}, "are asked in the steps of a canary"),
    Case(
        "gateway-in-place", {"spec.rollout.traffic": {"httpRoute": {"name": "x"}}, "spec.update": "InPlace"}, "remove spec.rollout.traffic"
    ),
    Case("synthetic-in-place", {f"{ANALYSIS}.synthetic": {"enabled": True}, "spec.update": "InPlace"}, "remove rollout.analysis.synthetic"),
    Case("job-step-none", {f"{ANALYSIS}.jobs": [JOB | {"atStep": 0}]}, "jobs[].atStep must be between 1 and 20"),
    Case("job-step-of-none", {f"{ANALYSIS}.jobs": [JOB | {"atStep": 3}]}, "names a step that spec.rollout.steps has not"),
    Case(
        "job-secret", {f"{ANALYSIS}.jobs": [JOB | {"template": JOB_TEMPLATE | {"env": [{"name": "K", "valueFrom": {}}]}}]}, "unknown field"
    ),
    Case(
        "job-variable-of-ours",
        {f"{ANALYSIS}.jobs": [JOB | {"template": JOB_TEMPLATE | {"env": [{"name": "VOLARY_CANARY_URL"}]}}]},
        "names that begin with VOLARY_ are Volary's own",
    ),
    Case("job-privileged", {f"{ANALYSIS}.jobs": [JOB | {"template": JOB_TEMPLATE | {"securityContext": {}}}]}, "unknown field"),
    Case("jobs-of-one-name", {f"{ANALYSIS}.jobs": [JOB, JOB]}, "two of spec.rollout.analysis.jobs have one name"),
    Case("synthetic-rate-none", {f"{ANALYSIS}.synthetic": {"rate": 0}}, "synthetic.rate must be between 1 and 50"),
    Case("synthetic-on", {f"{ANALYSIS}.synthetic": True}, "must be of type object"),
    Case("min-requests-negative", {f"{ANALYSIS}.minRequests": -1}, "minRequests must be between 0"),
    Case("surge-with-a-gateway", {"spec.replicas": 2, SURGE: 0, f"{TRAFFIC}.gateway": GATEWAY}, "a gateway needs the pods for its weights"),
    Case(
        "shadow-with-blue-green",
        {STRATEGY: "BlueGreen", TRAFFIC: {"gateway": GATEWAY, "mirror": {}}},
        "strategy BlueGreen has no steps, and so no shadow",
    ),
    Case("traffic-empty", {TRAFFIC: {}}, "write one of spec.rollout.traffic.gateway"),
    Case("traffic-both", {TRAFFIC: {"gateway": GATEWAY, "httpRoute": {"name": "shop"}}}, "write one of spec.rollout.traffic.gateway"),
    Case("header-in-a-users-route", {TRAFFIC: {"httpRoute": {"name": "shop"}, "header": {}}}, "need .gateway"),
    Case("mirror-in-a-users-route", {TRAFFIC: {"httpRoute": {"name": "shop"}, "mirror": {}}}, "need .gateway"),
    Case("sticky-in-a-users-route", {TRAFFIC: {"httpRoute": {"name": "shop"}, "sticky": {}}}, "need .gateway"),
    Case("gateway-without-parent", {f"{TRAFFIC}.gateway": {"parentRefs": []}}, "at least 1 item"),
    Case("gateway-of-another-namespace", {f"{TRAFFIC}.gateway": {"parentRefs": [{"name": "other/edge"}]}}, "in the same namespace"),
    Case("gateway-path-relative", {f"{TRAFFIC}.gateway": {**GATEWAY, "path": "v2"}}, "write a path that begins with '/'"),
    Case("gateway-path-upwards", {f"{TRAFFIC}.gateway": {**GATEWAY, "path": "/a/../b"}}, "write a path that begins with '/'"),
    Case(
        "gateway-host-with-port", {f"{TRAFFIC}.gateway": {**GATEWAY, "hostnames": ["a.example.com:80"]}}, "write a host name in lower case"
    ),
    Case("mirror-none", {TRAFFIC: {"gateway": GATEWAY, "mirror": {"percent": 0}}}, "mirror.percent must be between 1 and 100"),
    Case("header-name-colon", {TRAFFIC: {"gateway": GATEWAY, "header": {"name": "x:y"}}}, "write the name of a header"),
    Case("paused-text", {"spec.rollout.paused": "yes"}, "must be of type boolean"),
    Case("paused-number", {"spec.rollout.paused": 1}, "must be of type boolean"),
    Case("rollout-list", {"spec.rollout": []}, "must be of type object"),
    Case("history-none", {"spec.history": 0}, "spec.history must be between 1 and 50 revisions"),
    Case("name-too-long", {"metadata.name": "n" * 41}, "metadata.name of at most 40"),
    Case("name-with-dot", {"metadata.name": "fraud.v2"}, "choose a metadata.name"),
    Case("name-with-digit-first", {"metadata.name": "2fraud"}, "begins with a letter"),
)
