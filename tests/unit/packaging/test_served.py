"""What is recorded here is answered alike by the server in a pod: every datatype, through JSON and back."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from tests.unit.packaging import models
from tests.unit.serving import process
from volary import packaging
from volary.adapters import oip
from volary.agent import golden as agent
from volary.agent.retry import Patience
from volary.bundle import golden
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import Auto, Rule

TYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FLOAT16", "DOUBLE", "STRING")


def everything(path: Path) -> Path:
    """Each datatype goes in and comes out; of the FP32 ones come probabilities."""
    numbers = {name.lower(): TensorProto.DataType.Value(name) for name in TYPES}
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in numbers]
    nodes.append(helper.make_node("Softmax", ["x"], ["probabilities"], axis=-1))
    inputs = [models.value(name, ["batch", 2], number) for name, number in numbers.items()]
    outputs = [models.value(f"{name}_out", ["batch", 2], number) for name, number in numbers.items()]
    return models.write(path, nodes, [*inputs, models.value("x", ["batch", 3])], [*outputs, models.value("probabilities", ["batch", 3])])


def test_the_server_answers_samples_that_were_made_up(tmp_path: Path) -> None:
    bundle = packaging.pack(
        everything(tmp_path / "model.onnx"),
        name="fraud",
        version="1.0.0",
        output=tmp_path / "bundle",
        samples=Auto({"batch": 2}),
        tolerances={"probabilities": Rule(argmax=True)},
    )
    samples = golden.parse((bundle.path / "golden.json").read_bytes(), bundle.manifest)
    tolerance = bundle.manifest.golden
    assert tolerance is not None
    with process.running(bundle.path) as server:
        server.wait_for("/v2/health/ready", 200)
        client = oip.Http(f"http://127.0.0.1:{server.port}")
        agent.replay(client, "fraud", "1.0.0", samples, tolerance, timeout=10.0, patience=Patience())
        # The same samples, recorded of a model that says something else: the pod is not ready.
        spoilt = [sample.model_copy(update={"outputs": tuple(reversed_(output) for output in sample.outputs)}) for sample in samples]
        with pytest.raises(Refused) as caught:
            agent.replay(client, "fraud", "1.0.0", spoilt, tolerance, timeout=10.0, patience=Patience())
        client.close()
    assert caught.value.reason is Reason.GOLDEN_MISMATCH


def reversed_(values: golden.Values) -> golden.Values:
    return values.model_copy(update={"data": values.data[::-1]})
