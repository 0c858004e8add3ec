"""`MODULE:NAME`: a function or class of the person's own code that makes a model."""

import importlib
from typing import Any, NoReturn

from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.convert.source import Kind, Source


def make(spec: str) -> Any:
    """Call `NAME` of `MODULE`, which must be importable, see `volary.packaging.importing`. Raises Refused (SpecInvalid)."""
    module_name, _, name = spec.partition(":")
    if not module_name or not all(part.isidentifier() for part in (*module_name.split("."), name)):
        _invalid(spec, "it is not MODULE:NAME")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 -- a person's module may fail with anything
        _invalid(spec, f"{module_name} cannot be imported: {_said(error)}")
    maker = getattr(module, name, None)
    if not callable(maker):
        _invalid(spec, f"{module_name} has no function or class {name!r}")
    try:
        return maker()
    except Exception as error:  # noqa: BLE001 -- as above
        return _invalid(spec, f"{name}() fails: {_said(error)}")


def source(spec: str) -> Source:
    """What `MODULE:FUNCTION` returned, as a source. Raises Refused (SpecInvalid, FormatUnsupported)."""
    return of_object(make(spec))


def of_object(model: Any) -> Source:
    """A live model as a source: known by the names of its classes, so that no framework is imported to ask."""
    bases = {f"{each.__module__}.{each.__qualname__}" for each in type(model).__mro__}
    if "sklearn.base.BaseEstimator" in bases:
        return Source(kind=Kind.SKLEARN, model=model)
    if "torch.export.exported_program.ExportedProgram" in bases:
        return Source(kind=Kind.TORCH_PROGRAM, model=model)
    if "torch.nn.modules.module.Module" in bases:
        return Source(kind=Kind.TORCH_MODULE, model=model)
    if any(base.startswith("keras.") and base.endswith(".Model") for base in bases):
        return Source(kind=Kind.KERAS, model=model)
    raise Refused(
        Reason.FORMAT_UNSUPPORTED,
        f"a {type(model).__module__}.{type(model).__qualname__} cannot be converted; "
        "give a fitted scikit-learn estimator, a torch.nn.Module, a torch.export program or a keras.Model",
    )


def _said(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0][:300]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _invalid(spec: str, message: str) -> NoReturn:
    raise Refused(Reason.SPEC_INVALID, f"{spec[:200]!r} gives no model: {message}") from None
