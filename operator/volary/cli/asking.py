"""How `volary predict` asks a model server: by HTTP, by gRPC, or through the API server of a cluster.

Questions and answers are JSON as the Open Inference Protocol writes it, whatever is spoken on the wire.
"""

import asyncio
import http.client
import json
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

from volary.bundle import golden, limits
from volary.bundle.tensors import Datatype
from volary.common.errors import Transient

if TYPE_CHECKING:
    from volary.adapters.kubeconfig import Connection

ANSWERED, WRONG, SILENT, DIFFERENT = 0, 1, 3, 4  # exit codes; 2 is the parser's
_ANSWER_BYTES = 256 * limits.MIB
_GRPC_SILENT = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})
_SPEAKS_HTTP_1 = "http1.x server"  # in the words of the gRPC library
_RAW_FORMATS: Mapping[str, str] = {Datatype.FP16: "e"}  # datatypes without a typed form
_FIELDS: Mapping[str, str] = {
    Datatype.BOOL: "bool_contents",
    **dict.fromkeys((Datatype.INT8, Datatype.INT16, Datatype.INT32), "int_contents"),
    **dict.fromkeys((Datatype.UINT8, Datatype.UINT16, Datatype.UINT32), "uint_contents"),
    Datatype.INT64: "int64_contents",
    Datatype.UINT64: "uint64_contents",
    Datatype.FP32: "fp32_contents",
    Datatype.FP64: "fp64_contents",
    Datatype.BYTES: "bytes_contents",
}


class Unanswered(Exception):
    """No prediction: what to tell, and the exit code."""

    def __init__(self, message: str, code: int = WRONG) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Question:
    """Whom, and what; `body` is the JSON of the request."""

    model: str
    version: str | None
    revision: str | None
    body: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """That pin a revision."""
        return {"x-volary-revision": self.revision} if self.revision else {}


class Server(Protocol):
    """Something that can be asked."""

    def infer(self, question: Question) -> dict[str, Any]:
        """The answer's JSON. Raises Unanswered."""

    def models(self) -> list[str]:
        """Names of what it serves, none where it does not tell. Raises Unanswered."""


Send = Callable[[str, str, bytes | None, Mapping[str, str]], tuple[int, bytes]]  # method, path, body, headers -> status, body


class Rest:
    """The protocol's REST, whatever carries it."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def infer(self, question: Question) -> dict[str, Any]:
        """See Server."""
        version = f"/versions/{quote(question.version, safe='')}" if question.version else ""
        path = f"/v2/models/{quote(question.model, safe='')}{version}/infer"
        return read(*self._send("POST", path, json.dumps(question.body).encode(), question.headers))

    def models(self) -> list[str]:
        """See Server."""
        status, body = self._send("POST", "/v2/repository/index", b"{}", {})
        return sorted({each["name"] for each in json.loads(body)}) if status == 200 else []


class TensorFlow:
    """TensorFlow Serving's REST: `instances`, or `inputs` by name."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def infer(self, question: Question) -> dict[str, Any]:
        """See Server."""
        version = f"/versions/{quote(question.version, safe='')}" if question.version else ""
        path = f"/v1/models/{quote(question.model, safe='')}{version}:predict"
        return read(*self._send("POST", path, json.dumps(_columns(question.body)).encode(), question.headers))

    def models(self) -> list[str]:
        """It does not tell."""
        return []


class Grpc:
    """The protocol's gRPC."""

    def __init__(self, address: str, timeout: float, *, tls: bool = False) -> None:
        import grpc  # type: ignore[import-untyped]

        self._timeout = timeout
        self._address = address
        options = (("grpc.max_receive_message_length", _ANSWER_BYTES),)
        credentials = grpc.ssl_channel_credentials() if tls else None
        self._channel: Any = (
            grpc.insecure_channel(address, options) if credentials is None else grpc.secure_channel(address, credentials, options)
        )

    def infer(self, question: Question) -> dict[str, Any]:
        """See Server."""
        from volary.serving import proto

        message = self._call("ModelInfer", _request(question), tuple(question.headers.items()))
        return _answer(proto.ModelInferResponse.FromString(message))

    def models(self) -> list[str]:
        """See Server."""
        from volary.serving import proto

        message = proto.RepositoryIndexResponse.FromString(self._call("RepositoryIndex", proto.RepositoryIndexRequest(), ()))
        return sorted({each.name for each in message.models})

    def _call(self, method: str, request: Any, metadata: tuple[tuple[str, str], ...]) -> bytes:
        import grpc

        from volary.serving import proto

        call = self._channel.unary_unary(f"/{proto.SERVICE}/{method}")
        try:
            found: bytes = call(request.SerializeToString(), timeout=self._timeout, metadata=metadata)
        except grpc.RpcError as error:
            code, details = error.code().name, error.details()
            if _SPEAKS_HTTP_1 in details:
                raise Unanswered(f"{self._address} does not speak gRPC; if that is the port of HTTP, leave --grpc out", SILENT) from None
            raise Unanswered(f"{self._address}: {code}: {details}", SILENT if code in _GRPC_SILENT else WRONG) from None
        return found


def direct(url: str, timeout: float) -> Send:
    """To a server at http://HOST:PORT or https://HOST; what follows that in the URL is put before each path."""
    parts = urlsplit(url)

    def send(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        host, port = parts.hostname or "", parts.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )
        try:
            connection.request(method, parts.path.rstrip("/") + path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read(_ANSWER_BYTES)
        except TimeoutError:
            raise Unanswered(f"{url} did not answer within {timeout:g} s; is the model loading, or --timeout too short?", SILENT) from None
        except http.client.BadStatusLine:
            raise Unanswered(f"{url} does not speak HTTP/1.1; if that is the port of gRPC, add --grpc", SILENT) from None
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise Unanswered(f"{url} cannot be reached: {why}; is a server running there?", SILENT) from None
        finally:
            connection.close()

    return send


def in_cluster(connection: "Connection", namespace: str, name: str, timeout: float) -> Send:
    """To a Service, through the API server."""
    from volary.adapters import service_proxy

    def send(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            return asyncio.run(service_proxy.ask(connection, (namespace, name), method, path, body, headers, timeout=timeout))
        except Transient as error:
            raise Unanswered(error.message, SILENT) from None

    return send


def read(status: int, body: bytes) -> dict[str, Any]:
    """The JSON of a good answer. Raises Unanswered for any other."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if status == 200 and isinstance(found, dict):
        return found
    said = (found.get("error") or found.get("message")) if isinstance(found, dict) else None
    text = said or body[:300].decode("utf-8", "replace").strip() or "no body"
    raise Unanswered(f"HTTP {status}: {text}", SILENT if status in {502, 503, 504} else WRONG)


def _columns(body: dict[str, Any]) -> dict[str, Any]:
    """A body of the Open Inference Protocol as TensorFlow Serving's column format; its own is left alone."""
    if "instances" in body or not isinstance(body.get("inputs"), list):
        return body
    return {"inputs": {each["name"]: _nested(golden.flatten(each["data"]), list(each["shape"])) for each in body["inputs"]}}


def _nested(flat: list[Any], shape: list[int]) -> Any:
    if not shape:
        return flat[0]
    step = len(flat) // shape[0] if shape[0] else 0
    return [_nested(flat[index * step : (index + 1) * step], shape[1:]) for index in range(shape[0])]


def _request(question: Question) -> Any:
    from volary.serving import proto

    message = proto.ModelInferRequest(model_name=question.model, model_version=question.version or "", id=str(question.body.get("id", "")))
    inputs = question.body.get("inputs")
    if not isinstance(inputs, list):
        raise Unanswered('the input: found no "inputs", expected {"inputs": [{"name", "shape", "datatype", "data"}]}')
    raw = any(isinstance(each, dict) and each.get("datatype") in _RAW_FORMATS for each in inputs)
    for index, each in enumerate(inputs):
        try:
            flat = golden.flatten(each["data"])
            tensor = message.inputs.add(name=each["name"], datatype=each["datatype"], shape=each["shape"])
            if raw:
                message.raw_input_contents.append(_packed(each["datatype"], flat))
            else:
                elements = [value.encode() for value in flat] if each["datatype"] == Datatype.BYTES else flat
                getattr(tensor.contents, _FIELDS[each["datatype"]]).extend(elements)
        except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
            raise Unanswered(f"inputs[{index}]: {type(error).__name__}: {error}; expected name, shape, datatype and data of it") from None
    for output in question.body.get("outputs") or ():
        message.outputs.add(name=output["name"])
    return message


_PACKED: Mapping[str, str] = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


def _packed(datatype: str, flat: list[Any]) -> bytes:
    if datatype == Datatype.BYTES:
        return b"".join(struct.pack("<I", len(data)) + data for data in (value.encode() for value in flat))
    return struct.pack(f"<{len(flat)}{_PACKED[datatype]}", *flat)


def _unpacked(datatype: str, data: bytes) -> list[Any]:
    if datatype == Datatype.BYTES:
        found: list[Any] = []
        while data:
            size = int.from_bytes(data[:4], "little")
            found.append(data[4 : 4 + size].decode("utf-8", "replace"))
            data = data[4 + size :]
        return found
    if datatype == Datatype.BF16:  # the upper half of an FP32
        halves = struct.unpack(f"<{len(data) // 2}H", data)
        return list(struct.unpack(f"<{len(halves)}f", b"".join(struct.pack("<I", half << 16) for half in halves)))
    size = struct.calcsize(_PACKED[datatype])
    return list(struct.unpack(f"<{len(data) // size}{_PACKED[datatype]}", data))


def _answer(message: Any) -> dict[str, Any]:
    outputs = []
    for index, each in enumerate(message.outputs):
        if message.raw_output_contents:
            data = _unpacked(each.datatype, message.raw_output_contents[index])
        else:
            found = getattr(each.contents, _FIELDS[each.datatype])
            data = [value.decode("utf-8", "replace") for value in found] if each.datatype == Datatype.BYTES else list(found)
        outputs.append({"name": each.name, "datatype": each.datatype, "shape": list(each.shape), "data": data})
    known = {"model_name": message.model_name, "model_version": message.model_version, "id": message.id}
    return {key: value for key, value in known.items() if value} | {"outputs": outputs}
