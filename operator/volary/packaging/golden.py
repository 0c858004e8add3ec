"""Record what a model answers, so that every pod can prove that it serves that model."""

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from volary.bundle import golden
from volary.bundle.golden import Sample, Values
from volary.bundle.manifest import Golden, Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.samples import Array, Inputs
from volary.packaging.session import RunFailed, Session
from volary.packaging.traits import Traits


def record(session: Session, inputs: Iterable[Inputs], traits: Traits, tolerance: Golden) -> list[Sample]:
    """Run the model on each input, twice. Raises Refused (GoldenInvalid).

    Two runs that differ by more than the tolerance mean that the model is not a function of its
    inputs; its samples would prove nothing.
    """
    given = list(inputs)
    first = [_recorded(session, number, each, traits) for number, each in enumerate(given)]
    # After all the others, so that a model that counts its calls is found out too.
    for number, (each, sample) in enumerate(zip(given, first, strict=True)):
        again = _recorded(session, number, each, traits)
        difference = golden.compare(sample.outputs, [tensor.model_dump(mode="json") for tensor in again.outputs], tolerance)
        if difference is not None:
            _invalid(f"sample {number} is answered differently the second time: {difference}; {_why(traits.random)}")
    return first


def answered(session: Session, inputs: Inputs, traits: Traits) -> Sample:
    """One request and its answer. Raises RunFailed, also for an answer that cannot be written down."""
    answers = session.run(inputs)
    return Sample(
        inputs=tuple(_values(tensor, inputs[tensor.name]) for tensor in traits.inputs),
        outputs=tuple(_values(tensor, answers[tensor.name]) for tensor in traits.outputs),
    )


def _recorded(session: Session, number: int, inputs: Inputs, traits: Traits) -> Sample:
    try:
        return answered(session, inputs, traits)
    except RunFailed as error:
        _invalid(f"sample {number}: {error}")


def _why(random: Sequence[str]) -> str:
    if random:
        return f"the graph draws random numbers: {', '.join(random[:5])}; export it for inference"
    return "does it keep a state between requests?"


def _values(tensor: Tensor, array: Array) -> Values:
    if tensor.datatype.is_float and not np.isfinite(array).all():
        raise RunFailed(f"{tensor.name!r} is not finite everywhere, and JSON cannot say NaN")
    data: list[Any] = array.ravel().tolist()
    match tensor.datatype:
        case Datatype.FP32 | Datatype.FP16:
            # The shortest decimal that is this number in its own precision: 0.1, not 0.10000000149011612.
            data = [float(str(element)) for element in array.ravel()]
        case Datatype.BYTES:
            data = [element.decode() if isinstance(element, bytes) else str(element) for element in data]
        case _:
            pass
    return Values(name=tensor.name, datatype=tensor.datatype, shape=array.shape, data=tuple(data))


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.GOLDEN_INVALID, f"the golden samples cannot be used: {message}") from None
