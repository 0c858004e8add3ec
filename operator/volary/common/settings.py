"""Settings of the operator: read once, frozen, passed down.

From environment variables, because that is what a Deployment's manifest has; the flags of
`volary run` win over them. The order here is the order in the chart's values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_LOG_LEVELS = ("debug", "info", "warning", "error")
_BASE_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?")
_AGENT_IMAGE = "VOLARY_AGENT_IMAGE"
_SERVER_IMAGES = {"VOLARY_SERVER_IMAGE": "onnxruntime", "VOLARY_TENSORFLOW_SERVING_IMAGE": "tensorflow-serving"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All there is to set."""

    agent_image: str
    server_images: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # name of a runtime -> image
    namespaces: tuple[str, ...] = ()  # none: all
    prometheus: str = ""  # base URL of the Prometheus that queries are asked of; empty: none
    workers: int = 4  # ModelDeployments worked on at the same time
    listen: str = "0.0.0.0:8080"  # health and metrics
    log_level: str = "info"
    leader_election: bool = True
    lease_namespace: str = ""  # empty: the operator's own
    lease_name: str = "volary"
    identity: str = ""  # of this process among its replicas; empty: host name and a random part
    relist: float = 300.0  # seconds between two looks at everything
    notify: str = ""  # file of the receivers of notices, mounted from a Secret; empty: nobody is told
    silence: float = 50.0  # seconds without an event after which a watch is compared with a list

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host, int(port)


def read(environment: Mapping[str, str]) -> Settings:
    """Settings out of environment variables. Raises ValueError that names the variable."""
    agent = environment.get(_AGENT_IMAGE)
    if not agent:
        raise ValueError(f"{_AGENT_IMAGE} is not set: it names the image of the agent in the model pods")
    images = {runtime: environment[name] for name, runtime in _SERVER_IMAGES.items() if environment.get(name)}
    defaults = Settings(agent_image=agent)
    return Settings(
        agent_image=agent,
        server_images=MappingProxyType(images),
        namespaces=tuple(name for name in re.split(r"[,\s]+", environment.get("VOLARY_NAMESPACES", "")) if name),
        prometheus=_url(environment, "VOLARY_PROMETHEUS_URL"),
        workers=int(_number(environment, "VOLARY_WORKERS", defaults.workers, least=1)),
        listen=_listen(environment.get("VOLARY_LISTEN") or defaults.listen),
        log_level=_choice(environment, "VOLARY_LOG_LEVEL", defaults.log_level, _LOG_LEVELS),
        leader_election=_choice(environment, "VOLARY_LEADER_ELECTION", "true", ("true", "false")) == "true",
        lease_namespace=environment.get("VOLARY_LEASE_NAMESPACE") or environment.get("POD_NAMESPACE", ""),
        lease_name=environment.get("VOLARY_LEASE_NAME") or defaults.lease_name,
        identity=environment.get("POD_NAME", ""),
        relist=_number(environment, "VOLARY_RELIST_SECONDS", defaults.relist, least=1),
        notify=environment.get("VOLARY_NOTIFY_FILE", ""),
        silence=_number(environment, "VOLARY_SILENCE_SECONDS", defaults.silence, least=1),
    )


def _url(environment: Mapping[str, str], name: str) -> str:
    """Without a trailing slash. Keys in a URL would end in logs, so there is no place for them."""
    text = environment.get(name, "").rstrip("/")
    if text and _BASE_URL.fullmatch(text) is None:
        raise ValueError(
            f"{name} is not http:// or https://, a host, a port and a path where needed, such as http://prometheus.monitoring:9090"
        )
    return text


def _number(environment: Mapping[str, str], name: str, default: float, *, least: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value < float("inf"):
        raise ValueError(f"{name} is {text!r}; write a number of at least {least:g}")
    return value


def _choice(environment: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = (environment.get(name) or default).lower()
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; write one of {', '.join(choices)}")
    return value


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"VOLARY_LISTEN is {text!r}; write HOST:PORT, such as 0.0.0.0:8080")
    return f"{host or '0.0.0.0'}:{port}"  # noqa: S104 -- a pod's own address is not known beforehand
