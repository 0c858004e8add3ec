"""Scores of the packed model, measured by a function of the user's own."""

import importlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np

from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.importing import importable
from volary.packaging.recipe import Evaluation, Predict
from volary.packaging.samples import DTYPES, Array, Inputs
from volary.packaging.session import RunFailed, Session
from volary.packaging.traits import Traits


def evaluate(function: str | Evaluation, home: Path, session: Session, traits: Traits) -> dict[str, float]:
    """What the function says of the model. Raises Refused (EvaluationFailed, SpecInvalid); its cause is the function's error.

    The function gets `predict`, which takes the model's inputs by name, any number of rows at once, and
    returns its outputs by name. It returns one number, which is called like the function, or several by name.
    """
    with importable(home):
        if isinstance(function, str):
            label, called = function, _imported(function)
        else:
            label, called = _label(function), function
        try:
            found = called(predict(session, traits))
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a user's function may raise anything, and scripts end themselves
            _failed(label, error)
    return _metrics(label, found)


def check(metrics: Mapping[str, float], minimums: Mapping[str, float]) -> None:
    """Raises Refused (MetricTooLow, SpecInvalid) unless each minimum is reached."""
    for name, least in sorted(minimums.items()):
        if name not in metrics:
            raise Refused(Reason.SPEC_INVALID, f"there is a minimum for {name!r}, which is not among the metrics {sorted(metrics)}")
        # Said this way, a minimum of NaN is not reached either.
        if not metrics[name] >= least:
            raise Refused(Reason.METRIC_TOO_LOW, f"{name} is {metrics[name]:.6g}, it must be {least:g} or more; nothing was packed")


def predict(session: Session, traits: Traits) -> Predict:
    """The model as a function. Numbers are converted to the datatype of the input where nothing but precision is lost."""

    def run(inputs: Inputs) -> dict[str, Array]:
        wanted = {tensor.name: DTYPES.get(tensor.datatype) for tensor in traits.inputs}
        if set(inputs) != set(wanted):
            raise ValueError(f"predict was given {sorted(inputs)}, the model has the inputs {sorted(wanted)}")
        try:
            return session.run({name: np.asarray(value).astype(wanted[name], casting="same_kind") for name, value in inputs.items()})
        except RunFailed as error:
            raise ValueError(str(error)) from None

    return run


def _imported(name: str) -> Evaluation:
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise Refused(Reason.SPEC_INVALID, f"evaluate is {name!r}; write it like MODULE:FUNCTION")
    try:
        found: Any = importlib.import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- a module may raise anything when it is imported
        _failed(name, error)
    if not isinstance(found, Callable):  # type: ignore[arg-type] # mypy takes no Callable here
        raise Refused(Reason.EVALUATION_FAILED, f"{name} is {type(found).__name__}, not a function")
    return cast("Evaluation", found)


def _label(function: Evaluation) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)  # a partial has no name of its own
    return f"{function.__module__}:{name}"


def _metrics(label: str, found: object) -> dict[str, float]:
    named = found if isinstance(found, Mapping) else {label.rpartition(":")[2].rpartition(".")[2]: found}
    metrics = {}
    for name, value in named.items():
        number = _number(value)
        if not isinstance(name, str) or number is None:
            raise Refused(
                Reason.EVALUATION_FAILED,
                f"{label} returned {value!r:.100} for {name!r:.100}; it must return a finite number, or several by name",
            )
        metrics[name] = number
    if not metrics:
        raise Refused(Reason.EVALUATION_FAILED, f"{label} returned no metrics; it must return a number, or several by name")
    return metrics


def _number(value: object) -> float | None:
    """Those of numpy are numbers, too."""
    try:
        number = float(cast("Any", value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and not isinstance(value, str) else None


def _failed(label: str, error: BaseException) -> NoReturn:
    raise Refused(Reason.EVALUATION_FAILED, f"{label} failed: {type(error).__name__}: {first_line(error)}") from error
