"""The messages of ONNX that a graph can hide a tensor, a node or a file name in. All fields of each.

Numbers and types: onnx/onnx-ml.proto of ONNX 1.23 (a test compares them with the installed package).
"""

from volary.bundle.protobuf import Schema, Wire

_N, _B, _F4, _F8 = Wire.VARINT, Wire.LENGTH, Wire.FIXED32, Wire.FIXED64

MODEL = Schema("ModelProto", {1: _N, 2: _B, 3: _B, 4: _B, 5: _N, 6: _B, 7: _B}, {8: _B, 14: _B, 20: _B, 25: _B, 26: _B})
OPSET = Schema("OperatorSetIdProto", {1: _B, 2: _N})
TRAINING = Schema("TrainingInfoProto", {1: _B, 2: _B}, {3: _B, 4: _B})
FUNCTION = Schema("FunctionProto", {1: _B, 8: _B, 10: _B, 13: _B}, {4: _B, 5: _B, 6: _B, 7: _B, 9: _B, 11: _B, 12: _B, 14: _B})
GRAPH = Schema("GraphProto", {2: _B, 10: _B}, {1: _B, 5: _B, 11: _B, 12: _B, 13: _B, 14: _B, 15: _B, 16: _B})
NODE = Schema("NodeProto", {3: _B, 4: _B, 6: _B, 7: _B, 8: _B}, {1: _B, 2: _B, 5: _B, 9: _B, 10: _B})
ATTRIBUTE = Schema(
    "AttributeProto",
    {1: _B, 2: _F4, 3: _N, 4: _B, 5: _B, 6: _B, 13: _B, 14: _B, 20: _N, 21: _B, 22: _B},
    {7: _F4, 8: _N, 9: _B, 10: _B, 11: _B, 15: _B, 23: _B},
    bulk=frozenset({7, 8}),
)
TENSOR = Schema(
    "TensorProto",
    {2: _N, 3: _B, 8: _B, 9: _B, 12: _B, 14: _N},
    {1: _N, 4: _F4, 5: _N, 6: _B, 7: _N, 10: _F8, 11: _N, 13: _B, 16: _B},
    bulk=frozenset({4, 5, 7, 10, 11}),
)
SPARSE = Schema("SparseTensorProto", {1: _B, 2: _B}, {3: _N})
ENTRY = Schema("StringStringEntryProto", {1: _B, 2: _B})
VALUE = Schema("ValueInfoProto", {1: _B, 2: _B, 3: _B}, {4: _B})
