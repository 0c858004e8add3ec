"""How far an answer may be from the recorded one, where nobody said: by the type of its numbers.

Pods run on other processors than the machine that packed: their kernels add in another order, and use
fused multiplication or not. What that changes grows with the rounding error of the type (its epsilon:
FP64 2.2e-16, FP32 1.2e-7, FP16 9.8e-4, BF16 7.8e-3) and with the depth of the network, so each type
gets room for many roundings, and still none for another model.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NoReturn

from volary.bundle.manifest import Golden, Rule, Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

# (absolute, relative), the least exact first. All other datatypes are compared exactly.
DEFAULTS: Mapping[Datatype, tuple[float, float]] = MappingProxyType(
    {
        Datatype.BF16: (5e-2, 5e-2),
        Datatype.FP16: (1e-2, 1e-2),
        Datatype.FP32: (1e-4, 1e-3),
        Datatype.FP64: (1e-8, 1e-6),
    }
)


def choose(
    path: str,
    outputs: tuple[Tensor, ...],
    precision: Datatype | None,
    *,
    absolute: float | None,
    relative: float | None,
    rules: Mapping[str, Rule],
) -> Golden:
    """The manifest's tolerance: `absolute` and `relative` for all outputs if given, `rules` for single ones.

    `precision` is the least exact type of float in the graph: an output in FP64 of a graph that works
    in FP32 gets the room of FP32. Raises Refused (SpecInvalid) for a rule of no output, or one that cannot be kept.
    """
    _check(outputs, rules)
    floats = [tensor for tensor in outputs if tensor.datatype.is_float]
    room = {tensor.name: _default(tensor.datatype, precision) for tensor in floats}
    first = next(iter(room.values()), DEFAULTS[Datatype.FP32])
    everywhere = (first[0] if absolute is None else absolute, first[1] if relative is None else relative)
    found = {}
    for name, default in room.items():
        rule = rules.get(name, Rule())
        wanted = (
            rule.absolute if rule.absolute is not None else default[0] if absolute is None else absolute,
            rule.relative if rule.relative is not None else default[1] if relative is None else relative,
        )
        if wanted != everywhere or rule.argmax:
            changed = [value if value != common else None for value, common in zip(wanted, everywhere, strict=True)]
            found[name] = Rule(absolute=changed[0], relative=changed[1], argmax=rule.argmax)
    return Golden(path=path, absolute=everywhere[0], relative=everywhere[1], outputs=found)


def _default(datatype: Datatype, precision: Datatype | None) -> tuple[float, float]:
    order = list(DEFAULTS)
    worst = min(order.index(each) for each in (datatype, precision) if each is not None)
    return DEFAULTS[order[worst]]


def _check(outputs: tuple[Tensor, ...], rules: Mapping[str, Rule]) -> None:
    known = {tensor.name: tensor for tensor in outputs}
    for name, rule in rules.items():
        tensor = known.get(name)
        if tensor is None:
            _invalid(f"there is a tolerance for the output {name!r}, the model has {sorted(known)}")
        if not tensor.datatype.is_float:
            _invalid(f"the output {name!r} is {tensor.datatype}, which is compared exactly; remove its tolerance")
        if rule.argmax and not tensor.shape:
            _invalid(f"the output {name!r} is a single number, so none of its elements is the largest; remove its argmax")


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.SPEC_INVALID, message)
