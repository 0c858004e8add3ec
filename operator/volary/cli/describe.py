"""A manifest in words, as `volary pack` and `volary inspect` show it."""

from collections.abc import Iterator

from volary.bundle import limits
from volary.bundle.manifest import Golden, Manifest, Tensor


def shape(tensor: Tensor) -> str:
    """[-1, 64] -> `any x 64`."""
    return " x ".join("any" if size < 0 else str(size) for size in tensor.shape)


def proof(tolerance: Golden, output: Tensor) -> str:
    """How an output's answers are compared with the recorded ones."""
    if not output.datatype.is_float:
        return "must be equal"
    rule = tolerance.of(output.name)
    return f"within {rule.absolute:g} + {rule.relative:g} of the recorded value" + (", largest at the same place" if rule.argmax else "")


def metadata(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What is said of the model, as far as something is: `metric`, `accuracy = 0.97`."""
    yield from (("metric", f"{name} = {value:.6g}") for name, value in sorted(manifest.metrics.items()))
    yield from (("label", f"{name}={text}") for name, text in sorted(manifest.labels.items()))
    yield from (("training", f"{name}: {text}") for name, text in sorted(manifest.training.items()))
    if manifest.license is not None:
        yield "license", manifest.license
    if (needs := manifest.requirements) is not None:
        memory = None if needs.memory is None else limits.show(needs.memory)
        for name, value in (("opset", needs.opset), ("memory", memory), ("one of", " ".join(needs.providers) or None)):
            if value is not None:
                yield "needs", f"{name} {value}"
