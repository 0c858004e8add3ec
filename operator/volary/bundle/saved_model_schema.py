"""The messages of a SavedModel that can hold an operator, a call, a file name or what a signature takes. All fields of each.

Numbers and types: tensorflow/core/{protobuf,framework}/*.proto of TensorFlow 2.21 (compared by hand with its descriptors;
TensorFlow is no package of our tests).
"""

from volary.bundle.protobuf import Schema, Wire

_N, _B, _F4 = Wire.VARINT, Wire.LENGTH, Wire.FIXED32

ENTRY = Schema("entry of a map", {1: _B, 2: _B})
SAVED_MODEL = Schema("SavedModel", {1: _N}, {2: _B})
META_GRAPH = Schema("MetaGraphDef", {1: _B, 2: _B, 3: _B, 7: _B}, {4: _B, 5: _B, 6: _B})
META_INFO = Schema("MetaInfoDef", {1: _B, 2: _B, 3: _B, 5: _B, 6: _B, 7: _N}, {4: _B, 8: _B})
SIGNATURE = Schema("SignatureDef", {3: _B}, {1: _B, 2: _B, 4: _B})
TENSOR_INFO = Schema("TensorInfo", {1: _B, 2: _N, 3: _B, 4: _B, 5: _B})
SHAPE = Schema("TensorShapeProto", {3: _N}, {2: _B})
DIMENSION = Schema("TensorShapeProto.Dim", {1: _N, 2: _B})
SPARSE = Schema("TensorInfo.CooSparse", {1: _B, 2: _B, 3: _B})
COMPOSITE = Schema("TensorInfo.CompositeTensor", {1: _B}, {2: _B})
ASSET = Schema("AssetFileDef", {1: _B, 2: _B})
COLLECTION = Schema("CollectionDef", {1: _B, 2: _B, 3: _B, 4: _B, 5: _B})
ANY_LIST = Schema("CollectionDef.AnyList", {}, {1: _B})
ANY = Schema("Any", {1: _B, 2: _B})
NODE_LIST = Schema("CollectionDef.NodeList", {}, {1: _B})
SAVER = Schema("SaverDef", {1: _B, 2: _B, 3: _B, 4: _N, 5: _N, 6: _F4, 7: _N})
GRAPH = Schema("GraphDef", {2: _B, 3: _N, 4: _B, 5: _B}, {1: _B})
LIBRARY = Schema("FunctionDefLibrary", {}, {1: _B, 2: _B, 3: _B})
FUNCTION = Schema("FunctionDef", {1: _B}, {3: _B, 4: _B, 5: _B, 6: _B, 7: _B, 8: _B})
OPERATOR = Schema("OpDef", {1: _B, 5: _B, 6: _B, 8: _B, 16: _N, 17: _N, 18: _N, 19: _N, 21: _N}, {2: _B, 3: _B, 4: _B, 20: _B})
PARAMETER = Schema("OpDef.ArgDef", {1: _B, 2: _B, 3: _N, 4: _B, 5: _B, 6: _B, 16: _N, 17: _B}, {7: _B})
NODE = Schema("NodeDef", {1: _B, 2: _B, 4: _B, 6: _B, 7: _B}, {3: _B, 5: _B})
ATTRIBUTE = Schema("AttrValue", {1: _B, 2: _B, 3: _N, 4: _F4, 5: _N, 6: _N, 7: _B, 8: _B, 9: _B, 10: _B})
LIST = Schema("AttrValue.ListValue", {}, {2: _B, 3: _N, 4: _F4, 5: _N, 6: _N, 7: _B, 8: _B, 9: _B}, bulk=frozenset({3, 4, 5, 6}))
CALL = Schema("NameAttrList", {1: _B}, {2: _B})
