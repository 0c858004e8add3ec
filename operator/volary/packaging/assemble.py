"""From a source to a bundle in an empty directory: files, golden samples, scores, manifest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from volary.bundle import golden as golden_file
from volary.bundle import limits, manifest, paths
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import File, Golden, Manifest
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import bundle, chunking, config, cover, evaluate, facts, generate, golden, samples, tolerances, traits
from volary.packaging.bundle import Bundle
from volary.packaging.convert import Servable, graphs, lay_out
from volary.packaging.recipe import Auto, Recipe
from volary.packaging.samples import Inputs
from volary.packaging.session import Session
from volary.packaging.traits import Traits

GOLDEN = "golden.json"


@dataclass(frozen=True)
class _Packed:
    """The model in its place in the bundle; it is loaded when it is first to answer."""

    path: Path
    format: Format
    traits: Traits

    @cached_property
    def session(self) -> Session:
        """Raises Refused (LoadFailed)."""
        return Session(graphs.load(self.path, self.format), self.traits.outputs)

    @property
    def engine(self) -> dict[str, str]:
        """What answered, if anything did, for the manifest's `build`."""
        return graphs.engine(self.format) if "session" in vars(self) else {}


def assemble(directory: Path, servable: Servable, recipe: Recipe) -> Bundle:
    """Fill `directory`. Raises Refused: what would not be fetched is not packed either."""
    _check_needs(recipe, servable.opset)
    graph, roles = lay_out(servable, directory)
    packed = _Packed(graph, servable.format, _traits(graph, servable))
    roles |= config.copy(recipe.config, directory)
    tolerance = _record(packed, recipe)
    if tolerance is not None:
        roles[GOLDEN] = Role.GOLDEN
    metadata = replace(recipe, metrics={**recipe.metrics, **_scores(packed, recipe)}).metadata
    evaluate.check(metadata.metrics, recipe.minimums)
    content = Manifest(
        name=recipe.name,
        version=recipe.version,
        format=servable.format,
        files=chunking.cut(directory, [_file(directory, path, roles[path]) for path in sorted(roles)]),
        inputs=servable.inputs,
        outputs=servable.outputs,
        golden=tolerance,
        build=facts.build({**servable.facts, **packed.engine}),
        labels=metadata.labels,
        license=metadata.license,
        metrics=metadata.metrics,
        training=metadata.training,
        requirements=metadata.requirements,
    )
    return _sealed(directory, content)


def _check_needs(recipe: Recipe, opset: int) -> None:
    needs = recipe.requirements
    if needs is not None and needs.opset is not None and needs.opset < opset:
        raise Refused(
            Reason.SPEC_INVALID,
            f"requirements.opset is {needs.opset}, the model itself uses {opset}; write {opset} or leave it out",
        )


def _traits(graph: Path, servable: Servable) -> Traits:
    if servable.format is Format.ONNX:
        return traits.of_onnx(graph, servable.inputs, servable.outputs)
    return Traits(servable.inputs, servable.outputs)


def _record(packed: _Packed, recipe: Recipe) -> Golden | None:
    """Write the golden samples, if the recipe wants any."""
    known = packed.traits
    tolerance = tolerances.choose(
        GOLDEN,
        known.outputs,
        known.precision,
        absolute=recipe.absolute,
        relative=recipe.relative,
        rules=recipe.tolerances,
    )
    if recipe.samples is None:
        return None
    inputs = _made_up(packed, recipe.samples) if isinstance(recipe.samples, Auto) else samples.read(recipe.samples, known.inputs)
    data = golden_file.dump(golden.record(packed.session, inputs, known, tolerance))
    if len(data) > limits.GOLDEN_BYTES:
        raise Refused(
            Reason.LIMIT_EXCEEDED,
            f"the {len(inputs)} golden samples have {limits.show(len(data))}, the limit is {limits.show(limits.GOLDEN_BYTES)}; give fewer",
        )
    (packed.path.parent / GOLDEN).write_bytes(data)
    return tolerance


def _made_up(packed: _Packed, auto: Auto) -> Sequence[Inputs]:
    known = packed.traits
    seed = bytes.fromhex(bundle.sha256(packed.path))
    return cover.choose(packed.session, generate.candidates(known.inputs, known.axes, auto.dims, seed), known)


def _scores(packed: _Packed, recipe: Recipe) -> dict[str, float]:
    if recipe.evaluate is None:
        return {}
    return evaluate.evaluate(recipe.evaluate, recipe.home, packed.session, packed.traits)


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
