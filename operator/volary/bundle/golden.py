"""Golden samples: inputs with the answers recorded when the bundle was packed, and how answers compare."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from volary.bundle import limits
from volary.bundle.manifest import Golden, Manifest, Tensor, Tolerance
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

Value = bool | int | float | str
_INTEGERS = {
    Datatype.UINT8: (0, 2**8 - 1),
    Datatype.UINT16: (0, 2**16 - 1),
    Datatype.UINT32: (0, 2**32 - 1),
    Datatype.UINT64: (0, 2**64 - 1),
    Datatype.INT8: (-(2**7), 2**7 - 1),
    Datatype.INT16: (-(2**15), 2**15 - 1),
    Datatype.INT32: (-(2**31), 2**31 - 1),
    Datatype.INT64: (-(2**63), 2**63 - 1),
}


class Values(BaseModel):
    """A tensor with its elements in row-major order, as the Open Inference Protocol writes it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=limits.TENSOR_NAME)]
    datatype: Datatype
    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=limits.DIMENSION)], ...], Field(max_length=limits.DIMENSIONS)]
    data: tuple[Value, ...]


class Sample(BaseModel):
    """One request and its answer."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    inputs: tuple[Values, ...]
    outputs: Annotated[tuple[Values, ...], Field(min_length=1)]


class Samples(BaseModel):
    """The file `golden.json`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    samples: Annotated[tuple[Sample, ...], Field(min_length=1, max_length=limits.GOLDEN_SAMPLES)]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where an answer is not the recorded one."""

    output: str
    text: str

    @override
    def __str__(self) -> str:
        return f"output {self.output!r}: {self.text}"


def parse(data: bytes, manifest: Manifest) -> tuple[Sample, ...]:
    """The samples of a bundle, checked against its inputs and outputs. Raises Refused (GoldenInvalid)."""
    if len(data) > limits.GOLDEN_BYTES:
        _invalid(f"they have {limits.show(len(data))}; the limit is {limits.show(limits.GOLDEN_BYTES)}")
    try:
        samples = Samples.model_validate_json(data).samples
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        _invalid(f"{'.'.join(str(part) for part in first['loc']) or 'file'}: {first['msg']}")
    for number, sample in enumerate(samples):
        _check(f"sample {number}, input", sample.inputs, manifest.inputs)
        _check(f"sample {number}, output", sample.outputs, manifest.outputs)
    return samples


def dump(samples: Sequence[Sample]) -> bytes:
    """Canonical bytes of `golden.json`."""
    found = Samples(samples=tuple(samples)).model_dump(mode="json")
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def compare(expected: Sequence[Values], answered: Sequence[dict[str, Any]], tolerance: Golden) -> Difference | None:
    """The first difference between recorded outputs and a server's (tensors of OIP JSON), or None.

    Floats pass when |got - expected| <= absolute + relative * |expected|, and where the output's rule
    says so, when their largest element is at the recorded place; all else must be equal.
    """
    by_name = {tensor["name"]: tensor for tensor in answered if isinstance(tensor.get("name"), str)}
    for wanted in expected:
        got = by_name.get(wanted.name)
        if got is None:
            return Difference(wanted.name, f"not in the answer, which has {_short(sorted(by_name))}")
        text = _difference(wanted, got, tolerance.of(wanted.name))
        if text is not None:
            return Difference(wanted.name, text)
    return None


def flatten(data: Any) -> list[Any]:
    """Nested lists -> their elements in row-major order; the protocol allows both."""
    if not isinstance(data, list):
        return [data]
    if not any(isinstance(item, list) for item in data):
        return data
    return [element for item in data for element in flatten(item)]


def _difference(wanted: Values, got: dict[str, Any], tolerance: Tolerance) -> str | None:
    if got.get("datatype") != wanted.datatype.value:
        return f"datatype {_short(got.get('datatype'))}, expected {wanted.datatype.value}"
    if got.get("shape") != list(wanted.shape):
        return f"shape {_short(got.get('shape'))}, expected {list(wanted.shape)}"
    try:
        elements = flatten(got.get("data"))
    except RecursionError:
        return "data is nested too deeply"
    if len(elements) != len(wanted.data):
        return f"{len(elements)} elements, expected {len(wanted.data)}"
    for index, (expected, found) in enumerate(zip(wanted.data, elements, strict=True)):
        text = _unlike(wanted.datatype, expected, found, tolerance)
        if text is not None:
            return f"index {_position(index, wanted.shape)}: expected {_short(expected)}, got {text}"
    return _other_winner(wanted, elements, tolerance) if tolerance.argmax else None


def _other_winner(wanted: Values, elements: list[Any], tolerance: Tolerance) -> str | None:
    """The first row along the last axis whose largest element is elsewhere than recorded, where that means something.

    Recorded [0.30, 0.29, 0.41] with an absolute tolerance of 0.05: index 2 must win, as 0.41 - 0.30 > 0.05.
    Recorded [0.30, 0.38, 0.41]: both numbers may move, so 1 may win as well as 2, but not 0.
    """
    width = wanted.shape[-1] if wanted.shape else 1
    for start in range(0, len(elements), width or 1):
        recorded = [float(value) for value in wanted.data[start : start + width]]
        found = elements[start : start + width]
        winner = found.index(max(found))
        best = max(recorded)
        if best - recorded[winner] > tolerance.allowed(best):
            row = _position(start, wanted.shape)[:-1]
            return f"index {row}: the largest is at {winner}, expected {recorded.index(best)}"
    return None


def _unlike(datatype: Datatype, expected: Value, found: Any, tolerance: Tolerance) -> str | None:
    """None where `found` will do, else what to say of it."""
    if not datatype.is_float:
        return None if type(found) is type(expected) and found == expected else _short(found)
    if not _is_finite(found):
        return f"{_short(found)} (not a finite number)"  # JSON has no NaN: servers write null
    wanted = float(expected)
    allowed = tolerance.allowed(wanted)
    error = abs(found - wanted)
    return None if error <= allowed else f"{_short(found)}, off by {error:.3g}, tolerance {allowed:.3g}"


def _position(index: int, shape: tuple[int, ...]) -> list[int]:
    """Flat index -> index in each dimension."""
    position = []
    for size in reversed(shape):
        index, rest = divmod(index, size)
        position.append(rest)
    return position[::-1]


def _check(where: str, found: tuple[Values, ...], schema: tuple[Tensor, ...]) -> None:
    known = {tensor.name: tensor for tensor in schema}
    names = [values.name for values in found]
    if len(set(names)) < len(names) or not set(names) <= set(known):
        _invalid(f"{where}s are {_short(names)}, the model has {_short(sorted(known))}")
    for values in found:
        tensor = known[values.name]
        label = f"{where} {values.name!r}"
        if values.datatype is not tensor.datatype:
            _invalid(f"{label}: datatype {values.datatype.value}, the model has {tensor.datatype.value}")
        if not _fits(values.shape, tensor.shape):
            _invalid(f"{label}: shape {list(values.shape)}, the model has {list(tensor.shape)}")
        if math.prod(values.shape) != len(values.data):
            _invalid(f"{label}: {len(values.data)} elements, shape {list(values.shape)} has {math.prod(values.shape)}")
        _check_elements(label, values)


def _check_elements(label: str, values: Values) -> None:
    for element in values.data:
        if not _is_of(values.datatype, element):
            _invalid(f"{label}: {_short(element)} is not a value of datatype {values.datatype.value}")


def _is_of(datatype: Datatype, element: Value) -> bool:
    if datatype is Datatype.BOOL:
        return isinstance(element, bool)
    if datatype is Datatype.BYTES:
        return isinstance(element, str)
    if datatype.is_float:
        return _is_finite(element)
    low, high = _INTEGERS[datatype]
    return isinstance(element, int) and not isinstance(element, bool) and low <= element <= high


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def _fits(shape: tuple[int, ...], schema: tuple[int, ...]) -> bool:
    return len(shape) == len(schema) and all(want in (-1, size) for size, want in zip(shape, schema, strict=True))


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.GOLDEN_INVALID, f"the golden samples cannot be used: {message}") from None


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= limits.PATH_PART else f"{text[: limits.PATH_PART]}..."
