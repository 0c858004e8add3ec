"""Tensors on the wire: the datatypes of the Open Inference Protocol."""

from enum import StrEnum


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
