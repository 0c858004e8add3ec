"""The files that TensorFlow Serving reads when it starts, as text. The agent writes them before the server may start.

The messages are those of tensorflow_serving/config/{model_server_config,monitoring_config}.proto, in protobuf's text format.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from volary.common.names import MODELS_PATH

DIRECTORY = f"{MODELS_PATH}/.tensorflow-serving"  # no integer and no model: the server does not take it for one
MODELS = "models.config"
MONITORING = "monitoring.config"
METRICS_PATH = "/monitoring/prometheus/metrics"
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
_LABEL = re.compile(r"[a-zA-Z0-9_]+")


def models(name: str, base_path: str, versions: Sequence[int], labels: Mapping[str, int] = MappingProxyType({})) -> str:
    """ModelServerConfig of one model that has exactly these versions.

    A label may only be given to a version that is loaded, or the server refuses the whole file and
    loads nothing of it; so one that moves needs two files, one after the other. Raises ValueError for
    text that would need quoting, for no version, and for a label of a version that is not there.
    """
    if not versions or not _PLAIN.fullmatch(name) or not _PLAIN.fullmatch(base_path):
        raise ValueError(f"no model can be {name!r} at {base_path!r} in versions {list(versions)}")
    for label, version in labels.items():
        if not _LABEL.fullmatch(label) or version not in versions:
            raise ValueError(f"label {label!r} cannot name version {version}; there are {list(versions)}")
    specific = " ".join(f"versions: {version}" for version in versions)
    lines = [
        f'name: "{name}"',
        f'base_path: "{base_path}"',
        'model_platform: "tensorflow"',
        f"model_version_policy {{ specific {{ {specific} }} }}",
        *(f'version_labels {{ key: "{label}" value: {version} }}' for label, version in sorted(labels.items())),
    ]
    inner = "\n".join(f"    {line}" for line in lines)
    return f"model_config_list {{\n  config {{\n{inner}\n  }}\n}}\n"


def monitoring() -> str:
    """MonitoringConfig: without it the server counts and tells nobody."""
    return f'prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n'
