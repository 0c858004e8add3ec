"""ONNX models that must be refused: numbers are those of the list of hostile inputs."""

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.unit.bundle.inspecting import Case
from tests.unit.bundle.wire import entries, field, message, tag, varint
from volary.common.reasons import Reason

OPSET = 21
_VALUE = helper.make_tensor_value_info


def graph(nodes: Sequence[Any] = (), tensors: Sequence[Any] = (), sparse: Sequence[Any] = ()) -> Any:
    """`y = x + x`, and more."""
    found = [helper.make_node("Add", ["x", "x"], ["y"], name="add"), *nodes]
    x, y = _VALUE("x", TensorProto.FLOAT, [1]), _VALUE("y", TensorProto.FLOAT, [1])
    return helper.make_graph(found, "test", [x], [y], list(tensors), sparse_initializer=list(sparse))


def model(main: Any, *, opsets: dict[str, int] | None = None, functions: Sequence[Any] = ()) -> Any:
    imports = [helper.make_opsetid(domain, version) for domain, version in ({"": OPSET} | (opsets or {})).items()]
    return helper.make_model(main, opset_imports=imports, functions=list(functions), ir_version=10, producer_name="test")


def encoded(main: Any, **changes: Any) -> bytes:
    content: bytes = model(main, **changes).SerializeToString()
    return content


def outside(*locations: str, dims: Sequence[int] = (2,), **more: str) -> Any:
    """A tensor whose bytes are elsewhere."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in (*(("location", location) for location in locations), *more.items()):
        tensor.external_data.add(key=key, value=value)
    return tensor


def inside(dims: Sequence[int], data_type: int = TensorProto.FLOAT, **data: Any) -> Any:
    return TensorProto(name="w", data_type=data_type, dims=dims, **data)


def constant(tensor: Any, name: str = "const") -> Any:
    return helper.make_node("Constant", [], ["c"], name=name, value=tensor)


def sparse(values: Any, indices: Any | None = None, dims: Sequence[int] = (4,)) -> Any:
    indices = inside([2], TensorProto.INT64, int64_data=[0, 1]) if indices is None else indices
    return onnx.SparseTensorProto(values=values, indices=indices, dims=dims)


def function(name: str, nodes: Sequence[Any], domain: str = "own") -> Any:
    return helper.make_function(domain, name, ["a"], ["b"], list(nodes), [helper.make_opsetid("", OPSET), helper.make_opsetid("own", 1)])


def call(name: str, domain: str = "own", times: int = 1) -> list[Any]:
    return [
        helper.make_node(name, ["a"], ["b" if number == 0 else f"b{number}"], domain=domain, name=f"call_{name}") for number in range(times)
    ]


def branches(tensor: Any) -> Any:
    """An If whose else-branch holds the tensor."""
    out = [_VALUE("c", TensorProto.FLOAT, None)]
    good = helper.make_graph([constant(inside([1], float_data=[1.0]))], "then", [], out)
    return helper.make_node(
        "If", ["x"], ["z"], name="choice", then_branch=good, else_branch=helper.make_graph([constant(tensor)], "else", [], out)
    )


def loop(tensor: Any, kind: str = "Loop") -> Any:
    body = helper.make_graph([], "body", [], [], [tensor])
    return helper.make_node(kind, ["x"], ["z"], name="again", body=body)


def nested(depth: int) -> bytes:
    """An If in an If in an If."""
    found = field(1, message((4, "Identity")))
    for _ in range(depth):
        found = field(1, message((4, "If"), (5, field(6, found))))
    return field(1, 10) + field(7, found)


def training(tensor: Any) -> bytes:
    made = model(graph())
    made.training_info.add(algorithm=helper.make_graph([], "train", [], [], [tensor]))
    content: bytes = made.SerializeToString()
    return content


def with_default(tensor: Any) -> bytes:
    """A function whose attribute has a default that is a tensor."""
    made = function("F", [helper.make_node("Identity", ["a"], ["b"])])
    made.attribute_proto.append(helper.make_attribute("value", tensor))
    return encoded(graph(call("F")), opsets={"own": 1}, functions=[made])


def places(tensor: Any) -> dict[str, bytes]:
    """Everywhere ONNX can hold a tensor."""
    attribute = helper.make_node("Custom", ["x"], ["z"], name="holder")
    attribute.attribute.append(
        onnx.AttributeProto(name="all", type=onnx.AttributeProto.TENSORS, tensors=[inside([1], float_data=[1.0]), tensor])
    )
    hidden = helper.make_node("Constant", [], ["z"], name="holder")
    hidden.attribute.append(onnx.AttributeProto(name="all", type=onnx.AttributeProto.SPARSE_TENSORS, sparse_tensors=[sparse(tensor)]))
    graphs = helper.make_node("Scan", ["x"], ["z"], name="holder")
    graphs.attribute.append(
        onnx.AttributeProto(name="all", type=onnx.AttributeProto.GRAPHS, graphs=[graph(), helper.make_graph([], "g", [], [], [tensor])])
    )
    return {
        "initializer": encoded(graph(tensors=[tensor])),
        "44 Constant.value": encoded(graph([constant(tensor)])),
        "44 list of tensors": encoded(graph([attribute])),
        "45 sparse_initializer, values": encoded(graph(sparse=[sparse(tensor)])),
        "45 sparse_initializer, indices": encoded(graph(sparse=[sparse(inside([2], float_data=[1.0, 2.0]), tensor)])),
        "45 Constant.sparse_value": encoded(graph([helper.make_node("Constant", [], ["z"], sparse_value=sparse(tensor))])),
        "45 list of sparse tensors": encoded(graph([hidden])),
        "46 If": encoded(graph([branches(tensor)])),
        "46 Loop": encoded(graph([loop(tensor)])),
        "46 Scan": encoded(graph([loop(tensor, "Scan")])),
        "46 list of graphs": encoded(graph([graphs])),
        "46 If in a Loop": encoded(graph([helper.make_node("Loop", ["x"], ["z"], body=graph([branches(tensor)]))])),
        "47 function": encoded(graph(call("F")), opsets={"own": 1}, functions=[function("F", [constant(tensor), *call("Identity", "")])]),
        "47 function that nobody calls": encoded(graph(), functions=[function("F", [constant(tensor)])]),
        "47 If in a function": encoded(graph(), functions=[function("F", [branches(tensor)])]),
        "47 default of a function's attribute": with_default(tensor),
        "training graph": training(tensor),
    }


def _location(text: str, *locations: str, **more: str) -> Case:
    return Case(encoded(graph(tensors=[outside(*locations, **more)])), Reason.EXTERNAL_DATA_INVALID, text)


LOCATIONS: dict[str, Case] = {
    "40 parent": _location("the location '../../etc/passwd'", "../../etc/passwd"),
    "40 parent inside": _location("the location 'sub/../../x'", "sub/../../x"),
    "40 backslash": _location("the location", "..\\weights.bin"),
    "41 absolute": _location("the location '/etc/passwd'", "/etc/passwd"),
    "41 file URL": _location("the location", "file:///etc/passwd"),
    "42 not in the manifest": _location("'other.bin', which is no data file of the bundle", "other.bin"),
    "42 the model itself": _location("'model.onnx', which is no data file of the bundle", "model.onnx"),
    "42 the manifest": _location("'manifest.json', which is no data file", "manifest.json"),
    "42 no location": _location("the location ''", "", offset="0"),
    "42 no entries": _location("the location ''"),
    "42 NUL": _location("the location", "weights.bin\0/../../x"),
    "42 current directory": _location("the location './weights.bin'", "./weights.bin"),
    "43 beyond the file": _location("is at 60 + 8 of 'weights.bin', which has 64 bytes", "weights.bin", offset="60", length="8"),
    "43 offset beyond the file": _location("is at 65 + 0 of", "weights.bin", offset="65"),
    "43 negative offset": _location("has the offset '-8'", "weights.bin", offset="-8"),
    "43 negative length": _location("has the length '-1'", "weights.bin", length="-1"),
    "43 overflow": _location("has the offset '9223372036854775808'", "weights.bin", offset=str(2**63), length=str(2**63)),
    "43 wraps around": _location("is at 9223372036854775807 + 2 of", "weights.bin", offset=str(2**63 - 1), length="2"),
    "43 no number": _location("has the offset '0x10'", "weights.bin", offset="0x10"),
    "43 many digits": _location("has the offset", "weights.bin", offset="9" * 5000),
    "43 other digits": _location("has the offset", "weights.bin", offset="\u0663"),
    "43 shorter than the shape": _location("takes 8 bytes by its shape 2 and has 4", "weights.bin", offset="0", length="4"),
    "43 rest is shorter than the shape": _location("takes 8 bytes by its shape 2 and has 4", "weights.bin", offset="60"),
    "48 __class__": _location("has the key '__class__' in its external data", "weights.bin", __class__="x"),
    "48 basepath": _location("has the key 'basepath'", "weights.bin", basepath="/etc"),
    "48 key twice": _location("has the key location twice", "weights.bin", "../x"),
    "49 address in memory": _location("takes for an address in its memory", "*/_ORT_MEM_ADDR_/*", offset="140000000000", length="8"),
    "49 address in memory, other spelling": _location("takes for an address", "_ort_mem_addr_", offset="140000000000"),
    "names a file and says it does not": Case(
        encoded(graph(tensors=[TensorProto(name="w", dims=[1], data_type=1, external_data=[{"key": "location", "value": "../x"}])])),
        Reason.EXTERNAL_DATA_INVALID,
        "names external data and says that it has none",
    ),
    "inside and outside": Case(
        encoded(graph(tensors=[TensorProto(name="w", dims=[1], data_type=1, data_location=1, raw_data=b"1234")])),
        Reason.EXTERNAL_DATA_INVALID,
        "both inside and outside",
    ),
}

PLACES: dict[str, Case] = {
    place: Case(data, Reason.EXTERNAL_DATA_INVALID, "the location '../../etc/passwd'")
    for place, data in places(outside("../../etc/passwd")).items()
}


def _operator(text: str, data: bytes) -> Case:
    return Case(data, Reason.OPERATOR_NOT_ALLOWED, text)


def _invalid(text: str, data: bytes) -> Case:
    return Case(data, Reason.MODEL_INVALID, text)


def _node(name: str, domain: str, **attributes: Any) -> bytes:
    return encoded(graph([helper.make_node(name, ["x"], ["z"], name="bad", domain=domain, **attributes)]))


def _in_function(name: str, domain: str) -> bytes:
    return encoded(graph(call("F")), functions=[function("F", [helper.make_node(name, ["a"], ["b"], name="bad", domain=domain)])])


OPERATORS: dict[str, Case] = {
    "50 unknown domain": _operator(
        "'bad' of the main graph is of the operator 'Shell' of the domain 'evil.example'", _node("Shell", "evil.example")
    ),
    "50 unknown domain in a function": _operator("'bad' of the function 'F'", _in_function("Shell", "evil.example")),
    "50 unknown domain in a branch": _operator(
        "'bad' of the node 'again'",
        encoded(
            graph(
                [helper.make_node("Loop", ["x"], ["z"], name="again", body=graph([helper.make_node("X", [], [], name="bad", domain="d")]))]
            )
        ),
    ),
    "50 unknown operator of ONNX": _operator("'ReadFile' of the domain 'ai.onnx'", _node("ReadFile", "")),
    "50 other name of ONNX's domain": _operator("'ReadFile' of the domain 'ai.onnx'", _node("ReadFile", "ai.onnx")),
    "50 Python": _operator("'PythonOp' of the domain 'com.microsoft'", _node("PythonOp", "com.microsoft")),
    "50 ATen": _operator("'ATen' of the domain 'org.pytorch.aten'", _node("ATen", "org.pytorch.aten")),
    "50 not UTF-8": _operator(
        "'\\ufffd\\ufffd'", encoded(graph([helper.make_node("QQ", ["x"], ["z"])])).replace(b"\x22\x02QQ", b"\x22\x02\xff\xfe")
    ),
    "50 terminal escapes": _operator("'\\x1b[31m'", _node("\x1b[31m", "")),
    "51 EPContext": _operator(
        "'EPContext' of the domain 'com.microsoft'", _node("EPContext", "com.microsoft", ep_cache_context="../x", embed_mode=0)
    ),
    "51 EPContext in a function": _operator("'EPContext'", _in_function("EPContext", "com.microsoft")),
    "51 EPContext as a function of the model": _operator(
        "'EPContext'",
        encoded(graph(call("EPContext", "com.microsoft")), functions=[function("EPContext", call("Identity", ""), "com.microsoft")]),
    ),
    "52 opset from the future": _operator("uses opset 99 of ai.onnx, ONNX Runtime has 1 to", encoded(graph(), opsets={"": 99})),
    "52 opset from the future, other name": _operator("uses opset 99 of ai.onnx", encoded(graph(), opsets={"ai.onnx": 99})),
    "52 opset of a function": _operator(
        "uses opset 99 of ai.onnx",
        encoded(graph(), functions=[helper.make_function("own", "F", [], [], [], [helper.make_opsetid("", 99)])]),
    ),
    "52 opset of ai.onnx.ml": _operator("uses opset 9 of ai.onnx.ml", encoded(graph(), opsets={"ai.onnx.ml": 9})),
    "52 negative opset": _operator("uses opset -1 of ai.onnx", encoded(graph(), opsets={"": -1})),
    "52 opset of 2^63": _operator("uses opset -9223372036854775808", encoded(graph(), opsets={"": -(2**63)})),
}


def _chain(count: int, times: int, last: Sequence[Any]) -> bytes:
    """Functions that each call the next one so many times."""
    made = [function(f"F{number}", call(f"F{number + 1}", times=times)) for number in range(count)]
    return encoded(graph(call("F0")), functions=[*made, function(f"F{count}", last)])


GOOD = encoded(graph(tensors=[inside([2], float_data=[1.0, 2.0])]))

SHAPES: dict[str, Case] = {
    "52 IR version from the future": _invalid("has the IR version 99", field(1, 99) + GOOD[2:]),
    "52 no IR version": _invalid("has the IR version 0", GOOD[2:]),
    "53 2^40 x 2^40": _invalid("more than 2^63 elements", encoded(graph(tensors=[inside([2**40, 2**40], float_data=[1.0])]))),
    "53 2^40 x 2^40 x 0": _invalid("more than 2^63 elements", encoded(graph(tensors=[inside([2**40, 2**40, 0])]))),
    "53 2^40 x 2^40 in a constant": _invalid("more than 2^63 elements", encoded(graph([constant(inside([2**40, 2**40], raw_data=b"1"))]))),
    "53 2^40 x 2^40, sparse": _invalid(
        "more than 2^63 elements", encoded(graph(sparse=[sparse(inside([2], float_data=[1.0, 2.0]), dims=[2**40, 2**40])]))
    ),
    "53 2^40 floats in 4 bytes": _invalid(
        "has 4 bytes, its shape 1099511627776 takes", encoded(graph(tensors=[inside([2**40], raw_data=b"1234")]))
    ),
    "53 2^40 floats in none": _invalid("its data holds 0 elements", encoded(graph(tensors=[inside([2**40])]))),
    "53 more floats than there are": _invalid("its data holds 2 elements", encoded(graph(tensors=[inside([3], float_data=[1.0, 2.0])]))),
    "53 more words than there are": _invalid(
        "its data holds 1 elements", encoded(graph(tensors=[inside([2], TensorProto.STRING, string_data=[b"a"])]))
    ),
    "53 negative": _invalid("a negative dimension: -1", encoded(graph(tensors=[inside([-1], float_data=[1.0])]))),
    "53 2^63": _invalid("a negative dimension", encoded(graph(tensors=[inside([-(2**63)], float_data=[1.0])]))),
    "53 100 dimensions": _invalid("more than 64 dimensions", encoded(graph(tensors=[inside([1] * 100, float_data=[1.0])]))),
    "53 unknown type": _invalid("has the element type 99", encoded(graph(tensors=[inside([1], 99, raw_data=b"1")]))),
    "54 calls itself": _invalid("the function 'own::F' calls itself", encoded(graph(call("F")), functions=[function("F", call("F"))])),
    "54 calls itself, called by nobody": _invalid("calls itself", encoded(graph(), functions=[function("F", call("F"))])),
    "54 calls itself through another": _invalid(
        "('own::F' -> 'own::G' -> 'own::F')",
        encoded(graph(call("F")), functions=[function("F", call("G")), function("G", call("F"))]),
    ),
    "54 calls itself in a branch": _invalid(
        "calls itself",
        encoded(
            graph(), functions=[function("F", [helper.make_node("Loop", ["a"], ["b"], body=helper.make_graph(call("F"), "g", [], []))])]
        ),
    ),
    "54 long circle": _invalid("-> ...)", _chain(500, 1, call("F0"))),
    "54 2^40 nodes": Case(_chain(40, 2, call("Identity", "")), Reason.LIMIT_EXCEEDED, "nodes when calls are replaced"),
    "54 defined twice": _invalid("is defined twice", encoded(graph(), functions=[function("F", []), function("F", [])])),
    "55 empty": _invalid("has no graph", b""),
    "55 no graph": _invalid("has no graph", message((1, 8), (2, "test"))),
    "nested 100 deep": _invalid("nested more than 64 deep", nested(33)),
}

# What no library would write.
_ADD = field(1, message((1, "x"), (1, "x"), (2, "y"), (4, "Add")))
_GRAPH = _ADD + field(12, message((1, "y")))


def by_hand(main: bytes = _GRAPH, *, more: bytes = b"") -> bytes:
    return field(1, 8) + field(7, main) + field(8, message((2, OPSET))) + more


_TENSOR = message((1, 2), (2, 1), (8, "w")) + entries(13, {"location": "../x"}) + field(14, 1)

WIRE: dict[str, Case] = {
    "55 ends in a tag": _invalid("a number is cut off", by_hand(more=b"\x80")),
    "55 ends in a length": _invalid("a number is cut off", by_hand(more=tag(2, 2))),
    "55 ends in a string": _invalid("field 2 of ModelProto claims 9 bytes where 4 are left", by_hand(more=tag(2, 2) + varint(9) + b"test")),
    "55 ends in four bytes": _invalid("claims 4 bytes", by_hand(_GRAPH + field(1, field(5, tag(2, 5) + b"12")))),
    "56 2 GiB": _invalid("claims 2147483647 bytes where 0 are left", by_hand(more=tag(2, 2) + varint(2**31 - 1))),
    "56 16 EiB": _invalid("claims 18446744073709551615 bytes", by_hand(more=tag(2, 2) + varint(2**64 - 1))),
    "56 2 GiB of weights": _invalid(
        "field 9 of TensorProto claims", by_hand(_GRAPH + field(5, field(2, 1) + tag(9, 2) + varint(2**31 - 1)))
    ),
    "56 2 GiB of graph": _invalid("field 7 of ModelProto claims", field(1, 8) + tag(7, 2) + varint(2**31 - 1) + _GRAPH),
    "56 longer than its parent": _invalid(
        "field 4 of NodeProto claims 99 bytes where 3 are left", by_hand(field(1, tag(4, 2) + varint(99) + b"Add") + b" " * 200)
    ),
    "number of 11 bytes": _invalid("more than 10 bytes", by_hand(more=tag(5, 0) + b"\x80" * 10 + b"\x01")),
    "group": _invalid("has the wire type 3", by_hand(more=tag(2, 3) + tag(2, 4))),
    "wire type 6": _invalid("has the wire type 6", by_hand(more=tag(2, 6))),
    "wire type 7": _invalid("has the wire type 7", by_hand(more=tag(2, 7))),
    "field 0": _invalid("has no field 0", by_hand(more=tag(0, 0) + b"\x00")),
    "field that does not exist": _invalid("ModelProto has no field 19", by_hand(more=field(19, b"x"))),
    "field number of 33 bits": _invalid("has no field", by_hand(more=varint(1 << 35 | 2 << 3 | 2) + b"\x00")),
    "another type than the field has": _invalid("field 2 of ModelProto has the wire type 0, expected 2", by_hand(more=field(2, 1))),
    "graph as a number": _invalid("field 7 of ModelProto has the wire type 0", field(1, 8) + field(7, 1)),
    "two graphs": _invalid("field 7 of ModelProto occurs twice", by_hand(more=field(7, field(5, _TENSOR)))),
    "a tensor of two halves": _invalid(
        "field 5 of AttributeProto occurs twice",
        by_hand(
            field(
                1, message((4, "Constant"), (5, message((5, message((1, 1), (2, 1), (9, "1234"))), (5, entries(13, {"location": "../x"})))))
            )
        ),
    ),
    "location of two values": _invalid(
        "field 2 of StringStringEntryProto occurs twice",
        by_hand(field(5, field(14, 1) + field(13, message((1, "location"), (2, "weights.bin"), (2, "../x"))))),
    ),
    "a name of 1 MB": Case(by_hand(field(1, message((4, "A" * 1_000_000)))), Reason.LIMIT_EXCEEDED, "has names that are too long"),
    "outside by an enum of 33 bits": Case(
        by_hand(field(5, message((1, 2), (2, 1)) + entries(13, {"location": "../x"}) + field(14, 2**32 + 1))),
        Reason.EXTERNAL_DATA_INVALID,
        "the location '../x'",
    ),
    "outside before it is told where": Case(
        by_hand(field(5, field(14, 1) + entries(13, {"location": "../x"}) + message((8, "w"), (2, 1), (1, 2)))),
        Reason.EXTERNAL_DATA_INVALID,
        "the location '../x'",
    ),
    "dimensions in one field": _invalid(
        "more than 2^63 elements", by_hand(field(5, field(1, varint(2**40) + varint(2**40)) + message((2, 1), (9, "1234"))))
    ),
}

CASES: dict[str, Case] = LOCATIONS | PLACES | OPERATORS | SHAPES | WIRE
