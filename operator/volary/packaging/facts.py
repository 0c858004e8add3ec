"""With what a bundle was made: versions only. No time, no host and no path, so that packing twice gives the same digest."""

import platform
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType

from volary import __version__

_VALUE = 200  # characters

# What an exporter calls itself -> its package, and the frameworks whose models it writes down.
_EXPORTERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "skl2onnx": ("skl2onnx", "scikit-learn"),
        "pytorch": ("torch", "onnxscript"),
        "tf2onnx": ("tf2onnx", "tensorflow", "keras"),
        "OnnxMLTools": ("onnxmltools", "lightgbm", "xgboost"),
    }
)


def build(known: Mapping[str, str]) -> dict[str, str]:
    """For the manifest's `build`: what is known of the source and of what ran it, and what is installed here."""
    facts = {"volary": __version__, "python": platform.python_version(), **known}
    if "onnx.opset" in known:
        facts["onnx"] = metadata.version("onnx")
    facts |= _frameworks(known.get("onnx.producer", ""))
    return {key: value[:_VALUE] for key, value in facts.items() if value}


def _frameworks(producer: str) -> dict[str, str]:
    """Those installed here, if the exporter here is the one that wrote the file: else they say nothing of it."""
    name, _, version = producer.partition(" ")
    packages = _EXPORTERS.get(name, ())
    if not packages or _installed(packages[0]).partition("+")[0] != version.partition("+")[0]:
        return {}
    return {package: found for package in packages if (found := _installed(package))}


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
