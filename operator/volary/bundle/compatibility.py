"""What would break clients that send what the version before took, and read what it answered."""

from collections.abc import Iterable, Iterator, Mapping

from volary.bundle.manifest import Manifest, Tensor


def breaks(before: Manifest, after: Manifest) -> tuple[str, ...]:
    """One sentence for each input and output that is not as clients know it; empty where none will notice.

    An input may get wider (a fixed axis that is free now), an output may be added: neither is news
    to a client. All else is.
    """
    return (*_inputs(_named(before.inputs), _named(after.inputs)), *_outputs(_named(before.outputs), _named(after.outputs)))


def _named(tensors: Iterable[Tensor]) -> Mapping[str, Tensor]:
    return {tensor.name: tensor for tensor in tensors}


def _inputs(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted(before.keys() - after.keys()):
        yield f"the input {name!r} is gone"
    for name in sorted(after.keys() - before.keys()):
        yield f"the input {name!r} is new, and clients do not send it"
    for name in sorted(before.keys() & after.keys()):
        if not _takes(before[name], after[name]):
            yield f"the input {name!r} was {_show(before[name])} and is {_show(after[name])}"


def _outputs(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted(before.keys() - after.keys()):
        yield f"the output {name!r} is gone"
    for name in sorted(before.keys() & after.keys()):
        if not _takes(after[name], before[name]):
            yield f"the output {name!r} was {_show(before[name])} and is {_show(after[name])}"


def _takes(given: Tensor, wanted: Tensor) -> bool:
    """Whether all that `given` describes is described by `wanted` too."""
    fits = len(given.shape) == len(wanted.shape) and all(axis in {-1, own} for own, axis in zip(given.shape, wanted.shape, strict=True))
    return given.datatype == wanted.datatype and fits


def _show(tensor: Tensor) -> str:
    return f"{tensor.datatype} {list(tensor.shape)}"
