"""The document and the page: valid, about this model, and with examples that the server itself takes."""

import re
from pathlib import Path

import orjson
import pytest

from tests.unit.serving import bundles
from tests.unit.serving.bundles import tensor
from tests.unit.serving.process import running
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.serving import openapi, protocol, tf_rest
from volary.serving.protocol import Schema


def _schema(*inputs: Tensor) -> Schema:
    return Schema("m", "1", {each.name: each for each in inputs}, {"y": tensor("y", "FP32", -1)})


_EVERY = _schema(
    *(tensor(each, each, -1, 2, 3) for each in Datatype), tensor("scalar", "FP32"), tensor("row", "INT8", -1), tensor("none", "INT8", 0, 2)
)


@pytest.mark.parametrize("schema", [_EVERY, _schema()])
def test_the_examples_are_requests(schema: Schema) -> None:
    document = orjson.loads(openapi.document(schema))
    paths = document["paths"]
    examples = {
        path: about["post"]["requestBody"]["content"]["application/json"]["example"]
        for path, about in paths.items()
        if "requestBody" in about.get("post", {})
    }
    assert examples.keys() == {"/v2/models/m/infer", "/v2/models/m/versions/1/infer", "/v1/models/m:predict"}
    for example in (examples["/v2/models/m/infer"], examples["/v2/models/m/versions/1/infer"]):
        assert protocol.read_call(orjson.dumps(example), schema).inputs.keys() == schema.inputs.keys()
    if "none" not in schema.inputs:
        assert tf_rest.read_call(orjson.dumps(examples["/v1/models/m:predict"]), schema).inputs.keys() == schema.inputs.keys()


def test_every_reference_leads_somewhere() -> None:
    document = openapi.document(_EVERY)
    known = orjson.loads(document)["components"]["schemas"]
    assert {name.decode() for name in re.findall(rb'"#/components/schemas/(\w+)"', document)} == set(known)


def test_large_tensors_have_short_examples() -> None:
    assert len(openapi.document(_schema(tensor("x", "FP32", -1, 3, 224, 224)))) < 10_000


def test_the_page_fetches_nothing_and_shows_names_as_text() -> None:
    page = openapi.page(_schema(tensor("<script>", "FP32", -1))).decode()
    assert not re.search(r"<script|src=|href='(?!/openapi.json)|url\(|@import", page)
    assert "&lt;script&gt;" in page


def test_a_server_has_both(tmp_path: Path) -> None:
    with running(bundles.doubling(tmp_path)) as server:
        status, document = server.request("GET", "/openapi.json")
        assert (status, document["openapi"], document["info"]["version"]) == (200, "3.1.0", "1.4.0")
        server.wait_for("/v2/health/ready", 200)
        for path, about in document["paths"].items():
            for method, operation in about.items():
                example = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
                assert server.request(method.upper(), path, example)[0] == 200, path
        status, page = server.request("GET", "/docs")
        assert (status, page.startswith("<!doctype html>")) == (200, True)
