"""A storage behind HTTPS whose certificate no public authority has signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.serving import Model
from tests.support import relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


def certificates(namespace: str, name: str, text: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}, "data": {"ca.crt": text}}


@pytest.fixture(scope="module")
def encrypted(stage: Stage, session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A namespace, and the endpoint. ConfigMap own is its authority, other is another one, empty is none."""
    plain = urlsplit(stage.cluster.s3.endpoint)
    folder: Path = tmp_path_factory.mktemp("authority")
    other, _ = relay.authority(tmp_path_factory.mktemp("other"))
    assert plain.hostname is not None
    assert plain.port is not None
    with relay.encrypting(folder, (plain.hostname, plain.port)) as (endpoint, own):
        name = stage.namespace(f"e2e-storage-{session}")
        texts = {"own": own, "other": other.read_text("ascii"), "empty": ""}
        stage.kubectl.apply(*(certificates(name, which, text) for which, text in texts.items()))
        yield name, endpoint
        stage.leave(name)


def storage(endpoint: str, authority: str) -> dict[str, Any]:
    return {"model": {"storage": {"endpoint": endpoint, "authorityConfigMapName": authority}}}


def test_its_authority_is_trusted_where_the_spec_names_it(stage: Stage, encrypted: tuple[str, str]) -> None:
    namespace, endpoint = encrypted
    with Model.watched(stage, namespace, "trusting") as model:
        model.apply("1.0.0", replicas=1, **storage(endpoint, "own"))
        model.until_serving("1.0.0")


@pytest.mark.parametrize(
    ("authority", "reason", "phase", "words"),
    [
        ("other", "StorageUnreachable", "Checking", "has no certificate that is trusted here"),
        ("empty", "SpecInvalid", "Refused", "authorityConfigMapName holds no certificates"),
        ("absent", "PodRefused", "Checking", "absent"),
    ],
)
def test_any_other_is_told(stage: Stage, encrypted: tuple[str, str], authority: str, reason: str, phase: str, words: str) -> None:
    namespace, endpoint = encrypted
    with Model.watched(stage, namespace, f"with-{authority}") as model:
        model.apply("1.0.0", replicas=1, **storage(endpoint, authority))
        assert words in model.until_said(reason, phase)
        assert model.pods() == []
