"""Tensors on the wire: the datatypes of the Open Inference Protocol."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Datatype(StrEnum):
    """Element types of the Open Inference Protocol, version 2."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    BYTES = "BYTES"

    @property
    def is_float(self) -> bool:
        """Whether answers are compared within a tolerance; all others must be equal."""
        return self in (Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16)


# As TensorFlow's types.proto spells them, and so its server.
TENSORFLOW_NAMES: Mapping[Datatype, str] = MappingProxyType(
    {
        Datatype.BOOL: "DT_BOOL",
        Datatype.UINT8: "DT_UINT8",
        Datatype.UINT16: "DT_UINT16",
        Datatype.UINT32: "DT_UINT32",
        Datatype.UINT64: "DT_UINT64",
        Datatype.INT8: "DT_INT8",
        Datatype.INT16: "DT_INT16",
        Datatype.INT32: "DT_INT32",
        Datatype.INT64: "DT_INT64",
        Datatype.FP16: "DT_HALF",
        Datatype.FP32: "DT_FLOAT",
        Datatype.FP64: "DT_DOUBLE",
        Datatype.BF16: "DT_BFLOAT16",
        Datatype.BYTES: "DT_STRING",
    }
)
