import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.bundle import building
from tests.unit.bundle.building import tensor
from volary.bundle import golden, limits
from volary.bundle.golden import Values
from volary.bundle.manifest import Golden, Rule
from volary.common.errors import Refused
from volary.common.reasons import Reason

MANIFEST = building.manifest()
SAMPLES = golden.parse(building.GOLDEN, MANIFEST)


def file(**changes: Any) -> bytes:
    return json.dumps({"samples": [building.sample(1.0) | changes]}).encode()


INVALID = {
    "not JSON": b"\x80\x04",
    "80 no samples": b'{"samples":[]}',
    "unknown field": b'{"samples":[],"x":1}',
    "no outputs": file(outputs=[]),
    "unknown input": file(inputs=[tensor("z", [1.0, 1.0], [1, 2])]),
    "the same input twice": file(inputs=[tensor("x", [1.0, 1.0], [1, 2])] * 2),
    "75 shape": file(inputs=[tensor("x", [1.0, 1.0, 1.0], [1, 3])]),
    "75 rank": file(inputs=[tensor("x", [1.0, 1.0], [2])]),
    "75 elements": file(inputs=[tensor("x", [1.0], [1, 2])]),
    "75 huge shape": file(inputs=[tensor("x", [1.0], [2**31 - 1, 2])]),
    "datatype": file(inputs=[tensor("x", [1, 1], [1, 2], "INT64")]),
    "text for a number": file(inputs=[tensor("x", ["1", "1"], [1, 2])]),
    "truth for a number": file(inputs=[tensor("x", [True, True], [1, 2])]),
    "76 NaN": file().replace(b"2.0]", b"NaN]"),
    "76 null": file().replace(b"2.0]", b"null]"),
    "76 infinite": file().replace(b"2.0]", b"1e999]"),
    "beyond any float": file().replace(b"2.0]", b"1" + b"0" * 400 + b"]"),
    "too large": b" " * (limits.GOLDEN_BYTES + 1),
}


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_broken_samples_are_refused(data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        golden.parse(data, MANIFEST)
    assert caught.value.reason is Reason.GOLDEN_INVALID


def test_samples_survive_the_wire() -> None:
    assert golden.parse(golden.dump(SAMPLES), MANIFEST) == SAMPLES


WANTED = Values.model_validate_json(json.dumps(tensor("y", [1.0, 100.0, -2.0, 0.0], [2, 2])))
LABEL = Values.model_validate_json(json.dumps(tensor("label", [3, 7], [2], "INT64")))
TOLERANCE = Golden(path="golden.json", absolute=0.01, relative=0.001)

SAME: dict[str, dict[str, Any]] = {
    "equal": tensor("y", [1.0, 100.0, -2.0, 0.0], [2, 2]),
    "nested": tensor("y", [[1.0, 100.0], [-2.0, 0.0]], [2, 2]),
    "integers": tensor("y", [1, 100, -2, 0], [2, 2]),
    "within the absolute part": tensor("y", [1.0, 100.0, -2.0, 0.01], [2, 2]),
    "within the relative part": tensor("y", [1.0, 100.1, -2.0, 0.0], [2, 2]),
}


@pytest.mark.parametrize("answer", SAME.values(), ids=SAME)
def test_an_answer_within_the_tolerance_passes(answer: dict[str, Any]) -> None:
    assert golden.compare([WANTED], [{"name": "other"}, answer], TOLERANCE) is None


DIFFERENT: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no answer": ([], "output 'y': not in the answer, which has []"),
    "another output": ([{"name": "z"}], "output 'y': not in the answer, which has ['z']"),
    "datatype": ([tensor("y", [1.0, 100.0, -2.0, 0.0], [2, 2], "FP64")], "output 'y': datatype 'FP64', expected FP32"),
    "shape": ([tensor("y", [1.0, 100.0, -2.0, 0.0], [4])], "output 'y': shape [4], expected [2, 2]"),
    "no data": ([{"name": "y", "datatype": "FP32", "shape": [2, 2]}], "output 'y': 1 elements, expected 4"),
    "elements": ([tensor("y", [1.0], [2, 2])], "output 'y': 1 elements, expected 4"),
    "too far off": (
        [tensor("y", [1.0, 100.0, -2.5, 0.0], [2, 2])],
        "output 'y': index [1, 0]: expected -2.0, got -2.5, off by 0.5, tolerance 0.012",
    ),
    "null": ([tensor("y", [1.0, None, -2.0, 0.0], [2, 2])], "output 'y': index [0, 1]: expected 100.0, got None (not a finite number)"),
    "NaN": ([tensor("y", [1.0, math.nan, -2.0, 0.0], [2, 2])], "output 'y': index [0, 1]: expected 100.0, got nan (not a finite number)"),
    "infinite": ([tensor("y", [math.inf, 1, -2.0, 0.0], [2, 2])], "output 'y': index [0, 0]: expected 1.0, got inf (not a finite number)"),
    "text": ([tensor("y", ["1", 1, -2.0, 0.0], [2, 2])], "output 'y': index [0, 0]: expected 1.0, got '1' (not a finite number)"),
    "truth": ([tensor("y", [True, 100.0, -2.0, 0.0], [2, 2])], "output 'y': index [0, 0]: expected 1.0, got True (not a finite number)"),
}


@pytest.mark.parametrize(("answer", "text"), DIFFERENT.values(), ids=DIFFERENT)
def test_another_answer_is_told_by_output_index_and_values(answer: list[dict[str, Any]], text: str) -> None:
    assert str(golden.compare([WANTED], answer, TOLERANCE)) == text


def test_integers_must_be_equal() -> None:
    assert golden.compare([LABEL], [tensor("label", [3, 7], [2], "INT64")], TOLERANCE) is None
    assert (
        str(golden.compare([LABEL], [tensor("label", [3, 8], [2], "INT64")], TOLERANCE)) == "output 'label': index [1]: expected 7, got 8"
    )
    assert golden.compare([LABEL], [tensor("label", [3.0, 7.0], [2], "INT64")], TOLERANCE) is not None


SCORES = Values.model_validate_json(json.dumps(tensor("p", [0.30, 0.29, 0.41, 0.30, 0.38, 0.40], [2, 3])))


def rules(**rule: Any) -> Golden:
    return Golden(path="golden.json", absolute=0.0, relative=0.0, outputs={"p": Rule(**rule)})


WINNERS: dict[str, tuple[Golden, list[float], str | None]] = {
    "as recorded": (rules(absolute=0.0, argmax=True), [0.30, 0.29, 0.41, 0.30, 0.38, 0.40], None),
    "the same place": (rules(absolute=0.05, argmax=True), [0.33, 0.29, 0.40, 0.30, 0.38, 0.39], None),
    "recorded as close, the other wins": (rules(absolute=0.05, argmax=True), [0.30, 0.29, 0.41, 0.30, 0.40, 0.38], None),
    "another place within a wide tolerance": (
        rules(absolute=0.1, argmax=True),
        [0.38, 0.29, 0.37, 0.30, 0.38, 0.40],
        "output 'p': index [0]: the largest is at 0, expected 2",
    ),
    "of the second row": (
        rules(absolute=0.09, argmax=True),
        [0.30, 0.29, 0.41, 0.38, 0.37, 0.37],
        "output 'p': index [1]: the largest is at 0, expected 2",
    ),
    "nobody asked for the place": (rules(absolute=0.1), [0.38, 0.29, 0.37, 0.30, 0.38, 0.40], None),
    "a number is off, too": (
        rules(absolute=0.01, argmax=True),
        [0.38, 0.29, 0.37, 0.30, 0.38, 0.40],
        "output 'p': index [0, 0]: expected 0.3, got 0.38, off by 0.08, tolerance 0.01",
    ),
    "the relative part counts": (rules(relative=0.08, argmax=True), [0.30, 0.29, 0.41, 0.30, 0.40, 0.39], None),
}


@pytest.mark.parametrize(("tolerance", "data", "text"), WINNERS.values(), ids=WINNERS)
def test_the_winner_must_be_the_recorded_one_unless_it_was_close(tolerance: Golden, data: list[float], text: str | None) -> None:
    found = golden.compare([SCORES], [tensor("p", data, [2, 3])], tolerance)
    assert (None if found is None else str(found)) == text


def test_a_rule_is_for_its_output_only() -> None:
    tolerance = Golden(path="golden.json", absolute=0.01, relative=0.0, outputs={"p": Rule(absolute=0.5)})
    answer = [tensor("p", [0.7, 0.29, 0.41, 0.3, 0.38, 0.4], [2, 3]), tensor("y", [1.4, 100.0, -2.0, 0.0], [2, 2])]
    assert golden.compare([SCORES], answer, tolerance) is None
    assert str(golden.compare([WANTED], answer, tolerance)).startswith("output 'y': index [0, 0]")


def test_an_output_without_elements_has_no_winner() -> None:
    empty = Values.model_validate_json(json.dumps(tensor("p", [], [2, 0])))
    assert golden.compare([empty], [tensor("p", [], [2, 0])], rules(argmax=True)) is None


@given(
    st.lists(st.floats(-100, 100), min_size=6, max_size=6),
    st.lists(st.floats(-1, 1), min_size=6, max_size=6),
    st.floats(0, 10),
    st.floats(0, 1),
)
def test_half_the_tolerance_never_changes_the_winner(data: list[float], moves: list[float], absolute: float, relative: float) -> None:
    """Each number moves by less than half of what is allowed: who overtakes was within the tolerance of the winner."""
    wanted = Values.model_validate_json(json.dumps(tensor("p", data, [2, 3])))
    answer = [value + 0.499 * move * absolute for value, move in zip(data, moves, strict=True)]
    assert golden.compare([wanted], [tensor("p", answer, [2, 3])], rules(absolute=absolute + 1e-9, relative=relative, argmax=True)) is None


@given(st.recursive(st.none() | st.floats() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=4), max_leaves=10))
def test_an_answer_of_anything_never_crashes_the_comparison(data: Any) -> None:
    golden.compare([WANTED], [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": data}], TOLERANCE)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=4, max_size=4))
def test_every_answer_is_like_itself(data: list[float]) -> None:
    wanted = Values.model_validate_json(json.dumps(tensor("y", data, [2, 2])))
    assert golden.compare([wanted], [tensor("y", data, [2, 2])], Golden(path="golden.json", absolute=0, relative=0)) is None
