"""TensorFlow Serving next door, over its REST: what `oip.Http` is for the Open Inference Protocol.

Paths and bodies: https://www.tensorflow.org/tfx/serving/api_rest. Its answers carry values without
types, so the types are those that the server itself tells of the version's signature.
"""

import base64
import json
import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from volary.adapters.exchange import Address, TooSlow, Unreachable
from volary.adapters.oip import Answer, Readiness
from volary.bundle import limits
from volary.bundle.saved_model_signature import SERVING
from volary.bundle.tensors import TENSORFLOW_NAMES

_ANSWER_BYTES = 64 * limits.MIB
_STATUS_BYTES = limits.MIB  # of a version's state or signature
_DATATYPES = {spelled: datatype.value for datatype, spelled in TENSORFLOW_NAMES.items()}


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: Any  # parsed JSON; None where it is none


class Http:
    """A server at a URL such as http://127.0.0.1:8501. One object belongs to one thread at a time."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._address = Address.parse(url, "a server", "http://127.0.0.1:8501")
        self._timeout = timeout

    def readiness(self, model: str, version: str) -> Readiness:
        """READY only when this very version is AVAILABLE: the server answers 200 for any state, that of a failed load too."""
        try:
            reply = self._ask("GET", _path(model, version), None, self._timeout, _STATUS_BYTES)
        except TooSlow:
            return Readiness.SILENT
        except Unreachable:
            return Readiness.GONE
        return Readiness.READY if reply.status == HTTPStatus.OK and _available(reply.body, version) else Readiness.NOT_READY

    def infer(self, model: str, version: str, inputs: list[dict[str, Any]], timeout: float) -> Answer:
        """By the column format; see `oip.Server`. The server cannot tell these requests from its clients'."""
        body = json.dumps({"inputs": {tensor["name"]: nested(tensor["data"], tensor["shape"]) for tensor in inputs}}, allow_nan=False)
        reply = self._ask("POST", f"{_path(model, version)}:predict", body.encode(), timeout, _ANSWER_BYTES)
        if reply.status == HTTPStatus.GATEWAY_TIMEOUT:
            raise TooSlow
        if reply.status != HTTPStatus.OK:
            return Answer(reply.status, [], None, _error(reply.body))
        outputs = reply.body.get("outputs") if isinstance(reply.body, dict) else None
        datatypes = self._datatypes(model, version, timeout)
        return Answer(reply.status, _tensors(outputs, datatypes), version, "")

    def _datatypes(self, model: str, version: str, timeout: float) -> dict[str, str]:
        """Of the outputs, by name; empty where the server does not say."""
        reply = self._ask("GET", f"{_path(model, version)}/metadata", None, timeout, _STATUS_BYTES)
        try:
            signatures = reply.body["metadata"]["signature_def"]["signature_def"]
            outputs = signatures[SERVING]["outputs"]
            return {name: _DATATYPES.get(told["dtype"], str(told["dtype"])[:40]) for name, told in outputs.items()}
        except (TypeError, KeyError, AttributeError):
            return {}

    def _ask(self, method: str, path: str, body: bytes | None, timeout: float, limit: int) -> _Reply:
        """Raises Unreachable or TooSlow."""
        status, data = self._address.ask(method, path, body, timeout=timeout, limit=limit + 1)
        return _Reply(status, _parsed(data) if len(data) <= limit else None)


def nested(data: list[Any] | tuple[Any, ...], shape: list[int] | tuple[int, ...]) -> Any:
    """Row-major elements as nested lists of this shape: [1, 2, 3, 4] of [2, 2] is [[1, 2], [3, 4]]. A scalar is no list."""
    if not shape:
        return data[0]
    if len(shape) == 1:
        return list(data)
    width = math.prod(shape[1:])
    return [nested(data[row * width : (row + 1) * width], shape[1:]) for row in range(shape[0])]


def _path(model: str, version: str) -> str:
    return f"/v1/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"


def _available(body: Any, version: str) -> bool:
    states = body.get("model_version_status") if isinstance(body, dict) else None
    found = [each for each in states or () if isinstance(each, dict) and each.get("version") == version]
    return len(found) == 1 and found[0].get("state") == "AVAILABLE"


def _tensors(outputs: Any, datatypes: dict[str, str]) -> list[dict[str, Any]]:
    """A single output comes without its name."""
    if not (isinstance(outputs, dict) and outputs.keys() <= datatypes.keys()) and len(datatypes) == 1:
        outputs = dict.fromkeys(datatypes, outputs)
    if not isinstance(outputs, dict):
        return []
    return [
        {"name": name, "datatype": datatypes.get(name), "shape": _shape(value), "data": _text(value) if _is_text(value) else value}
        for name, value in outputs.items()
    ]


def _shape(value: Any) -> list[int]:
    """Of nested lists, by the first of each depth; the number of elements is compared by who asked."""
    shape: list[int] = []
    while isinstance(value, list) and len(shape) <= limits.DIMENSIONS:
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _is_text(value: Any) -> bool:
    """Whether an element is an object: bytes, which the server writes as {"b64": ...}."""
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, dict)


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    try:
        return base64.b64decode(value["b64"], validate=True).decode()
    except (TypeError, KeyError, ValueError):
        return None


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _error(body: Any) -> str:
    text = str(body.get("error", "")) if isinstance(body, dict) else "not a JSON object"
    return ascii(text[:300])[1:-1]
