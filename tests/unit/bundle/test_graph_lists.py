"""What the inspector knows by heart, held to the packages it was made of: an upgrade asks for a decision here."""

from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from onnx import TensorProto, helper, numpy_helper

from volary.bundle import onnx_schema, onnx_tensor
from volary.bundle.onnx_operators import ALLOWED, IR_VERSION, OPSETS, RESERVED
from volary.bundle.protobuf import Schema, Wire

_FIXED = {FieldDescriptor.TYPE_FLOAT: Wire.FIXED32, FieldDescriptor.TYPE_DOUBLE: Wire.FIXED64}
_LENGTH = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE}
MESSAGES: dict[str, tuple[Schema, Any]] = {
    found.name: (found, getattr(onnx, found.name)) for found in vars(onnx_schema).values() if isinstance(found, Schema)
}


def wires(descriptor: Descriptor, *, repeated: bool) -> dict[int, Wire]:
    return {
        found.number: Wire.LENGTH if found.type in _LENGTH else _FIXED.get(found.type, Wire.VARINT)
        for found in descriptor.fields
        if found.is_repeated == repeated
    }


@pytest.mark.parametrize("name", MESSAGES)
def test_the_messages_are_those_of_the_installed_onnx(name: str) -> None:
    schema, message = MESSAGES[name]
    assert dict(schema.singular) == wires(message.DESCRIPTOR, repeated=False)
    assert dict(schema.repeated) == wires(message.DESCRIPTOR, repeated=True)


def test_every_message_that_leads_to_a_node_or_a_tensor_is_looked_at() -> None:
    """Found by reflection: a new place for a tensor in a new version of ONNX fails here."""
    unknown = {"SparseTensorProto", "TensorProto", "NodeProto"}
    leads = set(unknown)
    while True:
        more = {
            descriptor.name
            for descriptor in onnx.onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values()
            if any(each.message_type is not None and each.message_type.name in leads for each in descriptor.fields)
        } - leads
        if not more:
            break
        leads |= more
    assert leads - set(MESSAGES) <= {"MapProto", "OptionalProto", "SequenceProto"}  # data beside models, in none of them


def test_the_element_types_are_those_of_the_installed_onnx() -> None:
    known = set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
    assert set(onnx_tensor.BITS) | {onnx_tensor.TEXT} == known
    for number, bits in onnx_tensor.BITS.items():
        for count in (1, 3, 4, 5):
            raw = numpy_helper.from_array(np.zeros(count, helper.tensor_dtype_to_np_dtype(number))).raw_data
            assert len(raw) == (count * bits + 7) // 8, TensorProto.DataType.Name(number)


def _schemas() -> dict[str, set[str]]:
    from onnxruntime.capi import onnxruntime_pybind11_state as binding  # type: ignore[import-untyped]

    found: dict[str, set[str]] = {}
    for schema in (*binding.get_all_operator_schema(), *onnx.defs.get_all_schemas_with_history()):
        found.setdefault(schema.domain, set()).add(schema.name)
    return found


def test_the_operators_are_those_of_the_installed_packages_but_for_these() -> None:
    schemas = _schemas()
    for domain, allowed in ALLOWED.items():
        assert allowed <= schemas[domain], domain
    assert schemas["com.microsoft"] - ALLOWED["com.microsoft"] == {"EPContext", "Snpe"}
    assert schemas["ai.onnx.ml"] == ALLOWED["ai.onnx.ml"]
    assert {name for name in schemas[""] - ALLOWED[""] if not name.endswith("_TRT")} == {"MemcpyFromHost", "MemcpyToHost"}
    assert all(domain in ALLOWED or domain.startswith(RESERVED) for domain in schemas)


def _loads(domain: str, version: int, ir: int) -> bool:
    import onnxruntime  # type: ignore[import-untyped]

    value = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value("x", 1, [1])], [value("y", 1, [1])])
    imports = [helper.make_opsetid(each, number) for each, number in ({"": OPSETS[""]} | {domain: version}).items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 -- ONNX Runtime's errors have no common base
        return False
    return True


@pytest.mark.parametrize("domain", OPSETS)
def test_the_newest_opset_is_the_newest_that_loads(domain: str) -> None:
    assert _loads(domain, OPSETS[domain], IR_VERSION)
    assert not _loads(domain, OPSETS[domain] + 1, IR_VERSION)


def test_the_newest_ir_version_is_the_newest_that_loads() -> None:
    assert not _loads("", OPSETS[""], IR_VERSION + 1)
