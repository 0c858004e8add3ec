"""PyTorch networks become TFLite files by litert-torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from volary.bundle.formats import Format
from volary.packaging import convert
from volary.packaging.convert import Source, Target

pytestmark = [pytest.mark.convert, pytest.mark.timeout(600)]


def test_a_network_becomes_a_tflite_file_for_one_sample_at_a_time(tmp_path: Path) -> None:
    from tests.convert import models

    network, (images, _) = models.trained(steps=2), models.digits()
    made = convert.prepare(Source(kind=convert.Kind.TORCH_MODULE, model=network, samples=images[:8], to=Target.TFLITE), tmp_path)
    assert made.format is Format.TFLITE
    assert made.graph.stat().st_size > 40e6
    assert [each.shape for each in made.inputs] == [(1, 1, 8, 8)]
    assert made.facts["convert.tool"].startswith("litert-torch ")


def test_two_inputs_and_two_outputs(tmp_path: Path) -> None:
    from tests.convert import models

    samples = {"a": np.ones((4, 3), np.float32), "b": np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)}
    made = convert.prepare(Source(kind=convert.Kind.TORCH_MODULE, model=models.small(), samples=samples, to=Target.TFLITE), tmp_path)
    assert {each.name: each.shape for each in made.inputs} == {"a": (1, 3), "b": (1, 2)}
    assert len(made.outputs) == 2
