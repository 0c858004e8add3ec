"""`volary.yaml` beside a model: a recipe that is kept under version control.

The command line speaks of the same things, so it is a `Project`, too: one overrides the other, and
what comes out is a Recipe.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from volary.bundle import limits
from volary.bundle.manifest import Rule
from volary.bundle.metadata import Requirements
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import document, faults
from volary.packaging.recipe import Auto, Recipe

FILE = "volary.yaml"
AUTO = "auto"
_UNITS = {"": 1, "Ki": limits.KIB, "Mi": limits.MIB, "Gi": limits.GIB}


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
    )


class Needs(_Strict):
    """The least a runtime must offer."""

    opset: Annotated[int, Field(ge=1, le=limits.OPSET)] | None = None
    memory: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,14}(Ki|Mi|Gi)?$")] | None = None
    providers: list[str] = []

    def requirements(self) -> Requirements:
        """As the manifest says it. Raises ValidationError."""
        digits = (self.memory or "").rstrip("KMGi")
        memory = int(digits) * _UNITS[(self.memory or "")[len(digits) :]] if digits else None
        return Requirements(opset=self.opset, memory=memory, providers=tuple(self.providers))


class Tolerance(_Strict):
    """How one output is compared."""

    absolute: Annotated[float, Field(ge=0)] | None = None
    relative: Annotated[float, Field(ge=0)] | None = None
    argmax: bool | None = None


class Project(_Strict):
    """All fields of the file; each may be absent, as it may be given on the command line instead."""

    model: str | None = None  # paths are relative to the file
    name: str | None = None
    version: str | None = None
    output: str | None = None  # directory of the bundle
    golden: str | None = None  # a file with inputs, or `auto`
    dims: dict[str, Annotated[int, Field(ge=1, le=limits.DIMENSION)]] = {}  # sizes of free axes, for `golden: auto`
    absolute: Annotated[float, Field(ge=0)] | None = None  # for all outputs
    relative: Annotated[float, Field(ge=0)] | None = None
    tolerances: dict[str, Tolerance] = {}  # by output
    config: list[str] = []  # files for before and after the model
    labels: dict[str, str] = {}
    license: str | None = None  # an SPDX expression
    training: dict[str, str] = {}  # where it comes from: data set, commit, run
    requirements: Needs | None = None
    metrics: dict[str, float] = {}  # scores known before
    evaluate: str | None = None  # MODULE:FUNCTION that measures some, imported from beside the file
    minimums: dict[str, float] = {}  # by metric


def read(path: Path) -> Project:
    """The file, its paths made good for this process. Raises Refused (SpecInvalid, FileNotFound)."""
    project = parse(str(path), document.load(path))
    found = {name: _below(path.parent, value) for name in ("model", "output", "golden") if (value := getattr(project, name)) is not None}
    return project.model_copy(update={**found, "config": [_below(path.parent, each) for each in project.config]})


def parse(place: str, data: object) -> Project:
    """What the YAML says -> a Project. `place` is for messages. Raises Refused (SpecInvalid)."""
    if not isinstance(data, dict):
        raise Refused(Reason.SPEC_INVALID, f"{place}: found {faults.show(data)}, expected fields such as `model: model.onnx`")
    try:
        return Project.model_validate(data)
    except ValidationError as error:
        raise Refused(Reason.SPEC_INVALID, faults.explain(place, error, Project)) from None


def override(project: Project, by: Project) -> Project:
    """Fields of `by` where it says something; what is named by keys is merged key by key."""
    changes = {}
    for name, value in by:
        if name in by.model_fields_set and value not in (None, {}, []):
            changes[name] = _merged(getattr(project, name), value)
    if by.golden not in (None, project.golden):
        changes["dims"] = by.dims  # those of the file belong to its own samples
    return project.model_copy(update=changes)


def recipe(project: Project, home: Path) -> Recipe:
    """Raises Refused (SpecInvalid) where something is missing. `evaluate` is imported from `home`."""
    needs = project.requirements
    try:
        requirements = None if needs is None else needs.requirements()
    except ValidationError as error:
        raise Refused(Reason.SPEC_INVALID, faults.explain("requirements", error, Needs)) from None
    return Recipe(
        model=_model(_needed(project.model, "model", "MODEL")),
        name=_needed(project.name, "name", "--name NAME"),
        version=_needed(project.version, "version", "--version VERSION"),
        output=Path(_needed(project.output, "output", "--output DIR")),
        samples=_samples(project),
        absolute=project.absolute,
        relative=project.relative,
        tolerances={name: _rule(each) for name, each in project.tolerances.items()},
        config=tuple(Path(each) for each in project.config),
        labels=project.labels,
        license=project.license,
        training=project.training,
        requirements=requirements,
        metrics=project.metrics,
        evaluate=project.evaluate,
        minimums=project.minimums,
        home=home,
    )


def _below(folder: Path, value: str) -> str:
    """A path relative to the file, made good for this process; what is no path stays."""
    return value if value == AUTO or "://" in value else str(folder / value)


def _model(value: str) -> Path | str:
    return value if "://" in value else Path(value)


def _samples(project: Project) -> Path | Auto | None:
    if project.golden == AUTO:
        return Auto(project.dims)
    if project.dims:
        _missing(f"sizes of the axes {sorted(project.dims)} are for samples that are made up: use them with golden {AUTO!r}")
    return None if project.golden is None else Path(project.golden)


def _rule(tolerance: Tolerance) -> Rule:
    return Rule(absolute=tolerance.absolute, relative=tolerance.relative, argmax=bool(tolerance.argmax))


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, _Strict) and isinstance(new, _Strict):
        return old.model_copy(update={name: value for name, value in new if name in new.model_fields_set})
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    return new


def _needed(value: str | None, name: str, option: str) -> str:
    if value is None:
        _missing(f"there is no {name}: give {option}, or write `{name}: ...` into {FILE}")
    return value


def _missing(message: str) -> NoReturn:
    raise Refused(Reason.SPEC_INVALID, message)
