"""What a manifest says beside the model: which words are taken, and that silence leaves no trace."""

import json
from typing import Any

import pytest

from tests.unit.bundle import building
from volary.bundle import limits
from volary.bundle import manifest as manifests
from volary.bundle.formats import Role
from volary.bundle.manifest import Golden, Rule
from volary.bundle.metadata import Requirements
from volary.common.errors import Refused
from volary.common.reasons import Reason

# The bytes of a bundle packed before there were metadata and rules.
OLD = (
    b'{"build":{},"files":[],"format":"onnx","golden":{"absolute":0.0001,"path":"golden.json","relative":0.001},'
    b'"inputs":[{"datatype":"FP32","name":"x","shape":[-1,2]}],"name":"digits","outputs":[{"datatype":"FP32","name":"y","shape":[-1,2]}],'
    b'"schemaVersion":1,"version":"1.0.0"}'
)


def test_what_is_not_said_is_not_written_so_older_digests_stay() -> None:
    assert manifests.dump(building.manifest().model_copy(update={"files": ()})) == OLD
    assert manifests.dump(manifests.Manifest.model_validate_json(OLD)) == OLD


def test_all_of_it_survives_the_wire() -> None:
    said = building.manifest(
        labels={"team": "ocr", "volary.dev/tier": ""},
        license="(Apache-2.0 OR MIT) AND LicenseRef-own",
        metrics={"accuracy": 0.97, "loss/val": -1e-9},
        training={"data": "digits, 1797 rows", "commit": "abc"},
        requirements=Requirements(opset=18, memory=limits.GIB, providers=("CUDAExecutionProvider", "CPUExecutionProvider")),
    ).model_copy(update={"golden": Golden(path="golden.json", absolute=0, relative=0, outputs={"y": Rule(absolute=0.5, argmax=True)})})
    data = manifests.dump(said)
    assert manifests.parse(data) == said
    assert json.loads(data)["golden"]["outputs"] == {"y": {"absolute": 0.5, "argmax": True}}
    assert json.loads(data)["requirements"]["memory"] == limits.GIB


GOOD: dict[str, dict[str, Any]] = {
    "label without a value": {"labels": {"team": ""}},
    "label of 63": {"labels": {"a" * 63: "b" * 63}},
    "label with a prefix": {"labels": {"example.com/Team_1.x": "A.b-c_d"}},
    "licence": {"license": "Apache-2.0"},
    "licence or later": {"license": "GPL-2.0+"},
    "licence with an exception": {"license": "GPL-3.0-only WITH Classpath-exception-2.0"},
    "licences in parentheses": {"license": "(MIT OR (BSD-3-Clause AND ISC))"},
    "licence of one's own": {"license": "DocumentRef-spdx:LicenseRef-mine"},
    "a whole number": {"metrics": {"rows": 7}},
    "nothing needed": {"requirements": {}},
}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
def test_words_that_are_taken(fields: dict[str, Any]) -> None:
    manifests.parse(building.encoded(building.fields(**fields)))


BAD: dict[str, dict[str, Any]] = {
    "label of 64": {"labels": {"a" * 64: ""}},
    "label value of 64": {"labels": {"a": "b" * 64}},
    "label with a space": {"labels": {"my team": ""}},
    "label value with a space": {"labels": {"team": "a b"}},
    "label ends in a dash": {"labels": {"team-": ""}},
    "label value with a newline": {"labels": {"team": "a\n"}},
    "label with two slashes": {"labels": {"a/b/c": ""}},
    "label with an upper-case prefix": {"labels": {"Example.com/a": ""}},
    "label with a prefix of 254": {"labels": {".".join(["a" * 49] * 5) + ".aaaa/a": ""}},
    "label without a name": {"labels": {"example.com/": ""}},
    "label of a number": {"labels": {"a": 1}},
    "65 labels": {"labels": {f"a{number}": "" for number in range(65)}},
    "no licence": {"license": ""},
    "licence of prose": {"license": "ask Anna"},
    "licence that ends in OR": {"license": "MIT OR"},
    "licence that begins with OR": {"license": "OR MIT"},
    "licence with a parenthesis too few": {"license": "(MIT"},
    "licence with a parenthesis too many": {"license": "MIT)"},
    "licence of nothing in parentheses": {"license": "()"},
    "licence with a terminal escape": {"license": "MIT\x1b[31m"},
    "licence of 201": {"license": "M" * 201},
    "metric without a name": {"metrics": {"": 1.0}},
    "metric with a space": {"metrics": {"my accuracy": 1.0}},
    "metric of text": {"metrics": {"accuracy": "0.9"}},
    "metric of a truth": {"metrics": {"accuracy": True}},
    "metric of null": {"metrics": {"accuracy": None}},
    "65 metrics": {"metrics": {f"a{number}": 1.0 for number in range(65)}},
    "training of numbers": {"training": {"rows": 7}},
    "training of 1,025": {"training": {"a": "b" * 1025}},
    "opset 0": {"requirements": {"opset": 0}},
    "opset of text": {"requirements": {"opset": "18"}},
    "memory of a fraction": {"requirements": {"memory": 0.5}},
    "unknown need": {"requirements": {"gpu": 1}},
    "provider of a path": {"requirements": {"providers": ["../CPUExecutionProvider"]}},
    "nine providers": {"requirements": {"providers": ["CPUExecutionProvider"] * 9}},
    "rule for no output": {"golden": {"path": "golden.json", "absolute": 0, "relative": 0, "outputs": {"z": {}}}},
    "rule below 0": {"golden": {"path": "golden.json", "absolute": 0, "relative": 0, "outputs": {"y": {"absolute": -1}}}},
    "unknown rule": {"golden": {"path": "golden.json", "absolute": 0, "relative": 0, "outputs": {"y": {"cosine": 1}}}},
    "argmax of integers": {
        "golden": {"path": "golden.json", "absolute": 0, "relative": 0, "outputs": {"y": {"argmax": True}}},
        "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1, 2]}],
    },
    "argmax of a single number": {
        "golden": {"path": "golden.json", "absolute": 0, "relative": 0, "outputs": {"y": {"argmax": True}}},
        "outputs": [{"name": "y", "datatype": "FP32", "shape": []}],
    },
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD)
def test_words_that_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        manifests.parse(building.encoded(building.fields(**fields)))
    assert caught.value.reason is Reason.MANIFEST_INVALID
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999"])
def test_27_a_metric_is_finite(number: bytes) -> None:
    data = building.encoded(building.fields(metrics={"loss": 0.125})).replace(b"0.125", number)
    with pytest.raises(Refused) as caught:
        manifests.parse(data)
    assert caught.value.reason is Reason.MANIFEST_INVALID


def test_a_config_file_has_a_limit() -> None:
    file = building.file("config/labels.json", b"[]", Role.CONFIG)
    files = building.manifest().files
    manifests.check(building.manifest().model_copy(update={"files": (*files, file)}))
    huge = file.model_copy(update={"size": limits.CONFIG_BYTES + 1})
    with pytest.raises(Refused, match=r"a config file may have 32 MiB") as caught:
        manifests.check(building.manifest().model_copy(update={"files": (*files, huge)}))
    assert caught.value.reason is Reason.LIMIT_EXCEEDED
