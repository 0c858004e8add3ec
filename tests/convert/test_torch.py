"""PyTorch networks become ONNX bundles that answer alike; files that run code are not opened."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from volary import packaging
from volary.adapters.storage import InMemory
from volary.agent import fetcher
from volary.agent.retry import Patience
from volary.agent.source import Wanted
from volary.cli.main import main
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert

if TYPE_CHECKING:
    from volary.packaging import Bundle

pytestmark = [pytest.mark.convert, pytest.mark.timeout(600)]
# In the order of forward(b, a), which is not that of the alphabet.
SMALL = {"b": np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2), "a": np.ones((4, 3), np.float32)}


def small() -> Any:
    from tests.convert import models

    return models.small()


def pack(source: Any, output: Path, samples: Any = None) -> Bundle:
    return packaging.pack(source, name="network", version="1.0.0", samples=samples, output=output)


def refusal(source: convert.Source, directory: Path, samples: Any = None) -> Refused:
    with pytest.raises(Refused) as caught:
        convert.prepare(source, directory, samples)
    return caught.value


def exported(path: Path) -> Path:
    import torch

    inputs = tuple(torch.from_numpy(each) for each in SMALL.values())
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs)
    torch.export.save(torch.export.export(small().eval(), inputs, dynamic_shapes=shapes), path)
    return path


def test_a_resnet_trained_on_digits_answers_alike_in_its_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from tests.convert import models

    network, (images, _) = models.trained(steps=5), models.digits()
    torch.save(network.state_dict(), tmp_path / "resnet.pth")
    np.savez(tmp_path / "images.npz", image=images[:20])
    words = ["--name", "resnet", "--version", "1", "--golden", str(tmp_path / "images.npz"), "-o", str(tmp_path / "bundle")]
    assert main(["pack", str(tmp_path / "resnet.pth"), "--network", "tests.convert.models:ResNet18", *words]) == 0
    assert "parity: max abs" in capsys.readouterr().err
    bundle = packaging.load(tmp_path / "bundle")
    assert bundle.manifest.size > 40e6
    assert [(each.name, each.shape) for each in bundle.manifest.inputs] == [("image", (-1, 1, 8, 8))]
    golden = json.loads((tmp_path / "bundle" / "golden.json").read_bytes())["samples"]
    with torch.no_grad():
        expected = network(torch.from_numpy(images[:20])).numpy()
    np.testing.assert_allclose([each["outputs"][0]["data"] for each in golden], expected, rtol=1e-3, atol=1e-4)


def test_a_fine_tuned_head_moves_only_the_head(tmp_path: Path) -> None:
    """A backbone of 43 MiB under two heads of 4 MiB that learned different things, exported by PyTorch each for itself."""
    from tests.convert import models

    network, samples = models.trained(steps=2), {"image": models.digits()[0][:8]}
    storage, heads = InMemory(), []
    for version, classes in (("1", 10), ("2", 2)):
        tuned = models.fine_tuned(network, classes, steps=5)
        heads.append(sum(each.numel() * each.element_size() for each in tuned[-1].parameters()))
        bundle = packaging.pack(
            convert.live(tuned, samples["image"]), name="digits", version=version, samples=samples["image"], output=tmp_path / version
        )
        assert bundle.manifest.size > 40e6
        pushed = packaging.push(bundle.path, "s3://models/digits", storage=storage)
    fetcher.fetch(storage, Wanted("1"), tmp_path / "models", "digits", patience=Patience())
    fetched = fetcher.fetch(storage, Wanted("2"), tmp_path / "models", "digits", patience=Patience())
    assert (fetched.path / "model.onnx").read_bytes() == (tmp_path / "2" / "model.onnx").read_bytes()
    moved = {"up": pushed.uploaded, "down": fetched.downloaded}
    assert all(count <= 1.1 * heads[1] for count in moved.values()), (moved, heads)


def test_an_exported_program_brings_its_own_inputs_and_a_free_batch(tmp_path: Path) -> None:
    bundle = pack(exported(tmp_path / "small.pt2"), tmp_path / "bundle", SMALL)
    assert [(each.name, each.shape) for each in bundle.manifest.inputs] == [("b", (-1, 2)), ("a", (-1, 3))]
    assert [(each.name, each.shape) for each in bundle.manifest.outputs] == [("output_0", (-1, 1)), ("output_1", (-1, 128))]
    assert bundle.manifest.build["convert.source"] == "torch-program"
    assert bundle.manifest.build["convert.parity"].endswith("4 given samples")


def test_large_weights_lie_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from volary.packaging.convert import pytorch

    monkeypatch.setattr(pytorch, "_ONE_FILE", 1)
    bundle = pack(exported(tmp_path / "small.pt2"), tmp_path / "bundle", SMALL)
    assert {file.path for file in bundle.manifest.files} == {"golden.json", "model.onnx", "model.onnx.data"}


def test_packing_twice_gives_the_same_digest(tmp_path: Path) -> None:
    program = exported(tmp_path / "small.pt2")
    assert pack(program, tmp_path / "a", SMALL).digest == pack(program, tmp_path / "b", SMALL).digest


def test_a_live_network_and_one_a_function_makes(tmp_path: Path) -> None:
    first = pack(convert.live(small(), SMALL), tmp_path / "live")
    assert first.manifest.build["convert.source"] == "torch-module"
    second = pack(convert.factory.source("tests.convert.models:small"), tmp_path / "made", SMALL)
    assert [each.shape for each in second.manifest.inputs] == [(-1, 2), (-1, 3)]


def test_a_network_is_not_traced_without_inputs(tmp_path: Path) -> None:
    assert refusal(convert.live(small()), tmp_path).reason is Reason.GOLDEN_INVALID
    found = refusal(convert.live(small(), {"a": SMALL["a"], "c": SMALL["b"]}), tmp_path)
    assert "['c'], which forward() of Small does not take" in found.message


def test_weights_of_another_network(tmp_path: Path) -> None:
    import torch

    torch.save({"state_dict": {"other": torch.zeros(1)}}, tmp_path / "other.pth")
    source = convert.find(tmp_path / "other.pth")
    assert refusal(source, tmp_path, SMALL).reason is Reason.SPEC_INVALID  # which class?
    found = refusal(convert.Source(kind=source.kind, path=source.path, network="tests.convert.models:Small"), tmp_path, SMALL)
    assert found.reason is Reason.LOAD_FAILED
    assert "are not those of tests.convert.models:Small" in found.message


def test_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(small().state_dict(), tmp_path / "small.safetensors")
    source = convert.Source(kind=convert.Kind.TORCH_WEIGHTS, path=tmp_path / "small.safetensors", network="tests.convert.models:Small")
    assert convert.prepare(source, tmp_path, SMALL).facts["convert.source"] == "torch-weights"


class Evil:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_runs_code_is_not_opened(tmp_path: Path) -> None:
    import torch

    torch.save({"weight": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Evil(tmp_path / "ran"), protocol=2))
    for name in ("evil.pth", "old.pth"):
        source = convert.Source(kind=convert.detect(tmp_path / name), path=tmp_path / name, network="tests.convert.models:Small")
        found = refusal(source, tmp_path, SMALL)
        assert found.reason is Reason.LOAD_FAILED
        assert "--trust-pickle" in found.message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("entry", ["data/sample_inputs/model.pt", "data/weights/weight_0"])
def test_an_exported_program_that_runs_code_is_not_opened(entry: str, tmp_path: Path) -> None:
    import torch

    torch.save(Evil(tmp_path / "ran"), tmp_path / "evil.pt")
    changed = {entry: (tmp_path / "evil.pt").read_bytes()}
    evil = rewritten(exported(tmp_path / "small.pt2"), tmp_path / "evil.pt2", changed)
    assert refusal(convert.find(evil), tmp_path).reason is Reason.LOAD_FAILED
    assert not (tmp_path / "ran").exists()


def test_an_exported_program_with_a_library_is_not_opened(tmp_path: Path) -> None:
    evil = rewritten(exported(tmp_path / "small.pt2"), tmp_path / "evil.pt2", {"data/aotinductor/model/x.wrapper.so": b"\x7fELF"})
    found = refusal(convert.find(evil), tmp_path)
    assert found.reason is Reason.FORMAT_UNSUPPORTED
    assert "compiled libraries" in found.message


def rewritten(path: Path, output: Path, changed: dict[str, bytes]) -> Path:
    """The archive with some files changed or added; weights are marked as pickles, as PyTorch's writer can."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as new:
        folder = old.namelist()[0].partition("/")[0]
        files = {name: old.read(name) for name in old.namelist()} | {f"{folder}/{name}": data for name, data in changed.items()}
        for name, data in files.items():
            marked = data.replace(b'"use_pickle": false', b'"use_pickle": true') if name.endswith("weights_config.json") else data
            new.writestr(name, marked if "data/weights/weight_0" in changed else data)
    return output


def test_the_pickled_weight_of_that_test_does_run_code_where_pytorch_alone_opens_it(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    import torch

    torch.save(Evil(tmp_path / "ran"), tmp_path / "evil.pt")
    changed = {"data/weights/weight_0": (tmp_path / "evil.pt").read_bytes()}
    evil = rewritten(exported(tmp_path / "small.pt2"), tmp_path / "evil.pt2", changed)
    subprocess.run([sys.executable, "-c", f"import torch; torch.export.load({str(evil)!r})"], check=False, capture_output=True)
    assert (tmp_path / "ran").exists()
