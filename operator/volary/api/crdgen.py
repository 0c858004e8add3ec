"""Models -> CustomResourceDefinition; pure, called by `volary crd`.

The API server wants a *structural* schema: everything inline, every node with one type. What
pydantic can say and a structural schema cannot is refused here (`Unstructural`), so a new model
that would lose a rule on its way fails the unit tests and not a user's document.
"""

from typing import Any

from pydantic import BaseModel

from volary.api.rules import VALIDATIONS
from volary.api.v1alpha1 import ModelDeployment
from volary.common import names

Schema = dict[str, Any]

_INT_OR_STRING = "x-kubernetes-int-or-string"
# Copied as they are. No `pattern`: the API server would only cite it, a CEL rule says what to write instead.
_KEPT = ("description", "type", "format", "enum", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems")
_KEPT_TOO = ("maxProperties", _INT_OR_STRING, "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type", VALIDATIONS)
_UNDERSTOOD = {
    *(_KEPT + _KEPT_TOO),
    *("title", "default", "$defs", "properties", "required", "additionalProperties", "items", "prefixItems"),
    *("const", "exclusiveMinimum", "exclusiveMaximum"),
}

COLUMNS: tuple[dict[str, Any], ...] = (
    {"name": "Version", "type": "string", "jsonPath": ".spec.model.version", "description": "The version the spec asks for."},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Stable", "type": "string", "jsonPath": ".status.stable.version", "description": "The version that serves."},
    {"name": "Canary", "type": "string", "jsonPath": ".status.canary.version", "description": "The version on trial."},
    {"name": "Weight", "type": "integer", "jsonPath": ".status.canary.weight", "description": "The canary's share in percent."},
    {"name": "Ready", "type": "string", "jsonPath": ".status.ready", "description": "Ready pods of stable / wanted."},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Runtime", "type": "string", "jsonPath": ".spec.runtime.name", "priority": 1},
    {"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1},
)
# `kubectl scale md` and autoscalers that target the ModelDeployment.
SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}
_OBJECT = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object"},
}


class Unstructural(ValueError):
    """The models say something a structural schema cannot."""


def crd() -> Schema:
    """The whole CustomResourceDefinition."""
    plural = f"{names.PLURAL}.{names.GROUP}"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": plural},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.KIND.lower(),
                "shortNames": ["md"],
                "categories": ["volary"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root(ModelDeployment)},
                    "subresources": {"status": {}, "scale": dict(SCALE)},
                    "additionalPrinterColumns": [dict(column) for column in COLUMNS],
                }
            ],
        },
    }


def root(model: type[BaseModel]) -> Schema:
    """The schema of a model with `spec` and `status`; defaults in the spec only: a status is what was written."""
    whole = model.model_json_schema(by_alias=True)
    definitions = whole["$defs"]
    rules = {VALIDATIONS: whole[VALIDATIONS]} if VALIDATIONS in whole else {}
    return {
        "type": "object",
        "description": whole["description"],
        "required": ["spec"],
        "properties": {
            **{name: dict(schema) for name, schema in _OBJECT.items()},
            "spec": structural(whole["properties"]["spec"], definitions, defaults=True),
            # An object nobody has looked at yet: kstatus, and so Flux, takes silence for success.
            "status": structural(whole["properties"]["status"], definitions, defaults=False) | {"default": {"observedGeneration": -1}},
        },
        **rules,
    }


def structural(node: Schema, definitions: Schema, *, defaults: bool) -> Schema:
    """One node and all below it. Raises Unstructural."""
    node = _inlined(node, definitions)
    if strange := sorted(set(node) - _UNDERSTOOD):
        raise Unstructural(f"{strange} in {node}")
    schema = {key: node[key] for key in (*_KEPT, *_KEPT_TOO) if key in node}
    schema |= _constant(node) | _open_ends(node) | _members(node, definitions, defaults=defaults)
    if not (schema.keys() & {"type", _INT_OR_STRING}):
        raise Unstructural(f"no type in {node}")
    if defaults:
        schema |= _default(node, schema)
    return schema


def _inlined(node: Schema, definitions: Schema) -> Schema:
    """Follow `$ref`, drop `null` from `X | None`; what stands beside a reference adds to what it points at, or wins."""
    while "$ref" in node or "anyOf" in node:
        beside = {key: value for key, value in node.items() if key not in {"$ref", "anyOf"}}
        target = definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else _only(node["anyOf"])
        both = {VALIDATIONS: target[VALIDATIONS] + beside[VALIDATIONS]} if VALIDATIONS in target and VALIDATIONS in beside else {}
        node = {**target, **beside, **both}
    return node


def _only(members: list[Schema]) -> Schema:
    """The one that is not null: the API server drops nulls by itself where a field is not `nullable`."""
    real = [member for member in members if member.get("type") != "null"]
    if len(real) != 1:
        raise Unstructural(f"a union of {real}: write optional members and a rule instead")
    return real[0]


def _constant(node: Schema) -> Schema:
    return {"enum": [node["const"]]} if "const" in node else {}


def _open_ends(node: Schema) -> Schema:
    """Kubernetes speaks OpenAPI 3.0, where `exclusiveMinimum` is a boolean beside `minimum`."""
    ends = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))
    return {key: value for open_end, end in ends if open_end in node for key, value in ((end, node[open_end]), (open_end, True))}


def _members(node: Schema, definitions: Schema, *, defaults: bool) -> Schema:
    """What is inside an object, a map or a list."""
    if node.get("type") == "array":
        item = structural(_item(node), definitions, defaults=defaults)
        return {"x-kubernetes-list-type": node.get("x-kubernetes-list-type", "atomic"), "items": item}
    if node.get("type") != "object":
        return {}
    if "properties" in node:
        inside = {name: structural(inner, definitions, defaults=defaults) for name, inner in node["properties"].items()}
        return {"properties": inside, **({"required": node["required"]} if "required" in node else {})}
    if not isinstance(node.get("additionalProperties"), dict):
        raise Unstructural(f"an object with unknown content: {node}")
    return {"additionalProperties": structural(node["additionalProperties"], definitions, defaults=defaults)}


def _item(node: Schema) -> Schema:
    """A fixed tuple has a schema for each place; the API server knows only one for all."""
    places = node.get("prefixItems", [node["items"]] if "items" in node else [])
    if not places or any(place != places[0] for place in places):
        raise Unstructural(f"a list whose items differ: {node}")
    return dict(places[0])


def _default(node: Schema, schema: Schema) -> Schema:
    """Of an object `{}`, and only where something inside has a default: the API server goes on filling in from there."""
    if "properties" in schema:
        filled = any("default" in inner for inner in schema["properties"].values())
        return {"default": {}} if filled and node.get("default") is not None else {}
    return {"default": _without_nulls(node["default"])} if node.get("default") is not None else {}


def _without_nulls(value: Any) -> Any:
    """What is absent is absent in a default too: the API server takes no null where a field is not `nullable`."""
    match value:
        case dict():
            return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
        case list():
            return [_without_nulls(inner) for inner in value]
        case _:
            return value
