"""The graph that a bundle is made of: the recipe's model, converted if it is not servable as it is."""

from pathlib import Path

from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert
from volary.packaging.convert import Servable, Source
from volary.packaging.recipe import Auto, Recipe


def find(recipe: Recipe, scratch: Path) -> Servable:
    """The recipe's model as it goes into the bundle. `scratch` is an empty directory for what a conversion writes. Raises Refused."""
    samples = None if isinstance(recipe.samples, Auto) else recipe.samples
    return convert.prepare(_source(recipe), scratch, samples)


def _source(recipe: Recipe) -> Source:
    match recipe.model:
        case Source():
            return recipe.model
        case Path():
            return convert.find(recipe.model)
        case _:
            raise Refused(
                Reason.SPEC_INVALID,
                f"the model {recipe.model!r:.200} is no file; only `volary pack` fetches one from a bucket or calls a function for it",
            )
