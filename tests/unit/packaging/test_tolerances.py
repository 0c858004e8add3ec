"""Which tolerance an output gets: by its type, by the graph's precision, by what was asked for."""

from collections.abc import Mapping
from typing import Any

import pytest

from volary.bundle.manifest import Golden, Rule, Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import tolerances


def out(datatype: Datatype, name: str = "y", shape: tuple[int, ...] = (-1, 3)) -> Tensor:
    return Tensor(name=name, datatype=datatype, shape=shape)


def choose(*outputs: Tensor, precision: Datatype | None = None, rules: Mapping[str, Rule] | None = None, **everywhere: Any) -> Golden:
    wanted = {"absolute": None, "relative": None} | everywhere
    return tolerances.choose("golden.json", outputs, precision, rules=rules or {}, **wanted)


@pytest.mark.parametrize(
    ("datatype", "precision", "absolute", "relative"),
    [
        (Datatype.FP32, Datatype.FP32, 1e-4, 1e-3),
        (Datatype.FP32, Datatype.FP64, 1e-4, 1e-3),
        (Datatype.FP32, Datatype.FP16, 1e-2, 1e-2),
        (Datatype.FP32, Datatype.BF16, 5e-2, 5e-2),
        (Datatype.FP16, Datatype.FP16, 1e-2, 1e-2),
        (Datatype.FP64, Datatype.FP64, 1e-8, 1e-6),
        (Datatype.FP64, Datatype.FP32, 1e-4, 1e-3),
        (Datatype.INT64, Datatype.FP32, 1e-4, 1e-3),
        (Datatype.BYTES, None, 1e-4, 1e-3),
    ],
)
def test_by_the_least_exact_type(datatype: Datatype, precision: Datatype | None, absolute: float, relative: float) -> None:
    assert choose(out(datatype), precision=precision) == Golden(path="golden.json", absolute=absolute, relative=relative)


def test_outputs_of_different_types_have_rules() -> None:
    found = choose(out(Datatype.FP32), out(Datatype.FP64, "z"), out(Datatype.INT64, "label"))
    assert (found.absolute, found.outputs) == (1e-4, {"z": Rule(absolute=1e-8, relative=1e-6)})
    assert found.of("label").absolute == 1e-4  # not used: integers must be equal


def test_what_was_asked_for_wins() -> None:
    found = choose(out(Datatype.FP32), out(Datatype.FP16, "z"), absolute=0.5, rules={"z": Rule(relative=0.25, argmax=True)})
    assert (found.of("y").absolute, found.of("y").relative) == (0.5, 1e-3)
    assert (found.of("z").absolute, found.of("z").relative, found.of("z").argmax) == (0.5, 0.25, True)
    assert found.outputs == {"z": Rule(relative=0.25, argmax=True)}


def test_a_rule_that_changes_nothing_is_not_written() -> None:
    assert choose(out(Datatype.FP32), rules={"y": Rule(absolute=1e-4)}).outputs == {}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"z": Rule()}, "there is a tolerance for the output 'z', the model has ['label', 'one', 'y']"),
        ({"label": Rule(absolute=1.0)}, "the output 'label' is INT64, which is compared exactly; remove its tolerance"),
        ({"one": Rule(argmax=True)}, "the output 'one' is a single number"),
    ],
)
def test_rules_that_cannot_be_kept(rules: dict[str, Rule], said: str) -> None:
    with pytest.raises(Refused) as caught:
        choose(out(Datatype.FP32), out(Datatype.INT64, "label"), out(Datatype.FP32, "one", ()), rules=rules)
    assert caught.value.reason is Reason.SPEC_INVALID
    assert said in caught.value.message
