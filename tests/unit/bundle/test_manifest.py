"""Hostile manifests: numbers are those of the list of hostile inputs."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.bundle import building
from volary.bundle import limits
from volary.bundle import manifest as manifests
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import File, Manifest, Tensor
from volary.bundle.metadata import Requirements
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

GOOD = manifests.dump(building.manifest())
HEX = "0" * 64


def refusal(data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        manifests.parse(data)
    message = caught.value.message
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 1500
    return caught.value


def with_file(**changes: Any) -> dict[str, Any]:
    found = building.fields()
    found["files"][0] |= changes
    return found


INVALID: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"<html>",
    "not UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"schemaVersion":1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "NUL": GOOD + b"\0",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "two documents": GOOD + GOOD,
    "truncated": GOOD[:-1],
    "25 key twice": GOOD.replace(b'"name":"digits"', b'"name":"digits","name":"digits"'),
    "25 key twice, escaped": GOOD.replace(b'"name":"digits"', b'"name":"digits","n\\u0061me":"digits"'),
    "25 key twice inside": GOOD.replace(b'"role":"golden"', b'"role":"golden","role":"data"'),
    "26 deep lists": b"[" * 100_000,
    "26 deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "26 deep inside": GOOD.replace(b'"build":{}', b'"build":' + b"[" * 50_000 + b"]" * 50_000),
    "27 NaN": GOOD.replace(b"0.0001", b"NaN"),
    "27 Infinity": GOOD.replace(b"0.0001", b"Infinity"),
    "27 1e999": GOOD.replace(b"0.0001", b"1e999"),
    "27 negative tolerance": GOOD.replace(b"0.0001", b"-0.0001"),
    "27 negative size": building.encoded(with_file(size=-1)),
    "27 size of 2^63": building.encoded(with_file(size=2**63)),
    "27 size of 4,000 digits": building.encoded(with_file(size=10**4000)),
    "27 size of 50,000 digits": GOOD.replace(b'"size":', b'"size":' + b"9" * 50_000),
    "27 size as a float": building.encoded(with_file(size=1.0)),
    "27 size as text": building.encoded(with_file(size="1")),
    "27 size as a truth": building.encoded(with_file(size=True)),
    "28 unknown field": building.encoded(building.fields(extra=1)),
    "28 unknown field of a file": building.encoded(with_file(mode="0777")),
    "28 Python's spelling and the wire's": building.encoded(building.fields(schema_version=1)),
    "29 schema version 2": building.encoded(building.fields(schemaVersion=2)),
    "29 schema version true": building.encoded(building.fields(schemaVersion=True)),
    "29 schema version 1.0": building.encoded(building.fields(schemaVersion=1.0)),
    "29 schema version absent": building.encoded({key: value for key, value in building.fields().items() if key != "schemaVersion"}),
    "30 sha256 too short": building.encoded(with_file(sha256="a" * 63)),
    "30 sha256 too long": building.encoded(with_file(sha256="a" * 65)),
    "30 sha256 in upper case": building.encoded(with_file(sha256="A" * 64)),
    "30 sha256 with a newline": building.encoded(with_file(sha256="a" * 64 + "\n")),
    "30 sha256 as a path": building.encoded(with_file(sha256="../" * 21 + "a")),
    "unknown role": building.encoded(with_file(role="code")),
    "name of a path": building.encoded(building.fields(name="../x")),
    "name with a newline": building.encoded(building.fields(name="digits\n")),
    "version of a path": building.encoded(building.fields(version="../1")),
    "version null": building.encoded(building.fields(version=None)),
    "no files": building.encoded(building.fields(files=[])),
    "files an object": building.encoded(building.fields(files={})),
    "no outputs": building.encoded(building.fields(outputs=[])),
    "dimension of -2": building.encoded(building.fields(inputs=[{"name": "x", "datatype": "FP32", "shape": [-2]}])),
    "dimension of 2^40": building.encoded(building.fields(inputs=[{"name": "x", "datatype": "FP32", "shape": [2**40]}])),
    "17 dimensions": building.encoded(building.fields(inputs=[{"name": "x", "datatype": "FP32", "shape": [1] * 17}])),
    "unknown datatype": building.encoded(building.fields(inputs=[{"name": "x", "datatype": "OBJECT", "shape": [1]}])),
    "two inputs of one name": building.encoded(building.fields(inputs=[{"name": "x", "datatype": "FP32", "shape": []}] * 2)),
    "build of numbers": building.encoded(building.fields(build={"a": 1})),
    "lone surrogate": GOOD.replace(b'"build":{}', b'"build":{"a":"\\ud800"}'),
    "two models": building.encoded(
        building.fields(files=[*building.fields()["files"], {"path": "b.onnx", "role": "model", "sha256": HEX, "size": 1}])
    ),
    "golden names no file": building.encoded(building.fields(golden={"path": "other.json", "absolute": 0, "relative": 0})),
    "golden file is not named": building.encoded({key: value for key, value in building.fields().items() if key != "golden"}),
    "one sha256, two sizes": building.encoded(
        building.fields(files=[*building.fields()["files"], building.fields()["files"][0] | {"path": "b", "role": "data", "size": 1}])
    ),
}


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_a_broken_manifest_is_refused(data: bytes) -> None:
    assert refusal(data).reason is Reason.MANIFEST_INVALID


def many(count: int) -> bytes:
    files = [{"path": f"f{number}", "role": "data", "sha256": HEX, "size": 1} for number in range(count)]
    return building.encoded(building.fields(files=[*building.fields()["files"], *files]))


OTHER: dict[str, tuple[bytes, Reason]] = {
    "1 parent directory": (building.encoded(with_file(path="../x")), Reason.NAME_INVALID),
    "11 too many files": (many(limits.FILES), Reason.LIMIT_EXCEEDED),
    "12 the same name twice": (building.encoded(building.fields(files=building.fields()["files"][:1] * 2)), Reason.NAME_CONFLICT),
    "24 2 MiB": (b'{"a":"' + b"x" * (2 * limits.MIB) + b'"}', Reason.LIMIT_EXCEEDED),
    "24 2 MiB of spaces": (GOOD + b" " * (2 * limits.MIB), Reason.LIMIT_EXCEEDED),
    "37 10 TB": (building.encoded(with_file(size=10 * 10**12)), Reason.LIMIT_EXCEEDED),
    "77 1 GB of golden samples": (GOOD.replace(b'"size":%d' % len(building.GOLDEN), b'"size":1000000000'), Reason.LIMIT_EXCEEDED),
    "58 shared object": (
        building.encoded(
            building.fields(files=[*building.fields()["files"], {"path": "custom.so", "role": "data", "sha256": HEX, "size": 1}])
        ),
        Reason.FORMAT_UNSUPPORTED,
    ),
    "60 PyTorch checkpoint": (building.encoded(with_file(path="model.pt")), Reason.FORMAT_UNSUPPORTED),
    "61 Keras": (building.encoded(building.fields(format="keras")), Reason.FORMAT_UNSUPPORTED),
    "format of terminal escapes": (building.encoded(building.fields(format="\x1b[31mred")), Reason.FORMAT_UNSUPPORTED),
}


@pytest.mark.parametrize(("data", "reason"), OTHER.values(), ids=OTHER)
def test_a_manifest_against_the_rules_is_refused(data: bytes, reason: Reason) -> None:
    assert refusal(data).reason is reason


def test_as_many_files_as_allowed_fit_into_a_manifest() -> None:
    data = many(limits.FILES - len(building.fields()["files"]))
    assert len(data) <= limits.MANIFEST_BYTES
    assert len(manifests.parse(data).files) == limits.FILES


def test_the_message_names_field_and_fault() -> None:
    assert "files.0.size: Input should be greater than or equal to 0" in refusal(building.encoded(with_file(size=-1))).message
    assert "'name' occurs twice" in refusal(INVALID["25 key twice"]).message
    assert "schemaVersion is 2, this Volary reads 1" in refusal(INVALID["29 schema version 2"]).message


def test_the_canonical_form_is_fixed() -> None:
    made = building.manifest(build={"é": "ü"})
    data = manifests.dump(made)
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert data.startswith(b'{"build":{"\xc3\xa9":"\xc3\xbc"},"files":[{"path":"model.onnx","role":"model","sha256":"')
    assert manifests.digest(b"x") == "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


def test_what_a_manifest_tells() -> None:
    made = manifests.parse(GOOD)
    assert made.size == len(building.MODEL) + len(building.GOLDEN)
    assert made.model_file.path == "model.onnx"
    assert made.golden_file is not None
    assert building.manifest(golden=None).golden_file is None


hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
words = st.text("abcdefgh0123456789-", min_size=1, max_size=20).map(lambda text: f"a{text}z")
tensors = st.builds(
    Tensor,
    name=st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
    datatype=st.sampled_from(Datatype),
    shape=st.lists(st.integers(-1, limits.DIMENSION), max_size=4).map(tuple),
)
data_files = st.builds(
    File, path=words, role=st.just(Role.DATA), sha256=hexes.filter(lambda text: text != HEX), size=st.integers(0, limits.GIB)
)


def unique_by(key: Callable[[Any], Any], *, least: int) -> Callable[[Any], Any]:
    return lambda strategy: st.lists(strategy, min_size=least, max_size=4, unique_by=key).map(tuple)


made_manifests = st.builds(
    Manifest,
    name=words,
    version=words,
    format=st.just(Format.ONNX),
    files=st.lists(data_files, max_size=6, unique_by=(lambda file: file.path, lambda file: file.sha256)).map(
        lambda files: (File(path="model.onnx", role=Role.MODEL, sha256=HEX, size=7), *files)
    ),
    inputs=unique_by(lambda each: each.name, least=0)(tensors),
    outputs=unique_by(lambda each: each.name, least=1)(tensors),
    golden=st.none(),
    build=st.dictionaries(st.text("abc", min_size=1, max_size=5), st.text(max_size=20), max_size=3),
    labels=st.dictionaries(words, words, max_size=3),
    license=st.none() | st.sampled_from(["MIT", "MIT OR Apache-2.0"]),
    metrics=st.dictionaries(words, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    training=st.dictionaries(words, st.text(max_size=20), max_size=3),
    requirements=st.none() | st.builds(Requirements, opset=st.none() | st.integers(1, 30), providers=st.just(())),
)


@given(made_manifests)
def test_a_manifest_survives_the_wire(made: Manifest) -> None:
    data = manifests.dump(made)
    assert manifests.parse(data) == made
    assert manifests.dump(manifests.parse(data)) == data


def never_crashes(data: bytes) -> None:
    with suppress(Refused):
        manifests.parse(data)


@given(st.binary(max_size=200))
def test_bytes_never_crash_it(data: bytes) -> None:
    never_crashes(data)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted({*building.fields(), "labels", "license", "metrics", "training", "requirements"})), anything)
def test_a_field_of_anything_never_crashes_it(field: str, value: Any) -> None:
    never_crashes(building.encoded(building.fields(**{field: value})))


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=0, max_size=3))
def test_a_changed_byte_never_crashes_it(index: int, replacement: bytes) -> None:
    never_crashes(GOOD[:index] + replacement + GOOD[index + 1 :])
