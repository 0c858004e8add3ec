"""The file that tells a pod its versions: what is written is read again, and nothing else is."""

import json
from dataclasses import replace
from typing import Any

import pytest

from volary.bundle import limits, split
from volary.bundle.split import Share, Split
from volary.common.errors import Refused
from volary.common.reasons import Reason

STABLE = Share("1a2b3c4d5e", "1.4.0", "sha256:" + "a" * 64, "s3://models/fraud", 90)
CANARY = Share("9f8e7d6c5b", "1.5.0", "sha256:" + "b" * 64, "s3://models/fraud", 10)
THIRD = Share("0011223344", "1.6.0", "sha256:" + "c" * 64, "s3://models/fraud", 0)
WRITTEN = Split(7, (STABLE, CANARY, THIRD))


def test_what_is_written_is_read_again() -> None:
    assert split.parse(split.render(WRITTEN)) == WRITTEN


def test_the_same_split_is_the_same_bytes() -> None:
    assert split.render(WRITTEN) == split.render(split.parse(split.render(WRITTEN)))
    assert split.render(Split(7, (replace(STABLE, weight=100),))) == (
        b'{"generation":7,"revisions":[{"digest":"sha256:' + b"a" * 64 + b'","revision":"1a2b3c4d5e",'
        b'"uri":"s3://models/fraud","version":"1.4.0","weight":100}]}'
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Split(7, ()), "revisions"),
        (Split(-1, (replace(STABLE, weight=100),)), "generation"),
        (Split(7, (STABLE,)), "add up to 90, expected 100"),
        (Split(7, (STABLE, replace(CANARY, weight=11))), "add up to 101"),
        (Split(7, (replace(STABLE, weight=110), replace(CANARY, weight=-10))), "weight"),
        (
            Split(7, (replace(STABLE, weight=80), CANARY, replace(THIRD, weight=10))),
            "3 revisions have a weight above 0, expected at most 2",
        ),
        (Split(7, (STABLE, CANARY, THIRD, replace(THIRD, revision="4", version="4"))), "revisions"),
        (Split(7, (STABLE, replace(CANARY, revision=STABLE.revision))), "the revision 1a2b3c4d5e is there twice"),
        (Split(7, (STABLE, replace(CANARY, version=STABLE.version))), "the version 1.4.0 has two digests"),
        (Split(7, (STABLE, replace(CANARY, version="../etc"))), "version"),
        (Split(7, (STABLE, replace(CANARY, revision="A/B"))), "revision"),
        (Split(7, (STABLE, replace(CANARY, digest="b" * 64))), "digest"),
        (Split(7, (STABLE, replace(CANARY, uri="http://somewhere"))), "s3://BUCKET/PREFIX"),
    ],
)
def test_a_wrong_split_is_neither_written_nor_read(wrong: Split, told: str) -> None:
    with pytest.raises(Refused) as raised:
        split.render(wrong)
    assert raised.value.reason is Reason.SPEC_INVALID
    assert told in raised.value.message


def test_two_revisions_may_serve_the_same_bundle() -> None:
    twins = Split(7, (STABLE, replace(STABLE, revision="9f8e7d6c5b", weight=10)))
    assert split.parse(split.render(twins)) == twins


@pytest.mark.parametrize("change", [{"more": 1}, {"generation": "7"}, {"generation": 7.0}, {"revisions": None}])
def test_a_file_with_other_fields_or_types_is_refused(change: dict[str, Any]) -> None:
    document = json.loads(split.render(WRITTEN)) | change
    with pytest.raises(Refused):
        split.parse(json.dumps(document).encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff", split.render(WRITTEN)[:-1], b" " * (limits.REVISIONS_BYTES + 1), b"[" * 10_000],
    ids=["empty", "cut", "list", "null", "no-utf8", "half-written", "too-large", "deep"],
)
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(Refused) as raised:
        split.parse(data)
    assert raised.value.reason is Reason.SPEC_INVALID
