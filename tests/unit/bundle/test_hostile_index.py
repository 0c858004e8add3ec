"""The list of hostile inputs, 1 to 80, and the test of each.

Numbers 81 to 85 (out of memory, crash, sockets, writes, fork
bombs) are about pods and belong to the cluster tests.
"""

import importlib
from collections.abc import Iterator
from types import ModuleType

import pytest

# Number -> module below tests.unit, function, and how the parameter's id begins (None: the function has the number to itself).
TESTS: dict[int, list[tuple[str, str, str | None]]] = {
    **{number: [("bundle.test_paths", "test_a_hostile_name_is_refused", f"{number} ")] for number in (*range(1, 9), 14)},
    **{number: [("bundle.test_paths", "test_a_large_name_is_refused", f"{number} ")] for number in (9, 10)},
    11: [("bundle.test_manifest", "test_a_manifest_against_the_rules_is_refused", "11 ")],
    **{number: [("bundle.test_paths", "test_names_that_would_be_one_file_are_refused", f"{number} ")] for number in (12, 13, 15)},
    16: [("adapters.test_storage_hostile", "test_16_a_redirect_to_another_host_is_not_followed", None)],
    **{number: [("agent.test_fetcher", "test_a_spoilt_bundle_is_refused", f"{number} ")] for number in (17, 18, 19)},
    20: [("agent.test_fetcher", "test_20_an_object_that_changes_meanwhile_is_refused", None)],
    21: [("adapters.test_storage_hostile", "test_21_a_compressed_body_is_taken_as_it_is", None)],
    22: [("adapters.test_storage_hostile", "test_22_an_endless_body_is_cut_off", None)],
    23: [("agent.test_fetcher", "test_23_a_storage_that_stalls_is_given_up", None)],
    24: [("bundle.test_manifest", "test_a_manifest_against_the_rules_is_refused", "24 ")],
    **{number: [("bundle.test_manifest", "test_a_broken_manifest_is_refused", f"{number} ")] for number in range(25, 31)},
    31: [("agent.test_fetcher", "test_31_another_manifest_than_the_pinned_one", None)],
    32: [("trust.test_signing", "test_32_no_signature", None)],
    33: [
        ("trust.test_signing", "test_33_another_key", None),
        ("trust.test_signing", "test_33_a_certificate_of_another_root", None),
    ],
    34: [("trust.test_signing", "test_34_over_another_manifest", None)],
    35: [
        ("agent.test_fetcher", "test_a_spoilt_bundle_is_refused", "35 "),
        ("trust.test_signing", "test_35_an_older_version_with_its_signature_under_a_newer_name", None),
        ("trust.test_signing", "test_35_an_older_signature_under_a_newer_manifest", None),
    ],
    36: [
        ("trust.test_signing", "test_36_a_file_nobody_vouches_for", None),
        ("trust.test_signing", "test_36_a_link_nobody_vouches_for", None),
    ],
    37: [("bundle.test_manifest", "test_a_manifest_against_the_rules_is_refused", "37 ")],
    38: [("agent.test_fetcher_graph", "test_38_50_gibibytes_of_zeros_are_refused_before_the_first_byte", None)],
    39: [
        ("agent.test_fetcher", "test_39_a_small_disk_is_told_before_the_first_byte", None),
        ("agent.test_fetcher", "test_39_a_disk_that_fills_up_meanwhile", None),
    ],
    **{
        number: [
            ("bundle.test_hostile_onnx", "test_a_hostile_model_is_refused", f"{number} "),
            ("agent.test_fetcher_graph", "test_a_hostile_graph_is_not_published", f"{number} "),
        ]
        for number in range(40, 57)
    },
    57: [
        ("bundle.test_hostile_onnx", "test_57_a_loop_of_a_trillion_turns_passes_and_is_left_to_the_golden_samples", None),
        ("agent.test_golden", "test_no_answer_in_time", None),
    ],
    58: [("bundle.test_manifest", "test_a_manifest_against_the_rules_is_refused", "58 ")],
    59: [
        ("bundle.test_formats", "test_a_file_that_is_no_model_is_refused", "59 "),
        ("agent.test_fetcher_graph", "test_59_a_text_file_for_a_model", None),
    ],
    60: [("bundle.test_formats", "test_a_file_that_is_no_model_is_refused", "60 ")],
    61: [("bundle.test_manifest", "test_a_manifest_against_the_rules_is_refused", "61 ")],
    62: [("bundle.test_formats", "test_a_file_that_is_no_model_is_refused", "62 ")],
    **{number: [("bundle.test_hostile_saved_model", "test_a_hostile_model_is_refused", f"{number} ")] for number in range(63, 74)},
    74: [("bundle.test_hostile_saved_model", "test_a_directory_that_is_no_saved_model_is_refused", "74 ")],
    **{number: [("bundle.test_golden", "test_broken_samples_are_refused", f"{number} ")] for number in (75, 76, 80)},
    77: [("bundle.test_manifest", "test_a_manifest_against_the_rules_is_refused", "77 ")],
    78: [("packaging.test_pack", "test_78_a_model_with_randomness_cannot_be_proved", None)],
    79: [
        ("agent.test_golden", "test_another_model_is_told_by_sample_output_index_and_values", None),
        ("bundle.test_golden", "test_another_answer_is_told_by_output_index_and_values", None),
    ],
}

ROWS = [(number, *row) for number, rows in TESTS.items() for row in rows]


def test_every_number_has_a_test() -> None:
    assert sorted(TESTS) == list(range(1, 81))


@pytest.mark.parametrize(("number", "module", "function", "begins"), ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_the_test_of_a_number_exists(number: int, module: str, function: str, begins: str | None) -> None:
    found = importlib.import_module(f"tests.unit.{module}")
    assert callable(getattr(found, function, None)), function
    if begins is not None:
        assert any(name.startswith(begins) for name in ids(found, function)), f"{number}: no case of {function} begins with {begins!r}"


def ids(module: ModuleType, function: str) -> Iterator[str]:
    """Of the parameters of a test, where they are texts."""
    for mark in getattr(module, function).pytestmark:
        if mark.name == "parametrize":
            yield from (str(each) for each in (mark.kwargs.get("ids") or mark.args[1]))
