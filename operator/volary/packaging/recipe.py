"""What is to be packed: one value that the command line, `volary.yaml` and the Python API all produce."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from volary.bundle import layout
from volary.bundle.manifest import NAME_PATTERN, Metadata, Rule
from volary.bundle.metadata import Requirements
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.convert import Source

if TYPE_CHECKING:
    from volary.packaging.samples import Array, Given, Inputs

Predict = Callable[["Inputs"], "dict[str, Array]"]
Evaluation = Callable[[Predict], float | Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Auto:
    """Golden samples are made up from the model's inputs; see `volary.packaging.generate`."""

    dims: Mapping[str, int] = field(default_factory=dict)  # sizes of free axes, by name or INPUT:AXIS; others are 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model and all that its bundle is to say of it."""

    model: Path | str | Source  # a file or directory; text: what the command line must bring here first; a live model
    name: str
    version: str
    output: Path  # must not exist, or be empty
    samples: "Given | Auto | None" = None  # inputs only: the answers are recorded
    absolute: float | None = None  # for all outputs; None: by the type of their numbers
    relative: float | None = None
    tolerances: Mapping[str, Rule] = field(default_factory=dict)  # by output
    config: Sequence[Path] = ()  # files for before and after the model
    labels: Mapping[str, str] = field(default_factory=dict)
    license: str | None = None  # an SPDX expression
    training: Mapping[str, str] = field(default_factory=dict)
    requirements: Requirements | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)  # scores known before
    evaluate: str | Evaluation | None = None  # scores measured now; MODULE:FUNCTION is imported from `home`
    minimums: Mapping[str, float] = field(default_factory=dict)  # by metric
    home: Path = Path()

    @property
    def metadata(self) -> Metadata:
        """As the manifest will say it. Raises Refused (SpecInvalid) with the field."""
        found: dict[str, Any] = {
            "labels": dict(self.labels),
            "license": self.license,
            "metrics": dict(self.metrics),
            "training": dict(self.training),
            "requirements": self.requirements,
        }
        try:
            return Metadata(**found)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"] if part != "[key]")
            said = first["msg"].removeprefix("Value error, ")
            raise Refused(Reason.SPEC_INVALID, f"{where}: found {first['input']!r:.200}: {said}") from None


def check(recipe: Recipe) -> None:
    """What can be said before the model is opened. Raises Refused (NameInvalid, NameConflict, SpecInvalid)."""
    name, output = recipe.name, recipe.output
    if len(name) > 63 or not re.fullmatch(NAME_PATTERN, name) or name.endswith("\n"):
        raise Refused(Reason.NAME_INVALID, f"{name!r} cannot be the name of a model; use lower-case letters, digits and '-'")
    layout.version_key(recipe.version)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise Refused(Reason.NAME_CONFLICT, f"{output} exists and is not an empty directory; choose another --output or remove it")
    if recipe.minimums and recipe.evaluate is None and not recipe.metrics:
        raise Refused(
            Reason.SPEC_INVALID, f"there are minimums for {sorted(recipe.minimums)} but no metrics; add --evaluate MODULE:FUNCTION"
        )
    for field_name, value in (("absolute", recipe.absolute), ("relative", recipe.relative)):
        if value is not None and not 0 <= value < math.inf:
            raise Refused(Reason.SPEC_INVALID, f"{field_name} is {value:g}; a tolerance is a number of 0 or more")
    _ = recipe.metadata
