"""Hostile file names: numbers are those of the list of hostile inputs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.bundle import paths
from volary.common.errors import Refused
from volary.common.reasons import Reason

INVALID = {
    "1 parent": "../x",
    "2 absolute": "/etc/passwd",
    "3 parent inside": "a/../../x",
    "4 backslash": "..\\x",
    "4 drive": "C:\\x",
    "5 percent": "%2e%2e/x",
    "5 percent twice": "%252e%252e/x",
    "6 nul": "a\0b",
    "7 newline": "a\n",
    "7 control": "a\x07b",
    "7 right-to-left override": "a\u202egnp.exe",
    "8 empty part": "a//b",
    "8 dot": "./a",
    "8 trailing slash": "a/",
    "empty": "",
    "dot": ".",
    "dot dot": "..",
    "hidden": ".bashrc",
    "hidden inside": "a/.git/config",
    "space": "a b",
    "tilde": "~/x",
    "variable": "$HOME",
    "full-width dots": "\uff0e\uff0e/x",
    "lone surrogate": "a\ud800",
    "14 accent composed": "mod\u00e8le",
    "14 accent decomposed": "mode\u0300le",
}


@pytest.mark.parametrize("path", INVALID.values(), ids=INVALID)
def test_a_hostile_name_is_refused(path: str) -> None:
    with pytest.raises(Refused) as caught:
        paths.check(path)
    assert caught.value.reason is Reason.NAME_INVALID
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()


TOO_LARGE = {
    "9 256 bytes": "/".join(["a" * 63] * 4) + "b",
    "10 nine parts": "/".join("abcdefghi"),
    "part of 101": "a" * 101,
    "1 MB": "a" * 1_000_000,
}


@pytest.mark.parametrize("path", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_large_name_is_refused(path: str) -> None:
    with pytest.raises(Refused) as caught:
        paths.check(path)
    assert caught.value.reason is Reason.LIMIT_EXCEEDED
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "path", ["a", "model.onnx", "variables/variables.data-00000-of-00001", "_x/-y/z_1.b", "/".join("abcdefgh"), "a" * 100]
)
def test_an_ordinary_name_passes(path: str) -> None:
    paths.check(path)


CONFLICTS = {
    "12 twice": ["a", "a"],
    "13 case": ["A.onnx", "a.onnx"],
    "13 case of a directory's file": ["d/A", "D/a"],
    "15 file and directory": ["a", "a/b"],
    "15 the other way round": ["a/b/c", "x", "a/b"],
    "15 file and directory by case": ["a", "A/b"],
    "the manifest": ["manifest.json"],
    "the manifest by case": ["Manifest.JSON"],
    "below the manifest": ["manifest.json/x"],
}


@pytest.mark.parametrize("names", CONFLICTS.values(), ids=CONFLICTS)
def test_names_that_would_be_one_file_are_refused(names: list[str]) -> None:
    with pytest.raises(Refused) as caught:
        paths.check_all(names)
    assert caught.value.reason is Reason.NAME_CONFLICT


def test_names_that_share_a_directory_pass() -> None:
    paths.check_all(["a/b", "a/c", "b", "manifest.json.txt", "ab/b"])


@given(st.text())
def test_no_name_that_passes_leaves_its_directory(path: str) -> None:
    try:
        paths.check(path)
    except Refused:
        return
    assert path.isascii()
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
