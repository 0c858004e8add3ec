from typing import Any

import numpy as np
import pytest

from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.optimise import Limits, guards
from volary.packaging.optimise.deviation import accuracy, answers, compare
from volary.packaging.optimise.result import Deviation, Measured, Side

INF, NAN = float("inf"), float("nan")


def floats(*samples: list[float]) -> list[Any]:
    return [np.array([sample], np.float32) for sample in samples]


@pytest.mark.parametrize(
    ("before", "after", "absolute", "relative", "changed"),
    [
        (floats([1, 2], [4, 3]), floats([1, 2], [4, 3]), 0, 0, 0),
        (floats([1, 2], [4, 3]), floats([1, 2], [3.5, 3]), 0.5, 0.125, 0),
        (floats([1, 2], [4, 3]), floats([3, 2], [4, 3]), 2, 0.5, 0.5),
        (floats([0, 0]), floats([0, 0]), 0, 0, 0),
        (floats([0, 0]), floats([1, 0]), 1, INF, 0),
        (floats([NAN, 1]), floats([NAN, 1]), 0, 0, 0),
        (floats([1, 2]), floats([1, NAN]), INF, INF, 0),
        (floats([1, INF]), floats([1, INF]), 0, 0, 0),
        (floats([1, INF]), floats([1, -INF]), INF, INF, 1),
        (floats([1, 70000]), floats([1, INF]), INF, INF, 0),
        (floats([1, 2]), floats([1, 2, 3]), INF, INF, 1),
        (floats([1], [2]), floats([1], [4]), 2, 1, 0),
    ],
)
def test_floats_by_their_largest_difference(before: list[Any], after: list[Any], absolute: float, relative: float, changed: float) -> None:
    assert compare("y", before, after) == Deviation("y", absolute, relative, changed)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ([np.array([1]), np.array([2])], [np.array([1]), np.array([3])], 0.5),
        ([np.array(["cat"], object)], [np.array(["cat"], object)], 0),
        ([np.array(["cat"], object)], [np.array(["dog"], object)], 1),
        ([np.array([True, False])], [np.array([True, False])], 0),
    ],
)
def test_all_else_by_the_share_of_other_answers(before: list[Any], after: list[Any], changed: float) -> None:
    assert compare("label", before, after) == Deviation("label", None, None, changed)


def test_half_precision_is_compared_in_full() -> None:
    before, after = [np.array([60000], np.float16)], [np.array([-60000], np.float16)]
    assert compare("y", before, after).absolute == 120000


@pytest.mark.parametrize(
    ("output", "labels", "wanted"),
    [
        (floats([0.1, 0.9], [0.8, 0.2]), np.array([1, 1]), 0.5),
        (floats([0.1, 0.9], [0.8, 0.2]), np.array([1.0, 0.0]), 1.0),
        ([np.array([7]), np.array([3])], np.array([7, 3]), 1.0),
        ([np.array(["cat"], object), np.array(["dog"], object)], np.array(["cat", "cat"]), 0.5),
    ],
)
def test_accuracy(output: list[Any], labels: Any, wanted: float) -> None:
    assert accuracy(answers(output), labels) == wanted


@pytest.mark.parametrize("output", [floats([0.7]), [np.array([1, 2])]])
def test_outputs_that_name_no_class_have_no_accuracy(output: list[Any]) -> None:
    with pytest.raises(Refused, match="--labels needs a model whose first output") as caught:
        answers(output)
    assert caught.value.reason is Reason.OPTION_INVALID


def measured(deviations: list[Deviation], accuracies: tuple[float | None, float | None] = (None, None)) -> Measured:
    sides = [Side(1, 1.0, 1.0, 1.0, (1.0,), each) for each in accuracies]
    return Measured(sides[0], sides[1], tuple(deviations), 300, random=False, threads=1)


@pytest.mark.parametrize(
    ("found", "limits", "wanted"),
    [
        (measured([], (0.97, 0.96)), Limits(accuracy_drop=0.01), None),
        (measured([], (0.97, 0.99)), Limits(accuracy_drop=0), None),
        (measured([], (0.97, 0.95)), Limits(accuracy_drop=0.01), "falls by 0.0200, from 0.9700 to 0.9500 on 300 samples"),
        (measured([Deviation("y", 0.01, 0.5, 0)]), Limits(deviation=0.01), None),
        (measured([Deviation("y", 0.02, 0.5, 0)]), Limits(deviation=0.01), "'y' is off by up to 0.02 on 300 samples"),
        (measured([Deviation("y", 0.0, 0, 0), Deviation("z", INF, INF, 0)]), Limits(deviation=9), "'z' is off by up to inf"),
        (measured([Deviation("label", None, None, 0.05)]), Limits(deviation=0.01), "another one for 5.00% of the answers"),
        (measured([Deviation("y", 9, 9, 1)], (0.9, 0.1)), Limits(), None),
    ],
)
def test_guards_tell_the_measured_figure(found: Measured, limits: Limits, wanted: str | None) -> None:
    broken = guards.broken(found, limits)
    assert (broken is None) == (wanted is None)
    if broken is not None and wanted is not None:
        assert wanted in broken[1]
