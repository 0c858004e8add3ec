"""Which pods belong to a ModelDeployment."""

from volary.common.names import COMPONENT_LABEL, MODEL_LABEL

SERVER = "server"  # values of COMPONENT_LABEL
PREFLIGHT = "preflight"


def of_model(name: str) -> dict[str, str]:
    """Labels of every model pod. A preflight's pod has the model label too: the component keeps it out."""
    return {MODEL_LABEL: name, COMPONENT_LABEL: SERVER}


def selector(name: str) -> str:
    """The same as text, as the scale subresource wants it."""
    return ",".join(f"{key}={value}" for key, value in sorted(of_model(name).items()))
