"""The ONNX file that a bundle is made of, and what is known of how it came about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from volary.packaging.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Source:
    """A model as it goes into the bundle; files with weights lie beside it."""

    model: Path
    facts: Mapping[str, str] = field(default_factory=dict)  # for the manifest's `build`: no time, no place


def find(recipe: Recipe, scratch: Path) -> Source:
    """The recipe's model as ONNX. `scratch` is an empty directory for what a conversion writes."""
    del scratch  # an ONNX file is taken as it is
    return Source(recipe.model)
