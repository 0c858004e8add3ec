"""How the body of an inference request is read and its answer written: one form for each API of the port."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from volary.serving import protocol, tf_rest
from volary.serving.protocol import Call, Rejected, Schema
from volary.serving.reply import OCTETS, Reply
from volary.serving.tensors import Array


@dataclass(frozen=True, slots=True)
class Form:
    """Both raise Rejected. `read` is given how many bytes of the body are JSON where the client says so."""

    read: Callable[[bytes, Schema, int | None], Call]
    write: Callable[[Schema, Call, Sequence[Array]], Reply]


def _write_open(schema: Schema, call: Call, arrays: Sequence[Array]) -> Reply:
    if call.binary:
        length, body = protocol.binary_answer(schema, call, arrays)
        return Reply(200, body, OCTETS, json_length=length)
    return Reply(200, protocol.answer(schema, call, arrays))


def _read_tensorflow(body: bytes, schema: Schema, json_length: int | None) -> Call:
    if json_length is not None:
        raise Rejected(400, f"{protocol.JSON_LENGTH}: this API takes JSON only; ask /v2/models/{schema.model}/infer with bytes")
    return tf_rest.read_call(body, schema)


def _write_tensorflow(schema: Schema, call: Call, arrays: Sequence[Array]) -> Reply:
    del schema
    return Reply(200, tf_rest.answer(call, arrays))


OPEN_INFERENCE = Form(protocol.read_call, _write_open)
TENSORFLOW = Form(_read_tensorflow, _write_tensorflow)
