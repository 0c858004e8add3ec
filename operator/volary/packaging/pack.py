"""Make a bundle: complete in its directory, or not there at all. The same input gives the same digest.

numpy, onnx and onnxruntime are imported when they are needed: `push` and `inspect` need none of them.
"""

import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from volary.bundle.manifest import Rule
from volary.bundle.metadata import Requirements
from volary.packaging import recipe as recipes
from volary.packaging.bundle import Bundle
from volary.packaging.convert import Source
from volary.packaging.recipe import Auto, Evaluation, Recipe

if TYPE_CHECKING:
    from volary.packaging.samples import Given


class More(TypedDict, total=False):
    """Fields of a Recipe that few need by hand; told there."""

    absolute: float | None
    relative: float | None
    tolerances: Mapping[str, Rule]
    config: Sequence[Path]
    labels: Mapping[str, str]
    license: str | None
    training: Mapping[str, str]
    requirements: Requirements | None
    metrics: Mapping[str, float]
    evaluate: str | Evaluation | None
    minimums: Mapping[str, float]
    home: Path


def pack(
    model: Path | Source, *, name: str, version: str, output: Path, samples: "Given | Auto | None" = None, **more: Unpack[More]
) -> Bundle:
    """Make the directory `output`, which must not exist or be empty. Raises Refused.

    A model of a framework is converted first, see `volary.packaging.convert`; the manifest's `build` tells how.
    `samples` holds inputs only: the answers are recorded here, with the runtime of the format. How the array
    is read is told in `volary.packaging.samples`; `Auto()` makes some up. Without samples a pod is ready
    as soon as the model loads. All else is told in `volary.packaging.recipe.Recipe`.
    """
    return make(Recipe(model, name, version, output, samples=samples, **more))


def make(recipe: Recipe) -> Bundle:
    """Carry out a recipe. Raises Refused; then there is no `output`, or it is as empty as before."""
    recipes.check(recipe)
    from volary.packaging import source
    from volary.packaging.assemble import assemble

    output = recipe.output
    output.parent.mkdir(parents=True, exist_ok=True)
    work = output.parent / f".{output.name}.{secrets.token_hex(4)}"
    scratch, directory = work / "scratch", work / "bundle"
    try:
        for each in (work, scratch, directory):
            each.mkdir()
        found = assemble(directory, source.find(recipe, scratch), recipe)
        if output.exists():
            output.rmdir()
        directory.rename(output)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Bundle(output, found.manifest, found.data)
