"""Keras `.keras` and `.h5` -> SavedModel by Keras' own export; ONNX and TFLite from there, so that all three agree on names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.convert import savedmodel
from volary.packaging.convert.packages import named, need
from volary.packaging.convert.source import FORMATS, Converted, Predict, Source, Target


def convert(source: Source, to: Target, workdir: Path) -> Converted:
    """Raises Refused (PackageMissing, LoadFailed, ConversionFailed)."""
    savedmodel.tensorflow()  # first, so that Keras chooses it
    model = source.model if source.model is not None else _load(source)
    exported = workdir / "savedmodel"
    try:
        model.export(str(exported), format="tf_saved_model", verbose=False)
    except Exception as error:  # noqa: BLE001 -- Keras raises whatever its layers raise
        savedmodel.failed(source, to, error)
    graph, tool = savedmodel.onward(source, exported, to, workdir)
    return Converted(
        graph=graph,
        format=FORMATS[to],
        framework=named("keras"),
        tool=tool or named("tensorflow-cpu", "tensorflow"),
        predict=_predict(model),
    )


def _load(source: Source) -> Any:
    """Layers that hold Python code (Lambda) are refused by Keras: `safe_mode` is never switched off."""
    keras = need("keras", "tensorflow", f"{source.name}: reading a Keras model")
    try:
        return keras.models.load_model(source.path, compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001 -- as above
        first = first_line(error)
        hint = "custom layers: make the model in your code and give --from MODULE:FUNCTION"
        raise Refused(Reason.LOAD_FAILED, f"Keras cannot load {source.name}: {first}; {hint}") from None


def _predict(model: Any) -> Predict:
    """Keras names the outputs of an exported model `output_0`, `output_1`, ..., or as the model's dictionary does."""

    def predict(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        names = [each.name for each in model.inputs]
        given = [inputs[name] for name in names] if set(names) == set(inputs) else list(inputs.values())
        answers = model(given if len(given) > 1 else given[0], training=False)
        if isinstance(answers, dict):
            return {name: _array(value) for name, value in answers.items()}
        listed = answers if isinstance(answers, list | tuple) else [answers]
        return {f"output_{number}": _array(value) for number, value in enumerate(listed)}

    return predict


def _array(tensor: Any) -> Any:
    return tensor.numpy()
