import pytest

from volary.bundle import layout
from volary.bundle.layout import Location
from volary.common.errors import Refused
from volary.common.reasons import Reason


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("s3://models/fraud", Location("models", "fraud")),
        ("s3://models/fraud/", Location("models", "fraud")),
        ("s3://models/a/b.c/d_e", Location("models", "a/b.c/d_e")),
        ("s3://models", Location("models", "")),
        ("s3://models/", Location("models", "")),
    ],
)
def test_a_place(uri: str, location: Location) -> None:
    assert layout.parse(uri) == location
    assert layout.parse(str(location)) == location


@pytest.mark.parametrize(
    "uri",
    [
        *("", "models/fraud", "http://models/fraud", "s3://", "s3://UPPER/x", "s3://ab", "s3://models//x"),
        *("s3://models/../x", "s3://m-/x", "s3://models/a b", "s3://models/x\n"),
    ],
)
def test_anything_else_is_refused(uri: str) -> None:
    with pytest.raises(Refused) as caught:
        layout.parse(uri)
    assert caught.value.reason is Reason.SPEC_INVALID


def test_keys() -> None:
    assert layout.version_key("1.4.0") == "versions/1.4.0.json"
    assert layout.blob_key("ab") == "blobs/sha256/ab"
    assert Location("models", "fraud").key("x") == "fraud/x"
    assert Location("models", "").key("x") == "x"


@pytest.mark.parametrize("version", ["", "../x", "a/b", ".1", "1\n", "x" * 65, "a b"])
def test_a_version_is_no_path(version: str) -> None:
    with pytest.raises(Refused) as caught:
        layout.version_key(version)
    assert caught.value.reason is Reason.SPEC_INVALID
