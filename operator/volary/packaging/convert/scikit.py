"""scikit-learn -> ONNX by skl2onnx, without the ZipMap that makes a list of dictionaries of the probabilities.

A pickle runs code when it is opened. So a live estimator is taken, or a function that makes one; a
file only from a person who says that it can be trusted.
"""

import pickle
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.convert import factory
from volary.packaging.convert.packages import named, need
from volary.packaging.convert.source import FORMATS, Converted, Kind, Predict, Source, Target


def convert(source: Source, to: Target, workdir: Path) -> Converted:
    """Raises Refused (FormatUnsupported, PackageMissing, LoadFailed, ConversionFailed)."""
    estimator = source.model if source.model is not None else _load(source)
    skl2onnx = need("skl2onnx", "sklearn", f"{source.name} to ONNX")
    columns = _columns(estimator, source.samples)
    try:
        model = skl2onnx.to_onnx(
            estimator,
            initial_types=[(name, _type(array)) for name, array in columns.items()],
            options={id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None,
        )
    except Exception as error:  # noqa: BLE001 -- each converter of skl2onnx raises its own
        first = first_line(error)
        raise Refused(Reason.CONVERSION_FAILED, f"skl2onnx cannot convert {type(estimator).__name__}: {first}") from None
    graph = workdir / "model.onnx"
    graph.write_bytes(model.SerializeToString())
    notes = ("numbers with a fraction become 32-bit floats",)
    predict = _predict(estimator, list(columns), [each.name for each in model.graph.output])
    return Converted(
        graph=graph,
        format=FORMATS[to],
        framework=f"scikit-learn {version('scikit-learn')}",
        tool=named("skl2onnx"),
        notes=notes,
        predict=predict,
    )


def _load(source: Source) -> Any:
    path = source.path
    if path is None or not source.trusted:
        raise Refused(
            Reason.FORMAT_UNSUPPORTED,
            f"{source.name} is a pickle of scikit-learn, and opening a pickle runs whatever code is in it; give --from MODULE:FUNCTION "
            "that returns the estimator, or --trust-pickle if you made this file yourself",
        )
    try:
        model = _opened(path)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 -- unpickling may raise anything
        raise Refused(Reason.LOAD_FAILED, f"{path} cannot be opened: {type(error).__name__}: {str(error)[:300]}") from None
    if factory.of_object(model).kind is not Kind.SKLEARN:
        raise Refused(Reason.FORMAT_UNSUPPORTED, f"{path} holds a {type(model).__qualname__}, not an estimator of scikit-learn")
    return model


def _opened(path: Path) -> Any:
    match path.suffix.lower():
        case ".pkl" | ".pickle":
            with path.open("rb") as stream:
                return pickle.load(stream)  # noqa: S301 -- the person said --trust-pickle
        case ".skops":
            # Loads types it knows to be harmless and no others.
            return need("skops.io", "sklearn", f"{path}: reading a skops file").load(path)
        case _:
            return need("joblib", "sklearn", f"{path}: reading a joblib file").load(path)


def _columns(estimator: Any, samples: Any) -> dict[str, Any]:
    """The inputs of the graph: one matrix, or the columns a data frame had, each with an example."""
    if isinstance(samples, Mapping) and len(samples) > 1:
        return {name: np.asarray(array).reshape(len(array), -1) for name, array in samples.items()}
    if isinstance(samples, Mapping):
        samples = next(iter(samples.values()))
    if samples is not None:
        return {"input": np.asarray(samples)}
    width = getattr(estimator, "n_features_in_", None)
    if width is None:
        _unfitted(estimator)
    return {"input": np.zeros((1, width), np.float32)}


def _type(array: Any) -> Any:
    data_types = need("skl2onnx.common.data_types", "sklearn", "scikit-learn to ONNX")
    match array.dtype.kind:
        case "f":
            kind = data_types.FloatTensorType
        case "i" | "u":
            kind = data_types.Int64TensorType
        case "b":
            kind = data_types.BooleanTensorType
        case _:
            kind = data_types.StringTensorType
    return kind([None, *array.shape[1:]])


def _predict(estimator: Any, columns: list[str], outputs: list[str]) -> Predict | None:
    """What of the estimator's answers the outputs are; scores and distances differ in kind, so of others the labels alone."""
    kind = need("sklearn.utils", "sklearn", "scikit-learn").get_tags(estimator).estimator_type
    methods = ["predict"] if hasattr(estimator, "predict") else ["transform"]
    if kind == "classifier" and hasattr(estimator, "predict_proba"):
        methods = ["predict", "predict_proba"]
    if not hasattr(estimator, methods[0]):
        return None

    def predict(inputs: Mapping[str, Any]) -> dict[str, Any]:
        given = _given(inputs, columns)
        return {name: getattr(estimator, method)(given) for name, method in zip(outputs, methods, strict=False)}

    return predict


def _given(inputs: Mapping[str, Any], columns: list[str]) -> Any:
    """What the estimator takes: a matrix, or the data frame it was fitted to."""
    if len(columns) == 1:
        return next(iter(inputs.values()))
    pandas = need("pandas", "sklearn", "a model of several columns")
    return pandas.DataFrame({name: inputs[name].ravel() for name in columns})


def _unfitted(estimator: Any) -> NoReturn:
    raise Refused(
        Reason.CONVERSION_FAILED,
        f"{type(estimator).__name__} does not say how many columns it takes: is it fitted? "
        "If it is, give samples: sklearn(estimator, x), or --golden FILE",
    )
