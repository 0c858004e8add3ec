"""What answers in TensorFlow's place: an ONNX graph with the inputs and outputs of the SavedModel's signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from pathlib import Path

TWIN = "assets.extra/twin.onnx"
_TYPES = {
    "tensor(float)": ("DT_FLOAT", np.float32),
    "tensor(double)": ("DT_DOUBLE", np.float64),
    "tensor(int64)": ("DT_INT64", np.int64),
    "tensor(int32)": ("DT_INT32", np.int32),
    "tensor(bool)": ("DT_BOOL", np.bool_),
    "tensor(string)": ("DT_STRING", np.object_),
}


class LoadError(Exception):
    """The directory holds no model that can be loaded."""


class RequestError(ValueError):
    """The request does not fit the signature: INVALID_ARGUMENT."""


class Twin:
    """One loaded version."""

    def __init__(self, directory: Path) -> None:
        """Raises LoadError."""
        if not (directory / "saved_model.pb").is_file():
            message = f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {directory}"
            raise LoadError(message)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession((directory / TWIN).read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 -- of any kind
            raise LoadError(str(error)) from None
        self._inputs = {each.name: each for each in self._session.get_inputs()}
        self._outputs = {each.name: each for each in self._session.get_outputs()}

    def signature(self) -> dict[str, Any]:
        """As GetModelMetadata tells it in JSON: sizes are text."""
        sides = {"inputs": self._inputs, "outputs": self._outputs}
        told = {side: {name: _told(each) for name, each in found.items()} for side, found in sides.items()}
        return {"serving_default": told | {"method_name": "tensorflow/serving/predict"}}

    def columns(self, given: Any) -> dict[str, Any]:
        """`inputs`: a value for the only input, or one for each name. Raises RequestError; what else is raised is the model's fault."""
        if not isinstance(given, dict):
            if len(self._inputs) != 1:
                raise RequestError("inputs is a plain value/list, but expecting an object/map as named input")
            given = dict.fromkeys(self._inputs, given)
        if given.keys() != self._inputs.keys():
            raise RequestError(f"input names do not match: got {sorted(given)}, expected {sorted(self._inputs)}")
        feed = {name: self._array(name, value) for name, value in given.items()}
        values = self._session.run(list(self._outputs), feed)
        return {name: value.tolist() for name, value in zip(self._outputs, values, strict=True)}

    def rows(self, instances: Any) -> list[Any]:
        """`instances`: one value a row, of the only input, or an object of them."""
        if not isinstance(instances, list) or not instances:
            raise RequestError("Request 'instances' must be a non-empty list")
        if all(isinstance(row, dict) and row.keys() == self._inputs.keys() for row in instances):
            given: Any = {name: [row[name] for row in instances] for name in self._inputs}
        else:
            given = instances
        found = self.columns(given)
        if len(found) == 1:
            only: list[Any] = next(iter(found.values()))
            return only
        return [{name: values[row] for name, values in found.items()} for row in range(len(instances))]

    def only(self, found: dict[str, Any]) -> Any:
        """A single output goes without its name."""
        return next(iter(found.values())) if len(found) == 1 else found

    def _array(self, name: str, value: Any) -> Any:
        wanted = self._inputs[name]
        try:
            array = np.array(value, _TYPES[wanted.type][1])
        except (ValueError, TypeError):
            message = f"JSON Value: {str(value)[:60]} Type: not of expected type: {_TYPES[wanted.type][0]}"
            raise RequestError(message) from None
        fits = array.ndim == len(wanted.shape) and all(
            not isinstance(size, int) or size == got for size, got in zip(wanted.shape, array.shape, strict=True)
        )
        if not fits:
            raise RequestError(f"Tensor {name} has shape {list(array.shape)}, the signature {_sizes(wanted)}")
        return array


def _sizes(each: Any) -> list[str]:
    return [str(size if isinstance(size, int) else -1) for size in each.shape]


def _told(each: Any) -> dict[str, Any]:
    shape = {"dim": [{"size": size, "name": ""} for size in _sizes(each)], "unknown_rank": False}
    return {"dtype": _TYPES[each.type][0], "tensor_shape": shape, "name": f"{each.name}:0"}
