"""Settings out of the environment."""

import pytest

from volary.common.settings import Settings, read

LEAST = {"VOLARY_AGENT_IMAGE": "agent:1", "VOLARY_SERVER_IMAGE": "server:1"}


def test_the_least() -> None:
    settings = read(LEAST)
    assert settings == Settings(agent_image="agent:1", server_images={"onnxruntime": "server:1"})
    assert settings.address == ("0.0.0.0", 8080)


def test_all() -> None:
    settings = read(
        {
            **LEAST,
            "VOLARY_TENSORFLOW_SERVING_IMAGE": "tf:1",
            "VOLARY_NAMESPACES": "shop, bank",
            "VOLARY_WORKERS": "8",
            "VOLARY_LISTEN": ":9090",
            "VOLARY_LOG_LEVEL": "DEBUG",
            "VOLARY_LEADER_ELECTION": "false",
            "VOLARY_LEASE_NAME": "other",
            "VOLARY_RELIST_SECONDS": "60",
            "VOLARY_SILENCE_SECONDS": "30",
            "POD_NAMESPACE": "volary-system",
            "POD_NAME": "volary-1",
        }
    )
    assert settings.server_images == {"onnxruntime": "server:1", "tensorflow-serving": "tf:1"}
    assert (settings.namespaces, settings.workers, settings.address) == (("shop", "bank"), 8, ("0.0.0.0", 9090))
    assert (settings.log_level, settings.leader_election, settings.lease_namespace) == ("debug", False, "volary-system")
    assert (settings.lease_name, settings.identity, settings.relist, settings.silence) == ("other", "volary-1", 60, 30)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", ""),
        ("http://prometheus.monitoring:9090/", "http://prometheus.monitoring:9090"),
        ("https://mimir.example/prometheus", "https://mimir.example/prometheus"),
        ("http://[fd00::1]:9090", "http://[fd00::1]:9090"),
    ],
)
def test_a_prometheus_is_a_plain_address(value: str, url: str) -> None:
    assert read({**LEAST, "VOLARY_PROMETHEUS_URL": value}).prometheus == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VOLARY_AGENT_IMAGE", ""),
        ("VOLARY_WORKERS", "0"),
        ("VOLARY_WORKERS", "many"),
        ("VOLARY_WORKERS", "inf"),
        ("VOLARY_LISTEN", "8080x"),
        ("VOLARY_LISTEN", "host:99999"),
        ("VOLARY_LOG_LEVEL", "loud"),
        ("VOLARY_LEADER_ELECTION", "perhaps"),
        ("VOLARY_RELIST_SECONDS", "nan"),
        ("VOLARY_PROMETHEUS_URL", "prometheus:9090"),
        ("VOLARY_PROMETHEUS_URL", "http://user:secret@prometheus:9090"),
        ("VOLARY_PROMETHEUS_URL", "http://prometheus:9090/?x=1"),
        ("VOLARY_PROMETHEUS_URL", "file:///etc/passwd"),
    ],
)
def test_a_mistake_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        read({**LEAST, name: value})
