import pytest

from volary.api.v1alpha1 import RuntimeName
from volary.bundle import formats
from volary.bundle.formats import Format, Role
from volary.common.errors import Refused
from volary.common.reasons import Reason

HEADS = {
    "59 ELF": b"\x7fELF\x02\x01\x01",
    "59 pickle": b"\x80\x04\x95\x10\x00",
    "59 pickle of old": b"\x80\x02}q\x00.",
    "59 zip": b"PK\x03\x04\x14\x00",
    "59 error page": b"<!DOCTYPE html><html><body>404",
    "59 error page, indented": b"\r\n  <HTML>",
    "59 S3's error": b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied',
    "60 PyTorch": b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl",
    "62 h5": b"\x89HDF\r\n\x1a\n\x00",
    "gzip": b"\x1f\x8b\x08\x00",
    "xz": b"\xfd7zXZ\x00\x00",
    "zstd": b"\x28\xb5\x2f\xfd\x04",
    "script": b"#!/bin/sh\n",
    "NumPy": b"\x93NUMPY\x01\x00",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_file_that_is_no_model_is_refused(head: bytes) -> None:
    with pytest.raises(Refused, match=r"the model file 'model\.onnx' is") as caught:
        formats.check_magic(Role.MODEL, "model.onnx", head)
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED


@pytest.mark.parametrize("head", [b"", b"\x08", b"\x08\x08\x12\x08skl2onnx", b"\x0a\x07pytorch", b"\x12\x04test"])
def test_a_protobuf_passes(head: bytes) -> None:
    formats.check_magic(Role.MODEL, "model.onnx", head)


def test_weights_may_begin_with_anything_but_a_program() -> None:
    formats.check_magic(Role.DATA, "weights", b"\x80\x04\x95\x10")
    with pytest.raises(Refused, match="ELF"):
        formats.check_magic(Role.DATA, "weights", b"\x7fELF")


@pytest.mark.parametrize("head", [b"\x7fELF", b"#!/bin/sh", b"PK\x03\x04", b"<html>", "[1]".encode("utf-16"), b'["a", "b\0"]'])
def test_a_config_file_is_text(head: bytes) -> None:
    formats.check_magic(Role.CONFIG, "config/labels.json", '["a", "é"]'.encode())
    with pytest.raises(Refused, match=r"the config file 'config/labels\.json' is ") as caught:
        formats.check_magic(Role.CONFIG, "config/labels.json", head)
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED


ALLOWED = [
    (Format.ONNX, Role.MODEL, "model.onnx"),
    (Format.ONNX, Role.DATA, "model.onnx.data"),
    (Format.ONNX, Role.DATA, "sub/weights"),
    (Format.ONNX, Role.GOLDEN, "golden.json"),
    (Format.ONNX, Role.CONFIG, "config/labels.json"),
    (Format.ONNX, Role.CONFIG, "config/sub/vocabulary.v2.txt"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.CONFIG, "config/scale.toml"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.MODEL, "saved_model.pb"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.DATA, "variables/variables.index"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.DATA, "variables/variables.data-00000-of-00001"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.DATA, "assets/vocabulary.txt"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.DATA, "fingerprint.pb"),
    (Format.TFLITE, Role.MODEL, "model.tflite"),
    (Format.TFLITE, Role.DATA, "labels.txt"),
    (Format.TFLITE, Role.GOLDEN, "golden.json"),
]


@pytest.mark.parametrize(("format_", "role", "path"), ALLOWED)
def test_files_of_a_format(format_: Format, role: Role, path: str) -> None:
    formats.check_file(format_, role, path)


REFUSED = [
    (Format.ONNX, Role.MODEL, "model.pb"),
    (Format.ONNX, Role.MODEL, "sub/model.onnx"),
    (Format.ONNX, Role.DATA, "custom_ops.so"),
    (Format.ONNX, Role.DATA, "data.PKL"),
    (Format.ONNX, Role.DATA, "model.pt"),
    (Format.ONNX, Role.DATA, "layers.keras"),
    (Format.ONNX, Role.DATA, "weights.h5"),
    (Format.ONNX, Role.DATA, "all.tar"),
    (Format.ONNX, Role.GOLDEN, "golden.pkl"),
    (Format.ONNX, Role.CONFIG, "labels.json"),
    (Format.ONNX, Role.CONFIG, "config/transform.py"),
    (Format.ONNX, Role.CONFIG, "config/scaler.pkl"),
    (Format.ONNX, Role.CONFIG, "config/labels"),
    (Format.ONNX, Role.CONFIG, "config/.json"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.MODEL, "model.onnx"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.DATA, "variables/other"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.DATA, "2/saved_model.pb"),
    (Format.TENSORFLOW_SAVEDMODEL, Role.DATA, "assets/lib.so"),
    (Format.TFLITE, Role.MODEL, "model.onnx"),
    (Format.TFLITE, Role.DATA, "variables/variables.index"),
]


@pytest.mark.parametrize(("format_", "role", "path"), REFUSED)
def test_other_files_are_refused(format_: Format, role: Role, path: str) -> None:
    with pytest.raises(Refused) as caught:
        formats.check_file(format_, role, path)
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED


def test_a_runtime_serves_its_format_only() -> None:
    formats.check_runtime(Format.ONNX, "onnxruntime")
    with pytest.raises(Refused, match=r"set spec\.runtime\.name to tensorflow-serving") as caught:
        formats.check_runtime(Format.TENSORFLOW_SAVEDMODEL, "onnxruntime")
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED
    with pytest.raises(Refused, match="there are onnxruntime, tensorflow-serving") as caught:
        formats.check_runtime(Format.ONNX, "triton")
    assert caught.value.reason is Reason.RUNTIME_UNSUPPORTED


@pytest.mark.parametrize("runtime", RuntimeName)
def test_a_format_without_a_runtime_is_told_which_formats_are_served(runtime: RuntimeName) -> None:
    said = r"the runtime \S+ serves \S+; no runtime serves it \(onnxruntime serves onnx, tensorflow-serving serves tensorflow-savedmodel\)"
    with pytest.raises(Refused, match=said) as caught:
        formats.check_runtime(Format.TFLITE, runtime)
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED


@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize("role", Role)
def test_every_format_says_of_every_role_which_files_it_holds(format_: Format, role: Role) -> None:
    with pytest.raises(Refused):
        formats.check_file(format_, role, "x.so")


def test_the_runtimes_are_those_of_the_api() -> None:
    assert set(formats.RUNTIMES) == {name.value for name in RuntimeName}


def test_tensorflow_serving_gets_an_integer() -> None:
    assert formats.folder(Format.ONNX, "1.0.0") == "1.0.0"
    assert formats.folder(Format.TENSORFLOW_SAVEDMODEL, "1.0.0") == "1"
