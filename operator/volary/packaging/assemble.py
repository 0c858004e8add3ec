"""From a source to a bundle in an empty directory: files, golden samples, manifest."""

import shutil
from collections.abc import Sequence
from importlib.metadata import version as version_of
from pathlib import Path

from volary import __version__
from volary.bundle import golden as golden_file
from volary.bundle import manifest, paths
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import File, Golden, Manifest
from volary.packaging import bundle, golden, onnx, samples
from volary.packaging.bundle import Bundle
from volary.packaging.onnx import Inspected
from volary.packaging.recipe import Recipe
from volary.packaging.source import Source

MODEL = "model.onnx"
GOLDEN = "golden.json"

Roles = dict[str, Role]  # by path below the bundle's directory


def assemble(directory: Path, source: Source, recipe: Recipe) -> Bundle:
    """Fill `directory`. Raises Refused: what would not be fetched is not packed either."""
    inspected = onnx.inspect(source.model)
    roles = _copy_model(directory, source.model, inspected.data)
    tolerance = _record(directory, roles, inspected, recipe)
    content = Manifest(
        name=recipe.name,
        version=recipe.version,
        format=Format.ONNX,
        files=tuple(_file(directory, path, roles[path]) for path in sorted(roles)),
        inputs=inspected.inputs,
        outputs=inspected.outputs,
        golden=tolerance,
        build=_build(source, inspected, recorded=tolerance is not None),
    )
    return _sealed(directory, content)


def _copy_model(directory: Path, model: Path, data: Sequence[str]) -> Roles:
    # The model is named alike in every bundle, unless its weights have that very name.
    name = MODEL if MODEL not in data else model.name
    shutil.copyfile(model, directory / name)
    for each in data:
        (directory / each).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model.parent / each, directory / each)
    return {name: Role.MODEL, **dict.fromkeys(data, Role.DATA)}


def _record(directory: Path, roles: Roles, inspected: Inspected, recipe: Recipe) -> Golden | None:
    """Write the golden samples, if the recipe has inputs for them."""
    if recipe.samples is None:
        return None
    model = next(path for path, role in roles.items() if role is Role.MODEL)
    tolerance = Golden(path=GOLDEN, absolute=recipe.absolute, relative=recipe.relative)
    inputs = samples.read(recipe.samples, inspected.inputs)
    recorded = golden.record(directory / model, inputs, (inspected.inputs, inspected.outputs), tolerance)
    (directory / GOLDEN).write_bytes(golden_file.dump(recorded))
    roles[GOLDEN] = Role.GOLDEN
    return tolerance


def _sealed(directory: Path, content: Manifest) -> Bundle:
    """Write the manifest and read everything back as a stranger would."""
    data = manifest.dump(content)
    (directory / paths.MANIFEST).write_bytes(data)
    found = Bundle(directory, manifest.parse(data), data)
    bundle.verify(found)
    if content.golden_file is not None:
        golden_file.parse((directory / GOLDEN).read_bytes(), content)
    return found


def _file(directory: Path, path: str, role: Role) -> File:
    return File(path=path, role=role, sha256=bundle.sha256(directory / path), size=(directory / path).stat().st_size)


def _build(source: Source, inspected: Inspected, *, recorded: bool) -> dict[str, str]:
    """How it was made; no time and no place, so that packing twice gives the same digest."""
    facts = {"volary": __version__, "onnx.opset": str(inspected.opset), "onnx.producer": inspected.producer, **source.facts}
    if recorded:
        facts["golden.onnxruntime"] = version_of("onnxruntime")
    return {key: value[:200] for key, value in facts.items() if value}
