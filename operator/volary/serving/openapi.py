"""What the port answers, as an OpenAPI 3.1 document with the model's own tensors as examples, and as a page. Pure."""

import html
import math
from collections.abc import Iterable
from typing import Any

import orjson

from volary import __version__
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.serving import tf_rest
from volary.serving.protocol import Schema

HTML = b"text/html; charset=utf-8"
_ELEMENTS = 64  # of an example; the `data` of larger tensors is cut to these
_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_STYLE = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre{background:#f4f4f4;padding:1em;overflow:auto}"


def document(schema: Schema) -> bytes:
    """The body of GET /openapi.json."""
    return orjson.dumps(_document(schema))


def page(schema: Schema) -> bytes:
    """The body of GET /docs: nothing is fetched and nothing is run."""
    parts = [f"<h1>{html.escape(schema.model)} {html.escape(schema.version)}</h1>", _table("Inputs", schema.inputs.values())]
    parts += [_table("Outputs", schema.outputs.values()), "<h2>Paths</h2><p>All of them: <a href='/openapi.json'>openapi.json</a></p>"]
    for path, methods in _document(schema)["paths"].items():
        for method, about in methods.items():
            parts.append(f"<h3>{method.upper()} {html.escape(path)}</h3><p>{html.escape(about['summary'])}</p>")
            if "requestBody" in about:
                example = next(iter(about["requestBody"]["content"].values()))["example"]
                parts.append(f"<pre>{html.escape(orjson.dumps(example).decode())}</pre>")
    head = f"<meta charset='utf-8'><title>{html.escape(schema.model)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>".encode()


def _document(schema: Schema) -> dict[str, Any]:
    open_, tf = f"/v2/models/{schema.model}", f"/v1/models/{schema.model}"
    return {
        "openapi": "3.1.0",
        "info": {"title": schema.model, "version": schema.version, "description": f"Answered by Volary {__version__}."},
        "paths": {
            f"{open_}/infer": {"post": _inference("Infer", _open_request(schema), "InferenceRequest", "InferenceResponse")},
            f"{open_}/versions/{schema.version}/infer": {
                "post": _inference("Infer with this version", _open_request(schema), "InferenceRequest", "InferenceResponse")
            },
            f"{tf}:predict": {"post": _inference("Predict, as TensorFlow Serving", _columns(schema), "PredictRequest", "PredictResponse")},
            open_: {"get": _question("Metadata of the model")},
            f"{open_}/ready": {"get": _question("Whether the model can be asked")},
            tf: {"get": _question("Versions and their states, as TensorFlow Serving")},
            f"{tf}/metadata": {"get": _question("Metadata of the model, as TensorFlow Serving")},
            "/v2": {"get": _question("Metadata of the server")},
            "/v2/health/live": {"get": _question("Whether the process lives")},
            "/v2/health/ready": {"get": _question("Whether requests should come")},
            "/v2/repository/index": {"post": _question("The versions that are loaded")},
            "/metrics": {"get": _question("Metrics for Prometheus", "text/plain")},
        },
        "components": {"schemas": _schemas(schema)},
    }


def _inference(summary: str, example: object, request: str, answer: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(request), "example": example}}},
        "responses": {
            "200": {"description": "The outputs", "content": {"application/json": {"schema": _ref(answer)}}},
            "default": {"description": "What is wrong", "content": {"application/json": {"schema": _ref("Error")}}},
        },
    }


def _question(summary: str, content: str = "application/json") -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "The answer", "content": {content: {}}}}}


def _schemas(schema: Schema) -> dict[str, Any]:
    inputs, outputs = schema.inputs.values(), schema.outputs.values()
    parameters = {"type": "object"}
    asked = {"type": "object", "required": ["name"], "properties": {"name": {"enum": list(schema.outputs)}, "parameters": parameters}}
    return {
        "InferenceRequest": _object(
            ["inputs"],
            id={"type": "string"},
            parameters=parameters,
            inputs={"type": "array", "items": {"oneOf": list(map(_tensor, inputs))} if inputs else {}},
            outputs={"type": "array", "items": asked},
        ),
        "InferenceResponse": _object(
            ["model_name", "model_version", "outputs"],
            model_name={"const": schema.model},
            model_version={"type": "string"},
            id={"type": "string"},
            outputs={"type": "array", "items": {"oneOf": list(map(_tensor, outputs))}},
        ),
        "PredictRequest": _object([], signature_name={"const": tf_rest.SIGNATURE}, instances={"type": "array"}, inputs={}),
        "PredictResponse": _object([], predictions={"type": "array"}, outputs={}),
        "Error": _object(["error"], error={"type": "string"}),
    }


def _object(required: list[str], **properties: object) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _tensor(tensor: Tensor) -> dict[str, Any]:
    """`data` is flat or nested, or not there at all where bytes follow the JSON."""
    sizes = [{"type": "integer", "minimum": 0} if size < 0 else {"const": size} for size in tensor.shape]
    return _object(
        ["name", "datatype", "shape"],
        name={"const": tensor.name},
        datatype={"const": tensor.datatype},
        shape={"type": "array", "minItems": len(sizes), "maxItems": len(sizes), **({"prefixItems": sizes} if sizes else {})},
        parameters={"type": "object"},
        data={"type": "array", "items": {"anyOf": [_element(tensor.datatype), {"type": "array"}]}},
    )


def _element(datatype: Datatype) -> dict[str, Any]:
    match datatype:
        case Datatype.BOOL:
            return {"type": "boolean"}
        case Datatype.BYTES:
            return {"type": "string"}
        case _ if datatype.is_float:
            return _NUMBER
        case _:
            return {"type": "integer"}


def _open_request(schema: Schema) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": tensor.name, "datatype": tensor.datatype, "shape": _shape(tensor), "data": _zeros(tensor)}
            for tensor in schema.inputs.values()
        ]
    }


def _columns(schema: Schema) -> dict[str, Any]:
    return {"inputs": {tensor.name: _nested(_zeros(tensor), _shape(tensor)) for tensor in schema.inputs.values()}}


def _shape(tensor: Tensor) -> list[int]:
    """Free axes have the size 1."""
    return [1 if size < 0 else size for size in tensor.shape]


def _zeros(tensor: Tensor) -> list[Any]:
    zero: object = {Datatype.BOOL: False, Datatype.BYTES: "text"}.get(tensor.datatype, 0.0 if tensor.datatype.is_float else 0)
    return [zero] * min(math.prod(_shape(tensor)), _ELEMENTS)


def _nested(flat: list[Any], shape: list[int]) -> Any:
    """What there is of it, row by row."""
    if not shape:
        return flat[0]
    size = math.prod(shape[1:])
    if not size:
        return []
    return [_nested(flat[start : start + size], shape[1:]) for start in range(0, len(flat), size)]


def _table(title: str, tensors: Iterable[Tensor]) -> str:
    rows = "".join(f"<li><code>{html.escape(each.name)}</code>: {each.datatype} {list(each.shape)}</li>" for each in tensors)
    return f"<h2>{title}</h2><ul>{rows}</ul>"
