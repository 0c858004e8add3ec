import pytest

from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.optimise import Options, Quantise
from volary.packaging.optimise.options import steps

STATIC, DYNAMIC = Quantise.STATIC, Quantise.DYNAMIC


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (Options(simplify=True), ("simplify",)),
        (Options(quantise=STATIC, prune=0.5, simplify=True), ("simplify", "prune-0.5", "int8-static")),
        (Options(fp16=True, prune=0.25, per_layer=True), ("prune-0.25", "fp16")),
        (Options(quantise=DYNAMIC, reduce_range=True), ("int8-dynamic",)),
    ],
)
def test_the_order_of_steps_is_fixed(options: Options, wanted: tuple[str, ...]) -> None:
    assert steps(options) == wanted


@pytest.mark.parametrize(
    ("options", "before", "message"),
    [
        (Options(), (), "no step is asked for"),
        (Options(fp16=True, quantise=DYNAMIC), (), "fp16 and int8-dynamic both replace the weights' 32-bit floats.*both are asked for"),
        (Options(fp16=True), ("int8-static",), "the model is int8-static already"),
        (Options(quantise=STATIC), ("simplify", "int8-dynamic"), "the model is int8-dynamic already"),
        (Options(prune=0.5), ("fp16",), "prune the model in 32 bits"),
        (Options(prune=0), (), "more than 0 and less than 1; found 0"),
        (Options(prune=1), (), "found 1"),
        (Options(prune=float("nan")), (), "found nan"),
        (Options(simplify=True, reduce_range=True), (), "--reduce-range is about --quantise"),
        (Options(simplify=True, per_layer=True), (), "--per-layer is about --prune"),
    ],
)
def test_what_cannot_be_is_refused(options: Options, before: tuple[str, ...], message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        steps(options, before)
    assert caught.value.reason is Reason.OPTION_INVALID
