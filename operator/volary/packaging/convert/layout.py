"""Where the files of a graph go in a bundle or a directory."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from volary.bundle.formats import Format, Role
from volary.packaging.convert.prepare import Servable

MODEL_NAMES: Mapping[Format, str] = MappingProxyType(
    {Format.ONNX: "model.onnx", Format.TENSORFLOW_SAVEDMODEL: "saved_model.pb", Format.TFLITE: "model.tflite"}
)


def lay_out(servable: Servable, directory: Path) -> tuple[Path, dict[str, Role]]:
    """Copy the files into `directory`: the graph's path there, and the role of each file by its name.

    The graph is named alike in every bundle of a format, unless its weights have that very name.
    """
    usual = MODEL_NAMES[servable.format]
    name = usual if usual not in servable.data else servable.graph.name
    shutil.copyfile(servable.graph, directory / name)
    for data in servable.data:
        (directory / data).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(servable.graph.parent / data, directory / data)
    return directory / name, {name: Role.MODEL} | dict.fromkeys(servable.data, Role.DATA)
