"""A version whose clients would not be understood is refused while they are served, and tried when they are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest

from tests.demo import bundles, models
from tests.e2e.serving import Serving
from volary import packaging

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

URI = f"s3://{bundles.BUCKET}/renamed"


def push_renamed(stage: Stage, folder: Path) -> None:
    """The model of 2.0.0 with another name for its input, as 2.1.0."""
    candidate = next(each for each in models.candidates() if each.version == "2.0.0")
    graph = onnx.load_from_string(candidate.graph)
    (old,) = (each.name for each in graph.graph.input)
    graph.graph.input[0].name = "pixels"
    for node in graph.graph.node:
        node.input[:] = ["pixels" if name == old else name for name in node.input]
    file = folder / "renamed.onnx"
    onnx.save(graph, str(file))
    with bundles.environment(stage.cluster.s3):
        packaging.push(packaging.pack(file, name=bundles.MODEL, version="2.1.0", output=folder / "bundle").path, URI)


def test_another_input_is_refused_until_it_is_allowed(stage: Stage, undisturbed: Serving, tmp_path: Path) -> None:
    push_renamed(stage, tmp_path)
    undisturbed.change("2.1.0", model={"uri": URI})
    said = undisturbed.until_said("SchemaChanged", "Refused")
    assert "the input 'pixels' is new, and clients do not send it" in said
    assert "spec.model.schemaChange: Allow" in said
    assert undisturbed.stable == "1.0.0"
    undisturbed.change("2.1.0", model={"uri": URI, "schemaChange": "Allow"}, rollout={"paused": True})
    undisturbed.watch.until("it is tried", lambda: (undisturbed.watch.status.get("canary") or {}).get("version") == "2.1.0", 60)
