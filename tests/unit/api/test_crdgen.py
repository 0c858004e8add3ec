"""Models -> structural schema: each trap of the API server on its own, then the real one as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from pydantic import BaseModel, Field

from tests.support.schema import complaints
from tests.support.specs import documents
from volary.api import crdgen, rules
from volary.api.v1alpha1 import ModelDeployment, Spec
from volary.cli import crd as verb

DEFINITION = crdgen.crd()
VERSION = DEFINITION["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]
SPEC, STATUS = ROOT["properties"]["spec"], ROOT["properties"]["status"]
BOUNDED = {"string": ("maxLength", "enum", "format"), "array": ("maxItems",)}


class Colour(StrEnum):
    """Two."""

    RED = "red"
    BLUE = "blue"


class Inner(Spec):
    """An inner object."""

    size: int = 3
    """Its size."""


class Bare(Spec):
    """No defaults inside."""

    word: Annotated[str, Field(max_length=5)] | None = None


def generated(annotation: Any, default: Any = ..., *, defaults: bool = True) -> dict[str, Any]:
    """The node of one field."""
    fields: Any = {"__annotations__": {"field": annotation}, "__module__": __name__, "__doc__": "Outer."}
    if default is not ...:
        fields["field"] = default
    outer: type[BaseModel] = type("Outer", (Spec,), fields)
    whole = outer.model_json_schema(by_alias=True)
    node: dict[str, Any] = crdgen.structural(whole, whole.get("$defs", {}), defaults=defaults)["properties"]["field"]
    return node


INNER = {"type": "object", "description": "An inner object."}
SIZE = {"type": "integer", "description": "Its size."}


@pytest.mark.parametrize(
    ("annotation", "default", "node"),
    [
        (str, ..., {"type": "string"}),
        (str | None, None, {"type": "string"}),
        (int, 3, {"type": "integer", "default": 3}),
        (bool, False, {"type": "boolean", "default": False}),
        (Annotated[int, Field(gt=0)], ..., {"type": "integer", "minimum": 0, "exclusiveMinimum": True}),
        (Annotated[float, Field(lt=1)], ..., {"type": "number", "maximum": 1, "exclusiveMaximum": True}),
        (Annotated[int, Field(ge=1, le=9)] | None, None, {"type": "integer", "minimum": 1, "maximum": 9}),
        (datetime, ..., {"type": "string", "format": "date-time"}),
        (Colour, Colour.RED, {"type": "string", "enum": ["red", "blue"], "description": "Two.", "default": "red"}),
        (Literal["one"], ..., {"type": "string", "enum": ["one"]}),
        (tuple[str, ...], (), {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "string"}, "default": []}),
        (
            tuple[int, int],
            ...,
            {"type": "array", "minItems": 2, "maxItems": 2, "x-kubernetes-list-type": "atomic", "items": {"type": "integer"}},
        ),
        (
            dict[str, Annotated[str, Field(max_length=3)]],
            ...,
            {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}},
        ),
        (Inner, Inner(), {**INNER, "properties": {"size": {**SIZE, "default": 3}}, "default": {}}),
        (Inner | None, None, {**INNER, "properties": {"size": {**SIZE, "default": 3}}}),
        (
            Bare,
            Bare(),
            {"type": "object", "description": "No defaults inside.", "properties": {"word": {"type": "string", "maxLength": 5}}},
        ),
    ],
    ids=str,
)
def test_one_field(annotation: object, default: object, node: dict[str, Any]) -> None:
    assert generated(annotation, default) == node


def test_status_has_no_defaults() -> None:
    assert generated(Inner, Inner(), defaults=False) == {**INNER, "properties": {"size": SIZE}}


def test_rule_beside_a_reference_adds_to_the_rules_behind_it() -> None:
    def rule(name: str) -> rules.Rule:
        return rules.Rule(name, name, bool)

    once = generated(Annotated[str, rule("first"), rule("second")])
    assert [entry["rule"] for entry in once[rules.VALIDATIONS]] == ["first", "second"]
    beside = generated(Annotated[Inner, rule("third")], Inner())
    assert [entry["rule"] for entry in beside[rules.VALIDATIONS]] == ["third"]


@pytest.mark.parametrize("annotation", [int | str, tuple[int, str], Any, dict[str, Any], list[Any]], ids=str)
def test_what_is_not_structural_is_refused(annotation: object) -> None:
    with pytest.raises(crdgen.Unstructural):
        generated(annotation)


def test_pattern_is_refused_in_favour_of_a_rule() -> None:
    with pytest.raises(crdgen.Unstructural, match="pattern"):
        generated(Annotated[str, Field(pattern="^a$")])


# ---- the real one ------------------------------------------------------------------------------


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in schema:
            yield from nodes(schema[keyword], path + mark)


def paths(value: object) -> str:
    """The path says which."""
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("path", "node"), list(nodes(ROOT, "root")), ids=paths)
def test_every_node_is_structural(path: str, node: dict[str, Any]) -> None:
    assert ("type" in node) != ("x-kubernetes-int-or-string" in node), path
    assert not node.keys() & {"$ref", "$defs", "anyOf", "oneOf", "const", "title", "prefixItems", "nullable", "pattern"}
    assert not ("properties" in node and "additionalProperties" in node)
    assert node.get("additionalProperties") is not False
    assert isinstance(node.get("exclusiveMinimum", True), bool)


@pytest.mark.parametrize(("path", "node"), list(nodes(SPEC, "spec")), ids=paths)
def test_every_node_of_the_spec_is_bounded_and_described(path: str, node: dict[str, Any]) -> None:
    """The cost of CEL is bounded only where sizes are."""
    assert not (wanted := BOUNDED.get(node.get("type", ""), ())) or node.keys() & set(wanted), path
    assert "additionalProperties" not in node or "maxProperties" in node
    assert "description" in node or path.endswith("{}") or (path.endswith("[]") and node["type"] == "string"), path


@pytest.mark.parametrize(("path", "node"), list(nodes(STATUS, "status")), ids=paths)
def test_no_default_in_the_status_but_that_nobody_has_looked(path: str, node: dict[str, Any]) -> None:
    assert node.get("default") == ({"observedGeneration": -1} if path == "status" else None), path


def test_every_rule_says_something_else_than_its_expression() -> None:
    entries = [entry for _, node in nodes(ROOT, "root") for entry in node.get(rules.VALIDATIONS, ())]
    assert len(entries) > 15
    assert all(entry["message"] and "\n" not in entry["message"] and entry["rule"] not in entry["message"] for entry in entries)


def test_definition_as_a_whole() -> None:
    assert DEFINITION["metadata"]["name"] == "modeldeployments.serving.volary.dev"
    assert DEFINITION["spec"]["names"]["shortNames"] == ["md"]
    assert VERSION["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    columns = [column["name"] for column in VERSION["additionalPrinterColumns"] if not column.get("priority")]
    assert columns == ["Version", "Phase", "Stable", "Canary", "Weight", "Ready", "Age"]
    assert len(verb.definition().encode()) < 200_000
    assert yaml.safe_load(verb.definition()) == DEFINITION


@pytest.mark.parametrize("column", VERSION["additionalPrinterColumns"], ids=lambda column: column["name"])
def test_columns_point_at_fields(column: dict[str, Any]) -> None:
    node = ROOT
    for name in column["jsonPath"].removeprefix(".").split("."):
        if "properties" not in node:  # metadata is the API server's
            return
        node = node["properties"][name]
    assert node["type"] == column["type"]


@given(body=documents())
def test_good_specs_satisfy_the_schema(body: dict[str, Any]) -> None:
    model = ModelDeployment.model_validate(body)
    assert complaints(body["spec"], SPEC) == []
    dumped = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert complaints(dumped["spec"], SPEC) == []
    assert ModelDeployment.model_validate(dumped) == model


def test_the_default_status_satisfies_the_schema() -> None:
    body = ModelDeployment.model_fields["status"].default.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert complaints(body, STATUS) == []


def test_maps_of_the_status_are_written_as_a_whole() -> None:
    """Of one that is merged key by key the API server makes null when its last key goes, and refuses that."""
    status = VERSION["schema"]["openAPIV3Schema"]["properties"]["status"]
    maps = {path: node for path, node in nodes(status, "status") if "additionalProperties" in node}
    assert maps
    assert {path for path, node in maps.items() if node.get("x-kubernetes-map-type") != "atomic"} == set()
