"""What would be refused later is not packed, not pushed, and not run; what passes is shown."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.unit.packaging import models
from volary import packaging
from volary.adapters.storage import InMemory
from volary.bundle import manifest as manifests
from volary.cli.main import main
from volary.common.errors import Refused
from volary.common.reasons import Reason

X = np.ones((1, 3), np.float32)


def pack(path: Path) -> packaging.Bundle:
    return packaging.pack(path, name="double", version="1.0.0", samples=X, output=path.parent / "bundle")


def custom(path: Path) -> Path:
    """An operator that only a library beside the model could have."""
    shape = ["batch", 3]
    node = helper.make_node("Shell", ["x"], ["y"], domain="evil.example", name="bad")
    graph = helper.make_graph([node], "test", [models.value("x", shape)], [models.value("y", shape)])
    imports = [helper.make_opsetid("", models.OPSET), helper.make_opsetid("evil.example", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString())
    return path


def test_50_a_custom_operator_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime  # type: ignore[import-untyped]

    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("it was loaded before it was looked at"))
    with pytest.raises(Refused, match=r"'bad' of the main graph is of the operator 'Shell'") as caught:
        pack(custom(tmp_path / "model.onnx"))
    assert caught.value.reason is Reason.OPERATOR_NOT_ALLOWED
    assert not (tmp_path / "bundle").exists()


def test_45_weights_elsewhere_in_a_sparse_constant_are_not_packed(tmp_path: Path) -> None:
    """The published attack on ONNX Runtime 1.26; the library's checker lets it pass."""
    path = models.double(tmp_path / "model.onnx")
    model = onnx.load(path)
    values = TensorProto(name="v", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    values.external_data.add(key="location", value="../../etc/passwd")
    indices = TensorProto(name="i", data_type=TensorProto.INT64, dims=[1], int64_data=[0])
    sparse = onnx.SparseTensorProto(values=values, indices=indices, dims=[3])
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], sparse_value=sparse))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(Refused) as caught:
        pack(path)
    assert caught.value.reason in (Reason.EXTERNAL_DATA_INVALID, Reason.FORMAT_UNSUPPORTED)


def test_a_bundle_whose_graph_was_exchanged_is_not_pushed(tmp_path: Path) -> None:
    bundle = pack(models.double(tmp_path / "model.onnx"))
    content = custom(tmp_path / "other.onnx").read_bytes()
    old = bundle.manifest.model_file
    new = old.model_copy(update={"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    files = tuple(new if file == old else file for file in bundle.manifest.files)
    (bundle.path / old.path).write_bytes(content)
    (bundle.path / "manifest.json").write_bytes(manifests.dump(bundle.manifest.model_copy(update={"files": files})))
    storage = InMemory()
    with pytest.raises(Refused) as caught:
        packaging.push(bundle.path, "s3://models/double", storage=storage)
    assert caught.value.reason is Reason.OPERATOR_NOT_ALLOWED
    assert storage.objects == {}


def test_inspect_shows_the_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = pack(models.external(tmp_path / "model.onnx"))
    assert main(["inspect", str(bundle.path)]) == 0
    shown = capsys.readouterr().out
    for word in ("graph; volary-test; opset ai.onnx 21", "Mul", "1 tensors of 12 bytes in 1 data files"):
        assert word in shown
    assert main(["inspect", str(bundle.path), "-o", "json"]) == 0
    graph = json.loads(capsys.readouterr().out)["graph"]
    assert graph["operators"] == [{"domain": "", "name": "Mul", "count": 1}]
    assert graph["opsets"] == [["", 21]]
    assert (graph["inputs"], graph["outputs"]) == (["x"], ["y"])
    assert graph["external"] == [{"tensor": "w", "location": "weights.bin", "offset": 0, "length": 12}]
