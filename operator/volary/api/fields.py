"""The kinds of text and number a spec is made of, each with the rule that says what to write."""

from typing import Annotated

from pydantic import BeforeValidator, Field, Strict

from volary.api import rules

DURATION_HINT = "write a duration like 30s, 2m or 1h30m"
PERCENT_PATTERN = r"^(100|[0-9]{1,2}([.][0-9]{1,4})?)%$"
OBJECT_NAME_PATTERN = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"
OBJECT_NAME_HINT = (
    "choose a metadata.name of at most 40 lower-case letters, digits and '-' that begins with a letter and does not end with '-'"
)

Integer = Annotated[int, Strict()]  # 3.0, "3" and true are no numbers to the API server
Flag = Annotated[bool, Strict()]
Duration = Annotated[str, Field(max_length=16), rules.span(DURATION_HINT)]
Percent = Annotated[str, Field(max_length=8), rules.text(PERCENT_PATTERN, "write a percentage between 0% and 100%, such as 1% or 0.5%")]

# Names of objects are derived from it: NAME (a Service), NAME-REVISION, NAME-preflight-REQUEST (a Job, 63 at most).
ObjectName = Annotated[str, rules.text(OBJECT_NAME_PATTERN, OBJECT_NAME_HINT)]
LocalName = Annotated[
    str,
    Field(max_length=253),
    rules.text(
        r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        "write the name of an object in the same namespace: lower-case letters, digits, '-' and '.', without a namespace and '/'",
    ),
]

Endpoint = Annotated[
    str,
    Field(max_length=512),
    rules.text(
        r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/?$",
        "write http:// or https://, a host and a port where needed, such as https://minio.storage:9000; "
        "no path, no user and no password (keys go into the Secret that secretName names)",
    ),
]
Region = Annotated[str, Field(max_length=64), rules.text(r"^[a-z0-9-]+$", "write a region in lower case, such as eu-central-1")]
Uri = Annotated[
    str,
    Field(max_length=1024),
    rules.text(
        r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*/?$",
        "write s3://BUCKET/PREFIX as given to `volary push`, such as s3://models/fraud",
    ),
]
Version = Annotated[
    str,
    Field(max_length=64),
    rules.text(
        r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", "write a version as pushed: letters, digits, '.', '_' and '-', such as 1.4.0"
    ),
]
Digest = Annotated[
    str,
    Field(max_length=71),
    rules.text(r"^sha256:[0-9a-f]{64}$", "write the digest that `volary push` printed: sha256: and 64 lower-case hexadecimal digits"),
]
ModelName = Annotated[
    str,
    Field(max_length=63),
    rules.text(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "write a name of lower-case letters, digits and '-' that neither begins nor ends with '-'"
    ),
]

Image = Annotated[
    str,
    Field(max_length=512),
    rules.text(r"^[A-Za-z0-9]([A-Za-z0-9._:/@-]*[A-Za-z0-9])?$", "write an image reference such as registry.example/team/server:1.2"),
]
Quantity = Annotated[
    str,
    Field(max_length=32),
    rules.quantity(
        r"^[0-9]+([.][0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", "write a quantity like 500m or 2 (cpu), 256Mi or 1Gi (memory), 1 (nvidia.com/gpu)"
    ),
]
Amount = Annotated[
    str,
    Field(max_length=20),
    rules.quantity(r"^([0-9]+|[0-9]{1,2}%|100%)$", "write a number of pods or a share of them, such as 1 or 25%"),
]
_KEY = r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY_HINT = "write a label key such as topology.kubernetes.io/zone"
_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
LabelKey = Annotated[str, Field(max_length=317), rules.text(f"^{_KEY}$", _KEY_HINT)]
LabelValue = Annotated[
    str, Field(max_length=63), rules.text(_VALUE, "write a label value of at most 63 letters, digits, '-', '_' and '.', such as gpu")
]
_KEYS = rules.keys(f"^{_KEY}$", _KEY_HINT)
_RESERVED = rules.keys_without(
    ("serving.volary.dev/", "app.kubernetes.io/"), "labels and annotations of serving.volary.dev and app.kubernetes.io are Volary's own"
)
NodeSelector = Annotated[dict[str, LabelValue], Field(max_length=16), BeforeValidator(rules.without_nulls), _KEYS]
Labels = Annotated[dict[str, LabelValue], Field(max_length=16), BeforeValidator(rules.without_nulls), _KEYS, _RESERVED]
AnnotationValue = Annotated[str, Field(max_length=4096)]
Annotations = Annotated[dict[str, AnnotationValue], Field(max_length=16), BeforeValidator(rules.without_nulls), _KEYS, _RESERVED]
Quantities = Annotated[dict[str, Quantity], Field(max_length=16), BeforeValidator(rules.without_nulls)]
