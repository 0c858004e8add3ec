"""What is to be packed: one value that the command line, `volary.yaml` and the Python API all produce."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from volary.bundle import layout, manifest
from volary.common.errors import Refused
from volary.common.reasons import Reason

if TYPE_CHECKING:
    from volary.packaging.samples import Given

ABSOLUTE = 1e-4
RELATIVE = 1e-3


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model and all that its bundle is to say of it."""

    model: Path
    name: str
    version: str
    output: Path  # must not exist, or be empty
    samples: "Given | None" = None  # inputs only: the answers are recorded
    absolute: float = ABSOLUTE
    relative: float = RELATIVE


def check(recipe: Recipe) -> None:
    """What can be said before the model is opened. Raises Refused (NameInvalid, NameConflict)."""
    name, output = recipe.name, recipe.output
    if len(name) > 63 or not re.fullmatch(manifest.NAME_PATTERN, name) or name.endswith("\n"):
        raise Refused(Reason.NAME_INVALID, f"{name!r} cannot be the name of a model; use lower-case letters, digits and '-'")
    layout.version_key(recipe.version)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise Refused(Reason.NAME_CONFLICT, f"{output} exists and is not an empty directory; choose another --output or remove it")
